"""`driftd run`: what it is made of, how it begins and how it ends."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from driftd import __version__
from driftd.acting import engine_asker, engine_target, guards_of, healing_of
from driftd.app import (
    charts_in,
    cluster_registry,
    hub_of,
    hub_reader,
    kubeconfig_of,
    oracle_of,
    renderings_in,
    watched_hub,
    workspace_of,
)
from driftd.clock import Clock, SystemClock
from driftd.cluster.gathering import new_event_loop
from driftd.cluster.registry import ClusterRegistry
from driftd.controller.comparisons import Comparisons
from driftd.controller.options import CheckOptions
from driftd.controller.workspace import OracleMemory, Workspace
from driftd.ending import Ending
from driftd.errors import DriftdError, SandboxError
from driftd.sandbox.pool import SandboxPool
from driftd.scratch import ScratchFolder
from driftd.settings.access import DaemonAccess
from driftd.source.fetching import open_fetching, settings_repositories

if TYPE_CHECKING:
    from driftd.cluster.auditstream import AuditStreams
    from driftd.controller.daemon import Daemon
    from driftd.controller.declared import Entry
    from driftd.controller.holding import ReadOperation
    from driftd.controller.progress import Progress
    from driftd.controller.refreshes import Refreshes
    from driftd.controller.summary import SweepSummary
    from driftd.controller.watching import Wake, Watching
    from driftd.model.silence import Silence
    from driftd.notify.notifier import Notifier
    from driftd.notify.templates import Execute
    from driftd.reloading import Reloading
    from driftd.settings.types import Settings
    from driftd.store.backlog import Backlog
    from driftd.sync.orders import Order
    from driftd.telemetry.metrics import Metrics
    from driftd.web.server import Readiness

Result = TypeVar("Result")


def run_daemon(
    settings_path: Path, *, once: bool = False, files: Mapping[str, Any] | None = None
) -> SweepSummary | None:
    """Run `driftd run` until SIGTERM or SIGINT, or one sweep and what it came to.

    `files` names more files of the keys `baseline` and `suppressions` (several each) than the
    settings do, and another one of `severity`. Raises DriftdError.
    """
    from driftd.settings.load import load

    def completed(settings: Settings) -> Settings:
        return _with_files(settings, files or {})

    settings = completed(load(settings_path, env=os.environ))

    def reloading(metrics: Metrics) -> Reloading:
        from driftd.reloading import Reloading

        return Reloading(settings_path, settings, metrics, completed=completed)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_run(settings, None if once else reloading))


def _with_files(settings: Settings, files: Mapping[str, Any]) -> Settings:
    """The settings with the files of flags beside their own."""
    return msgspec.structs.replace(
        settings,
        baselines=(*settings.baselines, *map(str, files.get("baseline") or ())),
        suppressions=(*settings.suppressions, *map(str, files.get("suppressions") or ())),
        severity=str(files.get("severity") or settings.severity),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """What lives as long as the process, whatever the settings become."""

    backlog: Backlog
    metrics: Metrics
    readiness: Readiness
    progress: Progress
    clock: Clock
    refreshes: Refreshes
    audit: AuditStreams | None = None
    """What API servers have posted; None where they may not."""


async def _run(
    settings: Settings, reloading: Callable[[Metrics], Reloading] | None
) -> SweepSummary | None:
    """Until the signal, which ends what has not begun at once, and what has within its grace.

    `reloading` makes what reads the settings anew; None for one sweep.
    """
    once = reloading is None
    _use(settings)
    ending = Ending(once=once)
    ending.listen()
    try:
        return await _serve(settings, ending, reloading)
    except asyncio.CancelledError:
        if not ending.asked.is_set():
            raise
        if once:
            raise KeyboardInterrupt from None
        return None
    finally:
        ending.reached()


def _use(settings: Settings) -> None:
    """What holds for the whole process."""
    from driftd.model import sensitive
    from driftd.telemetry.logs import configure

    configure(settings.log)
    sensitive.use(settings.sensitive)


async def _serve(
    settings: Settings, ending: Ending, reloading: Callable[[Metrics], Reloading] | None
) -> SweepSummary | None:
    # A daemon pays for its clients at the start; the command line must not.
    from driftd.controller.outage import opened
    from driftd.controller.progress import Progress
    from driftd.controller.refreshes import Refreshes
    from driftd.settings.load import store_dsn
    from driftd.telemetry.heap import Heap
    from driftd.telemetry.metrics import Metrics
    from driftd.telemetry.watchdog import Watchdog
    from driftd.web.audit import AuditEndpoint
    from driftd.web.githooks import GitHooks
    from driftd.web.server import Readiness, Server

    async with AsyncExitStack() as stack:
        metrics = Metrics(__version__)
        storing = opened(store_dsn(settings.store), metrics, SystemClock())
        backlog = await stack.enter_async_context(storing)
        readiness = Readiness(backlog.reach)
        ending.unready = readiness.draining
        process = _Process(
            backlog=backlog,
            metrics=metrics,
            readiness=readiness,
            progress=Progress(time.monotonic, limit=settings.sweep.timeout.seconds),
            clock=SystemClock(),
            refreshes=Refreshes(settings.git_webhooks.window.seconds),
            audit=None if reloading is None else _audit_streams(settings),
        )
        stack.enter_context(Watchdog(process.metrics.blocked))
        if settings.tracing.endpoint:
            from driftd.telemetry.tracing import Tracing

            stack.enter_context(Tracing(settings.tracing))
        stack.enter_context(Heap())
        hooks = GitHooks(settings.git_webhooks, process.refreshes, metrics).add_to
        stuck = process.progress.stuck
        await stack.enter_async_context(
            Server(settings.server.listen, metrics, readiness, stuck, more=hooks)
        )
        if process.audit is not None:
            await stack.enter_async_context(
                AuditEndpoint(settings.audit_webhook, process.audit, process.metrics)
            )
        if reloading is None:
            daemon = await stack.enter_async_context(_daemon(settings, process))
            return await daemon.once()
        await _reloaded(process, ending, reloading(process.metrics))
    return None


def _audit_streams(settings: Settings) -> AuditStreams | None:
    """What API servers post, if an endpoint is asked for."""
    from driftd.cluster.auditstream import AuditStreams, Limits

    hook = settings.audit_webhook
    if not hook.listen:
        return None
    limits = Limits(
        events=hook.max_events, size=hook.max_memory.bytes, age=settings.audit_window.seconds
    )
    return AuditStreams((one.cluster for one in hook.clusters), limits, time.time)


async def _reloaded(process: _Process, ending: Ending, reloading: Reloading) -> None:
    """One daemon after the other, each with the settings of its time, until the end is asked for.

    The next one is opened while the last one runs, so that settings with which nothing can be
    opened change nothing; it begins when the last one has ended.
    """
    reloading.listen()
    current, following = _Generation(reloading.settings, process), None
    try:
        await current.opened()
        ending.has_loops = True
        current.begin()
        while (
            settings := await ending.unless_asked(reloading.changed(), current.task)
        ) is not None:
            following = _Generation(settings, process)
            try:
                if await ending.unless_asked(following.opened(), current.task) is None:
                    break
            except DriftdError as error:
                reloading.refused(error.message)
                continue
            await current.ended()
            process.metrics.watches_ended()
            current, following, reloading.settings = following, None, settings
            _use(settings)
            current.begin()
        await current.ended()
    finally:
        await current.dropped()
        if following is not None:
            await following.dropped()


class _Generation:
    """A daemon in a task of its own: opened first, begun later, ended by itself."""

    def __init__(self, settings: Settings, process: _Process) -> None:
        self._settings = settings
        self._process = process
        self._opened, self._begin, self._end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        async with _daemon(self._settings, self._process) as daemon:
            self._opened.set()
            await self._begin.wait()
            self._process.progress.limit = self._settings.sweep.timeout.seconds
            await daemon.run(self._end)

    async def opened(self) -> bool:
        """Wait until it can begin. Raises DriftdError where it cannot be opened."""
        opened = asyncio.create_task(self._opened.wait())
        try:
            await asyncio.wait({opened, self.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
        if self.task.done():
            await self.task
        return True

    def begin(self) -> None:
        """Let it look."""
        self._begin.set()

    async def ended(self) -> None:
        """End it, within its grace. Raises whatever ended it before."""
        self._end.set()
        await self.task

    async def dropped(self) -> None:
        """End it without grace, whatever state it is in."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def _daemon(settings: Settings, process: _Process) -> AsyncIterator[Daemon]:
    """The daemon as the settings say, with all that it looks, tells and heals with."""
    from driftd.controller.daemon import Daemon
    from driftd.controller.identity import Identities
    from driftd.controller.reconciler import Reconciler
    from driftd.notify.composing import Composer
    from driftd.notify.dispatch import Dispatcher

    backlog, metrics, clock = process.backlog, process.metrics, process.clock
    options = _look_options(settings)

    def execute(template: str, context: Mapping[str, Any]) -> Awaitable[str]:
        return workspace.sandbox.template(template, context)

    async with (
        # What is wrong with receivers is told before anything is opened to look with.
        _told(settings, clock, execute) as notifiers,
        _daemon_workspace(settings, options) as (workspace, clusters, access),
    ):
        await _tell_of_sandbox(workspace, process.readiness)
        hub_clusters = watched_hub(settings, options, clusters, workspace.hub)
        read_hub = hub_reader(settings, options, clusters, access, hub_clusters)
        identities = Identities(clusters, backlog.store, clock, settings.clusters.identities)
        reconciler = Reconciler(
            workspace=workspace,
            options=options,
            settings=settings,
            store=backlog,
            compose=Composer(settings.notifications).of,
            healing=healing_of(
                settings,
                clusters,
                identities,
                clock,
                lambda: not backlog.failing,
                backlog.store,
                guards_of(settings, backlog.store, metrics, workspace),
                metrics,
            ),
            identities=identities,
            metrics=metrics,
            clock=clock,
            read_hub=read_hub if options.hub else None,
            read_operation=_operation_reader(options, clusters),
            audit_streams=process.audit,
            silences=_silences(settings),
            ask_engine=engine_asker(settings, options, clusters, identities),
        )
        reconciler.silencing.orders = _orders(settings)
        yield Daemon(
            reconciler,
            backlog,
            Dispatcher(backlog.store, notifiers, settings.notifications, clock, metrics),
            settings,
            swept=process.readiness.first_sweep_done,
            watch=_watch(settings, clusters, metrics),
            progress=process.progress,
            breakers=clusters,
            hub_clusters=hub_clusters,
            store_back=backlog.back,
            refreshes=process.refreshes,
        )


