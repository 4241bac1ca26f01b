"""The daemon's loops: the schedule asks, the queue merges, workers reconcile, messages go out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.hubclusters import HubClusters
from driftd.controller.progress import BEAT, Progress
from driftd.controller.queue import NameQueue, QueueClosed
from driftd.controller.reconciler import Reconciler
from driftd.controller.refreshes import Refreshes
from driftd.controller.refreshing import refreshed
from driftd.controller.schedule import Schedule
from driftd.controller.summary import SweepSummary, summarise
from driftd.controller.supervisor import Breakers, Supervisor
from driftd.controller.watching import Wake, Watching
from driftd.errors import DriftdError, LookTimeout, described
from driftd.notify.dispatch import Dispatcher
from driftd.settings.quantity import Duration
from driftd.settings.types import Settings
from driftd.store.protocol import Store
from driftd.telemetry.logs import get_logger

Result = TypeVar("Result")

_DELIVERY_INTERVAL = Duration("2s")
"""How often messages whose time has come again are looked for; new ones go out at once."""
_OUTBOX_INTERVAL = Duration("15s")
"""How often it is counted what waits and what was given up."""
_HELD_INTERVAL = Duration("1s")
"""How often it is looked for drifts that were held and may be told now."""
_COUNT_INTERVAL = Duration("2s")
"""How soon the number of open drifts is right again that looks had no time to count."""
GRACE = 5.0
"""Seconds that work under way gets after the stop; a cluster that hangs must not hold it up."""
LAST_DELIVERY = 2.0
"""Seconds that messages get after that; what is not sent then waits in the outbox."""
MOST_WORKERS = 256
TOLD_AGAIN = timedelta(hours=1)
"""How long a sweep that takes longer than its interval is not told again."""


class Daemon:
    """Runs sweeps until it is told to stop."""

    def __init__(
        self,
        reconciler: Reconciler,
        store: Store,
        dispatcher: Dispatcher,
        settings: Settings,
        *,
        swept: Callable[[], None] = lambda: None,
        watch: Callable[[Wake], Watching] | None = None,
        progress: Progress | None = None,
        breakers: Breakers | None = None,
        hub_clusters: HubClusters | None = None,
        store_back: asyncio.Event | None = None,
        refreshes: Refreshes | None = None,
    ) -> None:
        """`swept` is called once every application of the first sweep has been looked at.

        `watch` makes what watches the clusters between sweeps; None leaves it to the sweeps.
        `progress` is told of every sign of life. `breakers` know the clusters that do not answer;
        without them each look finds out by itself. `hub_clusters` follow the hub's cluster Secrets
        between sweeps. `store_back` is set each time that the store can be used again. `refreshes`
        are the repositories that somebody says have moved.
        """
        self._reconciler = reconciler
        self._store = store
        self.dispatcher = dispatcher
        self._settings = settings
        self._swept = swept
        self._watch = watch
        self._limit = settings.sweep.timeout.seconds
        self.progress = progress or Progress(time.monotonic, limit=self._limit)
        self._supervisor = Supervisor(breakers, self._turned) if breakers is not None else None
        self._breakers = breakers
        self._hub_clusters = hub_clusters
        self._store_back = store_back or asyncio.Event()
        self._refreshes = refreshes or Refreshes(0.0)
        self._queue = NameQueue(lane=reconciler.target, width=self._width)
        self._workers: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        reconciler.news = self._news.set
        """Set when there may be messages to deliver."""
        self._named = asyncio.Event()
        """Set when the applications may be others."""
        self._proving: set[str] = set()
        self._failed = 0
        """Looks that an error ended."""
        self._reading = asyncio.Lock()
        """Held while the names of a sweep are read: the first and a scheduled one may meet."""
        self._unseen: set[str] = set()
        """Names of the first sweep that nobody has looked at yet."""
        self._waiting: set[str] = set()
        """Names of the last sweep that nobody has looked at since it began."""
        self._began: datetime | None = None
        self._told: datetime | None = None
        self._log = get_logger("driftd.controller")

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep on schedule until `stop` is set; what is under way then gets `GRACE` seconds.

        What is cut off was not recorded, so the next run looks again.
        """
        schedule = Schedule()
        sweep = self._settings.sweep
        schedule.every(
            "sweep", sweep.interval, self._sweep, jitter=sweep.jitter, overrun=self._overrun
        )
        schedule.retention(self._store, self._settings.store.retention, self._reconciler.clock)
        schedule.every("delivery", _DELIVERY_INTERVAL, self.dispatcher.kick)
        schedule.every("outbox", _OUTBOX_INTERVAL, self.dispatcher.measure, at_once=True)
        schedule.every("held", _HELD_INTERVAL, self._held)
        self._reconciler.healing.guards.waking(
            lambda name, at: schedule.at(f"heal {name}", at, lambda: self._queue.add(name))
        )
        schedule.every("count", _COUNT_INTERVAL, self._reconciler.drifts.settle)
        schedule.every("heartbeat", Duration(f"{BEAT:g}s"), self._beat, at_once=True)
        polls = [r.poll_interval for r in self._settings.repositories if r.poll_interval.seconds]
        if polls:
            soonest = min(polls, key=lambda interval: interval.seconds)
            schedule.every("poll", soonest, self._poll)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(self._first_sweep())
            always = (self._deliveries, self._store_returns, self._refresh)
            others = [group.create_task(loop()) for loop in always]
            others.append(group.create_task(self._hire(group)))
            others += [watcher] if (watcher := self._watcher(group)) is not None else []
            if self._supervisor is not None:
                others.append(group.create_task(self._supervisor.run()))
            if self._hub_clusters is not None:
                self._hub_clusters.told = self._hub_changed
                others.append(group.create_task(self._hub_clusters.run()))
            schedule.start()
            await stop.wait()
            schedule.stop()
            for task in others:
                task.cancel()
            await self._queue.close()
            _, late = await asyncio.wait([first, *self._workers], timeout=GRACE)
            for task in late:
                task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_DELIVERY):
                await self._deliver()
        await self.dispatcher.close()

    def _watcher(self, group: asyncio.TaskGroup) -> asyncio.Task[None] | None:
        """Begin to watch what the looks from now on see."""
        if self._watch is None:
            return None
        watching = self._watch(self._queue.glance)
        if self._supervisor is not None:
            watching.suspect = self._supervisor.suspect
        watching.attend = self._reconciler.healing.concerns
        self._reconciler.watching = watching
        return group.create_task(watching.run())

    def _width(self, target: ClusterTarget | None) -> int:
        """How many of a cluster's applications are looked at concurrently."""
        dark = target is not None and self._supervisor and self._supervisor.dark(target)
        return 1 if dark else self._settings.sweep.workers

    async def _hire(self, group: asyncio.TaskGroup) -> None:
        """Have as many workers as all clusters may keep busy; an idle one costs next to nothing."""
        while True:
            lanes = len({self._reconciler.target(name) for name in self._reconciler.known_names()})
            wanted = min(self._settings.sweep.workers * max(lanes, 1), MOST_WORKERS)
            while len(self._workers) < wanted:
                self._workers.append(group.create_task(self._work()))
            self._named.clear()
            await self._named.wait()

    async def _turned(self, target: ClusterTarget) -> None:
        """Look at all applications of a cluster that answers no more, or again."""
        self._reconciler.rediscover(target)
        names = self._reconciler.known_names()
        await self._queue.add_all(n for n in names if self._reconciler.target(n) == target)

    async def _store_returns(self) -> None:
        """Look at everything once the store can be used again, whatever it knows by then."""
        while True:
            await self._store_back.wait()
            self._store_back.clear()
            await self._queue.add_all(self._reconciler.known_names())
            self._news.set()

    async def _hub_changed(self) -> None:
        """Look at the applications of clusters that the hub has now, lost, or reaches otherwise."""
        known = self._hub_clusters.clusters if self._hub_clusters is not None else None
        if known is None or self._breakers is None:
            return
        change = await self._breakers.use_hub_clusters(known)
        if not change.others and not change.other:
            return
        target, names = self._reconciler.target, self._reconciler.known_names
        before = {name: target(name) for name in names()}
        if change.others:
            async with self._reading:
                await self._names()
        for one in change.other:
            self._reconciler.rediscover(one)
        if self._reconciler.watching is not None:
            self._reconciler.watching.only(name for name in names() if target(name) is not None)
        differ = [
            name
            for name in names()
            if name not in before or before[name] != target(name) or target(name) in change.other
        ]
        self._log.info("clusters of the hub", clusters=len(known), applications=len(differ))
        await self._queue.add_all(differ)

    async def once(self) -> SweepSummary:
        """One sweep over every application, its messages delivered; what it came to."""
        names = await self._reconciler.declared_names()
        await self._queue.add_all(names)
        async with asyncio.TaskGroup() as group:
            hiring = group.create_task(self._hire(group))
            await self._queue.join()
            await self._queue.close()
            hiring.cancel()
        self._swept()
        await self._guarded(lambda: self.dispatcher.deliver_due(final=True))
        return await self._summary()

    async def _summary(self) -> SweepSummary:
        known = set(self._reconciler.known_names())
        reports = [
            one.report
            for one in await self._store.applications()
            if f"{one.report.namespace}/{one.report.name}" in known
        ]
        return SweepSummary(
            applications=Counter(str(report.status) for report in reports),
            objects=summarise(reports).resources,
            incomplete=sum(not report.complete for report in reports),
            failed=self._failed,
            open_drifts=len(await self._store.open_drifts()),
            sent=self.dispatcher.sent,
            waiting=await self.dispatcher.waiting(),
            writes=self._reconciler.writes,
        )

    async def _names(self) -> list[str]:
        """What a sweep puts on the queue; a repository that cannot be read is told, not fatal.

        The applications that are known are looked at all the same: each says by itself what
        it cannot see.
        """
        names = await self._guarded(
            lambda: self._bounded(self._reconciler.declared_names, "reading what Git declares")
        )
        self._named.set()
        self._refreshes.know(self._reconciler.urls())
        return self._reconciler.known_names() if names is None else names

    async def _refresh(self) -> None:
        """Ask the repositories that somebody says have moved, and look at what reads them."""
        while True:
            keys = await self._refreshes.due()
            async with self._reading:
                names = await self._guarded(partial(self._refreshed, keys))
                self._named.set()
                self._refreshes.know(self._reconciler.urls())
            self._reconciler.metrics.git_refresh(len(keys))
            self._log.info("refresh", repositories=sorted(keys), applications=len(names or ()))
            await self._queue.add_all(names or ())

    async def _refreshed(self, keys: frozenset[str]) -> list[str]:
        return await self._bounded(
            lambda: refreshed(self._reconciler, keys), "reading what Git declares"
        )

    async def _bounded(self, call: Callable[[], Awaitable[Result]], what: str) -> Result:
        """End a call that takes longer than the settings say. Raises LookTimeout then."""
        with self.progress.at_work(what):
            try:
                async with asyncio.timeout(self._limit) as limit:
                    return await call()
            except TimeoutError:
                if not limit.expired():
                    raise
                raise LookTimeout(
                    f"{what} took longer than {self._settings.sweep.timeout.text} and was ended",
                    hint="sweep.timeout is the limit",
                ) from None

    async def _held(self) -> None:
        """Look again where drifts were held and may be told now."""
        await self._queue.add_all(await self._reconciler.no_longer_held())

    async def _beat(self) -> None:
        self.progress.beat()

    async def _deliveries(self) -> None:
        """Deliver what looks have to tell, apart from them: a slow receiver delays no look."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._guarded(self.dispatcher.kick)

    async def _sweep(self) -> None:
        """Put every application on the queue."""
        self._overrun()
        async with self._reading:
            self._began = self._reconciler.clock.now()
            names = await self._names()
            self._waiting = set(names)
            await self._queue.add_all(names)

    def _overrun(self) -> None:
        """Say that a sweep is due while the last one is under way, but not every time.

        Nothing is lost: a name that waits is looked at once, for both.
        """
        now = self._reconciler.clock.now()
        if self._began is None or not (self._waiting or self._reading.locked()):
            return
        if self._told is not None and now - self._told < TOLD_AGAIN:
            return
        self._told = now
        self._log.warning(
            "sweep takes longer than its interval",
            interval_seconds=self._settings.sweep.interval.seconds,
            running_seconds=round((now - self._began).total_seconds(), 3),
            applications=len(self._reconciler.known_names()),
            waiting=len(self._waiting),
            workers=self._settings.sweep.workers,
        )

    async def _poll(self) -> None:
        """Sweep when a repository has moved since the last sweep."""
        moved = self._guarded(lambda: self._bounded(self._reconciler.moved, "polling Git"))
        if await moved:
            await self._sweep()

    async def _first_sweep(self) -> None:
        """Like `_sweep`; it ends with its last name, however soon later sweeps follow."""
        async with self._reading:
            self._began = self._reconciler.clock.now()
            names = await self._names()
            self._unseen, self._waiting = set(names), set(names)
            await self._queue.add_all(names)
        if not names:
            self._swept()

    def _looked(self, name: str) -> None:
        self._waiting.discard(name)
        if name in self._unseen:
            self._unseen.discard(name)
            if not self._unseen:
                self._swept()

    async def _work(self) -> None:
        """One worker: takes a name, reconciles it, until the queue is closed."""
        while True:
            try:
                async with self._queue.take() as name:
                    await self._reconcile(name)
                    self._looked(name)
            except QueueClosed:
                return

    async def _reconcile(self, name: str) -> None:
        proving = name in self._proving
        self._proving.discard(name)
        try:
            wrote = await self._bounded(
                lambda: self._reconciler.reconcile(name, whole=self._queue.is_whole(name)),
                f"the look at {name}",
            )
        except DriftdError as error:
            self._log.error("look failed", application=name, reason=error.reason, error=str(error))
            self._reconciler.metrics.look_error(error.reason)
            self._failed += 1
            if isinstance(error, LookTimeout):
                late = error
                await self._guarded(lambda: self._reconciler.ended(name, late))
            return
        except Exception as error:  # noqa: BLE001 - a defect at one application stops no other
            text = described(error)
            self._log.error("look failed", application=name, reason="Defect", error=text)
            self._reconciler.metrics.look_error("Defect")
            self._failed += 1
            return
        await self._queue.add_all(self._reconciler.outdated())
        # A write is followed by one look that proves it. If that look writes again, somebody
        # fights with Git; the next sweep is soon enough for that.
        if wrote and not proving:
            self._proving.add(name)
            await self._queue.add(name)

    async def _deliver(self) -> None:
        await self._guarded(self.dispatcher.deliver_due)

    async def _guarded(self, call: Callable[[], Awaitable[Result]]) -> Result | None:
        try:
            return await call()
        except DriftdError as error:
            self._log.error("failed", reason=error.reason, error=error.message)
            return None
