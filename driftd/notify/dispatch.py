"""Empties the outbox: at least once, in order, and without ever waiting inside.

Each receiver has a lane of its own, so that one that is slow or gone delays no other. Before a
message goes out it is marked as begun: after a crash or a lost answer it goes out again under the
same id, and in no digest, so that a receiver that knows ids takes nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from driftd.clock import Clock
from driftd.errors import DriftdError, StoreError
from driftd.notify.digest import Brief, Digest, digest_of
from driftd.notify.egress import Unanswered
from driftd.notify.message import Message
from driftd.notify.notifier import Addressable, Notifier, Receipt, Rejected
from driftd.notify.pacing import Pacing, Step, backoff
from driftd.settings.notifications import Notifications
from driftd.store.protocol import Outbox
from driftd.store.types import OutboxMessage, Refusal
from driftd.telemetry.logs import get_logger
from driftd.telemetry.metrics import Metrics

MOST: Final = 5000
"""Messages of one digest."""
REFUSALS: Final = 5
"""Attempts of a message that its receiver reads and does not take: it will not take it later."""
RECIPIENT: Final = "|"
"""Between the name of a receiver and the recipient that it delivers to."""
_PART: Final = 50
"""Messages that are read at a time for a digest."""


@dataclass(slots=True)
class _Lane:
    """What goes to one receiver."""

    target: str
    pacing: Pacing
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    paused_until: datetime | None = None
    again: bool = False
    """Whether something may have come since it was read what is due."""
    failures: int = 0
    """Attempts in a row after which it was paused."""


class Dispatcher:
    """Delivers what is due; what fails becomes due again later, with growing distance."""

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
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[int]] = set()
        self.sent = 0
        """Messages that were delivered since the start; those of a digest count each."""
        self._log = get_logger("driftd.notify")

    async def deliver_due(self, *, final: bool = False) -> int:
        """Deliver every message that may go now; how many were delivered.

        With `final` nothing is kept back for a digest to come. Raises StoreError.
        """
        before = self.sent
        lanes = [self._drain(lane, final=final) for lane in await self._due_lanes()]
        # A failing store must not leave the other lanes running behind our back.
        for outcome in await asyncio.gather(*lanes, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return self.sent - before

    async def kick(self) -> None:
        """Begin to deliver what may go now, and wait for nobody. Raises StoreError."""
        for lane in await self._due_lanes():
            lane.again = True
            if not lane.lock.locked():
                task = asyncio.create_task(self._drained(lane), name=f"deliver {lane.target}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what `kick` has begun; what is under way goes out again with the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def waiting(self) -> int:
        """How many messages are still to be delivered. Raises StoreError."""
        return await self._outbox.waiting()

    async def measure(self) -> None:
        """Tell the metrics what waits and what was given up. Raises StoreError."""
        self._metrics.outbox(await self._outbox.waiting(), await self._outbox.count_dead())

    async def _due_lanes(self) -> list[_Lane]:
        now = self._clock.now()
        found = []
        for target in await self._outbox.targets(now):
            lane = self._lanes.get(target)
            if lane is None:
                lane = self._lanes[target] = _Lane(target, Pacing(self._settings.storm))
            if lane.paused_until is None or lane.paused_until <= now:
                found.append(lane)
        return found

    async def _drained(self, lane: _Lane) -> int:
        try:
            return await self._drain(lane)
        except StoreError as error:
            self._log.error("outbox", receiver=lane.target, error=error.message)
            return 0

    async def _drain(self, lane: _Lane, *, final: bool = False) -> int:
        """Deliver to one receiver until nothing may go any more."""
        delivered = 0
        async with lane.lock:
            while lane.paused_until is None or lane.paused_until <= self._clock.now():
                now, lane.again = self._clock.now(), False
                due = await self._outbox.due(lane.target, now, MOST)
                if not due and lane.again:
                    continue  # something came while that was read
                if not due:
                    break
                step, first = lane.pacing.next(due, now, final=final)
                if step is Step.WAIT:
                    break
                if step is Step.MERGE:
                    first = await self._merged(due, now)
                delivered += await self._deliver(lane, first)
        return delivered

    async def _merged(self, due: Sequence[OutboxMessage], now: datetime) -> OutboxMessage:
        """The digest of all that is due, stored in its place. Raises StoreError."""
        told: list[Brief] = []
        for at in range(0, len(due), _PART):
            ids = [one.id for one in due[at : at + _PART]]
            payloads = await self._outbox.payloads(ids)
            told += [msgspec.json.decode(payloads[name], type=Brief) for name in ids]
            await asyncio.sleep(0)  # looks go on meanwhile
        digest = digest_of(told, now)
        payload = msgspec.json.encode(digest)
        merged = OutboxMessage(digest.id, due[0].target, "", payload, created_at=now)
        await self._outbox.merge(due, merged, now)
        self._metrics.digest(_name(due[0].target))
        return merged

    async def _deliver(self, lane: _Lane, entry: OutboxMessage) -> int:
        """One attempt; how many messages it delivered. Raises StoreError."""
        now = self._clock.now()
        name, _, recipient = entry.target.partition(RECIPIENT)
        notifier = self._notifiers.get(name)
        if notifier is None:
            why = "no receiver of this name is configured any more"
            await self._fail(entry, why, None, certain=True)
            return 0
        payload = (await self._outbox.payloads([entry.id])).get(entry.id, b"")
        try:
            told = _decoded(payload, digest=entry.is_digest)
        except msgspec.DecodeError:
            await self._fail(
                entry, "the stored message cannot be read", None, certain=not entry.begun
            )
            return 0
        earlier = await self._earlier(entry, told)
        if not entry.begun:
            await self._outbox.begin(entry, now)
        try:
            if recipient and isinstance(notifier, Addressable):
                notifier = notifier.to(recipient)
            if isinstance(told, Digest):
                receipt = None
                await notifier.send_digest(told)
            else:
                receipt = await notifier.send(told, earlier)
        except DriftdError as error:
            await self._failed(lane, entry, error)
            return 0
        except Exception as error:  # noqa: BLE001 - one receiver never stops the others
            await self._failed(lane, entry, error)
            return 0
        return await self._arrived(lane, entry, told, receipt)

    async def _arrived(
        self, lane: _Lane, entry: OutboxMessage, told: Message | Digest, receipt: Receipt | None
    ) -> int:
        now = self._clock.now()
        kept = msgspec.json.encode(receipt).decode() if receipt is not None else None
        await self._outbox.mark_delivered(entry, now, kept)
        lane.paused_until, lane.failures = None, 0
        lane.pacing.sent(now, digest=entry.is_digest)
        count = len(told.messages) if isinstance(told, Digest) else 1
        self._metrics.notification(_name(entry.target), "sent")
        self.sent += count
        return count

    async def _earlier(self, entry: OutboxMessage, told: Message | Digest) -> Receipt | None:
        """The last receipt of the episode that a message goes on with."""
        if isinstance(told, Digest) or not told.continues:
            return None
        kept = await self._outbox.receipt(entry.target, entry.application)
        return msgspec.json.decode(kept, type=Receipt) if kept else None

    async def _failed(self, lane: _Lane, entry: OutboxMessage, error: Exception) -> None:
        """Note a failed attempt, and pause the lane unless only this message was refused."""
        now, settings = self._clock.now(), self._settings
        first, longest = settings.backoff.delta, settings.backoff_limit.delta
        alone = isinstance(error, Rejected) and error.for_message
        wait = backoff(entry.attempts if alone else lane.failures, first, longest)
        if isinstance(error, Rejected) and error.retry_after:
            wait = max(wait, timedelta(seconds=error.retry_after))
        retry_at: datetime | None = now + wait
        if not alone:
            lane.failures += 1
            lane.paused_until = retry_at
        most = min(settings.max_attempts, REFUSALS) if alone else settings.max_attempts
        if entry.attempts + 1 >= most or self._is_old(entry, now):
            retry_at = None
        certain = isinstance(error, DriftdError) and not (
            isinstance(error, Unanswered) and error.sent
        )
        why = error.message if isinstance(error, DriftdError) else type(error).__name__
        await self._fail(entry, why, retry_at, certain=certain, most=most)

    def _is_old(self, entry: OutboxMessage, now: datetime) -> bool:
        made = entry.created_at
        return made is not None and now - made >= self._settings.give_up_after.delta

    async def _fail(
        self,
        entry: OutboxMessage,
        why: str,
        retry_at: datetime | None,
        *,
        certain: bool,
        most: int = 1,
    ) -> None:
        now = self._clock.now()
        refusal = Refusal(
            error=why,
            certain=certain,
            max_attempts=most,
            dead_before=now - self._settings.give_up_after.delta,
        )
        await self._outbox.mark_failed(entry, now, refusal, retry_at)
        self._metrics.notification(_name(entry.target), "failed" if retry_at else "undeliverable")
        self._log.warning(
            "notification failed",
            receiver=entry.target,
            message_id=entry.id,
            application=entry.application,
            attempt=entry.attempts + 1,
            error=why,
            retry_at=retry_at.isoformat() if retry_at else "never",
        )


def _decoded(payload: bytes, *, digest: bool) -> Message | Digest:
    if digest:
        return msgspec.json.decode(payload, type=Digest)
    return msgspec.json.decode(payload, type=Message)


def _name(target: str) -> str:
    """The receiver of a target, without its recipient."""
    return target.partition(RECIPIENT)[0]
