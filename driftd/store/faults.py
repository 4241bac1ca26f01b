"""What an error of the database means: wait, mend, or tell."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any, Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

ERRORS: Final = (SQLAlchemyError, OSError, asyncio.TimeoutError)
"""What a call to the database raises when the database fails."""

_SQLITE_BUSY: Final = frozenset({5, 6})
_SQLITE_WHOLE: Final = frozenset({7, 8, 10, 13, 14})
"""Out of memory, read-only, I/O error, full, cannot open: they may end the whole transaction."""
_SQLITE_DAMAGED: Final = frozenset({11, 26})
_POSTGRESQL_AGAIN: Final = ("08", "40", "53", "57P", "25006", "25P03", "55P03")
"""Connection lost, serialization, no resources or connections left, shutdown, and locks waited
for too long; a server that is read-only is one that is about to be replaced."""


class Fault(StrEnum):
    """What can be done about an error."""

    AGAIN = "again"
    """The same transaction may succeed soon: a lock, a lost connection, a restart."""
    DAMAGED = "damaged"
    """The file is no whole database any more."""
    WHOLE = "whole"
    """It may have ended the whole transaction, and lasts until somebody acts: a full disk."""
    OWN = "own"
    """The statement itself is wrong; others are not concerned."""


def fault(error: BaseException) -> Fault:
    """What an error of the database means."""
    if isinstance(error, PoolTimeout | OSError | asyncio.TimeoutError):
        return Fault.AGAIN
    if not isinstance(error, DBAPIError):
        return Fault.OWN
    cause: Any = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return _of_sqlite(code & 0xFF)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state:
        return Fault.AGAIN if state.startswith(_POSTGRESQL_AGAIN) else Fault.OWN
    # The driver has no answer of the server: the connection is gone or was never there.
    lost = error.connection_invalidated or isinstance(cause, OSError) or _is_driver(cause)
    return Fault.AGAIN if lost else Fault.OWN


def _of_sqlite(code: int) -> Fault:
    if code in _SQLITE_BUSY:
        return Fault.AGAIN
    if code in _SQLITE_DAMAGED:
        return Fault.DAMAGED
    return Fault.WHOLE if code in _SQLITE_WHOLE else Fault.OWN


def _is_driver(cause: BaseException | None) -> bool:
    """Whether asyncpg itself gave up, whatever it was that ended the connection."""
    inner = cause.__cause__ if cause is not None else None
    names = {type(one).__name__ for one in (cause, inner)}
    return bool(names & {"InterfaceError", "InternalClientError", "ConnectionDoesNotExistError"})


def cause(error: BaseException) -> str:
    """The driver's own words without the statement and its parameters."""
    text = str(getattr(error, "orig", None) or error or type(error).__name__)
    return text.splitlines()[0] if text else type(error).__name__
