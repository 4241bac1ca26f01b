"""Recording one look, inside a transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, and_, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.model.report import ApplicationReport, ApplicationStatus
from driftd.store import episode_rows
from driftd.store import memory as remembered
from driftd.store.episodes import (
    Before,
    JudgeEnding,
    JudgeHold,
    begun,
    judged,
    moved,
    put_back,
    state_change,
    told_at_once,
    told_of,
    unjudged,
)
from driftd.store.notices import episode_severity, standing_notices
from driftd.store.outbox import delivery_row
from driftd.store.prepared import Prepared
from driftd.store.protocol import Compose
from driftd.store.schema import applications, deliveries, history, messages
from driftd.store.types import (
    NO_NOTICES,
    ApplicationMemory,
    Drift,
    Ending,
    Fight,
    HistoryEntry,
    Notices,
    OutboxMessage,
    StateChange,
    StoredApplication,
    Transition,
)

_WRITTEN = (
    *("cluster", "status", "complete", "report", "observed_at", "changed_at"),
    *("told", "began_at", "standing"),
)
"""The columns of an application that every look writes."""
_NAMED = applications.c.name == bindparam("name")
_KNOWN = ("status", "told", "complete", "observed_at", "changed_at", "began_at", "standing")
_APPLICATION = Prepared(
    select(*(applications.c[column] for column in _KNOWN)).where(_NAMED).with_for_update()
)
_REPORT = Prepared(select(applications.c.report).where(_NAMED))
_UPDATE = Prepared(
    update(applications)
    .where(applications.c.name == bindparam("of"))
    .values({column: bindparam(f"{column}_now") for column in _WRITTEN})
)
_HISTORY = Prepared(insert(history))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A look that is to be recorded; see `Store.record`."""

    report: ApplicationReport
    now: datetime
    compose: Compose
    events: Sequence[HistoryEntry] = ()
    memory: ApplicationMemory | None = None
    ending: JudgeEnding = put_back
    began: datetime | None = None
    hold: JudgeHold = told_at_once
    notices: Notices = NO_NOTICES

    @property
    def name(self) -> str:
        """`namespace/name` of the application."""
        return f"{self.report.namespace}/{self.report.name}"


class Recorder(ABC):
    """Takes looks as `Store.record` says; `put` decides what becomes of one."""

    @abstractmethod
    async def put(self, look: Look) -> StateChange:
        """Record a look. Raises StoreError."""

    async def record(
        self,
        report: ApplicationReport,
        now: datetime,
        compose: Compose,
        *,
        events: Sequence[HistoryEntry] = (),
        memory: ApplicationMemory | None = None,
        ending: JudgeEnding = put_back,
        began: datetime | None = None,
        hold: JudgeHold = told_at_once,
        notices: Notices = NO_NOTICES,
    ) -> StateChange:
        """See `Store.record`."""
        look = Look(
            report=report,
            now=now,
            compose=compose,
            events=events,
            memory=memory,
            ending=ending,
            began=began,
            hold=hold,
            notices=notices,
        )
        return await self.put(look)


