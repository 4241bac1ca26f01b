"""The composition root: the one place that knows which concrete classes do the work."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from driftd.clock import Clock, SystemClock
from driftd.cluster.access import in_cluster_access
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.hub import Hub, read_hub
from driftd.cluster.kubeconfig import OTHER_FILE, Kubeconfig, KubeContext, load_kubeconfig
from driftd.cluster.limits import Limits
from driftd.cluster.registry import ClusterRegistry
from driftd.cluster.transport import EXEC_TIMEOUT, TransportOptions
from driftd.controller import check as controller
from driftd.controller.bearings import NEXT_STEPS
from driftd.controller.declared import Declared, declare, refuse_unmatched
from driftd.controller.integrity import Integrity
from driftd.controller.options import CheckOptions
from driftd.controller.severities import load_severities
from driftd.controller.workspace import OpenOracle, Progress, Workspace
from driftd.errors import ConfigError, SandboxError, SourceError
from driftd.model.report import DriftReport
from driftd.render.cache import LIMIT, RenderCache, user_folder
from driftd.sandbox.binary import worker_identity
from driftd.sandbox.pool import SandboxPool
from driftd.sealed import SealedFolder
from driftd.settings.access import allowed_bases, load_access
from driftd.settings.types import Clusters
from driftd.source.fetching import Fetching, open_fetching
from driftd.source.git import NO_REPOSITORY
from driftd.source.outputs import own_outputs
from driftd.source.repositories import Repositories

if TYPE_CHECKING:
    from datetime import date

    from driftd.cluster.hubclusters import HubClusters
    from driftd.controller.doctor import DoctorReport
    from driftd.controller.explain import Explanation
    from driftd.controller.explain_question import Question
    from driftd.controller.manifests import Shown
    from driftd.controller.reconciler import ReadHub
    from driftd.model.preview import PreviewReport
    from driftd.policy.baseline import Baseline, LeftOut
    from driftd.settings.access import DaemonAccess
    from driftd.settings.types import Settings


RENDER_CACHE = "DRIFTD_RENDER_CACHE"
"""Environment variable that names the folder of renderings for one look, or says `off`."""


@asynccontextmanager
async def open_workspace(options: CheckOptions, progress: Progress) -> AsyncIterator[Workspace]:
    """Everything that a look needs, opened as the options say and closed at the end."""
    severities = load_severities(options.severity)
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(SandboxPool(renderings=_user_renderings()))
        kubeconfig, problem = _with_flags(options)
        registry = await stack.enter_async_context(cluster_registry(options))
        hub = await hub_of(options, kubeconfig, registry, progress)
        fetching = await stack.enter_async_context(
            open_fetching(
                sandbox,
                SystemClock(),
                load_access(options.access_file, hub.access if hub else None),
                _user_charts(),
            )
        )
        repositories = await _repositories(options, hub, fetching)
        repositories.bases = fetching.bases(allowed_bases(options.access_file))
        opened = workspace_of(options, repositories, sandbox, registry, kubeconfig, problem, hub)
        yield replace(opened, severities=severities, open_oracle=oracle_of(options, registry))


async def check(options: CheckOptions, *, progress: Progress, clock: Clock) -> DriftReport:
    """Open what `options` name, look once, report. Raises DriftdError if nothing can be seen."""
    async with open_workspace(options, progress) as workspace:
        return await controller.check(workspace, options, progress=progress, clock=clock)


async def baseline(
    options: CheckOptions,
    *,
    expires: date,
    owner: str,
    reason: str,
    progress: Progress,
    clock: Clock,
) -> tuple[DriftReport, Baseline, tuple[LeftOut, ...]]:
    """Look once; the report, what of it a baseline may accept, and what none may."""
    from driftd.controller.baselines import read_key
    from driftd.policy.baseline import Hashes, captured

    key = read_key(options.hash_key_file) if options.hash_key_file else None
    async with open_workspace(options, progress) as workspace:
        report, seals = await controller.checked(workspace, options, progress=progress, clock=clock)
    hashes = {name: Hashes(key, sealed) for name, sealed in seals.items()}
    found, left_out = captured(
        report.applications, expires=expires, hashes=hashes, owner=owner, reason=reason
    )
    return report, found, left_out


async def preview(
    options: CheckOptions, against: str | None, *, progress: Progress, clock: Clock
) -> PreviewReport:
    """What merging the revision of `options` would change on each cluster. Raises DriftdError."""
    from driftd.controller.preview import preview as compare

    async with open_workspace(options, progress) as workspace:
        return await compare(workspace, options, against, progress=progress, clock=clock)


async def explain(
    options: CheckOptions, question: Question, *, progress: Progress, clock: Clock
) -> Explanation:
    """Why an object or a place of it is drift or is not. Raises DriftdError."""
    from driftd.controller.explain import explain as answer

    async with open_workspace(options, progress) as workspace:
        return await answer(workspace, options, question, progress=progress, clock=clock)


async def doctor(options: CheckOptions, *, progress: Progress, clock: Clock) -> DoctorReport:
    """Check everything that a look needs. Problems are findings of the report, not errors."""
    from driftd.cluster.probe import ClusterProbe
    from driftd.controller.doctor import Doctor

    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(SandboxPool(renderings=_user_renderings()))
        work = Doctor(options, clock, progress)
        await work.machine(sandbox)
        await work.store()
        kubeconfig, problem = work.attempt("kubeconfig", lambda: _with_flags(options)) or (None, "")
        registry = await stack.enter_async_context(cluster_registry(options))
        work.kubeconfig(kubeconfig, problem, in_cluster=in_cluster_access() is not None)
        hub = await work.attempt_async("hub", hub_of(options, kubeconfig, registry, progress))
        work.hub(hub)
        fetching = await stack.enter_async_context(
            open_fetching(
                sandbox,
                SystemClock(),
                load_access(options.access_file, hub.access if hub else None),
                _user_charts(),
            )
        )
        repositories = await work.attempt_async("repository", _repositories(options, hub, fetching))
        if repositories is not None:
            repositories.bases = fetching.bases(allowed_bases(options.access_file))
            workspace = workspace_of(
                options, repositories, sandbox, registry, kubeconfig, problem, hub
            )
            await work.applications(
                workspace, lambda target: ClusterProbe(registry.open(target).transport)
            )
    return work.report()


async def render(
    options: CheckOptions, *, progress: Progress, kube_version: str = "", trace: bool = False
) -> list[Shown]:
    """What Git declares for the chosen applications, with the files behind it if `trace`."""
    from driftd.controller.manifests import manifests

    async with open_workspace(options, progress) as workspace:
        return await manifests(
            workspace, options, progress=progress, kube_version=kube_version, trace=trace
        )


async def catalog(options: CheckOptions, *, progress: Progress) -> Declared:
    """The chosen applications and the clusters of their destinations."""
    async with open_workspace(options, progress) as workspace:
        declared = await declare(workspace, options, progress)
    refuse_unmatched(options, progress, declared)
    return declared


def _user_renderings() -> RenderCache | None:
    """The renderings of this user's looks; `DRIFTD_RENDER_CACHE` names another folder, or `off`."""
    wanted = os.environ.get(RENDER_CACHE, "")
    if wanted == "off":
        return None
    return renderings_in(Path(wanted) if wanted else user_folder(os.environ), LIMIT)


