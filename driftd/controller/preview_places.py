"""The lines in Git of what a preview tells, as the change has them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from driftd.controller.places import invalid_path, located
from driftd.controller.preview_pairs import Pair
from driftd.controller.workspace import Workspace
from driftd.model.preview import ApplicationPreview, FieldChange, FieldKind, ObjectPreview
from driftd.model.report import Invalid, ReportOrigin
from driftd.model.resource import ResourceKey
from driftd.sandbox.results import Place

Found = dict[tuple[ResourceKey, str], Place]


async def with_lines(
    workspace: Workspace, pair: Pair, report: ApplicationPreview, *, urls: frozenset[str]
) -> ApplicationPreview:
    """The same application, its fields and mistakes with the line that sets them.

    What cannot be found out is left out: what templates write, and what is removed.
    """
    if pair.new is None:
        return report
    wanted = {key_of(one): paths for one in report.resources if (paths := _paths(one))}
    found = dict(await located(workspace, pair.new, wanted, urls=urls))
    if not found:
        return report
    resources = tuple(_placed(one, found) for one in report.resources)
    return msgspec.structs.replace(report, resources=resources)


def key_of(one: ObjectPreview) -> ResourceKey:
    """The object's address."""
    return ResourceKey(one.group, one.kind, one.namespace, one.name)


def _paths(one: ObjectPreview) -> list[str]:
    found = [path for change in one.changes for path in _of_field(change)]
    return [*found, *([invalid_path(one.invalid)] if one.invalid else [])]


def _of_field(change: FieldChange) -> list[str]:
    """Where the line of a field is looked for, the most exact place first."""
    if change.kind is FieldKind.REMOVED:
        return []
    exact = [invalid_path(change.invalid)] if change.invalid else []
    return exact + ([change.ssa_path] if change.ssa_path is not UNSET else [])


def _placed(one: ObjectPreview, found: Found) -> ObjectPreview:
    key = key_of(one)
    changes = tuple(
        msgspec.structs.replace(change, origin=_origin(found, key, _of_field(change)))
        for change in one.changes
    )
    invalid: Invalid | UnsetType = one.invalid
    if invalid:
        at = _origin(found, key, [invalid_path(invalid)])
        invalid = msgspec.structs.replace(invalid, origin=at)
    return msgspec.structs.replace(one, changes=changes, invalid=invalid)


def _origin(found: Found, key: ResourceKey, paths: list[str]) -> ReportOrigin | UnsetType:
    place = next((at for path in paths if (at := found.get((key, path)))), None)
    return UNSET if place is None else ReportOrigin(file=place.file, line=place.line)
