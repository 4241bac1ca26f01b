"""The store on SQLAlchemy Core: SQLite by default, PostgreSQL by DSN."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Executable, Row, delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.errors import ConfigError, StoreError
from driftd.model.choices import nearest
from driftd.model.report import ApplicationStatus
from driftd.model.resource import ResourceKey
from driftd.store import episode_rows, pins
from driftd.store import memory as remembered
from driftd.store.database import Database
from driftd.store.faults import ERRORS, Fault, cause, fault
from driftd.store.outbox import Deliveries
from driftd.store.protocol import Pins, Store
from driftd.store.recording import Look, Recorder, Recording, stored_application
from driftd.store.schema import (
    applications,
    deliveries,
    episodes,
    guard_states,
    history,
    memories,
    messages,
)
from driftd.store.types import (
    ApplicationMemory,
    Episode,
    EpisodeQuery,
    HistoryEntry,
    OpenDrift,
    StateChange,
    StoredApplication,
    Verdict,
)
from driftd.store.writer import PATIENCE, Call, Writer

Result = TypeVar("Result")

KEPT: Final = 10.0
"""Seconds for which something read stands for reading it again, if nothing was written since."""


class SqlStore(Recorder, Store, Pins, Deliveries):
    """`Store`, `Pins` and `Outbox` in one database; one writer for all, readers beside it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._kept: dict[str, tuple[int, float, Any]] = {}
        """What was read, of which version of the database, and when, by what it is."""
        self._writer = Writer(database.writing, database.mend, tidy=database.tidy)

    @classmethod
    async def open(cls, dsn: str) -> SqlStore:
        """Connect to `dsn` and migrate. Raises ConfigError or StoreError."""
        return cls(await Database.open(dsn))

    @classmethod
    @asynccontextmanager
    async def existing(cls, dsn: str) -> AsyncIterator[SqlStore]:
        """Open a store that is there already, to read it. Raises ConfigError or StoreError."""
        store = cls(await Database.read_only(dsn))
        try:
            yield store
        finally:
            await store.close()

    async def close(self) -> None:
        """Commit what is under way, and close every connection."""
        await self._writer.close()
        await self.database.close()

    async def put(self, look: Look) -> StateChange:
        """See `Store.record`."""
        return await self._writer.run(f"record the look at {look.name}", Recording(look))

    async def recall(
        self, cluster: str, application: str, keys: Collection[ResourceKey] | None = None
    ) -> ApplicationMemory:
        """See `Memory.recall`."""
        return await self._read(
            f"read what is known of {application}",
            lambda connection: remembered.get(connection, cluster, application, keys),
            quick=keys is not None and len(keys) <= remembered.FEW,
        )

    async def pinned(self, name: str, server: str) -> str:
        """See `Pins.pinned`."""
        return await self._read(
            f"read what is known of cluster {name}",
            lambda connection: pins.get(connection, name, server),
        )

    async def pin(self, name: str, server: str, uid: str, now: datetime) -> None:
        """See `Pins.pin`."""
        await self._writer.run(
            f"pin cluster {name}",
            lambda connection: pins.put(connection, name, server, uid, now),
        )

    async def forget(self, application: str, now: datetime) -> None:
        """See `Store.forget`."""

        async def forget(connection: AsyncConnection) -> None:
            await connection.execute(delete(applications).where(applications.c.name == application))
            for table in (memories, guard_states):
                await connection.execute(delete(table).where(table.c.application == application))
            await episode_rows.forget(connection, application, now)

        await self._writer.run(f"forget {application}", forget)

    async def open_drifts(self) -> tuple[OpenDrift, ...]:
        """See `Store.open_drifts`."""
        query = select(episodes).where(episodes.c.closed_at.is_(None))
        rows = await self._rows(
            "list open drifts", query.order_by(episodes.c.first_seen, episodes.c.id)
        )
        return tuple(
            OpenDrift(row.application, row.cluster, episode_rows.drift(row)) for row in rows
        )

    async def open_severities(self) -> Mapping[str, int]:
        """See `Store.open_severities`."""
        query = select(episodes.c.severity, func.count().label("drifts"))
        query = query.where(episodes.c.closed_at.is_(None))
        rows = await self._rows("count open drifts", query.group_by(episodes.c.severity))
        return {row.severity: row.drifts for row in rows}

    async def applications(self) -> tuple[StoredApplication, ...]:
        """See `Store.applications`."""
        query = select(applications).order_by(applications.c.name)
        return tuple(map(stored_application, await self._rows("list applications", query)))

    async def verdicts(self) -> tuple[Verdict, ...]:
        """The last verdict on every application, by name; cheap, however large the reports."""
        columns = (
            applications.c.name,
            applications.c.cluster,
            applications.c.status,
            applications.c.complete,
            applications.c.observed_at,
            applications.c.changed_at,
        )
        rows = await self._rows("list verdicts", select(*columns).order_by(applications.c.name))
        return tuple(
            Verdict(
                r.name,
                r.cluster,
                ApplicationStatus(r.status),
                r.observed_at,
                # One that is not complete followed, at the latest, on the change to its status.
                r.observed_at if r.complete else r.changed_at,
            )
            for r in rows
        )

    async def application(self, name: str) -> StoredApplication | None:
        """See `Store.application`."""
        query = select(applications).where(applications.c.name == name)
        rows = await self._rows(f"read {name}", query)
        return stored_application(rows[0]) if rows else None

    async def history(self, application: str, limit: int) -> tuple[HistoryEntry, ...]:
        """See `Store.history`."""
        query = select(history).where(history.c.application == application)
        query = query.order_by(history.c.at.desc(), history.c.id.desc()).limit(limit)
        return tuple(
            HistoryEntry(row.application, row.at, row.kind, msgspec.json.decode(row.data))
            for row in await self._rows(f"read the history of {application}", query)
        )

    async def whole_name(self, application: str) -> str:
        """`namespace/name` of an application that is or was known, by that or its name alone.

        Raises ConfigError for one that is not known, and for a name that several have.
        """
        names = select(applications.c.name).union(select(history.c.application))
        known: set[str] = {row[0] for row in await self._rows(f"look for {application}", names)}
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
        return await self._read(
            "list episodes", lambda connection: episode_rows.find(connection, query)
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

        async def delete_all(connection: AsyncConnection) -> int:
            return sum([(await connection.execute(statement)).rowcount for statement in stale])

        return await self._writer.run("delete what is older than the retention", delete_all)

    async def change(self, what: str, call: Call[Result]) -> Result:
        """Do one change in a transaction; doing it twice must do what once does. StoreError."""
        return await self._writer.run(what, call)

    async def ask(self, what: str, call: Call[Result]) -> Result:
        """Read something in one transaction. Raises StoreError."""
        return await self._read(what, call)

    async def ask_again(self, what: str, call: Call[Result]) -> Result:
        """As `ask`, for what is asked for all the time.

        While nobody has written anything, what was read up to `KEPT` seconds ago stands for it:
        `what` says what is read, wherever it is asked for.
        """
        version, now = self.database.version, time.monotonic()
        known = self._kept.get(what)
        if known is not None and known[0] == version and now - known[1] < KEPT:
            found: Result = known[2]
            return found
        found = await self._read(what, call)
        if version is not None:
            self._kept[what] = (version, now, found)
        return found

    async def _rows(self, what: str, query: Executable) -> Sequence[Row[Any]]:
        async def fetch(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(query)).all()

        return await self._read(what, fetch)

    async def _read(self, what: str, call: Call[Result], *, quick: bool = False) -> Result:
        """Read in one transaction; again where a lock or a restart was in the way.

        `quick` where everything that is read is prepared, and few rows.
        """
        due, pause = time.monotonic() + PATIENCE, 0.05
        while True:
            try:
                database = self.database
                opened = database.quick() if quick else database.reader.connect()
                async with opened as connection:
                    return await call(connection)
            except ERRORS as error:
                found = fault(error)
                late = time.monotonic() > due
                if found is Fault.DAMAGED and self.database.writer is not None and not late:
                    await self.database.mend()
                elif found is not Fault.AGAIN or late:
                    raise StoreError(f"the store cannot {what}: {cause(error)}") from error
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, 1.0)


def _short(names: Iterable[str]) -> list[str]:
    return sorted(name.partition("/")[2] for name in names)
