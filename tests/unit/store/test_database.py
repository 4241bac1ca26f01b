"""A store whose files are damaged, taken away, filled up or locked: noticed, told, mended."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from driftd.errors import StoreError
from driftd.store.database import TIDY_AFTER
from driftd.store.sql import SqlStore
from driftd.store.types import EpisodeQuery
from driftd.store.writer import PATIENCE
from tests.unit.reports import START, change, report, resource
from tests.unit.store.test_sql import quiet

pytestmark = pytest.mark.slow

COLOURS = change("/data/colour", desired="blue", live="red")


def look(number: int):
    """A look at application `number` that finds one drift."""
    return report(resource("web", COLOURS), name=f"app{number:04}")


async def recorded(store: SqlStore, numbers: range) -> None:
    """One episode of each of these applications."""
    await asyncio.gather(*(store.record(look(one), START, quiet) for one in numbers))


async def known(store: SqlStore) -> set[str]:
    """The applications with an episode; each has one."""
    found = [one.application for one in await store.episodes(EpisodeQuery())]
    assert len(found) == len(set(found))
    return set(found)


def names(numbers: range) -> set[str]:
    """What `known` gives for these."""
    return {f"argocd/app{one:04}" for one in numbers}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a store."""
    return tmp_path / "driftd.db"


def killed(path: Path, copy: Path) -> Path:
    """The files as a daemon leaves them that is killed now."""
    copy.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        if not file.name.endswith("-shm"):
            shutil.copyfile(file, copy / file.name)
    return copy / path.name


async def test_the_log_is_moved_into_the_database_between_commits(path: Path, tmp_path) -> None:
    """What many commits left in the log gets into the file itself, and later ones not yet."""
    store = await SqlStore.open(f"sqlite:///{path}")
    for one in range(TIDY_AFTER):
        await store.record(look(one), START, quiet)
    await store._writer.close()
    await store.record(look(TIDY_AFTER), START, quiet)
    alone = shutil.copyfile(path, tmp_path / "alone.db")
    with closing(sqlite3.connect(alone)) as database:
        (found,) = database.execute("SELECT count(*) FROM episodes").fetchone()
    assert found == TIDY_AFTER
    assert await known(store) == names(range(TIDY_AFTER + 1))
    await store.close()


async def left_by_a_killed_one(path: Path, copy: Path) -> Path:
    """A store of which half is in the database and half in its log."""
    store = await SqlStore.open(f"sqlite:///{path}")
    await recorded(store, range(10))
    async with store.database.writer.connect() as connection:
        raw = await connection.get_raw_connection()
        await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for one in range(10, 20):
        await store.record(look(one), START, quiet)
    found = killed(path, copy)
    await store.close()
    return found


def flip(file: Path, at: int, length: int = 16) -> None:
    """Damage some bytes."""
    content = bytearray(file.read_bytes())
    content[at : at + length] = bytes(255 - one for one in content[at : at + length])
    file.write_bytes(content)


async def test_what_a_killed_daemon_had_stored_is_there(path: Path, tmp_path: Path) -> None:
    """A log that was never closed is read, and nothing is said to be lost."""
    left = await left_by_a_killed_one(path, tmp_path / "copy")
    store = await SqlStore.open(f"sqlite:///{left}")
    assert (store.database.losses, await known(store)) == ([], names(range(20)))
    await store.close()


