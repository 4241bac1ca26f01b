"""The lines in Git of what differs, fields and objects, added to the verdict on an application."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from driftd.controller.declared import Declared
from driftd.controller.desired import Desired
from driftd.controller.own_places import with_own
from driftd.controller.unserved import Unserved
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.report import (
    DRIFT_STATUSES,
    Change,
    ChangeClass,
    ChangeKind,
    Invalid,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import Manifest, ResourceKey
from driftd.render.locate import field_places
from driftd.sandbox.results import Place
from driftd.source.url import public

_NAMED = 2
"""Places that are named where one reason holds for several objects."""
WHOLE = ""
"""What stands for the object itself where the places of fields are asked for."""
_CLASSES = frozenset({ChangeClass.DECLARED, ChangeClass.PENDING})
_KINDS = frozenset(
    {ChangeKind.MODIFIED, ChangeKind.MISSING, ChangeKind.REORDERED, ChangeKind.RENAMED}
)


async def with_places(
    workspace: Workspace,
    desired: Desired,
    resources: list[ResourceReport],
    *,
    declared: Declared,
    unserved: Mapping[ResourceKey, Unserved] | None = None,
) -> list[ResourceReport]:
    """The same objects, their declared changes with the line that sets the field.

    A finding that Kustomize renders has the line of the object's own document or generator too.
    The reason of `unserved` ones, whose kind the cluster does not have, begins with the places
    that name the kind. An application without such changes and objects costs nothing. What cannot
    be found out is left out: sources that moved on, repositories that do not answer, fields that
    are not certain.
    """
    wanted: dict[ResourceKey, list[str]] = {}
    for resource in resources:
        paths = [path for one in resource.changes if _has_line(one) for path in _paths(one)]
        if resource.invalid:
            paths.append(invalid_path(resource.invalid))
        if _lacks_line(resource):
            paths.append(WHOLE)
        if paths and resource.origin is not UNSET:
            wanted[resource.key] = paths
    kinds = {key: field_path(one) for key, one in (unserved or {}).items()}
    for key, path in kinds.items():
        wanted.setdefault(key, []).append(path)
    found = await located(workspace, desired, wanted, declared=declared)
    if found:
        resources = [_placed(resource, found) for resource in resources]
    if not kinds:
        return resources
    manifests = {manifest.key: manifest for manifest in desired.manifests}
    places = {
        key: place_of(manifests[key], found.get((key, path)), found.get((key, WHOLE)))
        for key, path in kinds.items()
    }
    return _reasoned(resources, places)


async def located(
    workspace: Workspace,
    desired: Desired,
    wanted: Mapping[ResourceKey, Sequence[str]],
    *,
    urls: frozenset[str] = frozenset(),
    declared: Declared | None = None,
) -> Mapping[tuple[ResourceKey, str], Place]:
    """The lines that set some fields (`ssaPath`s by object), as far as they can be found.

    Either `urls` are given, or all that is `declared`: then also the lines of what the application
    itself sets.
    """
    if not wanted:
        return {}
    application = desired.entry.application
    try:
        resolution = await workspace.repositories.resolve(
            application, declared.urls if declared else urls
        )
    except DriftdError:
        return {}
    sources = resolution.sources
    if tuple(source.revision for source in sources) != desired.revisions:
        return {}
    manifests = {manifest.key: manifest for manifest in desired.manifests}
    found = await field_places(
        application, sources, wanted, manifests, workspace.sandbox, own=declared is not None
    )
    if declared is None:
        return found
    by_index = {source.index: source for source in sources}
    of = {key: by_index[manifests[key].origin.source] for key, _ in found}
    return await with_own(workspace, declared, application, found, of)


def field_path(found: Unserved) -> str:
    """The `ssaPath` of the field that is probably wrong of a kind that is not served."""
    return f"f:{found.field}"


def place_of(manifest: Manifest, *found: Place | None) -> str:
    """`FILE:LINE` of the first place found, else of the object; empty if not known.

    What names an object is set in its own file: a patch only repeats it.
    """
    origin = manifest.origin
    for at in found:
        if at is not None and at.file == origin.file:
            return f"{at.file}:{at.line}"
    return f"{origin.file}:{origin.line}" if origin.line else origin.file


def origin_of(place: Place) -> ReportOrigin:
    """The published form of a field's place."""
    url = public(place.repo_url) if place.repo_url else UNSET
    return ReportOrigin(repo_url=url, file=place.file, line=place.line)


