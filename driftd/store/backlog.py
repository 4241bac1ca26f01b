"""Looks that the store could not record wait here, in order, until it can.

A full disk or a database that is away ends no detection: verdicts, open drifts and what the next
look is to know are kept in memory meanwhile. Nothing of it counts as recorded, and it is gone if
the process ends before the store is back; the looks after the next start find what still is.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from msgspec.structs import replace as changed

from driftd.aio import Sleep, sleep
from driftd.errors import StoreError
from driftd.model.report import ApplicationStatus
from driftd.model.resource import ResourceKey
from driftd.store.episodes import (
    Before,
    drift_keys,
    state_change,
)
from driftd.store.protocol import Store
from driftd.store.recording import Look, Recorder
from driftd.store.sql import SqlStore
from driftd.store.types import (
    ApplicationMemory,
    Drift,
    Episode,
    EpisodeQuery,
    HistoryEntry,
    OpenDrift,
    StateChange,
    StoredApplication,
    Verdict,
)
from driftd.telemetry.logs import get_logger

MOST: Final = 16
"""Looks at one application that wait; what happens between later ones is not told apart."""
_REMEMBERED: Final = 20_000
"""Objects whose past is kept for when the store cannot be read."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_LAST_SECONDS: Final = 1.0
"""What the end of the process leaves for a last attempt."""

Tell = Callable[[bool, int], None]
"""Told whether the store records, and how many looks wait."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of an application without the store."""

    cluster: str
    status: ApplicationStatus
    observed_at: datetime
    drifts: tuple[Drift, ...] = ()


