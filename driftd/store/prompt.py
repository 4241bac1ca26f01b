"""A connection to SQLite that asks its thread only for what may take long.

Within a transaction that holds the database's lock, a statement on few rows takes some ten
microseconds, and handing it to another thread and back takes several times as long, on a busy
machine milliseconds. So these run where they are asked for, and so does taking the lock where it
is free. What waits for a lock or for the disk (a lock that somebody has, commit, most of what is
outside of a transaction) and what touches many rows still goes to the thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import aiosqlite

Result = TypeVar("Result")

FEW: Final = 100
"""Rows that are written at once without the thread."""
LOCK: Final = "BEGIN IMMEDIATE"
_PROMPT: Final = ("SELECT ", "INSERT ", "UPDATE ", "SAVEPOINT ", "RELEASE ", "PRAGMA USER_VERSION=")
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class PromptConnection(aiosqlite.Connection):
    """See the module; otherwise as every connection of aiosqlite."""

    def __init__(self, database: str, *, uri: bool = False, reads: bool = False) -> None:
        """`database` is a path, or with `uri` an address of SQLite.

        With `reads` it reads as much as anybody asks for: then only what is asked for within
        `snapshot` runs at once.
        """

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(database, check_same_thread=False, uri=uri)

        super().__init__(connect, iter_chunk_size=64)
        self._quick = not reads
        # As SQLAlchemy does it for connections that it makes itself.
        self._thread.daemon = True

    @property
    def held(self) -> sqlite3.Connection | None:
        """SQLite's own connection while a transaction is open in which few rows are touched."""
        connection = self._connection
        held = self._running and connection is not None and connection.in_transaction
        return connection if held and self._quick else None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One view of the database for queries of few rows. Raises sqlite3.Error."""
        own = self._conn
        with _without_waiting(own):
            own.execute("BEGIN")
            self._quick = True
            try:
                yield
            finally:
                self._quick = False
                own.rollback()

    async def _execute(self, fn: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """Where aiosqlite hands a call to the thread."""
        own = self._connection if self._running else None
        if own is not None and own.in_transaction:
            if self._quick and _is_prompt(fn, args):
                return fn(*args, **kwargs)
        elif own is not None:
            if _is_nothing(fn):
                return fn(*args, **kwargs)
            if args and args[0] == LOCK:
                try:
                    with _without_waiting(own):
                        return fn(*args, **kwargs)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF not in _BUSY:
                        raise
        result: Result = await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        return result


@contextmanager
def _without_waiting(own: sqlite3.Connection) -> Iterator[None]:
    """Refuse at once what another connection's lock stands in the way of."""
    (patience,) = own.execute("PRAGMA busy_timeout").fetchone()
    own.execute("PRAGMA busy_timeout=0")
    try:
        yield
    finally:
        own.execute(f"PRAGMA busy_timeout={patience:d}")


def _is_nothing(call: Callable[..., Any]) -> bool:
    """Whether a call does nothing to a database on which no transaction is open."""
    name = getattr(call, "__name__", "")
    if isinstance(getattr(call, "__self__", None), sqlite3.Cursor):
        return name == "close"
    return name in ("cursor", "rollback")


def _is_prompt(call: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    name = getattr(call, "__name__", "")
    if name == "execute":
        return str(arguments[0]).lstrip().upper().startswith(_PROMPT)
    if name == "executemany":
        return len(arguments[1]) <= FEW
    if isinstance(getattr(call, "__self__", None), sqlite3.Cursor):
        return name in ("close", "fetchall", "fetchone", "fetchmany")
    return name == "cursor"
