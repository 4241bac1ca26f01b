"""Audit logs of a daemon: read when a change is new, not at each sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from driftd.controller.audit import attributed, is_searched
from driftd.controller.options import AuditSource, CheckOptions
from driftd.errors import ConfigError
from driftd.model.report import Change, ResourceReport

if TYPE_CHECKING:
    from driftd.controller.check import Looked
    from driftd.settings.types import AuditLogFile, Settings

_TRIES = 3
"""Looks at which an author is searched for: an API server may write its log with delay."""
_Fact = tuple[str, ...]
"""What a change or a whole object is known by: it is another one if any of it changes."""


class StandingAudit:
    """Names the authors of changes in the looks of a daemon, and remembers them."""

    def __init__(self, settings: Settings) -> None:
        self._files = settings.audit_logs
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
        if not self._files:
            return looked
        name = f"{looked.report.namespace}/{looked.report.name}"
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
        return _with(looked, known)

    async def _read(
        self, looked: Looked, clusters: Iterable[str], now: float, tell: Callable[[str], None]
    ) -> Looked:
        cluster = looked.desired.entry.cluster
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
                [looked], options, now=now, progress=lambda _text: None
            )
        except ConfigError as error:
            problems, found = {error.message}, looked
        else:
            problems = {one.message for one in conditions}
        for text in sorted(problems - self._told):
            tell(text)
        self._told = problems
        return found


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
