"""Carries a plan out, object by object. Nothing else in driftd writes to managed objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from driftd.cluster.reader import ApiResource
from driftd.errors import (
    ClusterError,
    DriftdError,
    Forbidden,
    NotServed,
    ServerFailed,
    StoreError,
    Unauthorized,
    Unreachable,
)
from driftd.model.resource import GVK, LiveObject, ResourceKey
from driftd.settings.healing import Rung
from driftd.sync.impact import fixed_fields
from driftd.sync.outcome import Outcome, SyncResult, TaskResult
from driftd.sync.plan import FIELD_MANAGER, SyncPlan, SyncTask
from driftd.sync.seams import Journal, Unrecorded

if TYPE_CHECKING:
    from driftd.cluster.writer import ClusterWriter

Resolve: TypeAlias = Callable[[GVK], "ApiResource | None"]
"""Where a kind is served; None if it is not."""

Judge: TypeAlias = Callable[[SyncTask, LiveObject], str]
"""Why an object, as a dry run makes it, is still not what Git says; empty if it is."""

Reread: TypeAlias = Callable[[SyncTask, ApiResource], Awaitable["SyncTask | None"]]
"""The same task for the object as it is now; None if the verdict no longer fits it."""

_TRIES = 3
"""Times that an object is written to whose status alone changed meanwhile."""
_CONFLICTS = ("Conflict", "AlreadyExists")
_PASSING = ("TooManyRequests", "ServerTimeout", "Timeout", "ServiceUnavailable", "InternalError")
"""Refusals that say nothing of the object: the next look tries again."""


class _NotHealable(DriftdError):
    """No write that driftd may make puts the object back."""

    reason = "NotHealable"


async def _never(_task: SyncTask, _resource: ApiResource) -> SyncTask | None:
    return None


def _satisfied(_task: SyncTask, _after: LiveObject) -> str:
    return ""


async def run(
    plan: SyncPlan,
    writer: ClusterWriter,
    resolve: Resolve,
    *,
    journal: Journal | None = None,
    live: Mapping[ResourceKey, LiveObject] | None = None,
    judge: Judge = _satisfied,
    reread: Reread = _never,
) -> SyncResult:
    """Write every task of `plan` in order; a failing object does not stop the others.

    Each object is first sent as a dry run, and on the rung `dry-run` only so. What that makes of
    it goes to `judge`: if it would not be what Git says, nothing is written. On a conflict `reread`
    says whether the verdict still fits the object, as its status alone changed. `journal` is told
    of each write before and after it, with the object from `live` that is overwritten; when it
    cannot keep that, nothing more is written. Errors are results, not exceptions.
    """
    work = _Run(writer, resolve, plan.rung, journal or Unrecorded(), live or {}, judge, reread)
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
    judge: Judge
    reread: Reread
    lost: str = field(default="", init=False)
    """Why nothing more can be written; empty as long as it can."""

    async def one(self, task: SyncTask) -> TaskResult:
        """Write one object; whatever goes wrong is its result."""
        if self.lost:
            return TaskResult(task.key, Outcome.NOT_TRIED, self.lost)
        try:
            result = await self._written(task)
        except DriftdError as error:
            result = TaskResult(task.key, _outcome(error), error.message, error.reason)
            if isinstance(error, Unreachable | Unauthorized | StoreError):
                self.lost = error.message
        if self.rung is Rung.FIELDS:
            try:
                await self.journal.after(task, result)
            except StoreError as error:
                # The write is made; what follows could not be recorded either.
                self.lost = error.message
        return result

    async def _written(self, planned: SyncTask) -> TaskResult:
        resource, task = self.resolve(planned.gvk), planned
        if resource is None:
            raise NotServed(f"{task.key}: the cluster does not serve {task.gvk.api_version}")
        for _ in range(_TRIES - 1):
            try:
                return await self._sent(task, resource, planned)
            except ClusterError as error:
                again = None
                if error.reason in _CONFLICTS and not task.create:
                    again = await self.reread(task, resource)
                if again is None:
                    raise
                task = again
        return await self._sent(task, resource, planned)

    async def _sent(self, task: SyncTask, resource: ApiResource, planned: SyncTask) -> TaskResult:
        """Send `task`: `planned` itself, or after a conflict a copy with another precondition."""
        if task.removals:
            return await self._patched(task, resource, planned)
        await self._foreseen(task, await self._tried(task, resource))
        if self.rung is not Rung.FIELDS:
            return TaskResult(task.key, Outcome.DRY_RUN, remains=task.remains)
        await self._kept(planned)
        after = await self._apply(task, resource, task.body, dry_run=False)
        changed = after.resource_version != _precondition(task)
        outcome = Outcome.APPLIED if changed else Outcome.UNCHANGED
        return TaskResult(task.key, outcome, remains=task.remains)

    async def _patched(
        self, task: SyncTask, resource: ApiResource, planned: SyncTask
    ) -> TaskResult:
        """Patch, then apply: the patch makes the object what it should be, in one write.

        The apply changes no value any more. It makes the declared set this manager's, so that
        a field goes when Git drops it.
        """
        try:
            tried = await self._patch(task, resource, dry_run=True)
        except ClusterError as error:
            raise self._refusal(task, error) from error
        await self._foreseen(task, tried)
        if self.rung is not Rung.FIELDS:
            return TaskResult(task.key, Outcome.DRY_RUN, remains=task.remains)
        await self._kept(planned)
        after = await self._patch(task, resource, dry_run=False)
        body = msgspec.json.decode(task.body)
        body["metadata"]["resourceVersion"] = after.resource_version
        try:
            await self._apply(task, resource, msgspec.json.encode(body), dry_run=False)
        except DriftdError as error:
            # It is healed; who owns the fields is the next heal's business.
            return TaskResult(task.key, Outcome.APPLIED, error.message, error.reason, task.remains)
        return TaskResult(task.key, Outcome.APPLIED, remains=task.remains)

    async def _tried(self, task: SyncTask, resource: ApiResource) -> LiveObject:
        try:
            after = await self._apply(task, resource, task.body, dry_run=True)
        except ClusterError as error:
            raise self._refusal(task, error) from error
        if task.create and _others_wrote(after):
            raise ClusterError(f"{task.key}: somebody has made it meanwhile", reason="Conflict")
        return after

    def _refusal(self, task: SyncTask, error: ClusterError) -> DriftdError:
        """What a refused dry run says: of the object, or of the cluster just now."""
        passing = isinstance(error, Unreachable | Unauthorized | NotServed | ServerFailed)
        if passing or error.reason in (*_CONFLICTS, *_PASSING, "InvalidResponse"):
            return error
        seen = self.live.get(task.key)
        fixed = fixed_fields(task, msgspec.json.decode(seen.body)) if seen else ()
        # Admission forbids too (a quota, a policy): then no right is missing.
        hint = error.hint if "may not" in str(error) or not isinstance(error, Forbidden) else ""
        # Of a Secret the server's words are not told: they may quote its values.
        return _NotHealable(str(error), hint=fixed[0] if fixed else hint, reason=error.reason)

    async def _foreseen(self, task: SyncTask, after: LiveObject) -> None:
        """Raise _NotHealable if the object would still not be what Git says."""
        why = self.judge(task, after)
        if why:
            raise _NotHealable(f"{task.key}: {why}")

    async def _kept(self, planned: SyncTask) -> None:
        # The journal knows the tasks of the plan, not their copies.
        overwritten = self.live.get(planned.key)
        await self.journal.before(planned, overwritten.body if overwritten else None)

    async def _apply(
        self, task: SyncTask, resource: ApiResource, body: bytes, *, dry_run: bool
    ) -> LiveObject:
        return await self.writer.apply(
            resource,
            task.key.namespace,
            task.key.name,
            body,
            field_manager=FIELD_MANAGER,
            # A missing object that somebody has made meanwhile is not taken over.
            force=not task.create,
            dry_run=dry_run,
            quoted=self._quoted(task),
        )

    async def _patch(self, task: SyncTask, resource: ApiResource, *, dry_run: bool) -> LiveObject:
        return await self.writer.patch(
            resource,
            task.key.namespace,
            task.key.name,
            msgspec.json.encode([msgspec.to_builtins(one) for one in task.removals]),
            field_manager=FIELD_MANAGER,
            dry_run=dry_run,
            quoted=(task.body, *self._quoted(task)),
        )

    def _quoted(self, task: SyncTask) -> tuple[bytes, ...]:
        """What a refusal may quote beside what is sent: the API server judges the whole object."""
        seen = self.live.get(task.key)
        return (seen.body,) if seen is not None else ()


def _outcome(error: DriftdError) -> Outcome:
    if error.reason in _CONFLICTS:
        return Outcome.CONFLICT
    return Outcome.NOT_HEALABLE if isinstance(error, _NotHealable) else Outcome.FAILED


def _precondition(task: SyncTask) -> str | None:
    """The resourceVersion that must still hold; None of an object that is created."""
    found = msgspec.json.decode(task.body)["metadata"].get("resourceVersion")
    return found if isinstance(found, str) else None


def _others_wrote(after: LiveObject) -> bool:
    """Whether an object that was to be created anew has fields of others: then it was there."""
    metadata = msgspec.json.decode(after.body).get("metadata") or {}
    writers = {entry.get("manager") for entry in metadata.get("managedFields") or ()}
    return not writers <= {FIELD_MANAGER}
