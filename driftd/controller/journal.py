"""What healing is about to do, and what came of it, written down before and after each write.

The order is what a crash leaves readable: the intent of every write of a plan, then for each
object what it was (encrypted), then the write, then its result. An intent without a result is
closed by the first look after the next start: it has read the live object, so it can say whether
the write was made, and it decides again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET

from driftd.clock import Clock
from driftd.health import assess
from driftd.model.report import Change, ResourceReport
from driftd.model.resource import LiveObject, ResourceKey
from driftd.store.audit import new_id
from driftd.store.backups import Backup
from driftd.store.chain import AuditChange, AuditRecord, canonical
from driftd.store.envelope import Envelope
from driftd.store.heals import Heal, HealState
from driftd.store.ledger import Ledger, acted, kept
from driftd.sync.outcome import Outcome, TaskResult
from driftd.sync.plan import FIELD_MANAGER, SyncPlan, SyncTask
from driftd.sync.seams import Facts

MOST_CHANGES: Final = 100
"""Fields that one entry names; of more it says how many."""
_LONGEST: Final = 4096
"""Bytes of JSON of one value in an entry; of a longer one it holds the digest."""
_CLOCKS: Final = timedelta(seconds=2)
"""How far a cluster's clock and its whole seconds may be behind ours."""


@dataclass(slots=True)
class _Open:
    """A write that is decided."""

    task: SyncTask
    heal: Heal
    server: str


@dataclass(slots=True, kw_only=True)
class HealJournal:
    """`Journal` of `driftd.sync.seams` in the store."""

    ledger: Ledger
    envelope: Callable[[], Envelope]
    """What encrypts backups. Raises StoreError without a key."""
    clock: Clock
    written: Callable[[Heal], None] = lambda _heal: None
    """Told of each object that was written, to look after it."""
    _open: dict[int, _Open] = field(default_factory=dict)
    """By the identity of the task, which lives as long as its plan is carried out."""

    async def intend(self, plan: SyncPlan, facts: Facts) -> None:
        """Write down every write of a plan, with its cause. Raises StoreError."""
        now, digest = self.clock.now(), plan_hash(plan, facts.report.resources)
        reports = {one.key: one for one in facts.report.resources}
        opened = [
            _Open(task, _heal(task, plan, facts, digest, now), facts.server) for task in plan.tasks
        ]
        records = [
            _record(one.heal, "intent", now, cluster=facts.cluster, **_cause(one.task, reports))
            for one in opened
        ]
        await self.ledger.intended([one.heal for one in opened], *records)
        self._open.update({id(one.task): one for one in opened})

    async def before(self, task: SyncTask, live: bytes | None) -> None:
        """Keep the live manifest that is about to be written over. Raises StoreError."""
        one = self._open[id(task)]
        if live is None:
            return
        body = msgspec.json.decode(live)
        one.heal = msgspec.structs.replace(one.heal, health=assess(body).status.value)
        backup = _backup(one, self.clock.now())
        await self.ledger.kept(one.heal, backup, self.envelope().seal(backup.row, live))

    async def after(self, task: SyncTask, result: TaskResult) -> None:
        """Write down what came of a write. Raises StoreError."""
        one = self._open.pop(id(task), None)
        if one is None:
            return
        now = self.clock.now()
        record = _result(one.heal, result, now)
        if result.outcome is not Outcome.APPLIED:
            await self.ledger.closed(record, over=[one.heal.id])
            return
        written = msgspec.structs.replace(one.heal, state=HealState.WRITTEN, at=now)
        await self.ledger.closed(record, written=written)
        self.written(written)

    def left(self, application: str) -> list[Heal]:
        """The writes of an application that nobody is at any more, without a result."""
        keys = [key for key, one in self._open.items() if one.heal.application == application]
        return [self._open.pop(key).heal for key in keys]

    async def settle(
        self, left: Iterable[Heal], live: Callable[[Heal], LiveObject | Any | None]
    ) -> list[Heal]:
        """Close intents that an earlier process left open; those that turn out to be written.

        `live` gives the object as a look has just read it, None where it is not there, and
        `UNSET` where that could not be seen: then the intent stays open. Raises StoreError.
        """
        made: list[Heal] = []
        for heal in left:
            found = live(heal)
            if found is UNSET:
                continue
            now, done = self.clock.now(), was_written(heal, found)
            record = _record(
                heal,
                "result",
                now,
                outcome="found-applied" if done else "found-not-written",
                message="driftd ended before the result was written down; "
                "this is what the live object says",
            )
            if done:
                written = msgspec.structs.replace(heal, state=HealState.WRITTEN, at=now)
                await self.ledger.closed(record, written=written)
                self.written(written)
                made.append(written)
            else:
                await self.ledger.closed(record, over=[heal.id])
        return made


@dataclass(slots=True, kw_only=True)
class JournalByHand:
    """`Journal` of a command that a person runs, also beside a daemon with an SQLite store."""

    dsn: str
    envelope: Callable[[], Envelope]
    clock: Clock
    who: str
    _open: dict[int, _Open] = field(default_factory=dict)

    async def intend(self, plan: SyncPlan, facts: Facts) -> None:
        """See `HealJournal.intend`."""
        now, digest = self.clock.now(), plan_hash(plan, facts.report.resources)
        reports = {one.key: one for one in facts.report.resources}
        for task in plan.tasks:
            heal = _heal(task, plan, facts, digest, now)
            record = _record(heal, "intent", now, who=self.who, **_cause(task, reports))
            await acted(self.dsn, record)
            self._open[id(task)] = _Open(task, heal, facts.server)

    async def before(self, task: SyncTask, live: bytes | None) -> None:
        """See `HealJournal.before`."""
        one = self._open[id(task)]
        if live is not None:
            backup = _backup(one, self.clock.now())
            await kept(self.dsn, backup, self.envelope().seal(backup.row, live))

    async def after(self, task: SyncTask, result: TaskResult) -> None:
        """See `HealJournal.after`."""
        one = self._open.pop(id(task), None)
        if one is not None:
            record = _result(one.heal, result, self.clock.now(), who=self.who)
            await acted(self.dsn, record)


