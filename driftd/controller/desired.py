"""Desired state of one application: its sources resolved, rendered, and held to its project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson

from driftd.cluster.reader import Discovery
from driftd.controller.declared import Entry
from driftd.controller.integrity import REFUSED
from driftd.controller.rendered import rendering, scopes_of
from driftd.controller.workspace import Workspace
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.project import AppProject
from driftd.model.resource import Manifest, ResourceKey
from driftd.policy.customizations import Customizations
from driftd.policy.project import check_manifests
from driftd.render.renderer import Rendered

UNRENDERED = Rendered(manifests=(), not_compared=(), conditions=(), types=())
"""What becomes of sources that are not rendered at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What Git declares for one application."""

    entry: Entry
    manifests: tuple[Manifest, ...] = ()
    not_compared: tuple[Manifest, ...] = ()
    """Hooks and Jobs that the cluster collects: rendered, never compared, never extra."""
    revisions: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    repeated: frozenset[ResourceKey] = field(default_factory=frozenset)
    partial: bool = False
    """Whether only those objects are here that a glance looks at."""

    @property
    def complete(self) -> bool:
        """Whether everything that Git declares is here: an extra may be told only then."""
        return not self.partial and all(
            condition.severity is not Severity.ERROR for condition in self.conditions
        )

    @property
    def keys(self) -> frozenset[ResourceKey]:
        """Everything that Git declares, compared or not.

        The namespace that a sync creates (`CreateNamespace=true`) counts as declared.
        """
        keys = {manifest.key for manifest in (*self.manifests, *self.not_compared)}
        if namespace := self.entry.application.created_namespace:
            keys.add(ResourceKey("", "Namespace", "", namespace))
        return frozenset(keys)


async def desired_state(
    workspace: Workspace,
    entry: Entry,
    discovery: Discovery | None,
    *,
    urls: frozenset[str],
    kube_version: str = "",
    forced: bool = False,
    customizations: Customizations | None = None,
) -> Desired:
    """Render an application. Never raises for what its sources contain.

    Without `discovery` (an unreachable cluster) scopes are unknown and charts see no API. An
    application that is blocked (no such cluster, forbidden by its project) is rendered only
    if `forced`.
    """
    if entry.blocked and not forced:
        return Desired(entry=entry, conditions=entry.conditions)
    rendered, revisions, conditions = await _render(
        workspace, entry.application, discovery, urls, kube_version, entry.project
    )
    conditions = [*entry.conditions, *conditions, *rendered.conditions]
    manifests = rendered.manifests
    if entry.project is not None:
        permitted = check_manifests(
            entry.project,
            manifests,
            entry.destination,
            scopes_of(discovery),
            _overlays(entry.application, rendered),
        )
        manifests = permitted.manifests
        conditions += permitted.conditions
    if customizations is not None:
        manifests, left_out = _included(manifests, customizations, entry)
        conditions += left_out
    return Desired(
        entry=entry,
        manifests=manifests,
        not_compared=rendered.not_compared,
        revisions=revisions,
        conditions=tuple(conditions),
        repeated=rendered.repeated,
    )


def _overlays(application: Application, rendered: Rendered) -> dict[int, str]:
    """The folders of the sources that Kustomize renders, by index."""
    pairs = zip(application.spec.all_sources, rendered.types, strict=False)
    return {index: source.path for index, (source, kind) in enumerate(pairs) if kind == "Kustomize"}


def _included(
    manifests: Sequence[Manifest], customizations: Customizations, entry: Entry
) -> tuple[tuple[Manifest, ...], list[Condition]]:
    """The manifests without the kinds that Argo CD leaves alone; each of those is told once."""
    server = entry.destination.server or (entry.target.server if entry.target else "")
    kept: list[Manifest] = []
    kinds: dict[str, int] = {}
    for manifest in manifests:
        key = manifest.key
        if customizations.excludes(key.group, key.kind, server):
            name = f"{key.kind}.{key.group}" if key.group else key.kind
            kinds[name] = kinds.get(name, 0) + 1
        else:
            kept.append(manifest)
    told = [
        Condition(
            "ExcludedResourceWarning",
            f"{count} object(s) of kind {kind} are declared, but argocd-cm excludes the kind",
            Severity.WARNING,
        )
        for kind, count in kinds.items()
    ]
    return tuple(kept), told


async def synced_state(
    workspace: Workspace,
    entry: Entry,
    discovery: Discovery | None,
    *,
    urls: frozenset[str],
    revisions: tuple[str, ...],
    kube_version: str = "",
) -> dict[ResourceKey, Manifest] | None:
    """The manifests at the revisions that were synced last; None if they cannot be rendered."""
    application = entry.application
    sources = application.spec.all_sources
    if len(revisions) != len(sources):
        return None
    pinned = tuple(
        msgspec.structs.replace(source, target_revision=revision)
        for source, revision in zip(sources, revisions, strict=True)
    )
    spec = msgspec.structs.replace(application.spec, source=None, sources=pinned)
    before = msgspec.structs.replace(application, spec=spec, raw={})
    # Argo CD has synced these revisions; whether they are signed is a matter of the new ones.
    rendered, _, conditions = await _render(workspace, before, discovery, urls, kube_version, None)
    if conditions or not rendered.complete:
        return None
    return {manifest.key: manifest for manifest in rendered.manifests}


async def _render(
    workspace: Workspace,
    application: Application,
    discovery: Discovery | None,
    urls: frozenset[str],
    kube_version: str,
    project: AppProject | None,
) -> tuple[Rendered, tuple[str, ...], Sequence[Condition]]:
    """What the sources render, their revisions and what is to be told.

    Nothing is rendered of an application with a source that is not signed as `project` demands.
    """
    resolution = await workspace.repositories.resolve(application, urls)
    revisions = tuple(source.revision for source in resolution.sources)
    conditions = list(resolution.conditions)
    if project is not None:
        conditions += await workspace.integrity.conditions(
            application,
            project,
            resolution.sources,
            repositories=workspace.repositories,
            hub=workspace.hub,
            urls=urls,
        )
        if any(one.type == REFUSED for one in conditions):
            return UNRENDERED, revisions, conditions
    render = rendering if workspace.rendered is None else workspace.rendered.render
    rendered = await render(
        application, resolution.sources, workspace.sandbox, discovery, kube_version
    )
    return rendered, revisions, conditions


def definitions(manifests: Iterable[Manifest]) -> dict[tuple[str, str], Manifest]:
    """The CustomResourceDefinitions among manifests, by the group and kind that they define."""
    found: dict[tuple[str, str], Manifest] = {}
    for manifest in manifests:
        if manifest.key.kind == "CustomResourceDefinition":
            spec = orjson.loads(manifest.body).get("spec") or {}
            kind = str((spec.get("names") or {}).get("kind"))
            found.setdefault((str(spec.get("group")), kind), manifest)
    return found
