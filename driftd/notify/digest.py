"""Many messages in one: what a receiver gets in a storm, after quiet hours, or after an outage."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from driftd.clock import rfc3339
from driftd.model.report import API_VERSION, ApplicationStatus, WireStruct
from driftd.model.severities import ORDER
from driftd.notify.message import Counts, Message
from driftd.store.types import Transition

ENTRY_LIMIT = 200
"""Applications that a digest tells people of one by one; the counts and ids cover all messages."""


_LEVELS: dict[str, int] = {name: level for level, name in enumerate(reversed(ORDER))}


class BriefDrift(WireStruct, frozen=True, kw_only=True):
    """Where a drift of a message is."""

    kind: str
    namespace: str
    name: str
    change: str
    path: str = ""
    severity: str = ""


class Brief(WireStruct, frozen=True, kw_only=True):
    """What a digest takes from a stored message; of a long one that is little."""

    id: str
    type: Transition
    application: str
    namespace: str
    project: str
    cluster: str
    at: str
    status: ApplicationStatus
    revisions: tuple[str, ...]
    counts: Counts
    drifts: tuple[BriefDrift, ...]
    severity: str = ""
    owner: str = ""


class DigestEntry(WireStruct, frozen=True, kw_only=True):
    """What became of one application; the last message about it decides."""

    application: str
    namespace: str
    project: str
    cluster: str
    owner: str
    type: Transition
    """Of the last message."""
    status: ApplicationStatus
    severity: str
    """The highest of all its messages."""
    open: int
    """Drifts that are open after the last message."""
    opened: int
    closed: int
    """Over all its messages."""
    revisions: tuple[str, ...]
    at: str
    """When the last message was made."""
    messages: tuple[str, ...]
    """Ids of its messages, in order."""
    first: str
    """The worst drift, in words, where there is one."""


class Digest(WireStruct, frozen=True, kw_only=True):
    """Messages of many applications, told together; each stands in no other digest."""

    api_version: str = API_VERSION
    kind: Literal["Digest"] = "Digest"
    id: str
    """The same over all attempts."""
    at: str
    since: str
    """When the first of its messages was made."""
    types: dict[str, int]
    """Messages by their type."""
    severity: str
    """The highest of all."""
    entries: tuple[DigestEntry, ...]
    """The worst applications first, at most `ENTRY_LIMIT`."""
    applications: int
    """All of them."""
    messages: tuple[str, ...]
    """Ids of all messages, in order: what a receiver tells repetitions by."""
    further: tuple[DigestEntry, ...] | UnsetType = UNSET
    """The other applications, for tools that keep a state of each one; no receiver gets it."""

    @property
    def every(self) -> tuple[DigestEntry, ...]:
        """All applications, the worst first."""
        return (*self.entries, *(() if self.further is UNSET else self.further))


def digest_of(messages: Sequence[Message | Brief], now: datetime) -> Digest:
    """One digest of messages in the order of their making; there must be one at least."""
    by_application: dict[tuple[str, str, str], list[Message | Brief]] = {}
    for one in messages:
        place = (one.cluster, one.namespace, one.application)
        by_application.setdefault(place, []).append(one)
    entries = sorted(map(_entry, by_application.values()), key=_rank)
    ids = tuple(one.id for one in messages)
    return Digest(
        id=digest_id(ids),
        at=rfc3339(now),
        since=messages[0].at,
        types=dict(Counter(one.type.value for one in messages)),
        severity=_worst(one.severity for one in messages),
        entries=tuple(entries[:ENTRY_LIMIT]),
        applications=len(entries),
        messages=ids,
        further=tuple(entries[ENTRY_LIMIT:]) or UNSET,
    )


def digest_id(ids: Iterable[str]) -> str:
    """Made of its messages alone: the same messages make the same digest."""
    named = "\n".join(ids)
    return f"dig_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def _entry(messages: Sequence[Message | Brief]) -> DigestEntry:
    last = messages[-1]
    drift = max(
        (one for message in messages for one in message.drifts),
        key=lambda one: _level(one.severity or ""),
        default=None,
    )
    words = ""
    if drift is not None:
        place = f"{drift.namespace}/{drift.name}" if drift.namespace else drift.name
        words = f"{drift.kind} {place} {drift.path or drift.change}"
    return DigestEntry(
        application=last.application,
        namespace=last.namespace,
        project=last.project,
        cluster=last.cluster,
        owner=last.owner,
        type=last.type,
        status=last.status,
        severity=_worst(one.severity for one in messages),
        open=last.counts.open,
        opened=sum(one.counts.opened for one in messages),
        closed=sum(one.counts.closed for one in messages),
        revisions=last.revisions,
        at=last.at,
        messages=tuple(one.id for one in messages),
        first=words,
    )


def _rank(entry: DigestEntry) -> tuple[int, int, str, str]:
    is_over = entry.status is ApplicationStatus.SYNCED
    return int(is_over), -_level(entry.severity), entry.cluster, entry.application


def _worst(severities: Iterable[str]) -> str:
    return max(severities, key=_level, default="")


def _level(severity: str) -> int:
    """How bad it is; below zero where it is not known."""
    return _LEVELS.get(severity, -1)
