"""What looks at an application left behind, in the database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.model.resource import ResourceKey
from driftd.store.prepared import Prepared
from driftd.store.schema import applications, memories
from driftd.store.types import ApplicationMemory

FEW = 3
"""Objects that are read and written one by one."""
_FEW = 50
"""Objects that one query names; of more, all of their application are read."""
_REVISIONS = Prepared(
    select(applications.c.clean_revisions).where(applications.c.name == bindparam("name"))
)
_REVISE = Prepared(
    update(applications)
    .where(applications.c.name == bindparam("of"))
    .values(clean_revisions=bindparam("text"))
)
_ONE = Prepared(
    select(memories).where(
        memories.c.application == bindparam("application"),
        memories.c.identity == bindparam("identity"),
    )
)
_INSERT = Prepared(insert(memories))
_RENEW = Prepared(
    update(memories)
    .where(memories.c.application == bindparam("of"), memories.c.identity == bindparam("row"))
    .values(data=bindparam("value"), seen_at=bindparam("now"))
)


async def get(
    connection: AsyncConnection,
    cluster: str,
    application: str,
    keys: Collection[ResourceKey] | None = None,
) -> ApplicationMemory:
    """What looks at an application on a cluster left behind, of all objects or of `keys`."""
    revisions = await _REVISIONS.rows(connection, name=application)
    if keys is not None and len(keys) <= FEW:
        rows: list[Any] = []
        for key in keys:
            known = _identity(cluster, key)
            rows += await _ONE.rows(connection, application=application, identity=known)
    else:
        found = select(memories).where(
            memories.c.application == application, memories.c.cluster == cluster
        )
        if keys is not None:
            found = found.where(memories.c.identity.in_([_identity(cluster, key) for key in keys]))
        rows = list(await connection.execute(found))
    return ApplicationMemory(
        cluster=cluster,
        clean_revisions=msgspec.json.decode(
            revisions[0].clean_revisions if revisions else "[]", type=tuple[str, ...]
        ),
        objects={
            ResourceKey(row.group, row.kind, row.namespace, row.name): row.data for row in rows
        },
    )


async def put(
    connection: AsyncConnection, application: str, memory: ApplicationMemory, now: datetime
) -> None:
    """Keep what a look leaves behind; the application has a row already."""
    if memory.clean_revisions:
        text = msgspec.json.encode(memory.clean_revisions).decode()
        await _REVISE.run(connection, of=application, text=text)
    if not memory.objects:
        return
    rows = [
        {
            "application": application,
            "identity": _identity(memory.cluster, key),
            "cluster": memory.cluster,
            "group": key.group,
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "data": data,
            "seen_at": now,
        }
        for key, data in memory.objects.items()
    ]
    if len(rows) <= FEW:
        for row in rows:
            known_as = {"of": application, "row": row["identity"]}
            if not await _RENEW.run(connection, **known_as, value=row["data"], now=now):
                await _INSERT.each(connection, [row])
        return
    query = select(memories.c.identity).where(memories.c.application == application)
    if len(rows) <= _FEW:
        query = query.where(memories.c.identity.in_([row["identity"] for row in rows]))
    known = set((await connection.execute(query)).scalars())
    fresh = [row for row in rows if row["identity"] not in known]
    if fresh:
        await connection.execute(insert(memories), fresh)
    seen = [
        {"row": row["identity"], "value": row["data"]} for row in rows if row["identity"] in known
    ]
    if seen:
        statement = (
            update(memories)
            .where(memories.c.application == application, memories.c.identity == bindparam("row"))
            .values(data=bindparam("value"), seen_at=now)
        )
        await connection.execute(statement, seen)


def _identity(cluster: str, key: ResourceKey) -> str:
    """A digest, because names may be longer than what PostgreSQL can index."""
    return hashlib.sha256(msgspec.json.encode([cluster, key])).hexdigest()
