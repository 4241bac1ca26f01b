"""The store on SQLAlchemy Core: SQLite by default, PostgreSQL by DSN."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, and_, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from driftd.errors import StoreError
from driftd.model.report import ApplicationReport, ApplicationStatus, Change
from driftd.model.resource import ResourceKey
from driftd.store import memory as remembered
from driftd.store.engine import WRITE_OPTION, open_engine
from driftd.store.episodes import state_change
from driftd.store.protocol import Compose, Outbox, Store
from driftd.store.schema import applications, deliveries, episodes, history, memories, messages
from driftd.store.types import (
    ApplicationMemory,
    Drift,
    DriftKey,
    HistoryEntry,
    OpenDrift,
    OutboxMessage,
    StateChange,
    StoredApplication,
    Transition,
)

_ERROR_LENGTH = 500


class SqlStore(Store, Outbox):
    """`Store` and `Outbox` in one database; one writer at a time, readers beside it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITE_OPTION: True})
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, dsn: str) -> SqlStore:
        """Connect to `dsn` and migrate. Raises ConfigError or StoreError."""
        return cls(await open_engine(dsn))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def record(
        self,
        report: ApplicationReport,
        now: datetime,
        compose: Compose,
        *,
        events: Sequence[HistoryEntry] = (),
        memory: ApplicationMemory | None = None,
    ) -> StateChange:
        """See `Store.record`."""
        name = f"{report.namespace}/{report.name}"
        async with self._write(f"record the look at {name}") as connection:
            query = select(applications.c.status, applications.c.changed_at)
            query = query.where(applications.c.name == name).with_for_update()
            stored = (await connection.execute(query)).one_or_none()
            known = await _open_episodes(connection, name)
            previous = ApplicationStatus(stored.status) if stored is not None else None
            change = state_change(previous, known.values(), report, now)
            changed_at = stored.changed_at if stored is not None else now
            if change.status is not previous:
                changed_at = now
            await _put_application(connection, name, report, now, changed_at, stored is not None)
            await _put_episodes(connection, change, {d.key: i for i, d in known.items()})
            await _put_history(connection, [*events, *_as_history(change)])
            await _put_messages(connection, compose(change), now)
            if memory is not None:
                await remembered.put(connection, name, memory, now)
        return change

    async def recall(self, cluster: str, application: str) -> ApplicationMemory:
        """See `Memory.recall`."""
        async with self._read(f"read what is known of {application}") as connection:
            return await remembered.get(connection, cluster, application)

    async def forget(self, application: str, now: datetime) -> None:
        """See `Store.forget`."""
        async with self._write(f"forget {application}") as connection:
            await connection.execute(delete(applications).where(applications.c.name == application))
            await connection.execute(delete(memories).where(memories.c.application == application))
            still_open = and_(episodes.c.application == application, episodes.c.closed_at.is_(None))
            await connection.execute(update(episodes).where(still_open).values(closed_at=now))

    async def open_drifts(self) -> tuple[OpenDrift, ...]:
        """See `Store.open_drifts`."""
        query = select(episodes).where(episodes.c.closed_at.is_(None))
        async with self._read("list open drifts") as connection:
            rows = await connection.execute(query.order_by(episodes.c.first_seen, episodes.c.id))
            return tuple(OpenDrift(row.application, row.cluster, _drift(row)) for row in rows)

    async def applications(self) -> tuple[StoredApplication, ...]:
        """See `Store.applications`."""
        async with self._read("list applications") as connection:
            rows = await connection.execute(select(applications).order_by(applications.c.name))
            return tuple(_stored(row) for row in rows)

    async def application(self, name: str) -> StoredApplication | None:
        """See `Store.application`."""
        async with self._read(f"read {name}") as connection:
            query = select(applications).where(applications.c.name == name)
            row = (await connection.execute(query)).one_or_none()
            return _stored(row) if row is not None else None

    async def history(self, application: str, limit: int) -> tuple[HistoryEntry, ...]:
        """See `Store.history`."""
        query = select(history).where(history.c.application == application)
        query = query.order_by(history.c.at.desc(), history.c.id.desc()).limit(limit)
        async with self._read(f"read the history of {application}") as connection:
            rows = await connection.execute(query)
            return tuple(
                HistoryEntry(row.application, row.at, row.kind, msgspec.json.decode(row.data))
                for row in rows
            )

    async def retain(self, since: datetime) -> int:
        """See `Store.retain`."""
        unsettled = exists().where(
            deliveries.c.message == messages.c.id, deliveries.c.settled_at.is_(None)
        )
        stale = (
            delete(episodes).where(episodes.c.closed_at < since),
            delete(history).where(history.c.at < since),
            delete(memories).where(memories.c.seen_at < since),
            delete(messages).where(messages.c.created_at < since, ~unsettled),
        )
        async with self._write("delete what is older than the retention") as connection:
            return sum([(await connection.execute(statement)).rowcount for statement in stale])

    async def pending(self, now: datetime, limit: int) -> tuple[OutboxMessage, ...]:
        """See `Outbox.pending`."""
        first = (
            select(func.min(deliveries.c.seq).label("seq"))
            .where(deliveries.c.settled_at.is_(None))
            .group_by(deliveries.c.target, deliveries.c.application)
        )
        query = (
            select(deliveries, messages.c.payload)
            .join(messages, messages.c.id == deliveries.c.message)
            .where(deliveries.c.seq.in_(first), deliveries.c.due_at <= now)
            .order_by(deliveries.c.seq)
            .limit(limit)
        )
        async with self._read("read the outbox") as connection:
            rows = await connection.execute(query)
            return tuple(
                OutboxMessage(r.message, r.target, r.application, r.payload, r.attempts)
                for r in rows
            )

    async def waiting(self) -> int:
        """See `Outbox.waiting`."""
        query = select(func.count()).where(deliveries.c.settled_at.is_(None))
        async with self._read("count the outbox") as connection:
            return int((await connection.execute(query)).scalar_one())

    async def mark_delivered(self, message: OutboxMessage, now: datetime) -> None:
        """See `Outbox.mark_delivered`."""
        await self._settle(message, {"settled_at": now, "delivered": True, "error": ""})

    async def mark_failed(
        self, message: OutboxMessage, now: datetime, error: str, retry_at: datetime | None
    ) -> None:
        """See `Outbox.mark_failed`."""
        values: dict[str, Any] = {
            "attempts": message.attempts + 1,
            "error": error[:_ERROR_LENGTH],
            "due_at": retry_at or now,
            "settled_at": None if retry_at is not None else now,
        }
        await self._settle(message, values)

    async def _settle(self, message: OutboxMessage, values: dict[str, Any]) -> None:
        row = and_(deliveries.c.message == message.id, deliveries.c.target == message.target)
        async with self._write(f"update message {message.id}") as connection:
            await connection.execute(update(deliveries).where(row).values(**values))

    @asynccontextmanager
    async def _write(self, what: str) -> AsyncIterator[AsyncConnection]:
        async with self._lock:
            try:
                async with self._writer.begin() as connection:
                    yield connection
            except (SQLAlchemyError, OSError) as error:
                raise _failed(what, error) from error

    @asynccontextmanager
    async def _read(self, what: str) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise _failed(what, error) from error


