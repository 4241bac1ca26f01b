"""Which applications there are, and where each one lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from driftd.applicationset.catalog import GENERATES_NOTHING
from driftd.cluster.access import IN_CLUSTER_NAME
from driftd.cluster.destinations import (
    IN_CLUSTER_SERVER,
    ClusterMapping,
    ClusterTarget,
    TargetKind,
    is_own_cluster,
    normalise_server,
    resolve,
)
from driftd.cluster.hub import Hub
from driftd.controller.bearings import none_declared
from driftd.controller.catalogued import read_catalogued
from driftd.controller.customizations import read_customizations
from driftd.controller.flux import declare_flux
from driftd.controller.hub_sides import HubSide
from driftd.controller.live_applications import beside, beside_change, beside_git, note_own
from driftd.controller.options import CheckOptions
from driftd.controller.tracking import marks_of
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import ConfigError, DriftdError, SourceError
from driftd.model.application import Application, Destination
from driftd.model.choices import listed, nearest
from driftd.model.condition import Condition, Severity
from driftd.model.project import PERMISSIVE, AppProject
from driftd.policy.customizations import Customizations
from driftd.policy.project import check_application, check_cluster_project
from driftd.policy.silence import annotated
from driftd.source.charts import is_remote_chart
from driftd.source.repositories import git_urls
from driftd.sync import windows

_NAMED: Final = 5
"""Applications that a note names; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One application with its project and the cluster of its destination."""

    application: Application
    project: AppProject | None
    target: ClusterTarget | None
    """None if the destination cannot be mapped; `conditions` says why."""
    destination: Destination
    """With server and name both, as far as they are known."""
    conditions: tuple[Condition, ...] = ()

    @property
    def cluster(self) -> str:
        """The context or cluster name; empty without a target."""
        return self.target.name if self.target else ""

    @property
    def blocked(self) -> bool:
        """Whether the application must not be judged at all."""
        return any(c.severity is Severity.ERROR for c in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Everything that is declared and chosen."""

    entries: tuple[Entry, ...]
    conditions: tuple[Condition, ...]
    customizations: Customizations = field(default_factory=Customizations)
    """What the hub's Argo CD leaves alone everywhere."""
    urls: frozenset[str]
    """repoURLs of all sources of all applications, chosen or not."""
    destinations: frozenset[str] = frozenset()
    """Names and servers (normalised) of the destinations of all applications, chosen or not."""
    applications: tuple[Application, ...] = ()
    """All applications, chosen or not."""
    names: frozenset[str] | None = None
    """Qualified names of all applications, chosen or not; None where some may be unknown."""
    marks: frozenset[str] | None = None
    """The owners that tracking marks of all applications name; None as `names`, or unwanted."""
    unseen: Mapping[str, Condition] = field(default_factory=dict)
    """Why it is not known of some applications of the hub what becomes of them, by name."""


async def declare(
    workspace: Workspace,
    options: CheckOptions,
    progress: Progress,
    *,
    may_be_none: bool = False,
    side: HubSide | None = None,
) -> Declared:
    """Find the Applications (in the repository, or live on the hub) and map them.

    `may_be_none` if it is no error where nothing declares one, as on one side of a preview;
    `side` is that side, where a hub is looked through.
    Raises SourceError if there is neither a repository nor a hub, and ConfigError for
    each name or glob given that no application has.
    """
    if workspace.hub is not None:
        argo = await _of_hub(workspace, workspace.hub, options, progress, side)
    else:
        progress("reading the repository")
        here = await read_catalogued(workspace)
        argo = _Found(
            applications=here.applications, projects=here.projects, conditions=here.conditions
        )
    conditions = [*argo.conditions]
    flux = await declare_flux(workspace, options, progress, argo.applications, side)
    applications = (*argo.applications, *flux.applications)
    conditions += flux.conditions
    chosen = [app for app in applications if options.chooses(app)]
    unmatched = options.unmatched(applications)
    if not may_be_none and is_none(applications, conditions):
        raise await none_declared(workspace, conditions)
    # Of several names, too, one that nothing has is a slip: what is left out must not pass as seen.
    if unmatched or (not chosen and options.namespace):
        raise none_chosen(options, applications, conditions)
    unfit = not any(_may_fit(app, workspace, options) for app in applications)
    entries = tuple(
        _entry(app, argo.projects, workspace, options, progress, unfit=unfit) for app in chosen
    )
    everything = (*applications, *flux.elsewhere)
    blind = side is not None and side.is_blind
    names = None if blind else _names(options, everything, conditions)
    return Declared(
        entries=entries,
        conditions=tuple(conditions),
        customizations=argo.customizations,
        urls=git_urls(applications),
        destinations=_destinations(everything),
        applications=applications,
        names=names,
        marks=(
            frozenset(mark for app in everything for mark in marks_of(app))
            if names is not None and not (options.applications or options.namespace)
            else None
        ),
        unseen=argo.unseen,
    )


