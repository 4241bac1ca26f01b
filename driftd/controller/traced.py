"""The values of charts that decide what differs, added to the verdict on an application."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from driftd.controller.desired import Desired
from driftd.controller.observed import ClusterView
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
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
        asked = [(str(one.ssa_path), _live(one)) for one in resource.changes if _is_asked(one)]
        if asked:
            wanted[resource.key] = asked
    if not wanted:
        return resources
    application = desired.entry.application
    try:
        resolution = await workspace.repositories.resolve(application, urls)
    except DriftdError:
        return resources
    if tuple(source.revision for source in resolution.sources) != desired.revisions:
        return resources
    found = await field_values(
        application,
        resolution.sources,
        wanted,
        {manifest.key: manifest for manifest in desired.manifests},
        workspace.sandbox,
        kube_version=view.version,
        api_versions=view.discovery.api_versions() if view.discovery else (),
    )
    return [_with(resource, found) for resource in resources] if found else resources


def _is_asked(change: Change) -> bool:
    """Whether a field has drifted that Git writes down, and no line is known of it."""
    return (
        change.change_class is ChangeClass.DECLARED
        and change.is_drift
        and change.kind in _KINDS
        and change.ssa_path is not UNSET
        and change.origin is UNSET
    )


def _live(change: Change) -> object:
    """The cluster's value, which says what of the field is different."""
    return None if change.live is UNSET or _holds_masked(change.live) else change.live


def _holds_masked(value: object) -> bool:
    if isinstance(value, dict):
        return is_masked(value) or any(_holds_masked(one) for one in value.values())
    return isinstance(value, list | tuple) and any(_holds_masked(one) for one in value)


def _with(resource: ResourceReport, found: Found) -> ResourceReport:
    changes = tuple(
        msgspec.structs.replace(change, origin=_origin(resource, places))
        if (places := found.get((resource.key, str(change.ssa_path)))) and _is_asked(change)
        else change
        for change in resource.changes
    )
    return msgspec.structs.replace(resource, changes=changes)


def _origin(resource: ResourceReport, places: Sequence[tuple[str, ValuePlace]]) -> ReportOrigin:
    first, *others = (_place(resource, url, one) for url, one in places)
    return msgspec.structs.replace(first, others=tuple(others))


def _place(resource: ResourceReport, url: str, place: ValuePlace) -> ReportOrigin:
    whole, where = resource.origin, public(url)
    same = whole is UNSET or whole.repo_url in (UNSET, where)
    return ReportOrigin(
        repo_url=UNSET if same else where,
        file=place.file,
        line=place.line or UNSET,
        value=place.key,
    )
