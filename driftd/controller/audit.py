"""Who made the changes of a look, from the audit logs of its clusters.

Each log is read once, after the look: what is wanted is known by then, so nothing of a log is
held but the writes to objects that have drifted, without their bodies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import UNSET

from driftd.cluster.auditlog import AuditLog
from driftd.cluster.poison import metadata_of
from driftd.controller.options import AuditSource, CheckOptions
from driftd.controller.workspace import Progress
from driftd.diff.audit import LAG, Search, Span, Subject, applied, hands, owns_nothing_else, seconds
from driftd.errors import ConfigError
from driftd.model.audit import AuditedObject, AuditedWrite
from driftd.model.condition import Condition, Severity
from driftd.model.report import Change, ResourceReport, ResourceStatus
from driftd.model.resource import LiveObject, ResourceKey

if TYPE_CHECKING:
    from driftd.controller.check import Looked

_CONDITION = "AuditLogError"
_SEARCHED = frozenset({ResourceStatus.MISSING, ResourceStatus.EXTRA})


@dataclass(slots=True)
class _Found:
    """The search for one object of one application, and what its log covers."""

    search: Search
    span: Span = field(default_factory=Span)


@dataclass(slots=True)
class _Cluster:
    """The objects of one cluster that somebody is searched for."""

    found: dict[tuple[int, ResourceKey], _Found] = field(default_factory=dict)
    """By the number of the look, and the object."""
    by_target: dict[AuditedObject, list[Search]] = field(default_factory=dict)

    def add(self, number: int, key: ResourceKey, search: Search) -> None:
        self.found[number, key] = _Found(search)
        target = search.subject.target
        whole = msgspec.structs.replace(target, name="")  # the object's collection
        for one in (target, whole):
            self.by_target.setdefault(one, []).append(search)

    def offer(self, write: AuditedWrite) -> None:
        for search in self.by_target.get(write.target, ()):
            search.offer(write)


class Stream(Protocol):
    """Writes of a cluster that its API servers have posted."""

    begins: float | None
    latest: float | None

    def writes(self) -> tuple[AuditedWrite, ...]:
        """What is kept now."""
        ...


async def attributed(
    looks: Sequence[Looked],
    options: CheckOptions,
    *,
    now: float,
    progress: Progress,
    streams: Mapping[str, Stream] | None = None,
) -> tuple[list[Looked], list[Condition]]:
    """The looks with the authors that the audit logs of `options` name, and what is to be said.

    `now` is in seconds since the epoch; `streams` are what API servers have posted, by cluster.

    Raises:
        ConfigError: a log cannot be opened, or which cluster it is of is not said.
    """
    if not options.audit_logs and not streams:
        return list(looks), []
    posted = {name: (one.writes(), _span(one)) for name, one in (streams or {}).items()}
    clusters: dict[str, _Cluster] = {}
    for number, looked in enumerate(looks):
        cluster = clusters.setdefault(looked.desired.entry.cluster, _Cluster())
        for key, subject in _subjects(looked):
            cluster.add(number, key, Search(subject))
    sources = sources_of(options.audit_logs, clusters)
    since = None if options.audit_window is None else now - options.audit_window
    told: list[Condition] = []
    for name, paths in sources.items():
        if name not in clusters:
            told.append(_warning(f"{paths[0]} is of {name}, and no application is there"))
            continue
        progress(f"reading the audit log of {name}")
        known = {one.audit_id for one in posted.get(name, ((),))[0]} - {""}
        span, problems = await asyncio.to_thread(_read, clusters[name], paths, since, known)
        told += problems
        for found in clusters[name].found.values():
            found.span = span
    for name, (writes, span) in posted.items():
        if name in clusters:
            await asyncio.to_thread(_take, clusters[name], writes, span)
    return [_applied(number, one, clusters, now) for number, one in enumerate(looks)], told


def sources_of(logs: Iterable[AuditSource], clusters: Iterable[str]) -> dict[str, list[Path]]:
    """The files of each cluster; one without a cluster is of the only one.

    Raises ConfigError where there are several.
    """
    there = sorted(name for name in clusters if name)
    sources: dict[str, list[Path]] = {}
    for log in logs:
        if not log.cluster and len(there) != 1:
            known = ", ".join(there) or "none of the applications' clusters is known"
            raise ConfigError(
                f"which cluster is the audit log {log.path} of?",
                hint=f"say CLUSTER={log.path}, with one of: {known}",
            )
        sources.setdefault(log.cluster or there[0], []).append(log.path)
    return sources


def _span(stream: Stream) -> Span:
    """What a stream covers: up to its last event, and no minute longer."""
    ends = None if stream.latest is None else stream.latest - LAG
    return Span(stream.begins, ends)


def _take(cluster: _Cluster, writes: Sequence[AuditedWrite], span: Span) -> None:
    """Offer what was posted; where it follows on the files, both cover one time."""
    for write in writes:
        cluster.offer(write)
    for found in cluster.found.values():
        old = found.span
        begins = span.begins
        if begins is None:
            continue
        if old.begins is not None and old.ends is not None and begins <= old.ends:
            begins = min(begins, old.begins)
        ends = span.ends if old.ends is None or span.ends is None else max(old.ends, span.ends)
        found.span = Span(begins, ends)


def _read(
    cluster: _Cluster, paths: Sequence[Path], since: float | None, posted: Collection[str] = ()
) -> tuple[Span, list[Condition]]:
    """Offer every write of some files that was not posted too.

    What they cover, and what is wrong with them.
    """
    begins: list[float] = []
    ends: list[float] = []
    told: list[Condition] = []
    for path in paths:
        log = AuditLog(path)
        for write in log.writes(since=since):
            if write.audit_id not in posted:
                cluster.offer(write)
        if log.earliest is not None:
            begins.append(log.earliest if since is None else max(since, log.earliest))
        if log.latest is not None:
            ends.append(log.latest)
        told += _problems(log)
    return Span(min(begins, default=None), max(ends, default=None)), told


def _problems(log: AuditLog) -> Iterator[Condition]:
    if log.cut_off:
        yield _warning(f"{log.path} was not read to its end: {log.cut_off}")
    if log.broken:
        lines = "1 line is" if log.broken == 1 else f"{log.broken} lines are"
        where = f"line {log.first_broken}"
        where = where if log.broken == 1 else f"the first is {where}"
        yield _warning(f"{log.path}: {lines} no audit event ({where})")
    elif not log.events and not log.cut_off:
        yield _warning(f"{log.path} has no audit events")


def _warning(text: str) -> Condition:
    return Condition(_CONDITION, text, Severity.WARNING)


def wanted(looked: Looked) -> Iterator[tuple[ResourceKey, AuditedObject]]:
    """What somebody has changed, deleted or created of an application, and as logs name it."""
    for key, subject in _subjects(looked):
        yield key, subject.target


def _subjects(looked: Looked) -> Iterator[tuple[ResourceKey, Subject]]:
    """The objects of an application that somebody has changed, deleted or created."""
    discovery = looked.view.discovery if looked.view else None
    if discovery is None:
        return
    deployers = frozenset(looked.report.deployers) | looked.deployers
    for resource in looked.report.resources:
        if not resource.changes and not is_searched(resource):
            continue
        served = discovery.served(resource.group, resource.version, resource.kind)
        if served is None:
            continue
        key = resource.key
        created, alone = _traces(looked.live.get(key), resource.changes)
        yield (
            key,
            Subject(
                target=AuditedObject(key.group, served.plural, key.namespace, key.name),
                version=resource.version,
                changes=resource.changes,
                created=created,
                alone=alone,
                deployers=deployers,
            ),
        )


def is_searched(resource: ResourceReport) -> bool:
    """Whether the object itself has an author: who deleted it, or created it."""
    return resource.status in _SEARCHED


def _traces(
    live: LiveObject | None, changes: Sequence[Change]
) -> tuple[float | None, frozenset[int]]:
    """When an object was created, and which changes are all that their manager owns."""
    if live is None:
        return None, frozenset()
    metadata = metadata_of(live.body)
    entries = {
        _owner(entry): entry.get("fieldsV1") or {} for entry in metadata.get("managedFields") or ()
    }
    alone = frozenset(
        number
        for number, change in enumerate(changes)
        if isinstance(change.ssa_path, str)
        and (fields := entries.get(_owner_of(change)))
        and owns_nothing_else(fields, change.ssa_path)
    )
    return seconds(metadata.get("creationTimestamp") or ""), alone


def _owner(entry: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(entry.get(name) or "" for name in ("manager", "operation", "subresource", "time"))


def _owner_of(change: Change) -> tuple[str, ...]:
    known = (change.manager, change.operation, change.subresource, change.time)
    return tuple("" if one is UNSET else str(one) for one in known)


def _applied(number: int, looked: Looked, clusters: Mapping[str, _Cluster], now: float) -> Looked:
    """A look with what was found of its objects' authors."""
    cluster = clusters[looked.desired.entry.cluster]
    deploy = hands(found.search for found in cluster.found.values())
    resources = []
    for resource in looked.report.resources:
        found = cluster.found.get((number, resource.key))
        if found is not None:
            resource = _with_authors(resource, found, deploy, now)
        resources.append(resource)
    report = msgspec.structs.replace(looked.report, resources=tuple(resources))
    return replace(looked, report=report)


def _with_authors(
    resource: ResourceReport, found: _Found, deploy: Mapping[str, tuple[str, str]], now: float
) -> ResourceReport:
    search = found.search
    if is_searched(resource):
        missing = resource.status is ResourceStatus.MISSING
        who = search.deleted_by() if missing else search.created_by()
        if who is not None:
            resource = msgspec.structs.replace(resource, attribution=who)
    if not resource.changes:
        return resource
    answers = search.answers(deploy, found.span, now=now)
    changes = tuple(map(applied, resource.changes, answers))
    return msgspec.structs.replace(resource, changes=changes)
