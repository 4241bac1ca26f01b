"""The lines in Git of what a preview tells, as the change has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from driftd.controller.declared import Declared
from driftd.controller.places import (
    WHOLE,
    invalid_path,
    located,
    origin_of,
    place_of,
    renamed_path,
    with_line,
)
from driftd.controller.preview_claims import CLAIMS_LEFT
from driftd.controller.preview_cleartext import IN_CLEAR
from driftd.controller.preview_fate import KIND_NOT_SERVED
from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_references import DANGLING, Broken
from driftd.controller.workspace import Workspace
from driftd.model.preview import ApplicationPreview, FieldChange, FieldKind, ObjectPreview
from driftd.model.report import Invalid, ReportCondition, ReportOrigin
from driftd.model.resource import ResourceKey
from driftd.sandbox.results import Place

_LOCATED: Final = frozenset({DANGLING, CLAIMS_LEFT, IN_CLEAR})
Found = dict[tuple[ResourceKey, str], Place]


async def with_lines(
    workspace: Workspace, pair: Pair, report: ApplicationPreview, *, declared: Declared
) -> ApplicationPreview:
    """The same application, its objects, fields and mistakes with the line that sets them.

    What cannot be found out is left out: what templates write, and what is removed.
    """
    if pair.new is None:
        return report
    wanted = {one.key: paths for one in report.resources if (paths := _paths(one))}
    for key, path in pair.unserved.items():
        wanted.setdefault(key, []).append(path)
    dangling = any(one.type in _LOCATED for one in report.conditions)
    broken = pair.broken() if dangling else []
    for one in broken:
        wanted.setdefault(one.manifest.key, []).extend(filter(None, (one.ssa_path,)))
        wanted[one.manifest.key].append(WHOLE)
    found = dict(await located(workspace, pair.new, wanted, declared=declared))
    if not (found or pair.unserved):
        return report
    resources = tuple(_placed(one, found) for one in report.resources)
    conditions = _placed_conditions(report, pair, found)
    conditions = tuple(_placed_reference(one, broken, found) for one in conditions)
    return msgspec.structs.replace(report, resources=resources, conditions=conditions)


async def with_base_lines(
    workspace: Workspace,
    pair: Pair,
    report: ApplicationPreview,
    objects: Iterable[ObjectPreview],
    *,
    urls: frozenset[str],
) -> ApplicationPreview:
    """The same application; some `objects` of it that the change takes away have their line."""
    wanted = {one.key: [WHOLE] for one in objects if _lacks_line(one)}
    if pair.old is None or not wanted:
        return report
    found = await located(workspace, pair.old, wanted, urls=urls)
    resources = [
        msgspec.structs.replace(one, origin=with_line(one.origin, found.get((one.key, WHOLE))))
        if one.key in wanted
        else one
        for one in report.resources
    ]
    return msgspec.structs.replace(report, resources=tuple(resources))


def _placed_conditions(
    report: ApplicationPreview, pair: Pair, found: Found
) -> tuple[ReportCondition, ...]:
    """The conditions; those of kinds that are not served begin with the line that names it."""
    manifests = {one.key: one for one in pair.new.manifests} if pair.new else {}
    places = {
        f"{key}: ": place_of(manifests[key], found.get((key, path)), found.get((key, WHOLE)))
        for key, path in pair.unserved.items()
        if key in manifests
    }
    told = []
    for one in report.conditions:
        lead = next((text for text in places if one.message.startswith(text)), "")
        if one.type == KIND_NOT_SERVED and lead and places[lead]:
            one = msgspec.structs.replace(one, message=f"{places[lead]}: {one.message}")
        told.append(one)
    return tuple(told)


def _placed_reference(
    condition: ReportCondition, broken: list[Broken], found: Found
) -> ReportCondition:
    """A broken reference with the line of its field, else of its object, before it."""
    if condition.type not in _LOCATED:
        return condition
    one = next((one for one in broken if one.condition().message == condition.message), None)
    if one is None:
        return condition
    key = one.manifest.key
    at = found.get((key, one.ssa_path)) or found.get((key, WHOLE))
    place = f"{at.file}:{at.line}" if at is not None else ""
    return msgspec.structs.replace(condition, message=one.condition(place).message)


def _paths(one: ObjectPreview) -> list[str]:
    found = [path for change in one.changes for path in _of_field(change)]
    found += [invalid_path(one.invalid)] if one.invalid else []
    return [*found, WHOLE] if _lacks_line(one) else found


def _lacks_line(one: ObjectPreview) -> bool:
    return isinstance(one.origin, ReportOrigin) and one.origin.line is UNSET


def _of_field(change: FieldChange) -> list[str]:
    """Where the line of a field is looked for, the most exact place first."""
    if change.kind is FieldKind.REMOVED:
        return []
    exact = [invalid_path(change.invalid)] if change.invalid else []
    if change.ssa_path is UNSET:
        return exact
    renamed = change.kind is FieldKind.RENAMED
    return [*exact, renamed_path(change.ssa_path, change.new) if renamed else change.ssa_path]


def _placed(one: ObjectPreview, found: Found) -> ObjectPreview:
    key = one.key
    changes = tuple(
        msgspec.structs.replace(change, origin=_origin(found, key, _of_field(change)))
        for change in one.changes
    )
    invalid: Invalid | UnsetType = one.invalid
    if invalid:
        at = _origin(found, key, [invalid_path(invalid)])
        invalid = msgspec.structs.replace(invalid, origin=at)
    origin = with_line(one.origin, found.get((key, WHOLE)))
    return msgspec.structs.replace(one, changes=changes, invalid=invalid, origin=origin)


def _origin(found: Found, key: ResourceKey, paths: list[str]) -> ReportOrigin | UnsetType:
    place = next((at for path in paths if (at := found.get((key, path)))), None)
    return UNSET if place is None else origin_of(place)
