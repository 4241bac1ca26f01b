"""Which cluster answers at an address, in the database."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.store.schema import clusters


async def get(connection: AsyncConnection, name: str, server: str) -> str:
    """The pinned uid; empty if none is."""
    query = select(clusters.c.uid).where(clusters.c.id == digest(name, server))
    return (await connection.execute(query)).scalar_one_or_none() or ""


async def put(connection: AsyncConnection, name: str, server: str, uid: str, now: datetime) -> None:
    """Pin a cluster, in place of what was pinned."""
    row = digest(name, server)
    if await get(connection, name, server):
        statement = update(clusters).where(clusters.c.id == row)
        await connection.execute(statement.values(uid=uid, pinned_at=now))
    else:
        values = {"id": row, "name": name, "server": server, "uid": uid, "pinned_at": now}
        await connection.execute(insert(clusters).values(**values))


def digest(*names: str) -> str:
    """A digest, because names may be longer than what PostgreSQL can index."""
    return hashlib.sha256(msgspec.json.encode(names)).hexdigest()
