"""Episodes of drift in the database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.model.report import Change
from driftd.model.resource import ResourceKey
from driftd.store.episodes import Past, is_fight
from driftd.store.prepared import Prepared
from driftd.store.schema import episodes
from driftd.store.types import (
    FIGHT_RATE,
    HALF_LIFE,
    Drift,
    DriftKey,
    Ending,
    Episode,
    EpisodeQuery,
    Held,
    Recovery,
    StateChange,
    Step,
    WholeObject,
)

_FIGHT_MEMORY = 8 * HALF_LIFE
"""Older fights are over, however fierce they were: less than a hundredth of their rate is left."""
_IDENTITIES = 200
"""Identities that one query asks for."""
_ALONE = 3
"""Identities that are asked for one by one."""

_OF_APPLICATION = episodes.c.application == bindparam("application")
_OPEN = Prepared(select(episodes).where(_OF_APPLICATION, episodes.c.closed_at.is_(None)))
_PAST = Prepared(
    select(episodes.c.first_seen, episodes.c.rate, episodes.c.ended_by)
    .where(
        _OF_APPLICATION,
        episodes.c.identity == bindparam("identity"),
        episodes.c.closed_at.is_not(None),
    )
    .order_by(episodes.c.id)
)
_FIERCE = Prepared(
    select(
        *(episodes.c[name] for name in ("group", "kind", "namespace", "name")),
        *(episodes.c[name] for name in ("path", "change_kind", "rate", "first_seen")),
    ).where(
        _OF_APPLICATION,
        episodes.c.rate >= FIGHT_RATE,
        episodes.c.first_seen >= bindparam("since"),
    )
)
_SEEN = Prepared(
    update(episodes)
    .where(episodes.c.id == bindparam("row_id"))
    .values(
        last_seen=bindparam("seen"),
        change=bindparam("detail"),
        whole=bindparam("about"),
        severity=bindparam("worst"),
        held=bindparam("why_held"),
        steps=bindparam("values"),
    )
)
_INSERT = Prepared(insert(episodes))
_CLOSE = Prepared(
    update(episodes)
    .where(episodes.c.id == bindparam("row_id"))
    .values(closed_at=bindparam("at"), ending=bindparam("how"), ended_by=bindparam("by"))
)


async def open_episodes(connection: AsyncConnection, application: str) -> dict[int, Drift]:
    """The open drifts of an application, by row."""
    rows = await _OPEN.rows(connection, application=application)
    return {row.id: drift(row) for row in rows}


async def past(
    connection: AsyncConnection, application: str, keys: Collection[DriftKey]
) -> dict[DriftKey, Past]:
    """The last closed episode of each of these drifts, if there is one."""
    wanted = {identity(key): key for key in keys}
    found: dict[DriftKey, Past] = {}
    names = list(wanted)
    if len(names) <= _ALONE:
        for name in names:
            for row in await _PAST.rows(connection, application=application, identity=name):
                found[wanted[name]] = Past(row.first_seen, row.rate, row.ended_by)
        return found
    for start in range(0, len(names), _IDENTITIES):
        query = (
            select(episodes.c.identity, episodes.c.first_seen, episodes.c.rate, episodes.c.ended_by)
            .where(
                episodes.c.application == application,
                episodes.c.identity.in_(names[start : start + _IDENTITIES]),
                episodes.c.closed_at.is_not(None),
            )
            .order_by(episodes.c.id)
        )
        for row in await connection.execute(query):
            found[wanted[row.identity]] = Past(row.first_seen, row.rate, row.ended_by)
    return found


async def fights(
    connection: AsyncConnection, application: str, now: datetime
) -> frozenset[DriftKey]:
    """The drifts of an application that somebody changes and puts back again and again."""
    rows = await _FIERCE.rows(connection, application=application, since=now - _FIGHT_MEMORY)
    return frozenset(_key(row) for row in rows if is_fight(row.rate, row.first_seen, now))


async def put(
    connection: AsyncConnection, change: StateChange, ids: Mapping[DriftKey, int]
) -> None:
    """Open, continue and close episodes as a look changed them."""
    await _INSERT.each(connection, [_episode(drift, change) for drift in change.opened])
    seen = [
        {
            "row_id": ids[drift.key],
            "seen": drift.last_seen,
            "detail": _detail(drift),
            "about": _about(drift),
            "worst": drift.severity,
            "why_held": _why_held(drift),
            "values": _steps(drift),
        }
        for drift in change.open
        if drift.key in ids and drift.last_seen == change.at
    ]
    await _SEEN.each(connection, seen)
    if change.closed:
        closed = [
            {"row_id": ids[drift.key], "at": change.at, "how": ending.how.value, "by": ending.by}
            for drift, ending in zip(change.closed, change.endings, strict=True)
        ]
        await _CLOSE.each(connection, closed)


async def forget(connection: AsyncConnection, application: str, now: datetime) -> None:
    """Close the open drifts of an application that is declared no longer."""
    still_open = and_(episodes.c.application == application, episodes.c.closed_at.is_(None))
    await connection.execute(
        update(episodes)
        .where(still_open)
        .values(closed_at=now, ending=Recovery.FORGOTTEN.value, ended_by="")
    )


async def find(connection: AsyncConnection, query: EpisodeQuery) -> tuple[Episode, ...]:
    """Episodes that a query asks for, open ones first, then the latest first."""
    statement = select(episodes)
    for wanted, column in (
        (query.kind, episodes.c.kind),
        (query.name, episodes.c.name),
    ):
        if wanted:
            statement = statement.where(func.lower(column) == wanted.lower())
    if query.application:
        whole = episodes.c.application == query.application
        named = episodes.c.application.endswith(f"/{query.application}", autoescape=True)
        statement = statement.where(or_(whole, named))
    if query.is_open is not None:
        is_open = episodes.c.closed_at.is_(None)
        statement = statement.where(is_open if query.is_open else ~is_open)
    if query.since is not None:
        statement = statement.where(
            or_(episodes.c.closed_at.is_(None), episodes.c.closed_at >= query.since)
        )
    statement = statement.order_by(
        episodes.c.closed_at.is_not(None), episodes.c.first_seen.desc(), episodes.c.id.desc()
    )
    found: list[Episode] = []
    async for row in await connection.stream(statement):
        episode = _as_episode(row)
        if _is_wanted(episode.drift, query):
            found.append(episode)
            if len(found) == query.limit:
                break
    return tuple(found)


def identity(key: DriftKey) -> str:
    """A digest, because paths may be longer than what PostgreSQL can index."""
    return hashlib.sha256(msgspec.json.encode(key)).hexdigest()


def drift(row: Row[Any]) -> Drift:
    """The drift of a row."""
    return Drift(
        _key(row),
        row.first_seen,
        row.last_seen,
        None if row.change is None else msgspec.json.decode(row.change, type=Change),
        clean_at=row.clean_at,
        whole=None if row.whole is None else msgspec.json.decode(row.whole, type=WholeObject),
        severity=row.severity,
        rate=row.rate,
        steps=() if row.steps is None else msgspec.json.decode(row.steps, type=tuple[Step, ...]),
        held=None if row.held is None else msgspec.json.decode(row.held, type=Held),
    )


def _key(row: Row[Any]) -> DriftKey:
    resource = ResourceKey(row.group, row.kind, row.namespace, row.name)
    return DriftKey(resource, row.path, row.change_kind)


def _as_episode(row: Row[Any]) -> Episode:
    ending = None if row.ending is None else Ending(Recovery(row.ending), row.ended_by)
    return Episode(
        application=row.application,
        cluster=row.cluster,
        drift=drift(row),
        closed_at=row.closed_at,
        ending=ending,
    )


def _is_wanted(one: Drift, query: EpisodeQuery) -> bool:
    if query.is_at is not None and not query.is_at(one):
        return False
    return not query.path or _is_at(one, query.path)


def _is_at(one: Drift, path: str) -> bool:
    places: Sequence[str] = (one.key.path, one.change.path if one.change else "")
    return any(place == path or place.startswith(path.rstrip("/") + "/") for place in places)


def _detail(one: Drift) -> str | None:
    return None if one.change is None else msgspec.json.encode(one.change).decode()


def _about(one: Drift) -> str | None:
    return None if one.whole is None else msgspec.json.encode(one.whole).decode()


def _steps(one: Drift) -> str | None:
    return msgspec.json.encode(one.steps).decode() if one.steps else None


def _why_held(one: Drift) -> str | None:
    return None if one.held is None else msgspec.json.encode(one.held).decode()


def _episode(one: Drift, change: StateChange) -> dict[str, Any]:
    resource = one.key.resource
    return {
        "application": change.application,
        "identity": identity(one.key),
        "cluster": change.cluster,
        "group": resource.group,
        "kind": resource.kind,
        "namespace": resource.namespace,
        "name": resource.name,
        "path": one.key.path,
        "change_kind": one.key.kind,
        "change": _detail(one),
        "first_seen": one.first_seen,
        "last_seen": one.last_seen,
        "clean_at": one.clean_at,
        "whole": _about(one),
        "severity": one.severity,
        "rate": one.rate,
        "held": _why_held(one),
    }
