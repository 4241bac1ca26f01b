"""Live manifests as they were before driftd wrote over them, in the database, encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.model.resource import GVK, ResourceKey
from driftd.store.schema import backups


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a kept manifest without opening it."""

    id: str
    application: str
    cluster: str
    """The context or cluster name that it was read from."""
    server: str
    """The address of that cluster; empty where it was not known."""
    key: ResourceKey
    version: str
    """The version of the object's API."""
    at: datetime
    plan: str
    """The hash of the plan that wrote over it; empty where a person did."""

    @property
    def gvk(self) -> GVK:
        """Group, version and kind."""
        return GVK(self.key.group, self.version, self.key.kind)

    @property
    def row(self) -> bytes:
        """All of this, in bytes that stay the same whichever database told it: what is bound."""
        told = msgspec.structs.replace(self, at=self.at.astimezone(UTC))
        return msgspec.json.encode(told, order="sorted")


async def put(connection: AsyncConnection, backup: Backup, sealed: bytes) -> None:
    """Keep a manifest, once."""
    known = select(backups.c.id).where(backups.c.id == backup.id)
    if (await connection.execute(known)).one_or_none() is not None:
        return
    values = {
        "id": backup.id,
        "application": backup.application,
        "cluster": backup.cluster,
        "server": backup.server,
        "group": backup.key.group,
        "version": backup.version,
        "kind": backup.key.kind,
        "namespace": backup.key.namespace,
        "name": backup.key.name,
        "at": backup.at,
        "plan": backup.plan,
        "sealed": sealed,
    }
    await connection.execute(insert(backups).values(**values))


async def find(
    connection: AsyncConnection, *, application: str = "", limit: int
) -> Sequence[Backup]:
    """Kept manifests, newest first; `application` is `NAME` or `NAMESPACE/NAME`, empty for all."""
    columns = [column for column in backups.c if column.name != "sealed"]
    query = select(*columns).order_by(backups.c.at.desc(), backups.c.id).limit(limit)
    if application:
        named = backups.c.application.endswith(f"/{application}", autoescape=True)
        query = query.where(or_(backups.c.application == application, named))
    return [_backup(row) for row in (await connection.execute(query)).all()]


async def get(connection: AsyncConnection, beginning: str) -> list[tuple[Backup, bytes]]:
    """The kept manifests whose id begins so, two at most, with what is sealed in them."""
    query = select(backups).where(backups.c.id.startswith(beginning, autoescape=True)).limit(2)
    return [(_backup(row), row.sealed) for row in (await connection.execute(query)).all()]


async def expire(connection: AsyncConnection, since: datetime) -> int:
    """Delete what was kept before `since`; how many."""
    done = await connection.execute(delete(backups).where(backups.c.at < since))
    return int(done.rowcount)


def _backup(row: Row[Any]) -> Backup:
    return Backup(
        id=row.id,
        application=row.application,
        cluster=row.cluster,
        server=row.server,
        key=ResourceKey(row.group, row.kind, row.namespace, row.name),
        version=row.version,
        at=row.at,
        plan=row.plan,
    )
