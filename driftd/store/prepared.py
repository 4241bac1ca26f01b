"""Statements on few rows that every look makes: compiled once, and on SQLite run directly.

What SQLAlchemy does around a statement costs some tenths of a millisecond, which is nothing beside
a server's answer and ten times what SQLite itself needs for a few rows. So there, within a
transaction that holds the database's lock, these go to the driver as they were compiled, with the
same types; everywhere else they run as any statement of SQLAlchemy.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Delete, Dialect, Insert, Select, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from driftd.store.prompt import FEW, PromptConnection

Statement: TypeAlias = Select[Any] | Insert | Update | Delete
Values: TypeAlias = Mapping[str, Any]
_Convert: TypeAlias = Callable[[Any], Any] | None


class Prepared:
    """One statement, its values named by `bindparam`; an insertion has the same columns always."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        self._compiled: _Compiled | None = None

    async def rows(self, connection: AsyncConnection, **values: Any) -> Sequence[Any]:
        """What a query finds: few rows, their columns as attributes. Raises SQLAlchemyError."""
        own = _direct(connection)
        if own is None:
            return (await connection.execute(self._statement, values)).all()
        return self._for(connection.dialect, values).rows(own, values)

    async def run(self, connection: AsyncConnection, **values: Any) -> int:
        """Write; how many rows that concerned. Raises SQLAlchemyError."""
        own = _direct(connection)
        if own is None:
            return (await connection.execute(self._statement, values)).rowcount
        return self._for(connection.dialect, values).write(own, [values])

    async def each(self, connection: AsyncConnection, values: Sequence[Values]) -> None:
        """Write once for each of some values; many go to SQLite's thread. As `run`."""
        own = _direct(connection) if len(values) <= FEW else None
        if not values:
            return
        if own is not None:
            self._for(connection.dialect, values[0]).write(own, values)
        else:
            await connection.execute(self._statement, values)

    def _for(self, dialect: Dialect, values: Values) -> _Compiled:
        if self._compiled is None:
            self._compiled = _Compiled(self._statement, dialect, list(values))
        return self._compiled


def driver_of(connection: AsyncConnection) -> PromptConnection | None:
    """The connection below one of SQLAlchemy; None where that is not to SQLite."""
    if connection.dialect.name != "sqlite" or connection.sync_connection is None:
        return None
    driver = connection.sync_connection.connection.driver_connection
    return driver if isinstance(driver, PromptConnection) else None


def told(error: sqlite3.Error, text: str = "") -> BaseException:
    """An error as SQLAlchemy tells it, without values."""
    return DBAPIError.instance(text, None, error, sqlite3.Error, hide_parameters=True)


def _direct(connection: AsyncConnection) -> sqlite3.Connection | None:
    """SQLite's own connection where few rows are touched at once; None elsewhere."""
    driver = driver_of(connection)
    return None if driver is None else driver.held


class _Compiled:
    """The text of a statement for SQLite, and how its values go there and come back."""

    def __init__(self, statement: Statement, dialect: Dialect, keys: list[str]) -> None:
        inserted = keys if isinstance(statement, Insert) else None
        made = statement.compile(dialect=dialect, column_keys=inserted)
        self._text = str(made)
        binds: Mapping[str, Any] = getattr(made, "binds")  # noqa: B009 - of compiled SQL alone
        order: Sequence[str] = getattr(made, "positiontup") or ()  # noqa: B009
        self._binds = [
            (binds[name].key, binds[name].value, _written(binds[name].type, dialect))
            for name in order
        ]
        columns = list(statement.selected_columns) if isinstance(statement, Select) else []
        names = [str(column.key) for column in columns]
        # A class made by the names that a query has: nobody can write it down.
        self._row: Callable[[Sequence[Any]], Any] = getattr(namedtuple("Row", names), "_make")  # noqa: B009, PYI024
        reads = [_read(column.type, dialect) for column in columns]
        self._reads = [(place, read) for place, read in enumerate(reads) if read is not None]

    def rows(self, own: sqlite3.Connection, values: Values) -> Sequence[Any]:
        try:
            found = own.execute(self._text, self._values(values)).fetchall()
        except sqlite3.Error as error:
            raise told(error, self._text) from error
        return [self._row(self._converted(row)) for row in found]

    def write(self, own: sqlite3.Connection, values: Sequence[Values]) -> int:
        try:
            return own.executemany(self._text, [self._values(one) for one in values]).rowcount
        except sqlite3.Error as error:
            raise told(error, self._text) from error

    def _values(self, values: Values) -> list[Any]:
        return [
            convert(values.get(key, given)) if convert is not None else values.get(key, given)
            for key, given, convert in self._binds
        ]

    def _converted(self, row: tuple[Any, ...]) -> Sequence[Any]:
        made = list(row)
        for place, read in self._reads:
            made[place] = read(made[place])
        return made


def _written(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _read(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
