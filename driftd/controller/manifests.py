"""The manifests of applications as Git declares them, and which files made each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from driftd.controller.checkout_scopes import checkout_kinds
from driftd.controller.declared import Declared, Entry, declare, refuse_unmatched
from driftd.controller.desired import Desired, desired_state
from driftd.controller.field_paths import field_paths
from driftd.controller.observed import ClusterView, view_cluster
from driftd.controller.options import CheckOptions
from driftd.controller.preview_scopes import without_namespaces
from driftd.controller.release_values import release_lines
from driftd.controller.value_places import values_behind
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import ConfigError, DriftdError
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.tree import ResolvedSource
from driftd.render.hooks import ARGO_HOOK, HELM_HOOK, hook_of
from driftd.render.locate import FIELDS, field_places
from driftd.sandbox.results import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedSource:
    """A source of an application as it was read."""

    repo_url: str
    revision: str
    path: str
    """Folder, or chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one application declares, with the files behind each object if they were asked for."""

    desired: Desired
    sources: Mapping[int, TracedSource]
    """By position in the Application; those that resolved."""
    places: Mapping[ResourceKey, tuple[Place, ...]]
    """By object, every line that sets a field of it, as far as that is certain; sorted."""
    values: Mapping[ResourceKey, Sequence[str]] = field(default_factory=dict)
    """By object that a chart's template makes, where its values are, the strongest first."""


async def manifests(
    workspace: Workspace,
    options: CheckOptions,
    *,
    progress: Progress,
    kube_version: str = "",
    trace: bool = False,
) -> list[Shown]:
    """What Git declares for the chosen applications, rendered for their clusters.

    `kube_version` is what charts are told instead of the cluster's own; `trace` looks for the
    lines of Git that set each field.
    """
    declared = await declare(workspace, options, progress)
    refuse_unmatched(options, progress, declared)
    shown = []
    for entry in declared.entries:
        view = await _view(workspace, entry, progress)
        if entry.target is None:
            # Manifests need no cluster; what is wrong with the destination is no failure here.
            for condition in entry.conditions:
                progress(f"note: {entry.application.name}: {condition.message}")
            entry = replace(entry, conditions=())
        desired = await desired_state(
            workspace,
            entry,
            view.discovery if view else None,
            urls=declared.urls,
            kube_version=kube_version or (view.version if view else ""),
            forced=True,
        )
        discovery = view.discovery if view else None
        kinds = await checkout_kinds(workspace, [desired], discovery)
        desired = without_namespaces(desired, kinds) if kinds else desired
        shown.append(await _shown(workspace, desired, declared, trace=trace))
    return shown


async def _view(workspace: Workspace, entry: Entry, progress: Progress) -> ClusterView | None:
    if entry.target is None:
        return None
    try:
        view = await view_cluster(workspace.clusters.open(entry.target))
    except ConfigError:
        return None
    if view.problem is not None:
        progress(f"note: rendered without the cluster's APIs: {view.problem}")
    return view


async def _shown(
    workspace: Workspace, desired: Desired, declared: Declared, *, trace: bool
) -> Shown:
    if not trace:
        return Shown(desired=desired, sources={}, places={})
    application = desired.entry.application
    try:
        sources = (await workspace.repositories.resolve(application, declared.urls)).sources
    except DriftdError:
        sources = ()
    traced = {
        one.index: TracedSource(
            repo_url=one.repo_url,
            revision=one.revision,
            path=one.source.path or one.source.chart or ".",
        )
        for one in sources
    }
    trees = {one.index: one.tree for one in sources}
    lines = await release_lines(workspace, declared, application)
    values = {
        one.key: values_behind(application, one.origin, trees[one.origin.source].files, lines)
        for one in (*desired.manifests, *desired.not_compared)
        if one.origin.source in trees
    }
    places = await _places(workspace, desired, sources)
    return Shown(desired=desired, sources=traced, places=places, values=values)


async def _places(
    workspace: Workspace, desired: Desired, sources: Sequence[ResolvedSource]
) -> dict[ResourceKey, tuple[Place, ...]]:
    """The lines behind each object, asked for a few hundred fields at a time."""
    found: dict[ResourceKey, set[tuple[str, int]]] = {}
    known = {one.key: one for one in (*desired.manifests, *desired.not_compared)}
    for batch in _batches(known.values()):
        places = await field_places(
            desired.entry.application, sources, batch, known, workspace.sandbox
        )
        for (key, _), place in places.items():
            found.setdefault(key, set()).add((place.file, place.line))
    return {
        key: tuple(Place(file, line) for file, line in sorted(lines))
        for key, lines in found.items()
    }


def _batches(known: Iterable[Manifest]) -> Iterator[dict[ResourceKey, list[str]]]:
    batch: dict[ResourceKey, list[str]] = {}
    room = FIELDS
    for manifest in known:
        paths = list(field_paths(orjson.loads(manifest.body)))[:FIELDS]
        if len(paths) > room:
            yield batch
            batch, room = {}, FIELDS
        batch[manifest.key] = paths
        room -= len(paths)
    if batch:
        yield batch


def why_not_compared(manifest: Manifest) -> str:
    """Why a rendered object is never compared, for people."""
    metadata = orjson.loads(manifest.body).get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    hook = hook_of(annotations)
    if hook is None:
        if ARGO_HOOK in annotations or HELM_HOOK in annotations:
            return "a hook"
        return "Kubernetes removes it when it is done"
    written = annotations.get(ARGO_HOOK) or annotations.get(HELM_HOOK)
    return f"hook {', '.join(hook.types) or written}"
