"""Empties the outbox: at least once, in order, and without ever waiting inside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from driftd.clock import Clock
from driftd.errors import DriftdError
from driftd.notify.message import Message
from driftd.notify.notifier import Notifier, Rejected
from driftd.settings.notifications import Notifications
from driftd.store.protocol import Outbox
from driftd.store.types import OutboxMessage
from driftd.telemetry.logs import get_logger
from driftd.telemetry.metrics import Metrics

_BATCH = 100


class Dispatcher:
    """Delivers what is due; a failed message becomes due again later, with growing distance.

    Called by the schedule and after each recorded change. Receivers are served concurrently,
    the messages to one receiver one after the other.
    """

    def __init__(
        self,
        outbox: Outbox,
        notifiers: Mapping[str, Notifier],
        settings: Notifications,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._outbox = outbox
        self._notifiers = dict(notifiers)
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._running = asyncio.Lock()
        self.sent = 0
        """Messages that were delivered since the start."""
        self._log = get_logger("driftd.notify")

    async def deliver_due(self) -> int:
        """Deliver every message that is due now; the number delivered. Raises StoreError."""
        delivered = 0
        async with self._running:
            while batch := await self._outbox.pending(self._clock.now(), _BATCH):
                by_target: dict[str, list[OutboxMessage]] = {}
                for message in batch:
                    by_target.setdefault(message.target, []).append(message)
                lanes = [self._deliver_all(messages) for messages in by_target.values()]
                # A failing store must not leave the other lanes running behind our back.
                for outcome in await asyncio.gather(*lanes, return_exceptions=True):
                    if isinstance(outcome, BaseException):
                        raise outcome
                    delivered += outcome
        return delivered

    async def waiting(self) -> int:
        """How many messages are still to be delivered. Raises StoreError."""
        return await self._outbox.waiting()

    async def _deliver_all(self, messages: list[OutboxMessage]) -> int:
        return sum([await self._deliver(message) for message in messages])

    async def _deliver(self, entry: OutboxMessage) -> bool:
        notifier = self._notifiers.get(entry.target)
        if notifier is None:
            await self._fail(entry, "no receiver of this name is configured any more", None)
            return False
        try:
            message = msgspec.json.decode(entry.payload, type=Message)
        except msgspec.DecodeError:
            await self._fail(entry, "the stored message cannot be read", None)
            return False
        try:
            await notifier.send(message)
        except DriftdError as error:
            await self._fail(entry, error.message, self._retry_at(entry, error))
            return False
        except Exception as error:  # noqa: BLE001 - one receiver never stops the others
            await self._fail(entry, type(error).__name__, self._retry_at(entry, None))
            return False
        await self._outbox.mark_delivered(entry, self._clock.now())
        self._metrics.notification(entry.target, "sent")
        self.sent += 1
        return True

    def _retry_at(self, entry: OutboxMessage, error: DriftdError | None) -> datetime | None:
        """When to try again; None after the last attempt."""
        if entry.attempts + 1 >= self._settings.max_attempts:
            return None
        limit = self._settings.backoff_limit.seconds
        doubled = self._settings.backoff.seconds * 2 ** min(entry.attempts, 30)
        asked = (error.retry_after or 0.0) if isinstance(error, Rejected) else 0.0
        return self._clock.now() + timedelta(seconds=max(min(doubled, limit), asked, 1.0))

    async def _fail(self, entry: OutboxMessage, why: str, retry_at: datetime | None) -> None:
        await self._outbox.mark_failed(entry, self._clock.now(), why, retry_at)
        self._metrics.notification(entry.target, "failed" if retry_at else "undeliverable")
        self._log.warning(
            "notification failed",
            receiver=entry.target,
            message_id=entry.id,
            application=entry.application,
            attempt=entry.attempts + 1,
            error=why,
            retry_at=retry_at.isoformat() if retry_at else "never",
        )
