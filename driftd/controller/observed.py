"""Observed state: the live objects of the declared keys, and of what an application owned before.

Kinds that some application declares are listed; `leftovers` finds what Git dropped elsewhere.
Whatever cannot be seen of declared kinds is remembered as such, per kind and namespace: it makes
objects Unknown, never Missing (invariant 1).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

from driftd.aio import gather_isolated
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.reader import (
    ApiResource,
    ClusterReader,
    Discovery,
    Listing,
    ObjectMeta,
    OpenApiDocument,
)
from driftd.controller.facts import read_facts
from driftd.controller.leftovers import (
    Claimants,
    Marked,
    leftovers,
    marked_by,
    search,
    unsearched,
)
from driftd.controller.orphans import orphans_among
from driftd.controller.tracking import TRACKING_ID, Tracked, owners_of, tracked
from driftd.controller.workspace import SchemaMemory
from driftd.diff.facts import Facts
from driftd.diff.schema import SchemaSet
from driftd.errors import ClusterError, Forbidden
from driftd.model.condition import Condition, Severity
from driftd.model.resource import GVK, LiveObject, Manifest, ResourceKey

_SMALL: Final = ("coordination.k8s.io/v1", "scheduling.k8s.io/v1", "node.k8s.io/v1")
"""Group versions with short schemas, which every API server serves."""
_VERSION: Final = re.compile(r"v?(\d+\.\d+)(\.\d+)?")


class _Info(msgspec.Struct, frozen=True):
    version: str = ""


class _Document(msgspec.Struct, frozen=True):
    info: _Info = _Info()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """What is known about a cluster before its objects are read."""

    reader: ClusterReader
    discovery: Discovery | None
    version: str
    problem: ClusterError | None = None
    """Why discovery failed: nothing on this cluster can be judged."""
    version_problem: str = ""
    """Why the version is not known, though discovery has succeeded."""

    @property
    def api_versions(self) -> Sequence[str]:
        """What charts are told that it serves; empty where discovery failed."""
        return self.discovery.api_versions() if self.discovery else ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What its applications are to be told of it."""
        if not self.version_problem:
            return ()
        text = (
            f"{self.version_problem}; charts are rendered for Helm's own default of Kubernetes' "
            "version: grant get of the URL /version"
        )
        return (Condition("VersionUnknown", text, Severity.WARNING),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The live side of one cluster for one look."""

    listings: Mapping[GVK, Listing]
    live: Mapping[tuple[GVK, str, str], LiveObject]
    """By kind, namespace and name."""
    tracked: Mapping[str, Sequence[Tracked]] = field(default_factory=dict)
    """Objects that carry a tracking mark, Argo CD's or Flux's, by the owner that it names."""
    not_searched: tuple[str, ...] = ()
    """The kinds in which nobody looked for objects that Git dropped, as reports name them."""
    orphans: tuple[Marked, ...] = ()
    """Objects with the mark of applications that nothing declares, if that was asked for."""
    schemas: SchemaSet
    schema_hashes: Mapping[str, str]
    """By group version."""
    schema_problems: Mapping[str, ClusterError]
    facts: Facts = field(default_factory=Facts)
    fact_problems: Mapping[str, ClusterError] = field(default_factory=dict)
    """Kinds that explain what controllers write and cannot be read."""
    explaining: Mapping[tuple[GVK, str, str], LiveObject] = field(default_factory=dict)
    """The live objects that `facts` about the declared ones are from, as `live` has those."""


def refused_lists(observation: Observation) -> bool:
    """Whether lists failed for another reason than a permission, although discovery did not."""
    return any(
        not isinstance(error, Forbidden)
        for listing in observation.listings.values()
        for error in listing.errors.values()
    )


async def view_cluster(reader: ClusterReader) -> ClusterView:
    """Discover a cluster; its failure is a value.

    A version that may not be asked for is read from a schema, and is missing at the worst: that
    hides no object.
    """
    told = asyncio.create_task(reader.version())
    try:
        discovery = await reader.discover()
    except ClusterError as error:
        told.cancel()
        await asyncio.gather(told, return_exceptions=True)
        return ClusterView(reader=reader, discovery=None, version="", problem=error)
    try:
        return ClusterView(reader=reader, discovery=discovery, version=await told)
    except ClusterError as error:
        version = await _version_in_schema(reader, discovery)
        why = "" if version else error.message
        return ClusterView(reader=reader, discovery=discovery, version=version, version_problem=why)


async def _version_in_schema(reader: ClusterReader, discovery: Discovery) -> str:
    """The server's version as its schema documents have it; empty if they do not tell.

    Some have the minor alone: then it is its first release.
    """
    served = {one.group_version for one in discovery.resources}
    chosen = [one for one in _SMALL if one in served]
    try:
        document = await reader.openapi(chosen[0]) if chosen else None
        if document is None or document.body is None:
            return ""
        found = msgspec.json.decode(document.body, type=_Document).info.version
    except (ClusterError, msgspec.MsgspecError):
        return ""
    match = _VERSION.match(found)
    return f"v{match[1]}{match[2] or '.0'}" if match else ""


async def observe(
    view: ClusterView,
    manifests: Iterable[Manifest],
    *,
    applications: frozenset[str],
    limit: int,
    target: ClusterTarget,
    memory: SchemaMemory,
    claimants: Claimants | None = None,
) -> Observation:
    """Read the live objects of all declared keys of a cluster, and their schemas.

    `applications` are the names that tracking marks are looked for; `limit` is how many lists
    are under way at a time; `memory` has the schemas of earlier looks; `claimants` says whose
    leftovers are wanted beyond the declared kinds and namespaces.
    """
    claimants = claimants or Claimants()
    discovery = view.discovery
    wanted: dict[ApiResource, set[tuple[str, str]]] = {}
    declared: set[ResourceKey] = set()
    for manifest in manifests:
        key = manifest.key
        declared.add(key)
        resource = discovery and discovery.served(key.group, manifest.version, key.kind)
        if resource:
            wanted.setdefault(resource, set()).add((key.namespace, key.name))

    others: list[Marked] | None = None if claimants.marks is None else []

    async def read(resource: ApiResource) -> Listing:
        return await _list(view.reader, resource, wanted[resource], applications, others)

    explaining: dict[tuple[GVK, str, str], LiveObject] = {}
    versions = sorted({resource.group_version for resource in wanted})
    listings, schemas, (facts, fact_problems), found = await asyncio.gather(
        gather_isolated(read, wanted, limit=limit, isolate=ClusterError),
        _schemas(view, versions, limit, target, memory),
        read_facts(view.reader, discovery, wanted, declared, limit=limit, explaining=explaining),
        search(view.reader, discovery, wanted, claimants, limit=limit),
    )
    by_kind: dict[GVK, Listing] = {}
    live: dict[tuple[GVK, str, str], LiveObject] = {}
    for resource, listing in zip(wanted, listings, strict=True):
        if isinstance(listing, Exception):
            failure = listing if isinstance(listing, ClusterError) else ClusterError(str(listing))
            listing = Listing((), {"": failure}, complete=False)
        by_kind[resource.gvk] = listing
        for one in listing.objects:
            live[resource.gvk, one.key.namespace, one.key.name] = one
    left, unread = await leftovers(view.reader, found, claimants, live.values(), limit=limit)
    for gvk, one in left:
        live[gvk, one.key.namespace, one.key.name] = one
    marks = _tracked(live)
    return Observation(
        listings=by_kind,
        live=live,
        tracked=marks,
        orphans=orphans_among((*(others or ()), *found.marked), claimants, declared, marks),
        not_searched=unsearched(discovery, (*found.unseen, *unread)) if claimants.declared else (),
        schemas=schemas.compiled,
        schema_hashes=schemas.hashes,
        schema_problems=schemas.problems,
        facts=facts,
        fact_problems=fact_problems,
        explaining=explaining,
    )


async def glimpse(
    view: ClusterView,
    objects: Collection[tuple[ApiResource, ResourceKey]],
    declared: Collection[ResourceKey],
    *,
    limit: int,
    target: ClusterTarget,
    memory: SchemaMemory,
    told: Mapping[tuple[ApiResource, ResourceKey], LiveObject],
) -> Observation:
    """Read single objects but those that are `told`, and what explains writes to all of them.

    `declared` is everything that their application declares. The schemas are those of the last
    look. Raises ClusterError if any of the objects cannot be read.
    """
    wanted: dict[ApiResource, set[tuple[str, str]]] = {}
    for resource, key in objects:
        wanted.setdefault(resource, set()).add((key.namespace, key.name))

    async def read(one: tuple[ApiResource, ResourceKey]) -> LiveObject | None:
        resource, key = one
        if one in told:
            return told[one]
        return await view.reader.get(resource, key.namespace, key.name)

    found, (facts, fact_problems) = await asyncio.gather(
        gather_isolated(read, objects, limit=limit, isolate=ClusterError),
        read_facts(view.reader, view.discovery, wanted, declared, limit=limit),
    )
    live: dict[tuple[GVK, str, str], LiveObject] = {}
    there: dict[GVK, list[LiveObject]] = {resource.gvk: [] for resource in wanted}
    for (resource, key), one in zip(objects, found, strict=True):
        if isinstance(one, Exception):
            raise one
        if one is not None:
            live[resource.gvk, key.namespace, key.name] = one
            there[resource.gvk].append(one)
    return Observation(
        listings={
            resource.gvk: Listing(
                tuple(there[resource.gvk]), namespaces=frozenset(space for space, _ in keys)
            )
            for resource, keys in wanted.items()
        },
        live=live,
        schemas=memory.known(target),
        schema_hashes=memory.hashes(target),
        schema_problems={},
        facts=facts,
        fact_problems=fact_problems,
    )


@dataclass(frozen=True, slots=True)
class _Schemas:
    compiled: SchemaSet
    hashes: dict[str, str]
    problems: dict[str, ClusterError]


async def _schemas(
    view: ClusterView,
    versions: list[str],
    limit: int,
    target: ClusterTarget,
    memory: SchemaMemory,
) -> _Schemas:
    """The schemas of some group versions; only documents that changed are read."""
    known = memory.hashes(target)

    async def read(version: str) -> tuple[str, Any]:
        document = await view.reader.openapi(version, known_hash=known.get(version, ""))
        return document.schema_hash, _parsed(version, document, memory)

    documents = await gather_isolated(read, versions, limit=limit, isolate=ClusterError)
    hashes: dict[str, str] = {}
    problems: dict[str, ClusterError] = {}
    fresh: list[dict[str, Any]] = []
    digests: dict[str, bytes] = {}
    for version, answer in zip(versions, documents, strict=True):
        if isinstance(answer, ClusterError):
            problems[version] = answer
            if version in known:
                hashes[version] = known[version]  # what is compared with meanwhile
        elif not isinstance(answer, Exception):
            hashes[version], document = answer
            if document is not None:
                digests[version] = document[0]
                fresh.append(document[1])
    known_set = memory.known(target)
    # An upgraded server may fill in other defaults under schemas that are the same.
    current = known_set.kubernetes == view.version
    if current and not fresh and not problems:
        return _Schemas(known_set, hashes, problems)
    compiled = known_set.extended(fresh).of(view.version)
    # Another look at the cluster may have added documents meanwhile.
    compiled = memory.keep(target, {**memory.hashes(target), **hashes}, compiled, digests)
    return _Schemas(compiled, hashes, problems)


def _parsed(
    version: str, document: OpenApiDocument, memory: SchemaMemory
) -> tuple[bytes, dict[str, Any]] | None:
    """A schema document and its digest, None if its content is known.

    Raises ClusterError if it is none. An aggregated API server writes its own:
    what it gets wrong concerns its kinds alone.
    """
    if document.body is None:
        return None
    try:
        return memory.parsed(document.body, _document)
    except (ValueError, TypeError, AttributeError) as error:
        raise ClusterError(
            f"the OpenAPI schema of {version} cannot be read ({type(error).__name__})",
            reason="InvalidResponse",
        ) from error


def _document(body: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = orjson.loads(body)
    SchemaSet([parsed])
    return parsed


def _tracked(live: Mapping[tuple[GVK, str, str], LiveObject]) -> dict[str, list[Tracked]]:
    found: dict[str, list[Tracked]] = {}
    for (gvk, _, _), one in live.items():
        for owner, mark in tracked(gvk, one).items():
            found.setdefault(owner, []).append(mark)
    return found


async def _list(
    reader: ClusterReader,
    resource: ApiResource,
    keys: set[tuple[str, str]],
    applications: frozenset[str],
    others: list[Marked] | None,
) -> Listing:
    """The declared objects of a kind and those with a mark of `applications`.

    What has another owner's mark goes to `others` by its address, if anybody wants it.
    """

    def select(meta: ObjectMeta) -> bool:
        if (meta.namespace, meta.name) in keys:
            return True
        if not meta.labels and TRACKING_ID not in meta.annotations:
            return False
        if not applications.isdisjoint(owners_of(meta.annotations, meta.labels)):
            return True
        if others is not None:
            others.extend(marked_by(resource, meta) or ())
        return False

    namespaces = {namespace for namespace, _ in keys}
    return await reader.list(resource, _places(namespaces - {""}), select)


def _places(namespaces: set[str]) -> set[str] | None:
    """The namespaces to look into; the reader chooses between many lists and one."""
    return namespaces or None
