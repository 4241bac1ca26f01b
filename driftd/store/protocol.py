"""The narrow faces of the store, as its users see it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from driftd.model.report import ApplicationReport
from driftd.model.resource import ResourceKey
from driftd.store.episodes import JudgeEnding, JudgeHold, put_back, told_at_once
from driftd.store.types import (
    NO_NOTICES,
    ApplicationMemory,
    DeadLetter,
    Episode,
    EpisodeQuery,
    HistoryEntry,
    Notices,
    OpenDrift,
    OutboxMessage,
    Refusal,
    StateChange,
    StoredApplication,
)

Compose: TypeAlias = Callable[[StateChange], Sequence[OutboxMessage]]
"""Makes the messages of a change of state; pure, called inside the recording transaction."""


class Memory(Protocol):
    """What a look can be told of the looks before it."""

    async def recall(
        self, cluster: str, application: str, keys: Collection[ResourceKey] | None = None
    ) -> ApplicationMemory:
        """What looks at an application (`namespace/name`) on a cluster left behind.

        `keys` are the objects that are asked about, None for all. Nothing is known of an
        application that was never looked at. Raises StoreError.
        """
        ...


class Store(Memory, Protocol):
    """What the daemon remembers. Every method raises StoreError when the database fails."""

    async def record(
        self,
        report: ApplicationReport,
        now: datetime,
        compose: Compose,
        *,
        events: Sequence[HistoryEntry] = (),
        memory: ApplicationMemory | None = None,
        ending: JudgeEnding = put_back,
        began: datetime | None = None,
        hold: JudgeHold = told_at_once,
        notices: Notices = NO_NOTICES,
    ) -> StateChange:
        """Record one look in one transaction: verdict, episodes, history and messages.

        `ending` says how each drift ended that the look no longer sees; `began` when the look
        began to read, if that was not now: what changes meanwhile it may not have seen. `hold`
        says which drifts are recorded, but not told yet; `notices` stand beside the drifts.

        An object that could not be judged never closes a drift. `events` are what driftd did
        to the application since the last record, `memory` is what the next look is to know.
        """
        ...

    async def forget(self, application: str, now: datetime) -> None:
        """Drop an application (`namespace/name`) that Git declares no longer.

        Its drifts are closed, history stays until retention ends it.
        """
        ...

    async def open_drifts(self) -> tuple[OpenDrift, ...]:
        """Every open drift, oldest first."""
        ...

    async def open_severities(self) -> Mapping[str, int]:
        """How many drifts are open, by their highest severity; empty where it is not known."""
        ...

    async def applications(self) -> tuple[StoredApplication, ...]:
        """The last look at every application, by name."""
        ...

    async def application(self, name: str) -> StoredApplication | None:
        """The last look at one application (`namespace/name`)."""
        ...

    async def history(self, application: str, limit: int) -> tuple[HistoryEntry, ...]:
        """What happened to an application, newest first."""
        ...

    async def episodes(self, query: EpisodeQuery) -> tuple[Episode, ...]:
        """Episodes of drift, open ones first, then the latest first."""
        ...

    async def retain(self, since: datetime) -> int:
        """Delete what is older than `since`; how much.

        That is closed drifts, history, settled messages, and what is known of objects that no
        look has seen since.
        """
        ...


class Pins(Protocol):
    """Which cluster answers at an address, as it was seen first or accepted since."""

    async def pinned(self, name: str, server: str) -> str:
        """The uid that the cluster of this name and address has; empty before it is pinned.

        Raises StoreError.
        """
        ...

    async def pin(self, name: str, server: str, uid: str, now: datetime) -> None:
        """Pin a cluster's uid, in place of an earlier one. Raises StoreError."""
        ...


class Outbox(Protocol):
    """Messages to deliver, each at least once, in order per receiver and application.

    Several may be merged into a digest, which then is delivered in their place.
    """

    async def targets(self, now: datetime) -> tuple[str, ...]:
        """The receivers for which anything is due."""
        ...

    async def due(self, target: str, now: datetime, limit: int) -> tuple[OutboxMessage, ...]:
        """What is due for a receiver, oldest first, without payloads.

        What follows on a message about the same application that is not due yet waits for it.
        """
        ...

    async def payloads(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        """What messages say, by their ids."""
        ...

    async def receipt(self, target: str, application: str) -> str | None:
        """The last receipt that a receiver gave for an application."""
        ...

    async def waiting(self) -> int:
        """How many messages are neither delivered nor given up."""
        ...

    async def dead(self, limit: int) -> tuple[DeadLetter, ...]:
        """Messages that were given up, the latest first."""
        ...

    async def count_dead(self) -> int:
        """How many messages were given up."""
        ...

    async def revive(self, now: datetime, targets: Collection[str] = ()) -> int:
        """Make given-up messages due again, of some receivers or all; how many."""
        ...

    async def begin(self, message: OutboxMessage, now: datetime) -> None:
        """An attempt begins; until its outcome is known the receiver may have the message."""
        ...

    async def mark_delivered(
        self, message: OutboxMessage, now: datetime, receipt: str | None = None
    ) -> None:
        """The receiver has accepted the message, and with a digest all that stands in it."""
        ...

    async def mark_failed(
        self, message: OutboxMessage, now: datetime, refusal: Refusal, retry_at: datetime | None
    ) -> None:
        """An attempt failed; None as `retry_at` gives the message up (dead letter).

        A digest that was certainly not accepted is no more: its messages are due again.
        """
        ...

    async def merge(
        self, members: Sequence[OutboxMessage], digest: OutboxMessage, now: datetime
    ) -> None:
        """Put messages into a digest, in one transaction; they are delivered with it."""
        ...
