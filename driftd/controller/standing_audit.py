"""Audit logs of a daemon: read when a change is new, not at each sweep.

What API servers post comes seconds after the change: an application whose changes have no author
yet is looked at again when a write to their objects is posted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from driftd.cluster.auditstream import AuditStream, AuditStreams, Limits, Place
from driftd.controller.audit import attributed, is_searched, wanted
from driftd.controller.options import AuditSource, CheckOptions
from driftd.errors import ConfigError
from driftd.model.audit import AuditedObject
from driftd.model.report import Change, ResourceReport

if TYPE_CHECKING:
    from driftd.controller.check import Looked
    from driftd.settings.types import AuditLogFile, Settings

_TRIES = 3
"""Looks at which an author is searched for: an API server may write its log with delay."""
_SILENT = 300.0
"""Seconds after which an API server that posts nothing is not waited for."""
_Fact = tuple[str, ...]
"""What a change or a whole object is known by: it is another one if any of it changes."""


@dataclass(frozen=True, slots=True)
class _Awaited:
    """Objects of an application whose changes have no certain author yet."""

    cluster: str
    targets: frozenset[AuditedObject]
    since: float
    """When the look was that says so."""
    asking: bool
    """Whether whatever is posted later may name them, not only writes to them."""


class StandingAudit:
    """Names the authors of changes in the looks of a daemon, and remembers them."""

    def __init__(self, settings: Settings, streams: AuditStreams | None = None) -> None:
        """`streams` are what API servers post; None where they do not."""
        self._files = settings.audit_logs
        self._streams = streams or AuditStreams((), Limits(events=1, size=0, age=0), lambda: 0.0)
        self._places: dict[str, tuple[str, frozenset[Place]]] = {}
        """By application: its cluster, and the kinds and namespaces of its objects."""
        self._awaited: dict[str, _Awaited] = {}
        self._window = settings.audit_window.seconds
        self._told: set[str] = set()
        self._known: dict[str, dict[_Fact, Change | ResourceReport]] = {}
        """By application: what was told of each change."""
        self._tried: dict[str, dict[_Fact, int]] = {}

    async def attributed(
        self, looked: Looked, clusters: Iterable[str], *, now: float, tell: Callable[[str], None]
    ) -> Looked:
        """A look with the authors of its changes.

        `clusters` are those of all applications, `now` is in seconds since the epoch. What is
        wrong with a log goes to `tell`, once for as long as it is the same.
        """
        stream = self._streams.of(looked.desired.entry.cluster)
        if stream is not None:
            self._interested(looked, stream)
        if not self._files and stream is None:
            return looked
        name = _name(looked)
        facts = dict(_facts(looked))
        known = {f: one for f, one in self._known.get(name, {}).items() if f in facts}
        tried = {f: count for f, count in self._tried.get(name, {}).items() if f in facts}
        settled = {fact for fact, one in known.items() if _is_certain(one)}
        if any(fact not in settled and tried.get(fact, 0) < _TRIES for fact in facts):
            found = await self._read(looked, clusters, now, tell)
            for fact, one in _facts(found):
                tried[fact] = tried.get(fact, 0) + 1
                if _has_author(one):
                    known[fact] = one
        self._known[name], self._tried[name] = known, tried
        told = _with(looked, known)
        if stream is not None:
            self._await(told, now)
        return told

    def due(self) -> list[str]:
        """The applications of whose objects writes were posted that may name an author."""
        clusters = {one.cluster for one in self._awaited.values()}
        streams = {name: self._streams.of(name) for name in clusters}
        fresh = {name: stream.fresh() for name, stream in streams.items() if stream is not None}
        found: list[str] = []
        for name, awaited in list(self._awaited.items()):
            stream = streams.get(awaited.cluster)
            if stream is None:
                continue
            posted = fresh[awaited.cluster]
            collections = {msgspec.structs.replace(one, name="") for one in awaited.targets}
            if posted & awaited.targets or posted & collections:
                self._tried[name] = {}
                found.append(name)
            elif awaited.asking and (stream.latest or 0.0) > awaited.since:
                found.append(name)  # what was posted now reaches beyond the look
            else:
                continue
            del self._awaited[name]
        return found

    def only(self, names: Iterable[str]) -> None:
        """Forget applications other than these."""
        kept = set(names)
        for known in (self._known, self._tried, self._awaited, self._places):
            for name in known.keys() - kept:
                del known[name]

    def expected(self, cluster: str, now: float) -> bool:
        """Whether the API servers of a cluster post, so that an author is named soon."""
        stream = self._streams.of(cluster)
        return stream is not None and (stream.latest or 0.0) > now - _SILENT

    def _interested(self, looked: Looked, stream: AuditStream) -> None:
        """Let the stream keep writes to the kinds and namespaces that the look is about."""
        discovery = looked.view.discovery if looked.view else None
        if discovery is None:
            return
        kinds = {
            (one.group, one.version, one.kind, one.namespace) for one in looked.report.resources
        }
        places = frozenset(
            (group, served.plural, namespace)
            for group, version, kind, namespace in kinds
            if (served := discovery.served(group, version, kind))
        )
        name, cluster = _name(looked), looked.desired.entry.cluster
        if self._places.get(name) == (cluster, places):
            return
        self._places[name] = (cluster, places)
        stream.places = frozenset[Place]().union(
            *(held for at, held in self._places.values() if at == cluster)
        )

    def _await(self, looked: Looked, now: float) -> None:
        """Remember the objects that a write is still to be posted of."""
        name = _name(looked)
        open_ = {
            resource.key
            for resource in looked.report.resources
            if (is_searched(resource) and not _is_certain(resource))
            or any(not _is_certain(change) for change in resource.changes)
        }
        targets = frozenset(target for key, target in wanted(looked) if key in open_)
        tried = self._tried.get(name, {})
        if targets:
            asking = any(count < _TRIES for count in tried.values())
            self._awaited[name] = _Awaited(looked.desired.entry.cluster, targets, now, asking)
        else:
            self._awaited.pop(name, None)

    async def _read(
        self, looked: Looked, clusters: Iterable[str], now: float, tell: Callable[[str], None]
    ) -> Looked:
        cluster = looked.desired.entry.cluster
        stream = self._streams.of(cluster)
        there = {one for one in clusters if one}
        options = CheckOptions(
            audit_logs=tuple(
                AuditSource(path, file.cluster)
                for file in self._files
                if file.cluster in {"", cluster}
                for path in _paths(file)
            ),
            audit_window=self._window or None,
        )
        unnamed = [file.file for file in self._files if not file.cluster]
        try:
            if unnamed and len(there) > 1:
                raise ConfigError(f"which cluster is the audit log {unnamed[0]} of?")
            (found,), conditions = await attributed(
                [looked],
                options,
                now=now,
                progress=lambda _text: None,
                streams={} if stream is None else {cluster: stream},
            )
        except ConfigError as error:
            problems, found = {error.message}, looked
        else:
            problems = {one.message for one in conditions}
        for text in sorted(problems - self._told):
            tell(text)
        self._told = problems
        return found


def _name(looked: Looked) -> str:
    return f"{looked.report.namespace}/{looked.report.name}"


def _paths(file: AuditLogFile) -> list[Path]:
    """The files that a path with `*` names, the rotated ones too."""
    path = Path(file.file)
    return sorted(path.parent.glob(path.name)) if "*" in path.name else [path]


def _facts(looked: Looked) -> Iterator[tuple[_Fact, Change | ResourceReport]]:
    """What may have an author, under what it is known by."""
    for resource in looked.report.resources:
        key = (resource.group, resource.kind, resource.namespace, resource.name)
        if is_searched(resource):
            yield (*key, str(resource.status)), resource
        for change in resource.changes:
            yield (*key, *_fact(change)), change


def _fact(change: Change) -> _Fact:
    known = (change.ssa_path, change.path, change.manager, change.operation, change.time)
    told = tuple("" if one is UNSET else str(one) for one in known)
    return (str(change.kind), *told, repr(change.live))


def _is_certain(one: Change | ResourceReport) -> bool:
    return one.attribution is not UNSET and "user" in one.attribution


def _has_author(one: Change | ResourceReport) -> bool:
    told = one.attribution
    return told is not UNSET and ("user" in told or "candidates" in told)


def _with(looked: Looked, known: dict[_Fact, Change | ResourceReport]) -> Looked:
    """The look with the authors that are known."""
    resources = []
    for resource in looked.report.resources:
        key = (resource.group, resource.kind, resource.namespace, resource.name)
        whole = known.get((*key, str(resource.status)))
        if whole is not None:
            resource = msgspec.structs.replace(resource, attribution=whole.attribution)
        changes = tuple(
            _told(change, known.get((*key, *_fact(change)))) for change in resource.changes
        )
        resources.append(msgspec.structs.replace(resource, changes=changes))
    report = msgspec.structs.replace(looked.report, resources=tuple(resources))
    return replace(looked, report=report)


def _told(change: Change, known: Change | ResourceReport | None) -> Change:
    if not isinstance(known, Change):
        return change
    return msgspec.structs.replace(
        change, attribution=known.attribution, confidence=known.confidence
    )
