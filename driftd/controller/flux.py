"""The applications of Flux among what is declared: from Git by rendering, or live from a hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from driftd.cluster.access import IN_CLUSTER_NAME
from driftd.cluster.destinations import IN_CLUSTER_SERVER, ClusterTarget, TargetKind
from driftd.controller.flux_mapped import live_entries, mismatches, target_of
from driftd.controller.homes import trusted_homes
from driftd.controller.hub_sides import FluxCheckout, FluxKey, HubSide
from driftd.controller.live_flux import beside_change, with_edits
from driftd.controller.live_uses import BesideGit, LiveConfigMaps
from driftd.controller.options import CheckOptions
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import ClusterError, ConfigError, DriftdError, SourceError
from driftd.flux.applications import Place, to_application, told_apart
from driftd.flux.clusters import RootCluster, by_live, by_name, own_context
from driftd.flux.discover import Found, Layout, follow, read_layout, without_nested
from driftd.flux.layout import Root
from driftd.flux.objects import FluxObjects, LiveConfigMap, Reader
from driftd.flux.specs import GitRepositorySpec, InvalidSpec, spec_of
from driftd.model.application import Application, Destination
from driftd.model.choices import listed
from driftd.model.condition import Condition
from driftd.model.flux import FluxObject
from driftd.source.repositories import Reading, git_urls
from driftd.source.url import printable


@dataclass(frozen=True, slots=True)
class FluxDeclared:
    """What Flux declares; nothing where there is no Flux."""

    applications: tuple[Application, ...] = ()
    conditions: tuple[Condition, ...] = ()
    elsewhere: tuple[Application, ...] = ()
    """Those of other clusters, which are left out."""


async def declare_flux(
    workspace: Workspace,
    options: CheckOptions,
    progress: Progress,
    taken: Sequence[Application] = (),
    side: HubSide | None = None,
) -> FluxDeclared:
    """The Kustomizations and HelmReleases of the hub, or else of the repositories.

    `taken` are the applications that are known already; their names stay theirs. `side` is that of
    a preview through the hub. Raises SourceError if no repository can be read.
    """
    names = [application.qualified_name for application in taken]
    if workspace.hub is not None:
        found = await _of_hub(workspace, options, progress, workspace.hub.flux, taken, side)
        return FluxDeclared(told_apart(found, names))
    readings, _ = await trusted_homes(workspace)
    applications: list[Application] = []
    conditions: list[Condition] = []
    elsewhere: list[Application] = []
    for reading in readings:
        layout = await read_layout(reading.tree, workspace.sandbox)
        conditions += layout.conditions
        if layout.roots:
            look = _RepositoryLook(workspace, options, progress, layout)
            applications += await look.applications(reading, conditions)
            elsewhere += look.left_out
    return FluxDeclared(told_apart(applications, names), tuple(conditions), tuple(elsewhere))


async def _of_hub(
    workspace: Workspace,
    options: CheckOptions,
    progress: Progress,
    objects: Sequence[FluxObject],
    taken: Sequence[Application],
    side: HubSide | None,
) -> list[Application]:
    hub = workspace.hub
    if hub is None or not objects:
        return []
    target = _context_target(workspace, hub.name)
    maps = LiveConfigMaps(workspace, target)
    if side is None:
        here = await checkout_of(workspace, options, progress, objects)
        reader = Reader(FluxObjects(objects), maps)
    else:
        here = side.base.flux
        reader = Reader(FluxObjects(side.flux_objects(objects)), maps, side.own.flux.home)
    changed = side.changed_flux() if side is not None else frozenset[FluxKey]()
    prefix = here.prefix if side is None or here.prefix is not None else side.change.flux.prefix
    place = Place(destination=Destination(server=IN_CLUSTER_SERVER), prefix=prefix or "")
    beside = BesideGit(
        reader=reader, maps=maps, place=place, sandbox=workspace.sandbox, git=here.objects,
        replaced=changed,
    )  # fmt: skip
    lives = FluxObjects(objects)
    found: list[Application] = []
    for kind in ("Kustomization", "HelmRelease"):
        for one in reader.objects.of_kind(kind):
            application = await to_application(one, reader, place)
            git = here.objects.find(kind, one.namespace, one.name)
            if (kind, one.namespace, one.name) not in changed:
                told = with_edits(application, one, git)
            elif side is not None and not side.is_base:
                live = lives.find(kind, one.namespace, one.name)
                told = beside_change(application, git, live)
            else:
                told = application
            told = await beside.with_used(told, one)
            found.append(told if side is None else _as_read(told, side))
    if prefix is not None:
        return found
    prefix = await workspace.flux_roots.look(
        list(reader.objects.of_kind("Kustomization")),
        found,
        git_urls((*taken, *found)),
        workspace.repositories,
        workspace.sandbox,
    )
    return [msgspec.structs.replace(one, name=f"{prefix}{one.name}") for one in found]


async def checkout_of(
    workspace: Workspace,
    options: CheckOptions,
    progress: Progress,
    objects: Sequence[FluxObject],
) -> FluxCheckout:
    """The root of the hub's cluster in the checkout, by what the cluster's Flux syncs.

    A daemon's looks go without, as they do for Applications.
    """
    hub = workspace.hub
    if hub is None or workspace.repositories.primary is None or workspace.rendered is not None:
        return FluxCheckout()
    own = own_context(workspace.contexts, hub.name)
    synced = [one for one in objects if one.kind == "Kustomization"]
    try:
        readings, _ = await trusted_homes(workspace)
        for reading in readings:
            layout = await read_layout(reading.tree, workspace.sandbox)
            found = by_live(layout.roots, own, synced) if own is not None else {}
            look = _RepositoryLook(workspace, options, progress, layout)
            for root in layout.roots:
                cluster = found.get(root.name)
                if cluster is not None and cluster.context:
                    several = len(layout.roots) > 1
                    declared = await look.follow(root, cluster, several=several)
                    return _checkout(layout, declared, several=several)
    except DriftdError as error:
        # The live objects are judged without it.
        told = f"what the checkout declares for Flux is not known: {error.message}"
        return FluxCheckout(conditions=(Condition("ComparisonError", told),))
    return FluxCheckout()


def _as_read(application: Application, side: HubSide) -> Application:
    """The same, with why not all that it declares is known in the checkout of a side."""
    flux = application.flux
    if flux is None or flux.kind != "Kustomization":
        return application
    why = side.own.flux.unread.get(f"{application.namespace}/{flux.object_name}", "")
    flux = msgspec.structs.replace(flux, unread=why)
    return msgspec.structs.replace(application, flux=flux)


def _checkout(layout: Layout, found: Found, *, several: bool) -> FluxCheckout:
    unread = {
        f"{namespace}/{name}": one.flux.unread
        for (kind, namespace, name), one in found.applications.items()
        if kind == "Kustomization" and one.flux is not None and one.flux.unread
    }
    return FluxCheckout(
        prefix=f"{found.root.name}/" if several else "",
        objects=found.objects,
        unread=unread,
        conditions=(*layout.conditions, *found.conditions),
        home=layout.tree,
    )


@dataclass(slots=True)
class _RepositoryLook:
    """The Flux roots of one repository, mapped and followed."""

    workspace: Workspace
    options: CheckOptions
    progress: Progress
    layout: Layout
    left_out: list[Application] = field(default_factory=list)
    """Applications of other clusters that nobody named."""

    async def applications(
        self, reading: Reading, conditions: list[Condition]
    ) -> list[Application]:
        roots = self.layout.roots
        for root in roots:
            self._adopt(root)
        clusters = await self._clusters(roots)
        wrong = await mismatches(self.workspace, roots, clusters, self.options.cluster_map)
        several = len(roots) > 1
        everything = [
            await self.follow(root, clusters.get(root.name, RootCluster()), several=several)
            for root in roots
        ]
        applications: list[Application] = []
        elsewhere: list[str] = []
        for found in without_nested(everything):
            cluster = clusters.get(found.root.name, RootCluster())
            chosen = list(found.applications.values())
            if cluster.elsewhere:
                self.left_out += [one for one in chosen if not self._is_named(one)]
                chosen = [one for one in chosen if self._is_named(one)]
                elsewhere.append(found.root.name)
            elif cluster.note:
                told = wrong.get(found.root.name)
                self.progress(f"note: {told.note() if told else cluster.note}")
            applications += chosen
            if chosen:
                conditions += found.conditions
                conditions += [wrong[name].condition() for name in wrong if name == found.root.name]
        if elsewhere:
            first = elsewhere[0]
            self.progress(
                f"note: Flux roots of other clusters are left out: {listed(elsewhere)}; "
                f"--cluster {first}=CONTEXT checks one too"
            )
        return applications

    async def follow(self, root: Root, cluster: RootCluster, *, several: bool) -> Found:
        """Everything that a root leads to; `several` if it is not the only one."""
        return await follow(
            root,
            self._place(root, cluster, several=several),
            self.workspace.repositories,
            self.workspace.sandbox,
            urls=self.layout.urls,
            live=self._live(cluster),
            written=self.layout.objects,
            home=self.layout.tree,
        )

    def _is_named(self, application: Application) -> bool:
        return bool(self.options.applications) and self.options.chooses(application)

    def _adopt(self, root: Root) -> None:
        """Take the repository of a root that applies its own folder to be the checkout."""
        table = self.workspace.repositories.table
        if not root.synced or table.remote or not table.checkouts:
            return
        for one in root.sources:
            if one.kind != "GitRepository":
                continue
            reference = root.entries[0].body["spec"].get("sourceRef") or {}
            if reference.get("name") != one.name:
                continue
            try:
                url = spec_of(one, GitRepositorySpec).url
                table.bind(url, (url, "another:repository"))
            except InvalidSpec:
                return
            except SourceError:
                path = table.checkouts[0].path
                self.workspace.repositories.table = msgspec.structs.replace(
                    table, pairs={**table.pairs, url: path}
                )
                self.progress(
                    f"note: {printable(url)}, which {one.origin} lies in, is taken to be {path}"
                )
            return

    async def _clusters(self, roots: Sequence[Root]) -> dict[str, RootCluster]:
        contexts = self.workspace.contexts
        found = by_name(roots, self.options.cluster_map, contexts)
        open_roots = [root for root in roots if root.name not in found]
        own = own_context(contexts, self.options.context or "")
        used = {cluster.context for cluster in found.values()}
        if not open_roots or own is None or self.workspace.in_cluster:
            return found
        if own.name in used:
            # Where there is no other context, the other roots are of clusters that are not at hand.
            alone = len(contexts) == 1
            return found | {r.name: RootCluster(elsewhere=True) for r in open_roots if alone}
        if len(roots) == 1:
            why = "--context" if self.options.context else "the only context"
            note = f"Flux root {roots[0].name} is taken to be {own.name}, {why}"
            return {roots[0].name: RootCluster(context=own.name, note=note)}
        try:
            reader = self.workspace.clusters.open(target_of(own))
            return found | by_live(
                open_roots, own, await live_entries(reader, open_roots, own.name)
            )
        except (ClusterError, ConfigError) as error:
            # The cause of all that follows: of these roots nothing can be looked at.
            problem = f"which of the Flux roots is {own.name} is not known: {error.message}"
            return found | {root.name: RootCluster(problem=problem) for root in open_roots}

    def _place(self, root: Root, cluster: RootCluster, *, several: bool) -> Place:
        destination = Destination(name=root.name)
        if self.workspace.in_cluster and not several and not cluster.context:
            destination = Destination(server=IN_CLUSTER_SERVER)
        prefix = f"{root.name}/" if several else ""
        return Place(
            destination=destination, prefix=prefix, context=cluster.context, problem=cluster.problem
        )

    def _live(self, cluster: RootCluster) -> LiveConfigMap:
        if not cluster.context:
            in_cluster = ClusterTarget(TargetKind.IN_CLUSTER, IN_CLUSTER_NAME)
            alone = self.workspace.in_cluster and len(self.layout.roots) == 1
            return LiveConfigMaps(self.workspace, in_cluster if alone else None)
        target = _context_target(self.workspace, cluster.context)
        return LiveConfigMaps(self.workspace, target)


def _context_target(workspace: Workspace, name: str) -> ClusterTarget | None:
    return next((target_of(one) for one in workspace.contexts if one.name == name), None)
