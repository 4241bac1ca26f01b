"""PostgreSQL that restarts, has no connection left, or is held up by another session."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

import pytest

from driftd.errors import StoreError
from driftd.store.database import Database
from driftd.store.sql import SqlStore
from driftd.store.types import EpisodeQuery
from driftd.store.writer import Writer
from tests.testbed.postgresql import PostgreSQL, empty_database
from tests.unit.reports import START, after, change, report, resource
from tests.unit.store.test_sql import CLEAN, DRIFTED, NAME, loud, quiet

pytestmark = pytest.mark.slow

RESTARTS = int(os.environ.get("STORE_RESTARTS", "2"))
APPLICATIONS = 8


@pytest.fixture
async def dsn(postgresql_server: PostgreSQL) -> str:
    """The DSN of an empty database of PostgreSQL."""
    return await empty_database(postgresql_server)


async def test_restarts_under_load_lose_and_double_nothing(
    dsn: str, postgresql_server: PostgreSQL, capsys: pytest.CaptureFixture[str]
) -> None:
    """Crashes in the middle of commits: what was acknowledged is there, each look once."""
    store = await SqlStore.open(dsn)
    acknowledged: list[tuple[str, int]] = []
    ended, more = asyncio.Event(), asyncio.Condition()

    async def work(number: int) -> None:
        name, second = f"app{number}", 0
        while not ended.is_set():
            # Another field each time: the same one again and again would be a fight.
            field = change(f"/data/colour{second}", desired="blue", live="red")
            changes = (field,) if second % 2 else ()
            look = report(resource("web", *changes), name=name)
            await store.record(look, after(second), loud("one"))
            acknowledged.append((name, second))
            second += 1
            async with more:
                more.notify_all()

    async def until(count: int) -> None:
        async with more:
            await more.wait_for(lambda: len(acknowledged) >= count)

    async with asyncio.TaskGroup() as group:
        for number in range(APPLICATIONS):
            group.create_task(work(number))
        slowest = 0.0
        for _ in range(RESTARTS):
            await until(len(acknowledged) + 3 * APPLICATIONS)
            began, before = time.monotonic(), len(acknowledged)
            await asyncio.to_thread(postgresql_server.restart)
            await until(before + APPLICATIONS)
            slowest = max(slowest, time.monotonic() - began)
        ended.set()
    onsets = {(name, second) for name, second in acknowledged if second % 2}
    found = [
        (one.application.partition("/")[2], round((one.drift.first_seen - START).total_seconds()))
        for one in await store.episodes(EpisodeQuery(limit=1_000_000))
    ]
    assert max(Counter(found).values()) == 1
    assert set(found) == onsets
    told = await store.waiting()
    assert told == len(acknowledged) - APPLICATIONS
    assert slowest < 10
    await store.close()
    with capsys.disabled():
        print(  # noqa: T201
            f"\nF-24: {RESTARTS} crashes of PostgreSQL, {len(acknowledged)} looks acknowledged: "
            f"lost 0, doubled 0, back after {slowest:.1f} s at most"
        )


async def test_no_connection_left(dsn: str) -> None:
    """A server that refuses new sessions is asked again until it has one."""
    import asyncpg

    store = await SqlStore.open(dsn)
    await store.database.reader.dispose()
    address = dsn.replace("postgresql+asyncpg", "postgresql")
    others = []
    try:
        while True:
            others.append(await asyncpg.connect(address))
    except asyncpg.PostgresError:
        pass
    writing = asyncio.create_task(store.record(DRIFTED, START, quiet))
    done, _ = await asyncio.wait({writing}, timeout=0.3)
    assert not done
    for one in others:
        await one.close()
    async with asyncio.timeout(10):
        assert (await writing).opened
    await store.close()


async def test_a_session_that_sits_on_a_lock(dsn: str) -> None:
    """Idle in its transaction for longer than patience: an error, and the next look is recorded."""
    import asyncpg

    store = await SqlStore.open(dsn)
    await store.record(CLEAN, START, quiet)
    other = await asyncpg.connect(dsn)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE applications SET status = status WHERE name = $1", NAME)
    hurried = Writer(store.database.writing, store.database.mend, patience=1.0)
    store._writer = hurried
    with pytest.raises(StoreError, match="lock timeout"):
        await store.record(DRIFTED, after(10), quiet)
    await transaction.rollback()
    await other.close()
    assert (await store.record(DRIFTED, after(20), quiet)).opened
    await store.close()


async def test_acknowledged_means_stored_whatever_the_server_says(dsn: str) -> None:
    """A server that commits without waiting for its disk is told to wait."""
    database = await Database.open(dsn)
    async with database.writing() as connection:
        await connection.exec_driver_sql("SET SESSION synchronous_commit = off")
    async with database.writing() as connection:
        found = await connection.exec_driver_sql("SHOW synchronous_commit")
        assert found.scalar_one() == "on"
    await database.close()