def _user_charts() -> SealedFolder | None:
    """The fetched charts of this user's looks: beside the renderings, or in the folder named."""
    wanted = os.environ.get(RENDER_CACHE, "")
    if wanted == "off":
        return None
    return charts_in(Path(wanted) if wanted else user_folder(os.environ).parent, LIMIT)


def charts_in(folder: Path, limit: int) -> SealedFolder:
    """The fetched charts kept in `charts` below a folder, up to `limit` bytes."""
    return SealedFolder(folder / "charts", "charts", limit)


def renderings_in(folder: Path, limit: int) -> RenderCache | None:
    """The renderings kept in a folder, up to `limit` bytes; None without a sandbox worker."""
    try:
        return RenderCache(folder, worker=worker_identity(), limit=limit)
    except SandboxError:
        # Each application says that there is no worker.
        return None


def kubeconfig_of(options: CheckOptions) -> tuple[Kubeconfig | None, str]:
    """The kubeconfig, or why there is none.

    A Pod has none, and applications whose destination needs one say what is wrong with it; it
    is an error only where an option speaks of it.
    """
    try:
        kubeconfig = load_kubeconfig(str(options.kubeconfig or ""))
    except ConfigError as error:
        if options.kubeconfig is not None or options.hub or options.context:
            raise
        return None, error.message
    if options.context:
        # A misspelt one is no application's fault.
        kubeconfig.context(options.context)
    return kubeconfig, ""


