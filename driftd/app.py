"""The composition root: the one place that knows which concrete classes do the work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from driftd.clock import Clock
from driftd.cluster.access import in_cluster_access
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.hub import Hub, read_hub
from driftd.cluster.kubeconfig import Kubeconfig, load_kubeconfig
from driftd.cluster.registry import ClusterRegistry
from driftd.cluster.transport import TransportOptions
from driftd.controller import check as controller
from driftd.controller.declared import Declared, declare
from driftd.controller.desired import Desired
from driftd.controller.options import CheckOptions
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import ConfigError, SourceError
from driftd.model.report import DriftReport
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories


@asynccontextmanager
async def open_workspace(options: CheckOptions, progress: Progress) -> AsyncIterator[Workspace]:
    """Everything that a look needs, opened as the options say and closed at the end."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(SandboxPool())
        problem = ""
        kubeconfig: Kubeconfig | None = None
        try:
            kubeconfig = load_kubeconfig(str(options.kubeconfig or ""))
        except ConfigError as error:
            # A Pod has no kubeconfig, and a wrong one is told by the applications that need it.
            if options.kubeconfig is not None or options.hub or options.context:
                raise
            problem = error.message

        def kubeconfig_of_now() -> Kubeconfig:
            return load_kubeconfig(str(options.kubeconfig or ""))

        registry = await stack.enter_async_context(
            ClusterRegistry(
                kubeconfig_of_now,
                options=TransportOptions(timeout=options.timeout, concurrency=options.concurrency),
            )
        )
        hub = await _hub(options, kubeconfig, registry, progress)
        yield Workspace(
            repositories=await _repositories(options, hub),
            sandbox=sandbox,
            clusters=registry,
            contexts=kubeconfig.contexts if kubeconfig else (),
            current_context=kubeconfig.current_context if kubeconfig else "",
            kubeconfig_problem=problem,
            in_cluster=in_cluster_access() is not None,
            hub=hub,
        )


async def _hub(
    options: CheckOptions,
    kubeconfig: Kubeconfig | None,
    registry: ClusterRegistry,
    progress: Progress,
) -> Hub | None:
    if not options.hub or kubeconfig is None:
        return None
    context = kubeconfig.context(options.hub)
    progress(f"reading the hub {context.name}")
    reader = registry.open(ClusterTarget(TargetKind.CONTEXT, context.name, context.server))
    namespaces = [options.namespace] if options.namespace else None
    hub = await read_hub(
        reader,
        context.name,
        namespace=options.argocd_namespace,
        application_namespaces=namespaces,
    )
    registry.add_hub_clusters(hub.clusters)
    return hub


async def _repositories(options: CheckOptions, hub: Hub | None) -> Repositories:
    flags = [f"{url}={path}" for url, path in options.repo_map.items()]
    checkout = str(options.repo or ".")
    try:
        return await Repositories.open(
            [checkout, *flags], worktree=options.worktree, head=options.revision or "HEAD"
        )
    except SourceError:
        # With a hub the Applications are known without a checkout; their sources may be mapped.
        if hub is None or options.repo is not None:
            raise
        return await Repositories.open(flags, worktree=options.worktree)


async def check(options: CheckOptions, *, progress: Progress, clock: Clock) -> DriftReport:
    """Open what `options` name, look once, report. Raises DriftdError if nothing can be seen."""
    async with open_workspace(options, progress) as workspace:
        return await controller.check(workspace, options, progress=progress, clock=clock)


async def render(options: CheckOptions, *, progress: Progress) -> list[Desired]:
    """What Git declares for the chosen applications."""
    async with open_workspace(options, progress) as workspace:
        return await controller.render(workspace, options, progress=progress)


async def catalog(options: CheckOptions, *, progress: Progress) -> Declared:
    """The chosen applications and the clusters of their destinations."""
    async with open_workspace(options, progress) as workspace:
        return await declare(workspace, options, progress)
