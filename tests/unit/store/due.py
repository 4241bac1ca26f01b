"""What is due in an outbox, for tests."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from driftd.store.protocol import Outbox
from driftd.store.types import OutboxMessage, Refusal
from tests.unit.reports import START


async def pending(store: Outbox, now: datetime) -> tuple[OutboxMessage, ...]:
    """Everything that is due for any receiver, with payloads, in the order of the receivers."""
    found: list[OutboxMessage] = []
    for target in await store.targets(now):
        for one in await store.due(target, now, 10_000):
            payload = (await store.payloads([one.id]))[one.id]
            found.append(msgspec.structs.replace(one, payload=payload))
    return tuple(found)


def refusal(error: str = "HTTP 500", *, certain: bool = True, most: int = 3) -> Refusal:
    """A failed attempt; nothing is too old."""
    long_ago = START - timedelta(days=365)
    return Refusal(error=error, certain=certain, max_attempts=most, dead_before=long_ago)