def _failed(what: str, error: Exception) -> StoreError:
    cause = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
    return StoreError(f"the store cannot {what}: {cause}")


async def _open_episodes(connection: AsyncConnection, name: str) -> dict[int, Drift]:
    query = select(episodes).where(episodes.c.application == name, episodes.c.closed_at.is_(None))
    return {row.id: _drift(row) for row in await connection.execute(query)}


def _drift(row: Row[Any]) -> Drift:
    resource = ResourceKey(row.group, row.kind, row.namespace, row.name)
    change = None if row.change is None else msgspec.json.decode(row.change, type=Change)
    key = DriftKey(resource, row.path, row.change_kind)
    return Drift(key, row.first_seen, row.last_seen, change)


def _stored(row: Row[Any]) -> StoredApplication:
    report = msgspec.json.decode(row.report, type=ApplicationReport)
    return StoredApplication(report, row.observed_at, row.changed_at)


async def _put_application(
    connection: AsyncConnection,
    name: str,
    report: ApplicationReport,
    now: datetime,
    changed_at: datetime,
    known: bool,
) -> None:
    values = {
        "cluster": report.cluster,
        "status": report.status.value,
        "complete": report.complete,
        "report": msgspec.json.encode(report).decode(),
        "observed_at": now,
        "changed_at": changed_at,
    }
    if known:
        await connection.execute(
            update(applications).where(applications.c.name == name).values(**values)
        )
    else:
        await connection.execute(insert(applications).values(name=name, **values))


async def _put_episodes(
    connection: AsyncConnection, change: StateChange, ids: dict[DriftKey, int]
) -> None:
    if change.opened:
        rows = [_episode(drift, change) for drift in change.opened]
        await connection.execute(insert(episodes), rows)
    seen = [
        {"row_id": ids[drift.key], "seen": drift.last_seen, "detail": _detail(drift)}
        for drift in change.open
        if drift.key in ids and drift.last_seen == change.at
    ]
    if seen:
        statement = update(episodes).where(episodes.c.id == bindparam("row_id"))
        statement = statement.values(last_seen=bindparam("seen"), change=bindparam("detail"))
        await connection.execute(statement, seen)
    if change.closed:
        closed = [{"row_id": ids[drift.key], "at": change.at} for drift in change.closed]
        statement = update(episodes).where(episodes.c.id == bindparam("row_id"))
        await connection.execute(statement.values(closed_at=bindparam("at")), closed)


def _detail(drift: Drift) -> str | None:
    return None if drift.change is None else msgspec.json.encode(drift.change).decode()


def _identity(key: DriftKey) -> str:
    """A digest, because paths may be longer than what PostgreSQL can index."""
    return hashlib.sha256(msgspec.json.encode(key)).hexdigest()


def _episode(drift: Drift, change: StateChange) -> dict[str, Any]:
    resource = drift.key.resource
    return {
        "application": change.application,
        "identity": _identity(drift.key),
        "cluster": change.cluster,
        "group": resource.group,
        "kind": resource.kind,
        "namespace": resource.namespace,
        "name": resource.name,
        "path": drift.key.path,
        "change_kind": drift.key.kind,
        "change": _detail(drift),
        "first_seen": drift.first_seen,
        "last_seen": drift.last_seen,
    }


def _as_history(change: StateChange) -> list[HistoryEntry]:
    if change.transition is Transition.NONE:
        return []
    data = {
        "previous": change.previous,
        "status": change.status,
        "revisions": change.revisions,
        "opened": [_named(drift) for drift in change.opened],
        "closed": [_named(drift) for drift in change.closed],
        "conditions": change.conditions,
    }
    return [HistoryEntry(change.application, change.at, change.transition.value, data)]


def _named(drift: Drift) -> dict[str, str]:
    key = drift.key
    return {"resource": str(key.resource), "path": key.path, "kind": key.kind}


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
    if rows:
        await connection.execute(insert(history), rows)


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
    rows = [
        {
            "message": message.id,
            "target": message.target,
            "application": message.application,
            "attempts": 0,
            "due_at": now,
            "settled_at": None,
            "delivered": False,
            "error": "",
        }
        for message in composed
    ]
    await connection.execute(insert(deliveries), rows)