async def test_a_log_with_damage_in_its_middle_is_noticed(path: Path, tmp_path: Path) -> None:
    """SQLite drops the commits after it and calls the database whole; driftd says how many."""
    left = await left_by_a_killed_one(path, tmp_path / "copy")
    log = left.with_name(left.name + "-wal")
    flip(log, log.stat().st_size // 2)
    store = await SqlStore.open(f"sqlite:///{left}")
    (loss,) = store.database.losses
    found = await known(store)
    assert names(range(10)) <= found < names(range(20))
    assert f"its last {20 - len(found)} commits are lost" in loss
    assert len(list(left.parent.glob("*.damaged-*-wal"))) == 1
    await recorded(store, range(20))
    await store.close()
    store = await SqlStore.open(f"sqlite:///{left}")
    assert (store.database.losses, await known(store)) == ([], names(range(20)))
    await store.close()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("log deleted", "its last 10 commits are lost"),
        ("log truncated", "commits are lost"),
        ("file deleted", "its file is gone, and "),
        ("file emptied", "its file is gone, and "),
        ("header", "it was damaged (file is not a database)"),
        ("root page", "it was damaged"),
        ("truncated", "it was damaged"),
    ],
)
async def test_damage_while_nobody_looks(
    path: Path, tmp_path: Path, damage: str, said: str
) -> None:
    """It is said at the start, what is damaged is put aside, and the store works."""
    left = await left_by_a_killed_one(path, tmp_path / "copy")
    log = left.with_name(left.name + "-wal")
    if damage == "log truncated":
        os.truncate(log, log.stat().st_size // 2)
    else:
        log.unlink()
    if damage == "file deleted":
        left.unlink()
    elif damage == "file emptied":
        os.truncate(left, 0)
    elif damage == "header":
        flip(left, 0)
    elif damage == "root page":
        flip(left, 4096, 4096)
    elif damage == "truncated":
        os.truncate(left, left.stat().st_size // 2)
    store = await SqlStore.open(f"sqlite:///{left}")
    (loss,) = store.database.losses
    assert said in loss
    if said.startswith("it was damaged"):
        (aside,) = left.parent.glob("driftd.db.damaged-*Z")
        assert str(aside) in loss
    await recorded(store, range(20))
    assert await known(store) == names(range(20))
    await store.close()


async def test_a_file_deleted_under_a_running_store(path: Path) -> None:
    """What is recorded from then on goes to a file that the next start finds."""
    store = await SqlStore.open(f"sqlite:///{path}")
    await recorded(store, range(5))
    for file in path.parent.glob("driftd.db*"):
        if not file.name.endswith("-mark"):
            file.unlink()
    await recorded(store, range(5, 10))
    (told,) = store.database.losses
    assert told.startswith("its file was deleted or replaced: its file is gone")
    await store.close()
    store = await SqlStore.open(f"sqlite:///{path}")
    assert (store.database.losses, await known(store)) == ([], names(range(5, 10)))
    await store.close()


async def test_a_log_deleted_under_a_running_store(path: Path) -> None:
    """The open connection still has it: nothing is lost."""
    store = await SqlStore.open(f"sqlite:///{path}")
    await recorded(store, range(5))
    path.with_name("driftd.db-wal").unlink()
    await recorded(store, range(5, 10))
    assert store.database.losses == [
        "the log of commits was taken away from under it: nothing is lost"
    ]
    assert await known(store) == names(range(10))
    await store.close()
    store = await SqlStore.open(f"sqlite:///{path}")
    assert (store.database.losses, await known(store)) == ([], names(range(10)))
    await store.close()


async def test_a_database_damaged_under_a_running_store(path: Path) -> None:
    """It is put aside with the next write that finds it, which goes to a new one."""
    store = await SqlStore.open(f"sqlite:///{path}")
    await recorded(store, range(50))
    await store.close()
    store = await SqlStore.open(f"sqlite:///{path}")
    for page in range(1, len(path.read_bytes()) // 4096):  # noqa: ASYNC240
        flip(path, page * 4096, 4096)
    await recorded(store, range(50, 60))
    assert ["it was damaged and begins anew" in one for one in store.database.losses] == [True]
    assert await known(store) == names(range(50, 60))
    await store.close()
    assert len(list(path.parent.glob("driftd.db.damaged-*"))) >= 1


async def test_a_second_daemon_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers of one file could damage its log; whoever only reads is welcome."""
    monkeypatch.setattr("driftd.store.sqlite_file._LOCK_SECONDS", 0.0)
    store = await SqlStore.open(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="another driftd has the store"):
        await SqlStore.open(f"sqlite:///{path}")
    await recorded(store, range(1))
    async with SqlStore.existing(f"sqlite:///{path}") as reader:
        assert await known(reader) == names(range(1))
    await store.close()
    store = await SqlStore.open(f"sqlite:///{path}")
    await store.close()


async def test_only_one_connection_ever_resets_the_log(path: Path) -> None:
    """Readers cannot write, and leave the log alone: the WAL-reset defect needs two that do."""
    store = await SqlStore.open(f"sqlite:///{path}")
    async with store.database.reader.connect() as connection:
        automatic = await connection.exec_driver_sql("PRAGMA wal_autocheckpoint")
        assert automatic.scalar_one() == 0
        with pytest.raises(Exception, match="readonly database"):
            await connection.exec_driver_sql("DELETE FROM applications")
    assert store.database.writer.pool.size() == 1
    assert store.database.writer.pool._max_overflow == 0
    await store.close()


@pytest.mark.parametrize("version", ["0001", "9999"])
async def test_readers_refuse_another_schema(path: Path, version: str) -> None:
    """A command line of another version neither guesses nor migrates under the daemon."""
    store = await SqlStore.open(f"sqlite:///{path}")
    async with store.database.writer.begin() as connection:
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :v"), {"v": version}
        )
    with pytest.raises(StoreError, match=f"the store has schema {version}") as caught:
        async with SqlStore.existing(f"sqlite:///{path}"):
            pass
    assert ("driftd run" if version == "0001" else "newer") in caught.value.hint
    await store.close()


async def test_another_process_that_locks_the_database(path: Path) -> None:
    """Writes wait for their turn, far longer than it comes: none is lost, none is given up."""
    store = await SqlStore.open(f"sqlite:///{path}")
    chance, ended = random.Random(7), threading.Event()  # noqa: S311

    def disturb() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
            while not ended.is_set():
                other.execute("BEGIN IMMEDIATE")
                ended.wait(chance.uniform(0.01, 0.1))
                other.execute("ROLLBACK")
                ended.wait(0.01)

    thread = threading.Thread(target=disturb)
    thread.start()
    took = []
    try:
        for one in range(20):
            began = time.monotonic()
            await store.record(look(one), START, quiet)
            took.append(time.monotonic() - began)
    finally:
        ended.set()
        thread.join()
    assert await known(store) == names(range(20))
    assert max(took) < PATIENCE / 2
    await store.close()
