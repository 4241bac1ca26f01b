"""What the guards of healing remember: a state per application, intended writes, budgets.

A write counts from the moment at which it was intended: what is here was committed before the
first byte went to a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.store.pins import digest
from driftd.store.schema import guard_budgets, guard_heals, guard_states, history
from driftd.store.sql import SqlStore
from driftd.store.types import GuardMemory, HistoryEntry


class GuardStore:
    """The guards' part of a store."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def recall(self, application: str, cluster: str, since: datetime) -> GuardMemory:
        """What is remembered of an application, with the writes since then. Raises StoreError."""

        async def read(connection: AsyncConnection) -> GuardMemory:
            states = select(guard_states.c.state).where(guard_states.c.application == application)
            state = (await connection.execute(states)).scalar_one_or_none()
            heals = select(guard_heals.c.heal).where(
                guard_heals.c.application == application, guard_heals.c.at >= since
            )
            rows = await connection.execute(heals.order_by(guard_heals.c.at, guard_heals.c.id))
            return GuardMemory(
                state=(state or "").encode(),
                heals=tuple(heal.encode() for heal in rows.scalars()),
                application_full_at=await _full_at(connection, "application", application),
                cluster_full_at=await _full_at(connection, "cluster", cluster),
            )

        return await self._store.ask(f"read what guards remember of {application}", read)

    async def remember(
        self,
        application: str,
        cluster: str,
        memory: GuardMemory,
        now: datetime,
        *,
        forget: datetime,
        events: Sequence[HistoryEntry] = (),
    ) -> None:
        """Keep a decision, in one transaction: state, the writes in `heals`, and budgets.

        Writes before `forget` are dropped. Raises StoreError.
        """
        ids = sorted(str(uuid4()) for _ in memory.heals)  # what is read again is in this order

        async def write(connection: AsyncConnection) -> None:
            await _put(
                connection,
                guard_states,
                {"application": application},
                {"state": memory.state.decode(), "at": now},
            )
            # The transaction may be done again after a commit of unknown fate.
            old = delete(guard_heals).where(
                guard_heals.c.application == application, guard_heals.c.at < forget
            )
            await connection.execute(old)
            if ids:
                await connection.execute(delete(guard_heals).where(guard_heals.c.id.in_(ids)))
                rows = [
                    {"id": one, "application": application, "at": now, "heal": heal.decode()}
                    for one, heal in zip(ids, memory.heals, strict=True)
                ]
                await connection.execute(insert(guard_heals), rows)
            for kind, name, full_at in (
                ("application", application, memory.application_full_at),
                ("cluster", cluster, memory.cluster_full_at),
            ):
                if full_at is not None:
                    scope = {"scope": digest(kind, name)}
                    await _put(connection, guard_budgets, scope, {"full_at": full_at})
            for entry in events:
                await connection.execute(insert(history), _event(entry))

        await self._store.change(f"keep what guards remember of {application}", write)

    async def states(self) -> Mapping[str, bytes]:
        """The state of every application. Raises StoreError."""

        async def read(connection: AsyncConnection) -> Mapping[str, bytes]:
            rows = await connection.execute(select(guard_states))
            return {row.application: row.state.encode() for row in rows}

        return await self._store.ask("read what guards remember", read)


def _event(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "application": entry.application,
        "at": entry.at,
        "kind": entry.kind,
        "data": msgspec.json.encode(entry.data).decode(),
    }


async def _full_at(connection: AsyncConnection, kind: str, name: str) -> datetime | None:
    query = select(guard_budgets.c.full_at).where(guard_budgets.c.scope == digest(kind, name))
    return (await connection.execute(query)).scalar_one_or_none()


async def _put(
    connection: AsyncConnection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Change the row with this key, or add it."""
    where = [table.c[name] == value for name, value in key.items()]
    changed = await connection.execute(update(table).where(*where).values(**values))
    if changed.rowcount == 0:
        await connection.execute(insert(table).values(**key, **values))
