"""Prepared statements: what comes back is what SQLAlchemy gives, on every database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from driftd.store.prepared import Prepared
from driftd.store.prompt import FEW
from driftd.store.schema import applications, memories
from tests.unit.reports import START, after

INSERT = Prepared(insert(applications))
ALL = Prepared(select(applications).order_by(applications.c.name))
RENAME = Prepared(
    update(applications)
    .where(applications.c.name == bindparam("of"))
    .values(name=bindparam("to"), began_at=bindparam("began"))
)


def row(name: str, **values: Any) -> dict[str, Any]:
    """The row of an application."""
    return {
        "name": name,
        "cluster": "one",
        "status": "Synced",
        "complete": True,
        "report": "{}",
        "observed_at": START,
        "changed_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "standing": None,
        **values,
    }


async def test_values_are_those_of_sqlalchemy(store):
    """Moments, booleans and nothing come back as a query of SQLAlchemy gives them."""
    async with store.database.writing() as connection:
        await INSERT.each(connection, [row("a"), row("b", complete=False, standing="{}")])
        own = [tuple(one) for one in await ALL.rows(connection)]
        theirs = await connection.execute(select(applications).order_by(applications.c.name))
        assert own == [tuple(one) for one in theirs]
        assert (await ALL.rows(connection))[0].changed_at.tzinfo is UTC


async def test_bytes_come_back(store):
    """What looks remember are bytes, whatever is in them."""
    put = Prepared(insert(memories))
    kept = {"application": "a", "identity": "i", "cluster": "c", "data": b"\x00\xff", "group": ""}
    more = {"kind": "K", "namespace": "", "name": "n", "seen_at": START}
    async with store.database.writing() as connection:
        await put.each(connection, [kept | more])
        found = await Prepared(select(memories.c.data)).rows(connection)
    assert [bytes(one.data) for one in found] == [b"\x00\xff"]


async def test_writing_tells_how_many_rows_it_found(store):
    """An update says whether there was such a row; the next reader sees what it wrote."""
    async with store.database.writing() as connection:
        await INSERT.each(connection, [row("a")])
        assert await RENAME.run(connection, of="a", to="z", began=after(5)) == 1
        assert await RENAME.run(connection, of="a", to="z", began=after(5)) == 0
    async with store.database.quick() as connection:
        (found,) = await ALL.rows(connection)
    assert (found.name, found.began_at) == ("z", after(5))


@pytest.mark.parametrize("count", [0, 1, FEW, FEW + 1])
async def test_any_number_of_rows_is_written(store, count: int):
    """None, few and many values give as many rows."""
    async with store.database.writing() as connection:
        await INSERT.each(connection, [row(f"{number:04}") for number in range(count)])
    async with store.database.quick() as connection:
        assert len(await ALL.rows(connection)) == count


async def test_errors_are_those_of_sqlalchemy_without_values(store):
    """A refused row raises what SQLAlchemy raises; values are not in its words on SQLite."""
    async with store.database.writing() as connection:
        await INSERT.each(connection, [row("a")])
    async with store.database.writing() as connection:
        with pytest.raises(IntegrityError) as refused:
            await INSERT.each(connection, [row("a", report="confidential")])
    if store.database.reader.dialect.name == "sqlite":
        assert "confidential" not in str(refused.value)


async def test_a_quick_view_does_not_change(tmp_path):
    """What is committed between two queries of one view is not in the second; in the next it is."""
    from driftd.store.sql import SqlStore

    store = await SqlStore.open(f"sqlite:///{tmp_path}/driftd.db")
    async with store.database.quick() as view:
        assert await ALL.rows(view) == []
        async with store.database.writing() as connection:
            await INSERT.each(connection, [row("a")])
        assert await ALL.rows(view) == []
    async with store.database.quick() as view:
        assert [one.name for one in await ALL.rows(view)] == ["a"]
    await store.close()


async def test_a_change_that_fails_alone_leaves_nothing(store):
    """The first change of a commit needs no savepoint: its rows go with it, others' stay."""

    async def broken(connection: Any) -> None:
        await INSERT.each(connection, [row("a")])
        raise RuntimeError("no more")

    async def whole(connection: Any) -> None:
        await INSERT.each(connection, [row("b")])

    failed, done = await asyncio.gather(
        store.change("break", broken), store.change("write", whole), return_exceptions=True
    )
    assert (str(failed), done) == ("no more", None)
    async with store.database.quick() as connection:
        assert [one.name for one in await ALL.rows(connection)] == ["b"]
