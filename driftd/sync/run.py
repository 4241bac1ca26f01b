"""Carries a plan out, object by object. Nothing else in driftd writes to managed objects."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from driftd.cluster.reader import ApiResource
from driftd.errors import DriftdError, NotServed, Unauthorized, Unreachable
from driftd.model.resource import GVK, ResourceKey
from driftd.settings.healing import Rung
from driftd.sync.plan import FIELD_MANAGER, SyncPlan, SyncTask

if TYPE_CHECKING:
    from driftd.cluster.writer import ClusterWriter
    from driftd.model.resource import LiveObject

Resolve: TypeAlias = Callable[[GVK], "ApiResource | None"]
"""Where a kind is served; None if it is not."""


class Outcome(StrEnum):
    """How the write of one object ended."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    """The API server found nothing to change."""
    DRY_RUN = "dry-run"
    """The API server would accept it; nothing was written."""
    CONFLICT = "conflict"
    """The object changed after the look; the next look decides."""
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


async def run(plan: SyncPlan, writer: ClusterWriter, resolve: Resolve) -> SyncResult:
    """Apply every task of `plan` in order; a failing object does not stop the others.

    Each object is first sent as a dry run, and on the rung `dry-run` only so. Errors are
    results, not exceptions.
    """
    results: list[TaskResult] = []
    lost = ""
    for task in plan.tasks if not plan.refusal and plan.rung is not Rung.OBSERVE else ():
        if lost:
            results.append(TaskResult(task.key, Outcome.NOT_TRIED, lost))
            continue
        try:
            results.append(await _apply(task, writer, resolve, plan.rung))
        except DriftdError as error:
            conflict = error.reason in ("Conflict", "AlreadyExists")
            outcome = Outcome.CONFLICT if conflict else Outcome.FAILED
            results.append(TaskResult(task.key, outcome, error.message, error.reason))
            if isinstance(error, Unreachable | Unauthorized):
                lost = error.message
    return SyncResult(plan.application, plan.rung, tuple(results))


async def _apply(task: SyncTask, writer: ClusterWriter, resolve: Resolve, rung: Rung) -> TaskResult:
    resource = resolve(task.gvk)
    if resource is None:
        raise NotServed(f"{task.key}: the cluster does not serve {task.gvk.api_version}")

    async def send(*, dry_run: bool) -> LiveObject:
        return await writer.apply(
            resource,
            task.key.namespace,
            task.key.name,
            task.body,
            field_manager=FIELD_MANAGER,
            # A missing object that somebody has made meanwhile is not taken over.
            force=not task.create,
            dry_run=dry_run,
        )

    await send(dry_run=True)
    if rung is not Rung.HEAL:
        return TaskResult(task.key, Outcome.DRY_RUN, remains=task.remains)
    after = await send(dry_run=False)
    before = msgspec.json.decode(task.body)["metadata"].get("resourceVersion")
    outcome = Outcome.UNCHANGED if after.resource_version == before else Outcome.APPLIED
    return TaskResult(task.key, outcome, remains=task.remains)
