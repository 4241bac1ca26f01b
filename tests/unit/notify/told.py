"""Receivers in memory that keep what they are told, and looks that have something to tell."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from driftd.notify.digest import Digest
from driftd.notify.message import Message, messages_of
from driftd.notify.notifier import Notifier, Receipt
from driftd.store.protocol import Compose
from driftd.store.types import OutboxMessage, StateChange
from tests.unit.reports import change, report, resource


@dataclass
class Flaky(Notifier):
    """A receiver with a ledger: it may take a message and fail all the same."""

    failures: list[Exception] = field(default_factory=list)
    """Raised in order before anything is taken."""
    lost: list[Exception] = field(default_factory=list)
    """Raised in order after something was taken: the answer that got lost."""
    calls: list[Message | Digest] = field(default_factory=list)
    """Every call that was taken, repetitions too."""
    earlier: list[Receipt | None] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is cleared, nothing is answered."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """It answers at first."""
        self.open.set()

    async def send(self, message: Message, earlier: Receipt | None = None) -> Receipt | None:
        """Take a message."""
        self.earlier.append(earlier)
        await self._take(message)
        return Receipt({"thread": message.id})

    async def send_digest(self, digest: Digest) -> None:
        """Take a digest."""
        await self._take(digest)

    async def _take(self, told: Message | Digest) -> None:
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.calls.append(told)
        self._news.set()
        if self.lost:
            raise self.lost.pop(0)

    async def took(self, application: str) -> None:
        """Wait until a message about an application was taken."""
        while application not in {
            one.application for one in self.calls if isinstance(one, Message)
        }:
            self._news.clear()
            await self._news.wait()

    @property
    def kinds(self) -> list[str]:
        """`digest`, or the type of a message, of each call."""
        return ["digest" if isinstance(one, Digest) else str(one.type) for one in self.calls]

    def taken(self) -> Counter[str]:
        """How often each message id was taken by one that tells repeated calls by their id."""
        calls = {one.id: one for one in self.calls}.values()
        ids: Counter[str] = Counter()
        for one in calls:
            ids.update(one.messages if isinstance(one, Digest) else [one.id])
        return ids


def composer(targets: Iterable[str]) -> Compose:
    """A function that gives each of `targets` every message of a change of state."""
    names = tuple(targets)

    def compose(change: StateChange) -> Sequence[OutboxMessage]:
        if not change.is_told or not names:
            return ()
        return [
            OutboxMessage(one.id, name, change.application, msgspec.json.encode(one))
            for one in messages_of(change)
            for name in names
        ]

    return compose


async def drifted(store: Any, now: Any, name: str, *targets: str, live: int = 5) -> None:
    """Record a look at an application that has just drifted."""
    look = report(resource("web", change("/spec/replicas", desired=3, live=live)), name=name)
    await store.record(look, now, composer(targets or ("one",)))