class Recording:
    """Records one look; when it is done again, after a commit of unknown fate, only once."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._change: StateChange | None = None

    async def __call__(self, connection: AsyncConnection) -> StateChange:
        """Write verdict, episodes, history, messages and memory; what the look changed."""
        look, name, report, now = self._look, self._look.name, self._look.report, self._look.now
        rows = await _APPLICATION.rows(connection, name=name)
        row = rows[0] if rows else None
        if self._change is not None and row is not None and row.observed_at == now:
            return self._change
        known = await episode_rows.open_episodes(connection, name)
        before = await _before(connection, name, row, known.values(), report, now)
        change = state_change(before, known.values(), report, now, look.ending, look.hold)
        told, standing = standing_notices(row.standing if row is not None else None, look.notices)
        status = told_of(before, change)
        severity, standing = episode_severity(standing, change, status)
        change = msgspec.structs.replace(change, notices=told, episode_severity=severity)
        changed_at = row.changed_at if row is not None else now
        if change.status is not before.status:
            changed_at = now
        values = _application(report, now, changed_at, status)
        values["began_at"] = look.began or now
        values["standing"] = standing
        await _put_application(connection, name, values, known=row is not None)
        await episode_rows.put(connection, change, {d.key: i for i, d in known.items()})
        await _put_history(connection, [*look.events, *_as_history(change)])
        await _put_messages(connection, look.compose(change), now)
        if look.memory is not None:
            await remembered.put(connection, name, look.memory, now)
        self._change = change
        return change


def stored_application(row: Row[Any]) -> StoredApplication:
    """The last look at an application, of its row."""
    report = msgspec.json.decode(row.report, type=ApplicationReport)
    return StoredApplication(report, row.observed_at, row.changed_at)


async def _before(
    connection: AsyncConnection,
    name: str,
    stored: Row[Any] | None,
    known: Iterable[Drift],
    report: ApplicationReport,
    now: datetime,
) -> Before:
    """What is known of an application; former episodes are read only where drift begins."""
    if stored is None:
        return Before()
    keys = begun(known, report, now)
    status = ApplicationStatus(stored.status)
    reports = await _REPORT.rows(connection, name=name) if keys else ()
    last = msgspec.json.decode(reports[0].report, type=ApplicationReport) if reports else None
    return Before(
        status=status,
        told=ApplicationStatus(stored.told) if stored.told else status,
        observed_at=stored.began_at or stored.observed_at,
        unjudged=unjudged(last) if last is not None else frozenset(),
        judged=judged(last) if last is not None else None,
        past=await episode_rows.past(connection, name, keys) if keys else {},
        fights=await episode_rows.fights(connection, name, now),
    )


def _application(
    report: ApplicationReport, now: datetime, changed_at: datetime, told: ApplicationStatus
) -> dict[str, Any]:
    return {
        "cluster": report.cluster,
        "status": report.status.value,
        "complete": report.complete,
        "report": msgspec.json.encode(report).decode(),
        "observed_at": now,
        "changed_at": changed_at,
        "told": told.value,
    }


async def _put_application(
    connection: AsyncConnection, name: str, values: dict[str, Any], *, known: bool
) -> None:
    if known:
        await _UPDATE.run(connection, of=name, **{f"{key}_now": v for key, v in values.items()})
    else:
        await connection.execute(insert(applications).values(name=name, **values))


def _as_history(change: StateChange) -> list[HistoryEntry]:
    happened = moved(change)
    if happened is Transition.NONE:
        return []
    data = {
        "previous": change.previous,
        "status": change.status,
        "revisions": change.revisions,
        "opened": [_named(drift) | _held(drift) for drift in change.opened],
        "closed": [
            _named(drift) | _ended(ending)
            for drift, ending in zip(change.closed, change.endings, strict=True)
        ],
        "conditions": change.conditions,
    }
    if change.fights:
        data["fights"] = [_fight(fight, change) for fight in change.fights]
    return [HistoryEntry(change.application, change.at, happened.value, data)]


def _named(drift: Drift) -> dict[str, str]:
    key = drift.key
    path = drift.change.path if drift.change is not None else ""
    return {"resource": str(key.resource), "path": path, "kind": key.kind}


def _held(drift: Drift) -> dict[str, str]:
    return {} if drift.held is None else {"held": drift.held.why}


def _ended(ending: Ending) -> dict[str, str]:
    return {"ended": ending.how.value} | ({"by": ending.by} if ending.by else {})


def _fight(fight: Fight, change: StateChange) -> dict[str, Any]:
    (drift,) = (one for one in change.opened if one.key == fight.key)
    return _named(drift) | {
        "changedBy": fight.changed_by,
        "putBackBy": fight.put_back_by,
        "rate": round(fight.rate, 2),
    }


async def _put_history(connection: AsyncConnection, entries: Sequence[HistoryEntry]) -> None:
    rows = [
        {
            "application": entry.application,
            "at": entry.at,
            "kind": entry.kind,
            "data": msgspec.json.encode(entry.data).decode(),
        }
        for entry in entries
    ]
    await _HISTORY.each(connection, rows)


async def _hurry(connection: AsyncConnection, message: OutboxMessage, now: datetime) -> None:
    """What was held back before a message that may go at once goes before it, in order."""
    held = and_(
        deliveries.c.target == message.target,
        deliveries.c.application == message.application,
        deliveries.c.settled_at.is_(None),
        deliveries.c.attempts == 0,
        deliveries.c.due_at > now,
    )
    await connection.execute(update(deliveries).where(held).values(due_at=now))


async def _put_messages(
    connection: AsyncConnection, composed: Sequence[OutboxMessage], now: datetime
) -> None:
    bodies = {
        message.id: {
            "id": message.id,
            "application": message.application,
            "created_at": now,
            "payload": message.payload,
        }
        for message in composed
    }
    if not bodies:
        return
    await connection.execute(insert(messages), list(bodies.values()))
    for message in composed:
        if message.due_at is None:
            await _hurry(connection, message, now)
    rows = [delivery_row(message, now) for message in composed]
    await connection.execute(insert(deliveries), rows)
