"""The line in Git of each field that differs, added to the verdict on an application."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from driftd.controller.desired import Desired
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.report import Change, ChangeClass, ChangeKind, ReportOrigin, ResourceReport
from driftd.model.resource import ResourceKey
from driftd.render.locate import field_places
from driftd.sandbox.results import Place

_CLASSES = frozenset({ChangeClass.DECLARED, ChangeClass.PENDING})
_KINDS = frozenset(
    {ChangeKind.MODIFIED, ChangeKind.MISSING, ChangeKind.REORDERED, ChangeKind.RENAMED}
)


async def with_places(
    workspace: Workspace,
    desired: Desired,
    resources: list[ResourceReport],
    *,
    urls: frozenset[str],
) -> list[ResourceReport]:
    """The same objects, their declared changes with the line that sets the field.

    An application without such changes costs nothing. What cannot be found out is left out:
    sources that moved on, repositories that do not answer, fields that are not certain.
    """
    wanted: dict[ResourceKey, list[str]] = {}
    for resource in resources:
        paths = [str(change.ssa_path) for change in resource.changes if _has_line(change)]
        if paths and resource.origin is not UNSET:
            wanted[_key(resource)] = paths
    if not wanted:
        return resources
    application = desired.entry.application
    try:
        resolution = await workspace.repositories.resolve(application, urls)
    except DriftdError:
        return resources
    if tuple(source.revision for source in resolution.sources) != desired.revisions:
        return resources
    manifests = {manifest.key: manifest for manifest in desired.manifests}
    found = await field_places(
        application, resolution.sources, wanted, manifests, workspace.sandbox
    )
    return [_placed(resource, found) for resource in resources] if found else resources


def _has_line(change: Change) -> bool:
    """Whether Git writes the field down: one that it is silent about has no line."""
    return (
        change.change_class in _CLASSES and change.kind in _KINDS and change.ssa_path is not UNSET
    )


def _key(resource: ResourceReport) -> ResourceKey:
    return ResourceKey(resource.group, resource.kind, resource.namespace, resource.name)


def _placed(
    resource: ResourceReport, found: Mapping[tuple[ResourceKey, str], Place]
) -> ResourceReport:
    key = _key(resource)
    changes = tuple(_at(change, resource, found, key) for change in resource.changes)
    return msgspec.structs.replace(resource, changes=changes)


def _at(
    change: Change,
    resource: ResourceReport,
    found: Mapping[tuple[ResourceKey, str], Place],
    key: ResourceKey,
) -> Change:
    place = found.get((key, str(change.ssa_path))) if _has_line(change) else None
    if place is None:
        return change
    origin = ReportOrigin(file=place.file, line=place.line)
    whole = resource.origin
    if isinstance(whole, ReportOrigin) and (whole.file, whole.line) == (origin.file, origin.line):
        return change
    return msgspec.structs.replace(change, origin=origin)
