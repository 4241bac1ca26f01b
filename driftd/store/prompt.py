"""A connection to SQLite that asks its thread only for what may take long.

Within a transaction that holds the database's lock, a statement on few rows takes some ten
microseconds, and handing it to another thread and back takes several times as long. So these run
where they are asked for. What waits for a lock or for the disk (begin, commit, anything outside
of a transaction) and what touches many rows still goes to the thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite

Result = TypeVar("Result")

_FEW: Final = 100
"""Rows that are written at once without the thread."""
_PROMPT: Final = ("SELECT ", "INSERT ", "UPDATE ", "SAVEPOINT ", "RELEASE ")


class PromptConnection(aiosqlite.Connection):
    """See the module; otherwise as every connection of aiosqlite."""

    def __init__(self, path: Path) -> None:
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(path, check_same_thread=False)

        super().__init__(connect, iter_chunk_size=64)
        # As SQLAlchemy does it for connections that it makes itself.
        self._thread.daemon = True

    async def _execute(self, fn: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """Where aiosqlite hands a call to the thread."""
        connection = self._connection
        held = connection is not None and connection.in_transaction
        if self._running and held and _is_prompt(fn, args):
            return fn(*args, **kwargs)
        result: Result = await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        return result


def _is_prompt(call: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    name = getattr(call, "__name__", "")
    if name == "execute":
        return str(arguments[0]).lstrip().upper().startswith(_PROMPT)
    if name == "executemany":
        return len(arguments[1]) <= _FEW
    if isinstance(getattr(call, "__self__", None), sqlite3.Cursor):
        return name in ("close", "fetchall", "fetchone", "fetchmany")
    return name == "cursor"
