"""What the store takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from driftd.model.report import ApplicationReport, ApplicationStatus, Change, ReportCondition
from driftd.model.resource import ResourceKey


class DriftKey(msgspec.Struct, frozen=True, order=True):
    """The identity of a drift within its application: the same key is the same episode."""

    resource: ResourceKey
    path: str
    """The field in managedFields notation (`Change.ssa_path`), which list positions do not move;
    empty when the whole object is Missing or Extra."""
    kind: str
    """A `ChangeKind`, or the status `Missing` or `Extra`."""


class Drift(msgspec.Struct, frozen=True):
    """One episode of drift, from onset on."""

    key: DriftKey
    first_seen: datetime
    last_seen: datetime
    change: Change | None = None
    """The field's change as last seen, already masked; None for Missing and Extra."""


class OpenDrift(msgspec.Struct, frozen=True):
    """A drift with the application that it belongs to (`namespace/name`) and its cluster."""

    application: str
    cluster: str
    drift: Drift


class Transition(StrEnum):
    """What a look changed for an application."""

    NONE = "none"
    DRIFTED = "drifted"
    """It is OutOfSync and was not."""
    CHANGED = "changed"
    """It stays OutOfSync with another set of drifts."""
    RECOVERED = "recovered"
    """It is Synced and was not."""
    UNKNOWN = "unknown"
    """It can no longer be judged."""


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of recording one look; `transition` is `none` when nothing changed."""

    transition: Transition
    name: str
    namespace: str
    project: str
    cluster: str
    at: datetime
    previous: ApplicationStatus | None
    """The status before; None at the first look."""
    status: ApplicationStatus
    revisions: tuple[str, ...] = ()
    conditions: tuple[ReportCondition, ...] = ()
    opened: tuple[Drift, ...] = ()
    closed: tuple[Drift, ...] = ()
    open: tuple[Drift, ...] = ()
    """Every drift that is open now, those in `opened` included."""

    @property
    def application(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class OutboxMessage(msgspec.Struct, frozen=True):
    """A message for one receiver; `id` stays the same over all attempts."""

    id: str
    target: str
    application: str
    payload: bytes
    attempts: int = 0
    """Attempts that have failed so far."""


class HistoryEntry(msgspec.Struct, frozen=True):
    """Something that happened to an application: a transition, or a write by driftd."""

    application: str
    at: datetime
    kind: str
    """A `Transition`, or the kind of an event such as `sync`."""
    data: dict[str, Any]


class StoredApplication(msgspec.Struct, frozen=True):
    """The last look at an application."""

    report: ApplicationReport
    observed_at: datetime
    changed_at: datetime
    """Since when the status is what it is."""


class ApplicationMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What looks at one application left behind for the next one."""

    cluster: str
    """The API server; another one has other objects."""
    clean_revisions: tuple[str, ...] = ()
    """Git's revisions at the last look that found no difference; empty after any other look."""
    objects: Mapping[ResourceKey, bytes] = {}
    """What is known of each object, opaque here; one that is not named stays as it was."""