def places_named(places: Iterable[str]) -> str:
    """`FILE:LINE`s, the first ones written out; empty where none is known."""
    known = list(dict.fromkeys(place for place in places if place))
    rest = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + rest


def _reasoned(
    resources: list[ResourceReport], places: Mapping[ResourceKey, str]
) -> list[ResourceReport]:
    """Objects with all places of their reason before it: it stays one reason for all of them."""
    known: dict[str, list[str]] = defaultdict(list)
    for resource in resources:
        if places.get(resource.key):
            known[str(resource.reason)].append(places[resource.key])
    told = {reason: f"{places_named(of)}: {reason}" for reason, of in known.items()}
    return [
        msgspec.structs.replace(resource, reason=told[str(resource.reason)])
        if resource.key in places and str(resource.reason) in told
        else resource
        for resource in resources
    ]


def _has_line(change: Change) -> bool:
    """Whether Git writes the field down: one that it is silent about has no line."""
    return (
        change.change_class in _CLASSES and change.kind in _KINDS and change.ssa_path is not UNSET
    )


def _lacks_line(resource: ResourceReport) -> bool:
    """Whether an object is a finding whose file alone is known."""
    status = resource.status
    found = status in DRIFT_STATUSES or status is ResourceStatus.UNKNOWN or bool(resource.invalid)
    return found and isinstance(resource.origin, ReportOrigin) and resource.origin.line is UNSET


def with_line(origin: ReportOrigin | UnsetType, at: Place | None) -> ReportOrigin | UnsetType:
    """An object's file, with the line where it was found there."""
    if at is None or origin is UNSET or origin.line is not UNSET or origin.file != at.file:
        return origin
    return msgspec.structs.replace(origin, line=at.line)


def _paths(change: Change) -> Iterator[str]:
    """Where the line of a change is looked for, the most exact place first.

    A mistake in an item's key leaves nothing to know the item by but where it stands.
    """
    if change.invalid:
        yield invalid_path(change.invalid)
    if change.kind is ChangeKind.RENAMED:
        yield renamed_path(str(change.ssa_path), change.desired)
    else:
        yield str(change.ssa_path)


def renamed_path(ssa_path: str, item: Any) -> str:
    """The place of a list's item in Git, by the keys that it has there: the path has the others."""
    above, _, last = ssa_path.rpartition("/")
    form, _, text = last.replace("~1", "/").replace("~0", "~").partition(":")
    if form != "k" or not isinstance(item, dict):
        return ssa_path
    keys = {name: item.get(name, value) for name, value in orjson.loads(text).items()}
    step = "k:" + orjson.dumps(keys).decode()
    return f"{above}/{step.replace('~', '~0').replace('/', '~1')}"


def invalid_path(found: Invalid) -> str:
    """The place of a mistake as an `ssaPath`, items of lists by their position in Git."""
    tokens = found.path.split("/")[1:]
    return "/".join(f"{'i' if token.isdigit() else 'f'}:{token}" for token in tokens)


def _placed(
    resource: ResourceReport, found: Mapping[tuple[ResourceKey, str], Place]
) -> ResourceReport:
    key = resource.key
    origin = with_line(resource.origin, found.get((key, WHOLE)))
    resource = msgspec.structs.replace(resource, origin=origin)
    changes = tuple(_at(change, resource, found, key) for change in resource.changes)
    resource = msgspec.structs.replace(resource, changes=changes)
    if not resource.invalid:
        return resource
    place = found.get((key, invalid_path(resource.invalid)))
    if place is None:
        return resource
    at = origin_of(place)
    invalid = msgspec.structs.replace(resource.invalid, origin=at)
    return msgspec.structs.replace(resource, invalid=invalid)


def _at(
    change: Change,
    resource: ResourceReport,
    found: Mapping[tuple[ResourceKey, str], Place],
    key: ResourceKey,
) -> Change:
    places = (found.get((key, path)) for path in _paths(change))
    place = next((one for one in places if one is not None), None) if _has_line(change) else None
    if place is None:
        return change
    origin = origin_of(place)
    whole = resource.origin
    if isinstance(whole, ReportOrigin) and (whole.file, whole.line) == (origin.file, origin.line):
        return change
    return msgspec.structs.replace(change, origin=origin)