class Backlog(Recorder, Store):
    """A `Store` whose `record` fails no more: what cannot be recorded now waits."""

    def __init__(
        self,
        store: SqlStore,
        tell: Tell = lambda _up, _waiting: None,
        *,
        sleep: Sleep = sleep,
    ) -> None:
        self.store = store
        """What may fail."""
        self._tell = tell
        self._sleep = sleep
        self._waiting: dict[str, list[Look]] = {}
        self._known: dict[str, _Known] = {}
        self._pasts: OrderedDict[tuple[str, str], ApplicationMemory] = OrderedDict()
        self._remembered = 0
        self._flushing: asyncio.Task[None] | None = None
        self._log = get_logger("driftd.store")
        self.failing = False
        """Whether the last attempt to record failed."""
        self.back = asyncio.Event()
        """Set each time that the store records again, or has begun anew."""

    async def begin(self) -> tuple[Verdict, ...]:
        """Learn what the store knows; the last verdict on each application. Raises StoreError."""
        verdicts = await self.store.verdicts()
        drifts: dict[str, list[Drift]] = {}
        for one in await self.store.open_drifts():
            drifts.setdefault(one.application, []).append(one.drift)
        for verdict in verdicts:
            self._known[verdict.application] = _Known(
                verdict.cluster,
                verdict.status,
                verdict.observed_at,
                tuple(drifts.get(verdict.application, ())),
            )
        self._tell(True, 0)
        return verdicts

    async def close(self) -> None:
        """Try once more to record what waits, and say what is lost with the end."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        if self._waiting:
            try:
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._flush()
            except (StoreError, TimeoutError):
                self._log.error("looks were not recorded", looks=self.waiting)

    @property
    def waiting(self) -> int:
        """Looks that wait to be recorded."""
        return sum(map(len, self._waiting.values()))

    async def reach(self) -> None:
        """Ask the store for something small. Raises StoreError also while looks wait."""
        if self.failing:
            raise StoreError("the store cannot record")
        await self.store.application("")

    async def put(self, look: Look) -> StateChange:
        """See `Store.record`; the change is not `recorded` where the look waits."""
        if not self.failing:
            try:
                change = await self.store.put(look)
            except StoreError as error:
                self._failed(error)
            else:
                self._learn(change)
                return change
        return self._keep(look)

    async def recall(
        self, cluster: str, application: str, keys: Collection[ResourceKey] | None = None
    ) -> ApplicationMemory:
        """See `Memory.recall`; while the store is away, what was read or left last."""
        if keys is not None and not self.failing:
            with suppress(StoreError):
                return await self.store.recall(cluster, application, keys)
        return (await self._recall(cluster, application)).of(keys)

    async def _recall(self, cluster: str, application: str) -> ApplicationMemory:
        key = (cluster, application)
        found = self._pasts.get(key) if self.failing else None
        if found is None:
            try:
                found = await self.store.recall(cluster, application)
            except StoreError:
                found = self._pasts.get(key)
                if found is None:
                    raise
            self._remember(key, found)
        for look in self._waiting.get(application, ()):
            if look.memory is not None and look.memory.cluster == cluster:
                found = _merged(found, look.memory)
        return found

    async def forget(self, application: str, now: datetime) -> None:
        """See `Store.forget`."""
        await self.store.forget(application, now)
        self._waiting.pop(application, None)
        self._known.pop(application, None)

    async def open_drifts(self) -> tuple[OpenDrift, ...]:
        """See `Store.open_drifts`; with what waits to be recorded."""
        if not self.failing:
            return await self.store.open_drifts()
        found = [
            OpenDrift(name, known.cluster, drift)
            for name, known in self._known.items()
            for drift in known.drifts
        ]
        return tuple(sorted(found, key=lambda one: one.drift.first_seen))

    async def open_severities(self) -> Mapping[str, int]:
        """See `Store.open_severities`; with what waits to be recorded."""
        if not self.failing:
            return await self.store.open_severities()
        return Counter(one.drift.severity for one in await self.open_drifts())

    async def applications(self) -> tuple[StoredApplication, ...]:
        """See `Store.applications`."""
        return await self.store.applications()

    async def application(self, name: str) -> StoredApplication | None:
        """See `Store.application`."""
        return await self.store.application(name)

    async def history(self, application: str, limit: int) -> tuple[HistoryEntry, ...]:
        """See `Store.history`."""
        return await self.store.history(application, limit)

    async def episodes(self, query: EpisodeQuery) -> tuple[Episode, ...]:
        """See `Store.episodes`."""
        return await self.store.episodes(query)

    async def retain(self, since: datetime) -> int:
        """See `Store.retain`."""
        return await self.store.retain(since)

    def _failed(self, error: StoreError) -> None:
        if not self.failing:
            self.failing = True
            self._log.error("the store cannot record; looks wait in memory", error=str(error))

    def _keep(self, look: Look) -> StateChange:
        """Let a look wait; what it changed as far as is known here."""
        waiting = self._waiting.setdefault(look.name, [])
        if len(waiting) >= MOST or _is_third_alike(waiting, look):
            look = _following(waiting.pop(), look)
        waiting.append(look)
        known = self._known.get(look.name)
        before = Before()
        if known is not None:
            before = Before(status=known.status, told=known.status, observed_at=known.observed_at)
        drifts = known.drifts if known is not None else ()
        change = state_change(before, drifts, look.report, look.now, look.ending, look.hold)
        change = changed(change, recorded=False)
        self._learn(change)
        self._tell(False, self.waiting)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._until_back(), name="store backlog")
        return change

    def _learn(self, change: StateChange) -> None:
        self._known[change.application] = _Known(
            change.cluster, change.status, change.at, change.open
        )

    def _remember(self, key: tuple[str, str], past: ApplicationMemory) -> None:
        """Keep a past, and as few others as there is room for."""
        old = self._pasts.pop(key, None)
        self._remembered += len(past.objects) - (len(old.objects) if old is not None else 0)
        self._pasts[key] = past
        while self._remembered > _REMEMBERED and len(self._pasts) > 1:
            self._remembered -= len(self._pasts.popitem(last=False)[1].objects)

    async def _until_back(self) -> None:
        pause, looks = _FIRST_PAUSE, 0
        while self._waiting:
            await self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)
            looks = max(looks, self.waiting)
            try:
                await self._flush()
            except StoreError as error:
                self._failed(error)
            self._tell(not self._waiting, self.waiting)
        self._log.info("the store records again", looks=looks)
        self.back.set()

    async def _flush(self) -> None:
        """Record what waits. Raises StoreError for the first that cannot be recorded."""
        while self._waiting:
            name = next(iter(self._waiting))
            look = self._waiting[name][0]
            change = await self.store.put(look)
            waiting = self._waiting.get(name, [])
            if look in waiting:
                waiting.remove(look)
            if not waiting:
                self._waiting.pop(name, None)
                self._learn(change)
        self.failing = False


def _is_third_alike(waiting: list[Look], look: Look) -> bool:
    """Whether the last two looks say the same as this one: the middle one tells nothing."""
    if len(waiting) < 2 or look.events or waiting[-1].events:
        return False
    sign = _sign(look)
    return _sign(waiting[-1]) == sign and _sign(waiting[-2]) == sign


def _sign(look: Look) -> tuple[object, ...]:
    report = look.report
    return report.status, report.complete, report.revisions, drift_keys(report)


def _following(old: Look, look: Look) -> Look:
    """A look with what it leaves out of the one that it takes the place of."""
    memory = look.memory
    if old.memory is not None:
        memory = old.memory if memory is None else _merged(old.memory, memory)
    return replace(look, events=(*old.events, *look.events), memory=memory)


def _merged(old: ApplicationMemory, new: ApplicationMemory) -> ApplicationMemory:
    if old.cluster != new.cluster:
        return new
    return ApplicationMemory(
        cluster=new.cluster,
        clean_revisions=new.clean_revisions or old.clean_revisions,
        objects={**old.objects, **new.objects},
    )