def _with_flags(options: CheckOptions) -> tuple[Kubeconfig | None, str]:
    """The same for one look: every context that a flag names must exist before anything is done.

    A daemon goes on instead: the applications of such a destination say what is wrong with it.
    """
    kubeconfig, problem = kubeconfig_of(options)
    for wanted, context in options.cluster_map.items():
        flag = f"--cluster {wanted}={context}"
        if kubeconfig is None:
            raise ConfigError(f"{flag}: {problem}")
        kubeconfig.require(context, flag)
    return kubeconfig, problem


def _no_context(kubeconfig: Kubeconfig | None) -> str:
    return f"{kubeconfig.problem}; {OTHER_FILE}" if kubeconfig and kubeconfig.problem else ""


def cluster_registry(
    options: CheckOptions,
    *,
    breakers: bool = False,
    clusters: Clusters | None = None,
) -> ClusterRegistry:
    """Opens clusters as the options say, each once.

    `breakers` as in `ClusterRegistry`; `clusters` are a daemon's settings, None for kubectl's ways.
    """
    settings = clusters or Clusters()
    return ClusterRegistry(
        lambda: load_kubeconfig(str(options.kubeconfig or "")),
        options=TransportOptions(
            timeout=options.timeout,
            exec_timeout=min(options.timeout, EXEC_TIMEOUT),
            concurrency=options.concurrency,
            watches=settings.limits.watches,
            limits=Limits(
                answer=settings.limits.answer.bytes,
                list=settings.limits.list.bytes,
                pages=settings.limits.pages,
                kinds=settings.limits.kinds,
            ),
            link_local=clusters is None or settings.allow.link_local,
        ),
        breakers=breakers,
        permitted=settings.allow if clusters is not None else None,
    )


def workspace_of(
    options: CheckOptions,
    repositories: Repositories,
    sandbox: SandboxPool,
    registry: ClusterRegistry,
    kubeconfig: Kubeconfig | None,
    problem: str,
    hub: Hub | None,
) -> Workspace:
    """What looks share, of parts that are open."""
    return Workspace(
        repositories=repositories,
        sandbox=sandbox,
        clusters=registry,
        contexts=kubeconfig.contexts if kubeconfig else (),
        current_context=kubeconfig.current_context if kubeconfig else "",
        kubeconfig_problem=problem or _no_context(kubeconfig),
        in_cluster=in_cluster_access() is not None,
        unverified=registry.unverified,
        expiring=registry.expiring,
        hub=hub,
        argocd_namespace=options.argocd_namespace,
        integrity=Integrity(options.keyring),
    )


def oracle_of(options: CheckOptions, registry: ClusterRegistry) -> OpenOracle | None:
    """How clusters are asked by dry runs: no client for it is made unless it is asked for."""
    if not options.oracle:
        return None
    from driftd.cluster.oracle import KubeOracle

    return lambda target: KubeOracle(registry.open(target).transport)


