"""Writes whose end is not known yet, and applications that wait for a person, in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.model.resource import GVK, ResourceKey
from driftd.store.schema import halts, heals


class HealState(StrEnum):
    """How far a write has come."""

    INTENDED = "intended"
    """It was decided; whether it was made is not known."""
    WRITTEN = "written"
    """It was made; whether the object is well after it is not known."""


class Heal(msgspec.Struct, frozen=True, kw_only=True):
    """One write of one object."""

    id: str
    application: str
    cluster: str
    key: ResourceKey
    version: str
    plan: str
    at: datetime
    """When it was decided; from when it was made, that moment."""
    resource_version: str
    """Of the live object that it was decided from; empty if there was none."""
    state: HealState
    health: str = ""
    """What the object was before; empty if it was not there."""

    @property
    def gvk(self) -> GVK:
        """Group, version and kind."""
        return GVK(self.key.group, self.version, self.key.kind)


async def put(connection: AsyncConnection, found: Sequence[Heal]) -> None:
    """Add writes, each once."""
    ids = [one.id for one in found]
    known = set((await connection.execute(select(heals.c.id).where(heals.c.id.in_(ids)))).scalars())
    rows = [_values(one) for one in found if one.id not in known]
    if rows:
        await connection.execute(insert(heals), rows)


async def change(connection: AsyncConnection, heal: Heal) -> None:
    """Write down how far a write has come."""
    values = {"state": heal.state.value, "at": heal.at, "health": heal.health}
    await connection.execute(update(heals).where(heals.c.id == heal.id).values(**values))


async def drop(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Nothing about these writes is open any more."""
    await connection.execute(delete(heals).where(heals.c.id.in_(ids)))


async def every(connection: AsyncConnection) -> list[Heal]:
    """All writes whose end is not known."""
    rows = (await connection.execute(select(heals).order_by(heals.c.at, heals.c.id))).all()
    return [_heal(row) for row in rows]


async def halt(connection: AsyncConnection, application: str, why: str, now: datetime) -> None:
    """Let an application wait for a person; the first reason stays."""
    known = select(halts.c.application).where(halts.c.application == application)
    if (await connection.execute(known)).one_or_none() is None:
        await connection.execute(insert(halts).values(application=application, at=now, why=why))


async def resume(connection: AsyncConnection, application: str) -> None:
    """A person has said that an application may be healed again."""
    await connection.execute(delete(halts).where(halts.c.application == application))


async def halted(connection: AsyncConnection) -> Mapping[str, str]:
    """The applications that wait for a person, and why."""
    rows = (await connection.execute(select(halts))).all()
    return {row.application: row.why for row in rows}


def _values(one: Heal) -> dict[str, Any]:
    return {
        "id": one.id,
        "application": one.application,
        "cluster": one.cluster,
        "group": one.key.group,
        "version": one.version,
        "kind": one.key.kind,
        "namespace": one.key.namespace,
        "name": one.key.name,
        "plan": one.plan,
        "at": one.at,
        "resource_version": one.resource_version,
        "state": one.state.value,
        "health": one.health,
    }


def _heal(row: Row[Any]) -> Heal:
    return Heal(
        id=row.id,
        application=row.application,
        cluster=row.cluster,
        key=ResourceKey(row.group, row.kind, row.namespace, row.name),
        version=row.version,
        plan=row.plan,
        at=row.at,
        resource_version=row.resource_version,
        state=HealState(row.state),
        health=row.health,
    )
