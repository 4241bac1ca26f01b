"""Live objects that Git dropped together with their kind or namespace.

No declared object leads to them any more, so every kind that a deployer may have left objects of
is scanned for tracking marks, by metadata alone; only what looks like a leftover is then read.
All of that only adds findings: what goes wrong here makes no declared object Unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from driftd.aio import gather_isolated
from driftd.cluster.kube import DIRECT_NAMESPACES
from driftd.cluster.reader import ApiResource, ClusterReader, Discovery, ObjectMeta, Scan
from driftd.controller.tracking import (
    FLUX_KEEPS,
    INSTALLATION,
    TRACKING_ID,
    describes,
    marks_of,
    owners_of,
)
from driftd.errors import ClusterError, Forbidden
from driftd.model.application import Application
from driftd.model.flux import GROUPS
from driftd.model.flux import mark_of as flux_mark
from driftd.model.resource import GVK, LiveObject, ResourceKey
from driftd.policy.deployable import CONTROLLED, may_be_left
from driftd.render.hooks import hook_of

PATIENCE: Final = 30.0
"""Seconds that the scan of one kind may take; an API that hangs must not hold up the verdict."""
NAMESPACES: Final = 8
"""Who may read single namespaces alone has so many of them scanned, and no more."""


class Marked(NamedTuple):
    """An object that a tracking mark gives to an owner."""

    resource: ApiResource
    owner: str
    namespace: str
    name: str
    uid: str
    installation: str = ""
    """The Argo CD that wrote the mark; empty where it does not say."""

    @property
    def key(self) -> ResourceKey:
        """The object's address."""
        return ResourceKey(self.resource.group, self.resource.kind, self.namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimants:
    """Whose leftovers are wanted on a cluster."""

    declared: Sequence[tuple[Application, frozenset[ResourceKey]]] = ()
    """The applications, each with everything that Git declares for it."""
    namespaces: frozenset[str] = frozenset()
    """Where they deploy: what is scanned if the whole cluster may not be."""
    marks: frozenset[str] | None = None
    """The owners that marks of all applications name, looked at or not.

    None where some may be unknown, or nobody asks for objects of applications that there are not.
    """
    excluded: Callable[[str, str], bool] = lambda _group, _kind: False
    """Whether Argo CD leaves a kind alone, by its group and name."""


@dataclass(frozen=True, slots=True)
class Search:
    """What the scans of a cluster have shown."""

    marked: Sequence[Marked] = ()
    unseen: Mapping[ApiResource, ClusterError] = field(default_factory=dict)
    """The kinds that could not be scanned, and why."""


class _Place(NamedTuple):
    """One list of a scan."""

    resource: ApiResource
    selector: str
    namespace: str = ""


async def search(
    reader: ClusterReader,
    discovery: Discovery | None,
    wanted: Mapping[ApiResource, Collection[tuple[str, str]]],
    claimants: Claimants,
    *,
    limit: int,
) -> Search:
    """Scan a cluster for objects with tracking marks; never raises ClusterError.

    `wanted` are the namespaces and names of the objects that are listed by kind anyway; `limit` is
    how many lists are under way at a time.
    """
    if discovery is None or not claimants.declared:
        return Search()
    listed = {(one.group, one.kind) for one, keys in wanted.items() if _is_whole(one, keys)}
    resources = [
        one
        for one in searchable(discovery, claimants.excluded)
        if (one.group, one.kind) not in listed
    ]
    selectors = _selectors(application for application, _ in claimants.declared)
    places = [
        _Place(one, ",".join(filter(None, (text, *CONTROLLED.get((one.group, one.kind), ())))))
        for one in resources
        for text in selectors
    ]
    marked, unseen = await _scans(reader, places, limit)
    refused = {one for one, error in unseen.items() if isinstance(error, Forbidden)}
    spread = [one for one in resources if one.namespaced]
    narrow = [place for place in places if place.resource in refused and place.resource.namespaced]
    # Who may read most kinds everywhere may not read the others anywhere: no use to ask again.
    single = 2 * len({place.resource for place in narrow}) > len(spread)
    if single and 0 < len(claimants.namespaces) <= NAMESPACES:
        inside = [
            place._replace(namespace=name)
            for place in narrow
            for name in sorted(claimants.namespaces)
        ]
        more, still = await _scans(reader, inside, limit)
        seen = {place.resource for place in inside} - still.keys()
        unseen = {one: error for one, error in unseen.items() if one not in seen}
        marked = [*marked, *more]
    return Search(marked, unseen)


def searchable(discovery: Discovery, excluded: Callable[[str, str], bool]) -> list[ApiResource]:
    """The kinds of a cluster that may hold leftovers, each at the version the server prefers."""
    return [
        one
        for one in discovery.by_group_kind.values()
        if one.listable
        and "get" in one.verbs
        and may_be_left(one.group, one.kind)
        and not excluded(one.group, one.kind)
    ]


async def leftovers(
    reader: ClusterReader,
    found: Search,
    claimants: Claimants,
    live: Collection[LiveObject],
    *,
    limit: int,
) -> tuple[list[tuple[GVK, LiveObject]], Mapping[ApiResource, ClusterError]]:
    """The marked objects that no claim declares and no list showed, read in full.

    And what could not be read, by kind.
    """
    owners: dict[str, list[frozenset[ResourceKey]]] = {}
    for application, declared in claimants.declared:
        for mark in marks_of(application):
            owners.setdefault(mark, []).append(declared)
    known = {one.uid for one in live}
    wanted: dict[str, Marked] = {}
    for one in found.marked:
        # The same object may be served by two groups: the first that has it counts.
        claimed = any(one.key not in declared for declared in owners.get(one.owner, ()))
        if claimed and one.uid not in known:
            wanted.setdefault(one.uid, one)

    async def read(one: Marked) -> LiveObject | None:
        return await _read(reader, one)

    answers = await gather_isolated(read, wanted.values(), limit=limit)
    objects: list[tuple[GVK, LiveObject]] = []
    unread: dict[ApiResource, ClusterError] = {}
    for one, answer in zip(wanted.values(), answers, strict=True):
        if isinstance(answer, Exception):
            unread[one.resource] = _error(answer)
        elif answer is not None:
            objects.append((one.resource.gvk, answer))
    return objects, unread


def kind_name(group: str, kind: str) -> str:
    """A kind as reports name it among those that were not searched."""
    return f"{kind}.{group}" if group else kind


def unsearched(discovery: Discovery | None, kinds: Iterable[ApiResource]) -> tuple[str, ...]:
    """The kinds that may hold leftovers that nobody has seen; `*.GROUP` for those of a group
    that did not answer.
    """
    names = {kind_name(one.group, one.kind) for one in kinds}
    for group_version in discovery.failed_groups if discovery else ():
        group = GVK.parse(group_version, "").group
        if may_be_left(group, "*"):
            names.add(kind_name(group, "*"))
    return tuple(sorted(names))


def _is_whole(resource: ApiResource, keys: Collection[tuple[str, str]]) -> bool:
    """Whether the list of a declared kind shows the whole cluster."""
    return not resource.namespaced or len({space for space, _ in keys}) > DIRECT_NAMESPACES


def owner_kinds(applications: Iterable[Application]) -> set[str]:
    """The kinds of Flux's owners whose marks are looked for; all marks are where "" is one."""
    return {one.flux.kind if one.flux is not None else "" for one in applications}


def _selectors(applications: Iterable[Application]) -> list[str]:
    """The label selectors of all marks; Argo CD's are annotations, which nothing selects by."""
    kinds = owner_kinds(applications)
    if "" in kinds:
        return [""]
    return [f"{GROUPS[kind]}/name" for kind in sorted(kinds)]


async def _scans(
    reader: ClusterReader, places: Collection[_Place], limit: int
) -> tuple[list[Marked], dict[ApiResource, ClusterError]]:
    """What the scans of some places have shown, and the kinds of those that failed."""

    async def scan(place: _Place) -> Scan[tuple[Marked, ...]]:
        async with asyncio.timeout(PATIENCE):
            return await reader.scan(
                place.resource, marked_by, namespace=place.namespace, label_selector=place.selector
            )

    answers = await gather_isolated(scan, places, limit=limit)
    marked: list[Marked] = []
    unseen: dict[ApiResource, ClusterError] = {}
    for place, answer in zip(places, answers, strict=True):
        if isinstance(answer, Exception):
            unseen[place.resource] = _error(answer)
            continue
        if answer.error is not None:
            unseen[place.resource] = answer.error
        for found in answer.noted:
            marked.extend(found)
    return marked, unseen


def marked_by(resource: ApiResource, meta: ObjectMeta) -> tuple[Marked, ...] | None:
    """The owners that an object may have been left behind by."""
    if meta.owner_references or not (meta.annotations or meta.labels):
        return None
    key = ResourceKey(resource.group, resource.kind, meta.namespace, meta.name)
    owners = owners_of(meta.annotations, meta.labels)
    if not owners:
        return None
    argo = meta.annotations.get(TRACKING_ID)
    if argo is not None and (not describes(argo, key) or hook_of(meta.annotations) is not None):
        owners.pop(argo.partition(":")[0], None)
    flux = flux_mark(meta.labels)
    if flux and any(meta.annotations.get(name) == "disabled" for name in FLUX_KEEPS):
        owners.pop(flux, None)
    home = meta.annotations.get(INSTALLATION, "")
    found = tuple(
        Marked(resource, one, meta.namespace, meta.name, meta.uid, home) for one in owners
    )
    return found or None


async def _read(reader: ClusterReader, one: Marked) -> LiveObject | None:
    """An object in full; by a list if it cannot be got. None if it is gone."""
    try:
        return await reader.get(one.resource, one.namespace, one.name)
    except ClusterError:
        places = [one.namespace] if one.namespace else None
        listing = await reader.list(one.resource, places, lambda meta: meta.uid == one.uid)
        if listing.objects:
            return listing.objects[0]
        for error in listing.errors.values():
            raise error from None
        return None


def _error(problem: Exception) -> ClusterError:
    if isinstance(problem, ClusterError):
        return problem
    if isinstance(problem, TimeoutError):
        return ClusterError(f"no whole answer within {PATIENCE:g} s", reason="Timeout")
    return ClusterError(str(problem) or type(problem).__name__)