def is_none(applications: Sequence[Application], conditions: Iterable[Condition]) -> bool:
    """Whether it is certain that nothing is declared: only sets that generate nothing are told."""
    return not applications and all(one.type == GENERATES_NOTHING for one in conditions)


async def _declared_here(workspace: Workspace) -> Sequence[Application]:
    """What the checkout of a look through a hub declares; nothing where there is none to read.

    A daemon's looks at a hub go without: they have no checkout, and its sweeps no time for one.
    """
    if workspace.repositories.primary is None or workspace.rendered is not None:
        return ()
    try:
        return (await read_catalogued(workspace)).applications
    except DriftdError:
        return ()  # the live Applications are judged without it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The Applications of Argo CD, before any is chosen or mapped."""

    applications: tuple[Application, ...]
    projects: Mapping[str, AppProject]
    conditions: Sequence[Condition]
    customizations: Customizations = field(default_factory=Customizations)
    unseen: Mapping[str, Condition] = field(default_factory=dict)


async def _of_hub(
    workspace: Workspace, hub: Hub, options: CheckOptions, progress: Progress, side: HubSide | None
) -> _Found:
    """The live Applications; for a side of a preview, as declared there what the change alters."""
    customizations = await read_customizations(hub.tracking.settings, workspace.sandbox)

    def adapted(app: Application) -> Application:
        return msgspec.structs.replace(
            app,
            build_options=customizations.build_options,
            argocd_namespace=workspace.argocd_namespace,
            tracking=hub.tracking.method,
        )

    def told(app: Application, base: Application | None, live: Application | None) -> Application:
        if side is None or side.is_base or live is None:
            return adapted(app)
        return beside_change(adapted(app), base, live)

    live = tuple(map(adapted, hub.applications))
    projects = {project.name: project for project in hub.projects}
    projects.setdefault("default", PERMISSIVE)
    conditions = [*customizations.conditions, *hub.conditions]
    here = await _declared_here(workspace) if side is None else side.own.argo.applications
    unseen: Mapping[str, Condition] = {}
    if side is None:
        applications = beside_git(workspace, live, here)
    else:
        note_own(workspace, here)
        applications = side.applications(live, beside, told)
        projects = side.projects(projects)
        conditions += side.conditions
        unseen = {} if side.is_base else side.hidden(live)
    if hub.applications_known:
        _note_absent(hub.name, applications if side else live, here, options, progress)
    return _Found(
        applications=applications,
        projects=projects,
        conditions=conditions,
        customizations=customizations,
        unseen=unseen,
    )


def _note_absent(
    hub: str,
    live: Sequence[Application],
    here: Sequence[Application],
    options: CheckOptions,
    progress: Progress,
) -> None:
    """Say which chosen applications of the checkout the hub does not have, by name.

    They are not in the report, whoever deploys them. A hub that was asked for one namespace may
    have them in another.
    """
    known = {one.name for one in live}
    absent = sorted({one.name for one in here if options.chooses(one)} - known)
    if not absent or options.namespace:
        return
    named = ", ".join(absent[:_NAMED])
    more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
    it = "it" if len(absent) == 1 else "them"
    progress(
        f"note: the hub {hub} has no Application {named}{more}, which the checkout declares: the "
        f"report is without {it}; leave --hub out to compare what the checkout declares"
    )


