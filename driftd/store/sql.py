"""The store on SQLAlchemy Core: SQLite by default, PostgreSQL by DSN."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, and_, delete, exists, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from driftd.errors import ConfigError, StoreError
from driftd.model.choices import nearest
from driftd.model.report import ApplicationReport, ApplicationStatus
from driftd.store import episode_rows, pins
from driftd.store import memory as remembered
from driftd.store.engine import WRITE_OPTION, open_engine, require_existing
from driftd.store.episodes import (
    Before,
    JudgeEnding,
    JudgeHold,
    begun,
    moved,
    put_back,
    state_change,
    told_at_once,
    told_of,
    unjudged,
)
from driftd.store.protocol import Compose, Outbox, Pins, Store
from driftd.store.schema import applications, deliveries, episodes, history, memories, messages
from driftd.store.types import (
    ApplicationMemory,
    Drift,
    Ending,
    Episode,
    EpisodeQuery,
    Fight,
    HistoryEntry,
    OpenDrift,
    OutboxMessage,
    StateChange,
    StoredApplication,
    Transition,
)

_ERROR_LENGTH = 500


class SqlStore(Store, Pins, Outbox):
    """`Store`, `Pins` and `Outbox` in one database; one writer at a time, readers beside it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITE_OPTION: True})
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, dsn: str) -> SqlStore:
        """Connect to `dsn` and migrate. Raises ConfigError or StoreError."""
        return cls(await open_engine(dsn))

    @classmethod
    @asynccontextmanager
    async def existing(cls, dsn: str) -> AsyncIterator[SqlStore]:
        """Open a store that is there already. Raises ConfigError or StoreError."""
        require_existing(dsn)
        store = await cls.open(dsn)
        try:
            yield store
        finally:
            await store.close()

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
        ending: JudgeEnding = put_back,
        began: datetime | None = None,
        hold: JudgeHold = told_at_once,
    ) -> StateChange:
        """See `Store.record`."""
        name = f"{report.namespace}/{report.name}"
        async with self._write(f"record the look at {name}") as connection:
            query = select(applications).where(applications.c.name == name).with_for_update()
            stored = (await connection.execute(query)).one_or_none()
            known = await episode_rows.open_episodes(connection, name)
            before = await _before(connection, name, stored, known.values(), report, now)
            change = state_change(before, known.values(), report, now, ending, hold)
            changed_at = stored.changed_at if stored is not None else now
            if change.status is not before.status:
                changed_at = now
            values = _application(report, now, changed_at, told_of(before, change))
            values["began_at"] = began or now
            await _put_application(connection, name, values, known=stored is not None)
            await episode_rows.put(connection, change, {d.key: i for i, d in known.items()})
            await _put_history(connection, [*events, *_as_history(change)])
            await _put_messages(connection, compose(change), now)
            if memory is not None:
                await remembered.put(connection, name, memory, now)
        return change

    async def recall(self, cluster: str, application: str) -> ApplicationMemory:
        """See `Memory.recall`."""
        async with self._read(f"read what is known of {application}") as connection:
            return await remembered.get(connection, cluster, application)

    async def pinned(self, name: str, server: str) -> str:
        """See `Pins.pinned`."""
        async with self._read(f"read what is known of cluster {name}") as connection:
            return await pins.get(connection, name, server)

    async def pin(self, name: str, server: str, uid: str, now: datetime) -> None:
        """See `Pins.pin`."""
        async with self._write(f"pin cluster {name}") as connection:
            await pins.put(connection, name, server, uid, now)

    async def forget(self, application: str, now: datetime) -> None:
        """See `Store.forget`."""
        async with self._write(f"forget {application}") as connection:
            await connection.execute(delete(applications).where(applications.c.name == application))
            await connection.execute(delete(memories).where(memories.c.application == application))
            await episode_rows.forget(connection, application, now)

    async def open_drifts(self) -> tuple[OpenDrift, ...]:
        """See `Store.open_drifts`."""
        query = select(episodes).where(episodes.c.closed_at.is_(None))
        async with self._read("list open drifts") as connection:
            rows = await connection.execute(query.order_by(episodes.c.first_seen, episodes.c.id))
            return tuple(
                OpenDrift(row.application, row.cluster, episode_rows.drift(row)) for row in rows
            )

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

    async def whole_name(self, application: str) -> str:
        """`namespace/name` of an application that is or was known, by that or its name alone.

        Raises ConfigError for one that is not known, and for a name that several have.
        """
        async with self._read(f"look for {application}") as connection:
            known: set[str] = set((await connection.execute(select(applications.c.name))).scalars())
            known |= set((await connection.execute(select(history.c.application))).scalars())
        if application in known:
            return application
        found = sorted(name for name in known if name.partition("/")[2] == application)
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(
                f"several applications are called {application!r}", hint=" or ".join(found)
            )
        raise ConfigError(
            f"the store knows no application {application!r}",
            hint=nearest([*_short(known), *sorted(known)], application)
            + "driftd episodes lists every drift",
        )

    async def episodes(self, query: EpisodeQuery) -> tuple[Episode, ...]:
        """See `Store.episodes`."""
        async with self._read("list episodes") as connection:
            return await episode_rows.find(connection, query)

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


def _stored(row: Row[Any]) -> StoredApplication:
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
    return Before(
        status=status,
        told=ApplicationStatus(stored.told) if stored.told else status,
        observed_at=stored.began_at or stored.observed_at,
        unjudged=unjudged(_stored(stored).report) if keys else frozenset(),
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
        await connection.execute(
            update(applications).where(applications.c.name == name).values(**values)
        )
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


def _short(names: Iterable[str]) -> list[str]:
    return sorted(name.partition("/")[2] for name in names)


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
