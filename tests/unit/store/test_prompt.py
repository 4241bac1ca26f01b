"""The connection of the writer: what it does itself, and what its thread does."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator

import pytest

from driftd.store.prompt import PromptConnection


@pytest.fixture
async def connection(tmp_path) -> AsyncIterator[PromptConnection]:
    """A database with one table; SQLite says from which threads its statements come."""
    made = PromptConnection(str(tmp_path / "d.db"))
    await made
    made.threads = []
    await made.create_function(
        "thread", 0, lambda: made.threads.append(threading.current_thread()) or len(made.threads)
    )
    made.isolation_level = None
    await made.execute("CREATE TABLE t (n INTEGER UNIQUE)")
    yield made
    await made.close()


async def threads_of(connection, *statements: str) -> list[bool]:
    """Whether each statement ran where it was asked for."""
    connection.threads.clear()
    for statement in statements:
        cursor = await connection.execute(statement)
        await cursor.fetchall()
        await cursor.close()
    return [one is threading.current_thread() for one in connection.threads]


async def test_statements_of_a_transaction_run_at_once(connection):
    """Within a transaction few rows are read and written without the thread, deletions are not."""
    await connection.execute("BEGIN IMMEDIATE")
    found = await threads_of(
        connection,
        "SELECT thread()",
        "INSERT INTO t VALUES (thread())",
        "UPDATE t SET n = thread()",
        "DELETE FROM t WHERE thread()",
    )
    assert found == [True, True, True, False]
    await connection.commit()


async def test_without_a_lock_the_thread_waits_for_it(connection, tmp_path):
    """Outside of a transaction a statement may have to wait: never on the loop's own thread."""
    assert await threads_of(connection, "SELECT thread()") == [False]
    with sqlite3.connect(tmp_path / "d.db") as other:
        other.execute("BEGIN IMMEDIATE")
        await connection.execute("PRAGMA busy_timeout=50")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await connection.execute("BEGIN IMMEDIATE")
    other.close()


async def test_many_rows_go_to_the_thread(connection):
    """Up to a hundred rows are written at once, more by the thread; all of them are there."""
    await connection.execute("BEGIN IMMEDIATE")
    for first, count in ((0, 100), (1000, 101)):
        rows = [(number,) for number in range(first, first + count)]
        await connection.executemany("INSERT INTO t VALUES (?)", rows)
    cursor = await connection.execute("SELECT count(*) FROM t")
    assert await cursor.fetchone() == (201,)
    await cursor.close()
    await connection.rollback()


async def test_errors_are_the_same(connection):
    """A refused statement raises what SQLite says, and the transaction goes on."""
    await connection.execute("BEGIN IMMEDIATE")
    await connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        await connection.execute("INSERT INTO t VALUES (1)")
    await connection.commit()
    cursor = await connection.execute("SELECT n FROM t")
    assert await cursor.fetchall() == [(1,)]
    await cursor.close()


async def test_a_closed_connection_says_so(tmp_path):
    """After its end it refuses, as every connection does."""
    made = PromptConnection(str(tmp_path / "d.db"))
    await made
    await made.close()
    with pytest.raises(ValueError, match="onnection"):
        await made.execute("SELECT 1")


def traced(connection) -> list[tuple[str, bool]]:
    """What SQLite runs from now on, and whether that is where it was asked for."""
    found: list[tuple[str, bool]] = []
    here = threading.current_thread()
    connection._conn.set_trace_callback(
        lambda text: found.append((text, threading.current_thread() is here))
    )
    return found


async def test_a_free_lock_is_taken_at_once(connection):
    """Nobody has the lock: taking it needs no thread, and later waits are as long as before."""
    await connection.execute("PRAGMA busy_timeout=1234")
    ran = traced(connection)
    await connection.execute("BEGIN IMMEDIATE")
    assert ("BEGIN IMMEDIATE", True) in ran
    await connection.rollback()
    cursor = await connection.execute("PRAGMA busy_timeout")
    assert await cursor.fetchone() == (1234,)
    await cursor.close()


async def test_a_lock_that_somebody_has_is_waited_for_by_the_thread(connection, tmp_path):
    """The first attempt is refused at once; the one that waits is the thread's."""
    await connection.execute("PRAGMA busy_timeout=20")
    with sqlite3.connect(tmp_path / "d.db") as other:
        other.execute("BEGIN IMMEDIATE")
        ran = traced(connection)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await connection.execute("BEGIN IMMEDIATE")
    other.close()
    assert [here for text, here in ran if text == "BEGIN IMMEDIATE"] == [True, False]


async def test_a_reader_reads_by_its_thread_but_for_a_snapshot(connection, tmp_path):
    """Nobody knows how much a reader asks for; a snapshot is for few rows, and runs at once."""
    reader = PromptConnection(f"file:{tmp_path}/d.db?mode=ro", uri=True, reads=True)
    await reader
    ran = traced(reader)
    await reader.execute("BEGIN")
    await reader.execute("SELECT 1")
    await reader.rollback()
    with reader.snapshot():
        await reader.execute("SELECT 2")
    await reader.execute("SELECT 3")
    await reader.close()
    assert [(text, here) for text, here in ran if text.startswith("SELECT")] == [
        ("SELECT 1", False),
        ("SELECT 2", True),
        ("SELECT 3", False),
    ]