async def _tell_of_sandbox(workspace: Workspace, readiness: Readiness) -> None:
    """Let readiness follow whether workers start; one of other sources is told at once."""
    readiness.unusable = lambda: workspace.sandbox.unusable
    with suppress(SandboxError):
        await workspace.sandbox.hello()


def _watch(
    settings: Settings, clusters: ClusterRegistry, metrics: Metrics
) -> Callable[[Wake], Watching] | None:
    """How clusters are watched between sweeps; None where the settings leave it to these."""
    from driftd.controller.pace import Pace
    from driftd.controller.watching import Watching

    if not settings.clusters.watch:
        return None
    return lambda wake: Watching(clusters, wake, metrics, pace=Pace(time.monotonic))


@asynccontextmanager
async def _daemon_workspace(
    settings: Settings, options: CheckOptions
) -> AsyncIterator[tuple[Workspace, ClusterRegistry, DaemonAccess]]:
    """What the daemon looks with; opened once, used by every look."""
    async with AsyncExitStack() as stack:
        own = settings.sandbox.cache or stack.enter_context(ScratchFolder("driftd-renders-"))
        folder = Path(own)
        sandbox = await stack.enter_async_context(
            SandboxPool(
                size=settings.sandbox.workers,
                max_rss=settings.sandbox.memory.bytes,
                require_isolation=settings.sandbox.require_isolation,
                timeout=settings.sandbox.timeout.seconds,
                renderings=renderings_in(folder, settings.sandbox.cache_size.bytes),
            )
        )
        kubeconfig, problem = kubeconfig_of(options)
        registry = await stack.enter_async_context(
            cluster_registry(options, breakers=True, clusters=settings.clusters)
        )
        allow_exec = settings.clusters.allow.exec
        hub = await hub_of(options, kubeconfig, registry, lambda _text: None, allow_exec=allow_exec)
        access = DaemonAccess(settings, hub.access if hub is not None else None)
        fetching = await stack.enter_async_context(
            open_fetching(
                sandbox,
                SystemClock(),
                access.table(),
                charts_in(folder, settings.sandbox.cache_size.bytes),
            )
        )
        access.use = fetching.use
        repositories = await settings_repositories(
            settings, fetching, remote=hub is not None, renew=access.renew
        )
        repositories.bases = fetching.bases(settings.remote_bases)
        opened = workspace_of(options, repositories, sandbox, registry, kubeconfig, problem, hub)
        asked = oracle_of(options, registry)
        comparisons = await stack.enter_async_context(Comparisons())
        opened = replace(opened, open_oracle=asked, oracles=OracleMemory(), comparisons=comparisons)
        yield opened, registry, access