def _stated(application: Application) -> list[Condition]:
    """What is wrong with an application by its own document alone."""
    flux = application.flux.conditions if application.flux else ()
    return [*application.conditions, *flux, *annotated(application.annotations).conditions]


def _entry(
    application: Application,
    projects: Mapping[str, AppProject],
    workspace: Workspace,
    options: CheckOptions,
    progress: Progress,
    *,
    unfit: bool,
) -> Entry:
    flux = application.flux
    project = PERMISSIVE if flux else projects.get(application.spec.project or "default")
    destination = application.spec.destination
    conditions = _stated(application)
    target: ClusterTarget | None = None
    try:
        mapping = _mapping(application, workspace, options, unfit=unfit)
        target = mapping.target
        if target.kind is TargetKind.HUB_CLUSTER:
            # Projects may permit by either; the hub knows both.
            destination = Destination(
                server=target.server, name=target.name, namespace=destination.namespace
            )
        if unverified := workspace.unverified(target):
            conditions.append(Condition("InsecureConnection", unverified, Severity.WARNING))
        if expiring := workspace.expiring(target):
            conditions.append(Condition("CredentialExpiring", expiring, Severity.WARNING))
        if not (flux and flux.context):  # of these the note has been told, once for all
            progress(f"note: destination {mapping.note}")
    except ConfigError as error:
        # What is wrong with the destination as such, the check of the spec says too.
        if error.reason != "InvalidDestination" or (destination.name and not destination.server):
            text = (flux.unplaced if flux else "") or error.message
            if workspace.kubeconfig_problem and error.reason != "InvalidDestination":
                # The same words for every destination, so that one cause is told once.
                text = f"no destination has a context: {workspace.kubeconfig_problem}"
            invalid = error.reason == "InvalidDestination"
            kind = "InvalidSpecError" if invalid else "ClusterConfigurationError"
            conditions.append(Condition(kind, text))
    # Of a field that is not filled in, what the project permits says nothing.
    if (not flux or application.spec.source) and not application.incomplete:
        conditions += check_application(
            project,
            application,
            destination,
            known=projects,
            unseen=workspace.hub.projects_problem if workspace.hub is not None else "",
        )
        if project is not None and application.spec.sync_policy.automated is not None:
            conditions += windows.conditions(project, _place(application, destination))
        if project is not None and workspace.hub is not None:
            scoped = {
                place
                for cluster in workspace.hub.clusters
                if cluster.project == project.name
                for place in (cluster.name, normalise_server(cluster.server))
            }
            conditions += check_cluster_project(project, destination, scoped)
    return Entry(
        application=application,
        project=project,
        target=target,
        destination=destination,
        conditions=tuple(conditions),
    )


def _place(application: Application, destination: Destination) -> windows.Place:
    places = (destination.name, destination.server)
    return windows.Place(application.name, destination.namespace, places)


def _mapping(
    application: Application, workspace: Workspace, options: CheckOptions, *, unfit: bool = False
) -> ClusterMapping:
    """The cluster of an application. Raises ConfigError as `resolve` does."""
    flux = application.flux
    destination = application.spec.destination
    found = {destination.name: flux.context} if flux and flux.context else {}
    return resolve(
        destination,
        overrides={**found, **options.cluster_map},
        own_context=options.context or "",
        hub_clusters=workspace.hub.clusters if workspace.hub else (),
        contexts=workspace.contexts,
        current_context=workspace.current_context,
        in_cluster=workspace.in_cluster,
        hub_context=options.hub or "",
        unfit=unfit,
    )


def _may_fit(application: Application, workspace: Workspace, options: CheckOptions) -> bool:
    """Whether a cluster is known for an application, or any context may be its cluster."""
    if is_own_cluster(application.spec.destination):
        return True
    try:
        _mapping(application, workspace, options)
    except ConfigError:
        return False
    return True


