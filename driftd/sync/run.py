"""Carries a plan out, object by object. Nothing else in driftd writes to managed objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from driftd.cluster.reader import ApiResource
from driftd.errors import DriftdError, NotServed, StoreError, Unauthorized, Unreachable
from driftd.model.resource import GVK, LiveObject, ResourceKey
from driftd.settings.healing import Rung
from driftd.sync.outcome import Outcome, SyncResult, TaskResult
from driftd.sync.plan import FIELD_MANAGER, SyncPlan, SyncTask
from driftd.sync.seams import Journal, Unrecorded

if TYPE_CHECKING:
    from driftd.cluster.writer import ClusterWriter

Resolve: TypeAlias = Callable[[GVK], "ApiResource | None"]
"""Where a kind is served; None if it is not."""


async def run(
    plan: SyncPlan,
    writer: ClusterWriter,
    resolve: Resolve,
    *,
    journal: Journal | None = None,
    live: Mapping[ResourceKey, LiveObject] | None = None,
) -> SyncResult:
    """Apply every task of `plan` in order; a failing object does not stop the others.

    Each object is first sent as a dry run, and on the rung `dry-run` only so. `journal` is told
    of each write before and after it, with the object from `live` that is overwritten; when it
    cannot keep that, nothing more is written. Errors are results, not exceptions.
    """
    work = _Run(writer, resolve, plan.rung, journal or Unrecorded(), live or {})
    tasks = plan.tasks if not plan.refusal and plan.rung is not Rung.OBSERVE else ()
    return SyncResult(plan.application, plan.rung, tuple([await work.one(task) for task in tasks]))


@dataclass(slots=True)
class _Run:
    """The writes of one plan, one after the other."""

    writer: ClusterWriter
    resolve: Resolve
    rung: Rung
    journal: Journal
    live: Mapping[ResourceKey, LiveObject]
    lost: str = field(default="", init=False)
    """Why nothing more can be written; empty as long as it can."""

    async def one(self, task: SyncTask) -> TaskResult:
        """Write one object; whatever goes wrong is its result."""
        if self.lost:
            return TaskResult(task.key, Outcome.NOT_TRIED, self.lost)
        try:
            result = await self._apply(task)
        except DriftdError as error:
            conflict = error.reason in ("Conflict", "AlreadyExists")
            outcome = Outcome.CONFLICT if conflict else Outcome.FAILED
            result = TaskResult(task.key, outcome, error.message, error.reason)
            if isinstance(error, Unreachable | Unauthorized | StoreError):
                self.lost = error.message
        if self.rung is Rung.FIELDS:
            try:
                await self.journal.after(task, result)
            except StoreError as error:
                # The write is made; what follows could not be recorded either.
                self.lost = error.message
        return result

    async def _apply(self, task: SyncTask) -> TaskResult:
        resource = self.resolve(task.gvk)
        if resource is None:
            raise NotServed(f"{task.key}: the cluster does not serve {task.gvk.api_version}")

        async def send(*, dry_run: bool) -> LiveObject:
            return await self.writer.apply(
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
        if self.rung is not Rung.FIELDS:
            return TaskResult(task.key, Outcome.DRY_RUN, remains=task.remains)
        overwritten = self.live.get(task.key)
        await self.journal.before(task, overwritten.body if overwritten else None)
        after = await send(dry_run=False)
        before = msgspec.json.decode(task.body)["metadata"].get("resourceVersion")
        outcome = Outcome.UNCHANGED if after.resource_version == before else Outcome.APPLIED
        return TaskResult(task.key, outcome, remains=task.remains)