def _look_options(settings: Settings) -> CheckOptions:
    """What the settings say about looks, as the options of one."""
    clusters = settings.clusters
    return CheckOptions(
        kubeconfig=Path(clusters.kubeconfig) if clusters.kubeconfig else None,
        cluster_map=clusters.destinations,
        hub=clusters.hub_context or None,
        argocd_namespace=clusters.argocd_namespace,
        namespace=settings.applications.namespace or None,
        timeout=clusters.timeout.seconds,
        concurrency=clusters.concurrency,
        oracle=clusters.oracle,
        pending_deadline=settings.sweep.pending_deadline.seconds,
        keyring=Path(settings.keyring) if settings.keyring else None,
    )


def _orders(settings: Settings) -> Callable[[], tuple[Order, ...]]:
    """Reads what people have ordered the guards; nothing where no file can hold it."""
    from driftd.settings.load import store_dsn
    from driftd.sync.standing_orders import StandingOrders, orders_path

    path = orders_path(settings.healing.orders_file, store_dsn(settings.store))
    return StandingOrders(path).read if path is not None else tuple


def _silences(settings: Settings) -> Callable[[], tuple[Silence, ...]]:
    """Reads what people have silenced; nothing where no file can hold it."""
    from driftd.errors import StoreError
    from driftd.settings.load import store_dsn
    from driftd.store.silences import SilenceFile, file_of
    from driftd.telemetry.logs import get_logger

    def told(problem: str) -> None:
        get_logger("driftd.controller").warning("nothing is silenced", problem=problem)

    try:
        return SilenceFile(file_of(settings.silences.file, store_dsn(settings.store)), told).current
    except StoreError:
        return tuple


def _operation_reader(options: CheckOptions, registry: ClusterRegistry) -> ReadOperation:
    """Asks what Argo CD (on the hub) or Flux (there, or where the application is) works on."""
    from driftd.cluster.operations import operation

    async def read(entry: Entry, since: datetime) -> str:
        target = engine_target(options, entry)
        if target is None:
            return ""
        return await operation(registry.open(target), entry.application, since)

    return read


@asynccontextmanager
async def _told(
    settings: Settings, clock: Clock, execute: Execute
) -> AsyncIterator[dict[str, Notifier]]:
    """Every receiver by its name. Raises ConfigError for a secret that cannot be read."""
    from driftd.notify.channels import open_notifiers

    async with open_notifiers(settings.notifications, clock, execute) as notifiers:
        yield notifiers
