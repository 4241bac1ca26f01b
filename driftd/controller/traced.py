"""The values of charts that decide what differs, added to the verdict on an application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from driftd.controller.desired import Desired
from driftd.controller.observed import ClusterView
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.preview import FieldChange, FieldKind, ObjectPreview
from driftd.model.report import (
    Change,
    ChangeClass,
    ChangeKind,
    ReportOrigin,
    ResourceReport,
    is_masked,
)
from driftd.model.resource import ResourceKey
from driftd.render.trace import Asked, Found, field_values
from driftd.sandbox.results import ValuePlace
from driftd.source.url import public

_NEW = frozenset({FieldKind.MODIFIED, FieldKind.ADDED, FieldKind.REORDERED})
_KINDS = frozenset({ChangeKind.MODIFIED, ChangeKind.MISSING, ChangeKind.REORDERED})


async def with_values(
    workspace: Workspace,
    desired: Desired,
    view: ClusterView,
    resources: list[ResourceReport],
    *,
    urls: frozenset[str],
) -> list[ResourceReport]:
    """The same objects, drifted fields of charts with the value that decides them.

    An application without such fields costs nothing, and nothing is told that is not certain.
    """
    wanted: dict[ResourceKey, list[Asked]] = {}
    for resource in resources:
        asked = [
            (str(one.ssa_path), _known(one.live)) for one in resource.changes if _is_asked(one)
        ]
        if asked:
            wanted[resource.key] = asked
    if not wanted:
        return resources
    found = await _found(workspace, desired, view, wanted, urls)
    return [_with(resource, found) for resource in resources] if found else resources


async def with_new_values(
    workspace: Workspace,
    desired: Desired,
    view: ClusterView | None,
    objects: Sequence[ObjectPreview],
    *,
    urls: frozenset[str],
) -> Sequence[ObjectPreview]:
    """The objects of a preview, changed fields of charts with the value that decides the new one.

    `desired` is the side with the change. What the base has of a field says which part of it is
    asked for. Objects without such fields cost nothing.
    """
    wanted: dict[ResourceKey, list[Asked]] = {}
    for one in objects:
        asked = [
            (str(field.ssa_path), _known(field.old)) for field in one.changes if _is_new(field)
        ]
        if asked:
            wanted[ResourceKey(one.group, one.kind, one.namespace, one.name)] = asked
    if not wanted:
        return objects
    found = await _found(workspace, desired, view, wanted, urls)
    return [_with_new(one, found) for one in objects] if found else objects


async def _found(
    workspace: Workspace,
    desired: Desired,
    view: ClusterView | None,
    wanted: Mapping[ResourceKey, Sequence[Asked]],
    urls: frozenset[str],
) -> Found:
    application = desired.entry.application
    try:
        resolution = await workspace.repositories.resolve(application, urls)
    except DriftdError:
        return {}
    if tuple(source.revision for source in resolution.sources) != desired.revisions:
        return {}
    discovery = view.discovery if view else None
    return await field_values(
        application,
        resolution.sources,
        wanted,
        {manifest.key: manifest for manifest in desired.manifests},
        workspace.sandbox,
        kube_version=view.version if view else "",
        api_versions=discovery.api_versions() if discovery else (),
    )


def _is_asked(change: Change) -> bool:
    """Whether a field has drifted that Git writes down, and no line is known of it."""
    return (
        change.change_class is ChangeClass.DECLARED
        and change.is_drift
        and change.kind in _KINDS
        and change.ssa_path is not UNSET
        and change.origin is UNSET
    )


def _is_new(field: FieldChange) -> bool:
    """Whether a change writes a field down, and no line is known of it."""
    written = field.kind in _NEW and not field.invalid
    return written and field.ssa_path is not UNSET and field.origin is UNSET


def _known(value: object) -> object:
    """The other side's value, which says what of the field is different."""
    return None if value is UNSET or _holds_masked(value) else value


def _holds_masked(value: object) -> bool:
    if isinstance(value, dict):
        return is_masked(value) or any(_holds_masked(one) for one in value.values())
    return isinstance(value, list | tuple) and any(_holds_masked(one) for one in value)


def _with(resource: ResourceReport, found: Found) -> ResourceReport:
    changes = tuple(
        msgspec.structs.replace(change, origin=_origin(resource.origin, places))
        if (places := found.get((resource.key, str(change.ssa_path)))) and _is_asked(change)
        else change
        for change in resource.changes
    )
    return msgspec.structs.replace(resource, changes=changes)


def _with_new(one: ObjectPreview, found: Found) -> ObjectPreview:
    key = ResourceKey(one.group, one.kind, one.namespace, one.name)
    changes = tuple(
        msgspec.structs.replace(field, origin=_origin(one.origin, places))
        if (places := found.get((key, str(field.ssa_path)))) and _is_new(field)
        else field
        for field in one.changes
    )
    return msgspec.structs.replace(one, changes=changes)


def _origin(
    whole: ReportOrigin | UnsetType, places: Sequence[tuple[str, ValuePlace]]
) -> ReportOrigin:
    first, *others = (_place(whole, url, one) for url, one in places)
    return msgspec.structs.replace(first, others=tuple(others))


def _place(whole: ReportOrigin | UnsetType, url: str, place: ValuePlace) -> ReportOrigin:
    where = public(url)
    same = whole is UNSET or whole.repo_url in (UNSET, where)
    return ReportOrigin(
        repo_url=UNSET if same else where,
        file=place.file,
        line=place.line or UNSET,
        value=place.key,
    )