def plan_hash(plan: SyncPlan, resources: Iterable[ResourceReport]) -> str:
    """What a plan would write, in one hash; over masked values, lest secrets be guessed by it."""
    reports = {one.key: one for one in resources}
    tasks = [
        {
            "object": msgspec.to_builtins(task.key),
            "precondition": _precondition(task),
            "create": task.create,
            "wave": task.wave,
            "changes": msgspec.to_builtins(_changes(reports.get(task.key))),
            "removals": [[one.op, one.path] for one in getattr(task, "removals", ())],
        }
        for task in plan.tasks
    ]
    told = {"application": plan.application, "rung": plan.rung.value, "tasks": tasks}
    return hashlib.sha256(canonical(told).encode()).hexdigest()


def was_written(heal: Heal, live: LiveObject | None) -> bool:
    """Whether the write of an intent was made, as the live object says."""
    if live is None or live.resource_version == heal.resource_version:
        return False
    metadata = msgspec.json.decode(live.body).get("metadata") or {}
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") != FIELD_MANAGER or entry.get("subresource"):
            continue
        try:
            moment = datetime.fromisoformat(str(entry.get("time")))
        except ValueError:
            continue
        if moment >= heal.at - _CLOCKS:
            return True
    return False


def _heal(task: SyncTask, plan: SyncPlan, facts: Facts, digest: str, now: datetime) -> Heal:
    return Heal(
        id=new_id(),
        application=plan.application,
        cluster=facts.cluster,
        key=task.key,
        version=task.gvk.version,
        plan=digest,
        at=now,
        resource_version=_precondition(task),
        state=HealState.INTENDED,
    )


def _backup(one: _Open, now: datetime) -> Backup:
    return Backup(
        id=one.heal.id,
        application=one.heal.application,
        cluster=one.heal.cluster,
        server=one.server,
        key=one.task.key,
        version=one.task.gvk.version,
        at=now,
        plan=one.heal.plan,
    )


def _result(heal: Heal, result: TaskResult, now: datetime, **fields: Any) -> AuditRecord:
    return _record(
        heal,
        "result",
        now,
        outcome=result.outcome.value,
        message=result.message,
        data={"remains": list(result.remains)} if result.remains else {},
        **fields,
    )


def _precondition(task: SyncTask) -> str:
    return str(msgspec.json.decode(task.body)["metadata"].get("resourceVersion") or "")


def _cause(task: SyncTask, reports: dict[ResourceKey, ResourceReport]) -> dict[str, Any]:
    report = reports.get(task.key)
    changes = _changes(report)
    drifted = [one for one in report.changes if one.is_drift] if report is not None else []
    authors = sorted({one.manager for one in drifted if isinstance(one.manager, str)} - {""})
    if task.create:
        cause = "Git declares it, and it is not there"
    else:
        cause = f"{len(drifted)} declared field{'s' if len(drifted) != 1 else ''} differ"
        cause += f", written by {', '.join(authors)}" if authors else ""
    data: dict[str, Any] = {}
    if len(changes) > MOST_CHANGES:
        data["moreChanges"] = len(changes) - MOST_CHANGES
    removals = [one.path for one in getattr(task, "removals", ()) if one.op == "remove"]
    if removals:
        data["removes"] = removals[:MOST_CHANGES]
    return {"cause": cause, "changes": tuple(changes[:MOST_CHANGES]), "data": data}


def _changes(report: ResourceReport | None) -> list[AuditChange]:
    """The drifts of an object as its report has them: already masked."""
    if report is None:
        return []
    return [
        AuditChange(one.path, _bounded(_side(one, "live")), _bounded(_side(one, "desired")))
        for one in report.changes
        if one.is_drift
    ]


def _side(change: Change, side: str) -> Any:
    return getattr(change, side)


def _bounded(value: Any) -> Any:
    """A value as an entry has it: a digest in place of a very long one."""
    if value is UNSET:
        return UNSET
    text = canonical(msgspec.to_builtins(value))
    if len(text) <= _LONGEST:
        return value
    return {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _record(heal: Heal, kind: str, at: datetime, **fields: Any) -> AuditRecord:
    values: dict[str, Any] = {"cluster": heal.cluster, **fields}
    return AuditRecord(
        id=f"{kind}-{heal.id}",
        at=at,
        kind=kind,
        application=heal.application,
        object=heal.key,
        plan=heal.plan,
        **values,
    )


def refusals(plan: SyncPlan) -> Sequence[tuple[str, str, str]]:
    """What a plan refuses and why, in words that stay the same as long as it is the same."""
    if plan.refusal:
        return [("", "", plan.refusal)]
    return sorted(
        (str(one.key), str(getattr(one, "guard", "")), "" if _moves(one) else one.reason)
        for one in plan.skipped
    )


def _moves(skipped: Any) -> bool:
    """Whether the reason names a moment, so that its words change from look to look."""
    return getattr(skipped, "until", None) is not None
