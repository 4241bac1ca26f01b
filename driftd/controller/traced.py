"""The values of charts that decide what differs, added to the verdict on an application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from driftd.controller.declared import Declared
from driftd.controller.desired import Desired
from driftd.controller.observed import ClusterView
from driftd.controller.places import renamed_path
from driftd.controller.renders import renders
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

Field = TypeVar("Field", Change, FieldChange)

_NEW = frozenset({FieldKind.MODIFIED, FieldKind.ADDED, FieldKind.REORDERED, FieldKind.RENAMED})
_KINDS = frozenset(
    {ChangeKind.MODIFIED, ChangeKind.MISSING, ChangeKind.REORDERED, ChangeKind.RENAMED}
)


async def with_values(
    workspace: Workspace,
    desired: Desired,
    view: ClusterView,
    resources: list[ResourceReport],
    declared: Declared,
) -> list[ResourceReport]:
    """The same objects, drifted fields of charts with the value that decides them.

    An application without such fields costs nothing, and nothing is told that is not certain.
    """
    wanted = _wanted(((one.key, one.changes) for one in resources), _is_asked, lambda one: one.live)
    if not wanted:
        return resources
    found = await _found(workspace, desired, view, wanted, declared)
    if not found:
        return resources
    return [
        msgspec.structs.replace(
            one, changes=_placed(one.key, one.changes, _is_asked, one.origin, found)
        )
        for one in resources
    ]


async def with_new_values(
    workspace: Workspace,
    desired: Desired,
    view: ClusterView | None,
    objects: Sequence[ObjectPreview],
    declared: Declared,
) -> Sequence[ObjectPreview]:
    """The objects of a preview, changed fields of charts with the value that decides the new one.

    `desired` is the side with the change. What the base has of a field says which part of it is
    asked for. Objects without such fields cost nothing.
    """
    wanted = _wanted(((one.key, one.changes) for one in objects), _is_new, lambda one: one.old)
    if not wanted:
        return objects
    found = await _found(workspace, desired, view, wanted, declared)
    if not found:
        return objects
    return [
        msgspec.structs.replace(
            one, changes=_placed(one.key, one.changes, _is_new, one.origin, found)
        )
        for one in objects
    ]


def _wanted(
    objects: Iterable[tuple[ResourceKey, Sequence[Field]]],
    is_asked: Callable[[Field], bool],
    other: Callable[[Field], object],
) -> dict[ResourceKey, list[Asked]]:
    """The fields that are asked for of each object, with what the `other` side has of them."""
    wanted = {
        key: [(_path(one), _known(other(one))) for one in fields if is_asked(one)]
        for key, fields in objects
    }
    return {key: asked for key, asked in wanted.items() if asked}


def _placed(
    key: ResourceKey,
    fields: Sequence[Field],
    is_asked: Callable[[Field], bool],
    whole: ReportOrigin | UnsetType,
    found: Found,
) -> tuple[Field, ...]:
    """The fields of an object with what was found; `whole` is the object's own place."""
    return tuple(
        msgspec.structs.replace(one, origin=_origin(whole, places, _text_of(one)))
        if is_asked(one) and (places := found.get((key, _path(one))))
        else one
        for one in fields
    )


async def _found(
    workspace: Workspace,
    desired: Desired,
    view: ClusterView | None,
    wanted: Mapping[ResourceKey, Sequence[Asked]],
    declared: Declared,
) -> Found:
    application = desired.entry.application
    try:
        resolution = await workspace.repositories.resolve(application, declared.urls)
    except DriftdError:
        return {}
    if tuple(source.revision for source in resolution.sources) != desired.revisions:
        return {}
    return await field_values(
        application,
        resolution.sources,
        wanted,
        {manifest.key: manifest for manifest in desired.manifests},
        workspace.sandbox,
        above=await renders(workspace, declared, application),
        kube_version=view.version if view else "",
        api_versions=view.api_versions if view else (),
    )


def _path(field: Field) -> str:
    """The place of a field in what Git declares now."""
    path = str(field.ssa_path)
    if isinstance(field, Change):
        return renamed_path(path, field.desired) if field.kind is ChangeKind.RENAMED else path
    return renamed_path(path, field.new) if field.kind is FieldKind.RENAMED else path


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
    """Whether a change writes a field down, be it a mistake, and no line is known of it."""
    return field.kind in _NEW and field.ssa_path is not UNSET and field.origin is UNSET


def _known(value: object) -> object:
    """The other side's value, which says what of the field is different."""
    return None if value is UNSET or _holds_masked(value) else value


def _holds_masked(value: object) -> bool:
    if isinstance(value, dict):
        return is_masked(value) or any(_holds_masked(one) for one in value.values())
    return isinstance(value, list | tuple) and any(_holds_masked(one) for one in value)


def _text_of(field: Change | FieldChange) -> str:
    """The text that Git gives a field; empty for what is none, is masked, or is an amount."""
    value = field.desired if isinstance(field, Change) else field.new
    return value if isinstance(value, str) and "f:resources" not in str(field.ssa_path) else ""


def _origin(
    whole: ReportOrigin | UnsetType, places: Sequence[tuple[str, ValuePlace]], text: str
) -> ReportOrigin:
    first, *others = (_place(whole, url, one, text) for url, one in places)
    return msgspec.structs.replace(first, others=tuple(others))


def _place(whole: ReportOrigin | UnsetType, url: str, place: ValuePlace, text: str) -> ReportOrigin:
    where = public(url)
    same = whole is UNSET or whole.repo_url in (UNSET, where)
    rewritten = place.written and place.number in text and place.written not in text
    return ReportOrigin(
        repo_url=UNSET if same else where,
        file=place.file,
        line=place.line or UNSET,
        value=place.key,
        written=place.written if rewritten else UNSET,
        number=place.number if rewritten else UNSET,
    )