def hub_target(context: KubeContext) -> ClusterTarget:
    """The hub as a cluster to open."""
    return ClusterTarget(TargetKind.CONTEXT, context.name, context.server)


async def hub_of(
    options: CheckOptions,
    kubeconfig: Kubeconfig | None,
    registry: ClusterRegistry,
    progress: Progress,
    watched: HubClusters | None = None,
    *,
    allow_exec: bool = False,
) -> Hub | None:
    """What the hub says now; None where the options name none. Raises ConfigError, ClusterError.

    Clusters that are `watched` are known better than by reading them once. `allow_exec` lets the
    credential plugins of cluster Secrets run.
    """
    if not options.hub or kubeconfig is None:
        return None
    context = kubeconfig.context(options.hub)
    progress(f"reading the hub {context.name}")
    reader = registry.open(hub_target(context))
    namespaces = [options.namespace] if options.namespace else None
    hub = await read_hub(
        reader,
        context.name,
        namespace=options.argocd_namespace,
        application_namespaces=namespaces,
        allow_exec=allow_exec,
    )
    clusters = watched.clusters if watched is not None else None
    if clusters is None and not hub.clusters_known:
        clusters = registry.hub_clusters  # those that were known are no less there
    if clusters is not None:
        hub = msgspec.structs.replace(hub, clusters=clusters)
    await registry.use_hub_clusters(hub.clusters)
    return hub


def watched_hub(
    settings: Settings, options: CheckOptions, registry: ClusterRegistry, hub: Hub | None
) -> HubClusters | None:
    """What watches the hub's cluster Secrets; None without Argo CD, or without watches at all."""
    from driftd.cluster.hubclusters import HubClusters

    kubeconfig, _ = kubeconfig_of(options)
    if hub is None or kubeconfig is None or not settings.clusters.watch:
        return None
    if hub.flux and not hub.projects:
        return None
    watched = registry.watched(hub_target(kubeconfig.context(options.hub or "")))
    allow_exec = settings.clusters.allow.exec
    return HubClusters(watched, options.argocd_namespace, allow_exec=allow_exec)


def hub_reader(
    settings: Settings,
    options: CheckOptions,
    registry: ClusterRegistry,
    access: DaemonAccess,
    watched: HubClusters | None,
) -> ReadHub:
    """Reads the hub of the options each time it is called."""

    async def read() -> Hub:
        kubeconfig, _ = kubeconfig_of(options)
        hub = await hub_of(
            options,
            kubeconfig,
            registry,
            lambda _text: None,
            watched,
            allow_exec=settings.clusters.allow.exec,
        )
        if hub is None:
            raise ConfigError(f"there is no kubeconfig to read the hub {options.hub} through")
        access.hub = hub.access
        access.renew()
        return hub

    return read


async def _repositories(options: CheckOptions, hub: Hub | None, fetching: Fetching) -> Repositories:
    flags = [f"{url}={path}" for url, path in options.repo_map.items()]
    checkout = str(options.repo or Path.cwd())
    mirror = fetching.remotes.mirror if options.fetch else None
    try:
        return await Repositories.open(
            [checkout, *flags],
            worktree=options.worktree,
            head=options.revision or "HEAD",
            mirror=mirror,
            charts=fetching.charts,
            beside=(*options.files, *own_outputs()),
        )
    except SourceError as error:
        # With a hub the Applications are known without a checkout; their sources may be mapped.
        if hub is None or options.repo is not None:
            if error.reason != NO_REPOSITORY:
                raise
            text = f"{error}, so no applications of Argo CD or Flux can be read from it"
            raise SourceError(text, hint=NEXT_STEPS, reason=NO_REPOSITORY) from error
        return await Repositories.open(
            flags,
            worktree=options.worktree,
            mirror=mirror,
            charts=fetching.charts,
            beside=(*options.files, *own_outputs()),
        )