def none_chosen(
    options: CheckOptions,
    applications: tuple[Application, ...],
    conditions: Iterable[Condition],
) -> ConfigError:
    """What to say where names or a namespace were given that no application has."""
    unmatched = options.unmatched(applications)
    wanted = ", ".join(unmatched) or f"namespace {options.namespace}"
    near = unmatched[0] if unmatched else wanted
    names = listed(sorted(app.name for app in applications), near) or "none at all"
    # What is asked for may stand in a document that could not be read.
    broken = [c.message for c in conditions if c.severity is Severity.ERROR]
    unread = f"; not usable are: {' | '.join(broken)}" if broken else ""
    return ConfigError(f"no application matches {wanted}", hint=f"declared are: {names}{unread}")


def unfit_contexts(workspace: Workspace, declared: Declared) -> tuple[str, ...]:
    """The contexts of the kubeconfig where none is known to be the cluster of any application.

    Argo CD's own cluster may be any of them: which one has to be said, and the file is not doubted.
    """
    for entry in declared.entries:
        if entry.target is not None or is_own_cluster(entry.application.spec.destination):
            return ()
        if _is_unasked(entry.application):
            return ()  # the one that could not be asked may well be the right one
    return tuple(context.name for context in workspace.contexts)


def looks_foreign(workspace: Workspace, declared: Declared) -> bool:
    """Whether every application leads to a cluster or a repository that is not known here.

    Then they may be another project's. One that only fails to render says nothing of the kind.
    """
    return all(
        (entry.target is None and not _is_unasked(entry.application))
        or _is_elsewhere(entry.application, workspace, declared.urls)
        for entry in declared.entries
    )


def _is_unasked(application: Application) -> bool:
    return application.flux is not None and bool(application.flux.unplaced)


def _is_elsewhere(application: Application, workspace: Workspace, urls: frozenset[str]) -> bool:
    """Whether a source names a Git repository that nothing here is known to be."""
    for source in application.spec.all_sources:
        if not source.repo_url or is_remote_chart(source):
            continue
        try:
            workspace.repositories.table.bind(source.repo_url, urls)
        except SourceError:
            return True
    return False


def refuse_unmatched(options: CheckOptions, progress: Progress, *declared: Declared) -> None:
    """Raise ConfigError for a `--cluster` that means no destination of any application.

    Where some applications are unknown, since a document cannot be read or the hub was asked for
    one namespace, theirs may be meant: then it is a note.
    """
    for text, hint in unmatched_clusters(options, *declared):
        if all(one.names is not None for one in declared):
            raise ConfigError(text, hint=hint)
        progress(f"note: {text}; {hint}")


def unmatched_clusters(options: CheckOptions, *declared: Declared) -> Iterator[tuple[str, str]]:
    """For each `--cluster` that means no destination of any application: that, and those there."""
    known = frozenset[str]().union(*(one.destinations for one in declared))
    own = not known.isdisjoint({IN_CLUSTER_NAME, IN_CLUSTER_SERVER})
    for wanted, context in options.cluster_map.items():
        meant = {wanted, normalise_server(wanted)}
        if known.isdisjoint(meant) and not (own and wanted == IN_CLUSTER_NAME):
            names = listed(sorted(known), wanted) or "none"
            yield (
                f"--cluster {wanted}={context} matches no destination",
                f"{nearest(sorted(known), wanted)}destinations of the applications are: {names}",
            )


def _destinations(applications: Iterable[Application]) -> frozenset[str]:
    destinations = [app.spec.destination for app in applications]
    servers = {normalise_server(one.server) for one in destinations if one.server}
    return frozenset(servers | {one.name for one in destinations if one.name})


def _names(
    options: CheckOptions, applications: Iterable[Application], conditions: Iterable[Condition]
) -> frozenset[str] | None:
    """The names of all applications; None where a document or a namespace was not read."""
    blind = any(one.severity is Severity.ERROR for one in conditions)
    if blind or (options.hub and options.namespace):
        return None
    return frozenset(app.qualified_name for app in applications)
