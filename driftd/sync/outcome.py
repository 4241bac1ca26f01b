"""What became of the writes of a plan."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from driftd.model.resource import ResourceKey
from driftd.settings.healing import Rung


class Outcome(StrEnum):
    """How the write of one object ended."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    """The API server found nothing to change."""
    DRY_RUN = "dry-run"
    """The API server would accept it; nothing was written."""
    CONFLICT = "conflict"
    """The object changed after the look; the next look decides."""
    NOT_HEALABLE = "not-healable"
    """No write would make the object what Git says; the message has the reason."""
    FAILED = "failed"
    NOT_TRIED = "not-tried"
    """The cluster could not be reached for an object before."""


class TaskResult(msgspec.Struct, frozen=True):
    """What became of one task."""

    key: ResourceKey
    outcome: Outcome
    message: str = ""
    reason: str = ""
    """`DriftdError.reason` when it failed."""
    remains: tuple[str, ...] = ()
    """Paths of drift that are still there, because an apply cannot remove them."""


class SyncResult(msgspec.Struct, frozen=True):
    """What became of a plan."""

    application: str
    rung: Rung
    results: tuple[TaskResult, ...]

    @property
    def wrote(self) -> bool:
        """Whether any object was changed."""
        return any(result.outcome is Outcome.APPLIED for result in self.results)
