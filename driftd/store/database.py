"""The database of a store: opened, kept open whatever happens to its files, and closed."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from driftd.errors import StoreError
from driftd.store.engine import (
    migrate,
    postgresql_engine,
    require_existing,
    require_newest,
    sqlite_engines,
    sqlite_reader,
    store_url,
)
from driftd.store.faults import cause
from driftd.store.prepared import driver_of, told
from driftd.store.sqlite_file import SqliteFile
from driftd.telemetry.logs import get_logger

TIDY_AFTER: Final = 32
"""Commits after which the log is moved into the database; a look leaves about 100 KB in it."""


class Database:
    """Reading and writing connections to one database."""

    def __init__(self, url: URL, reader: AsyncEngine, writer: AsyncEngine | None) -> None:
        """Use `open` or `read_only`. `writer` is None where nothing may be written."""
        self._url = url
        self._file: SqliteFile | None = None
        self.reader = reader
        self.writer = writer
        self.losses: list[str] = []
        """What was lost, for a person, since the database was opened first."""
        self.lost: Callable[[], None] = lambda: None
        """Called for each loss after the database was opened."""
        self.version: int | None = None
        """Another one after each change, while nobody else can write; None where others may."""
        self._gate = asyncio.Lock()
        self._commits = 0
        """Since the log of commits was moved into the database last."""

    @classmethod
    async def open(cls, dsn: str) -> Database:
        """Open a database, made if there is none, with its schema up to date.

        `dsn` is `sqlite:///file` or `postgresql://…`. A damaged file is put aside, and a new one
        begun. Raises ConfigError for a DSN that cannot work and StoreError when the database
        cannot be opened, is written by another driftd (SQLite), or is newer than this one.
        """
        url = store_url(dsn)
        if url.get_backend_name() != "sqlite":
            engine = postgresql_engine(url)
            database = cls(url, engine, engine)
            await database._migrated()
            return database
        file = SqliteFile(Path(str(url.database)))
        await asyncio.to_thread(file.claim)
        try:
            loss = await asyncio.to_thread(file.inspect)
            database = cls(url, *sqlite_engines(file.path, file.connected))
            database._file = file
            database.version = 0
            await database._migrated()
            if loss:
                database._tell(loss)
        except BaseException:
            file.release()
            raise
        return database

    @classmethod
    async def read_only(cls, dsn: str) -> Database:
        """Open a database that is there, beside the daemon that writes it.

        Raises ConfigError and StoreError; the latter too for one with another schema.
        """
        require_existing(dsn)
        url = store_url(dsn)
        sqlite = url.get_backend_name() == "sqlite"
        engine = sqlite_reader(Path(str(url.database))) if sqlite else postgresql_engine(url)
        database = cls(url, engine, None)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(require_newest)
        except (SQLAlchemyError, OSError) as error:
            await engine.dispose()
            raise database._unopened(error) from error
        except StoreError:
            await engine.dispose()
            raise
        return database

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes, committed at its end; one at a time (SQLite)."""
        async with self._gate:
            await self._in_place()
            assert self.writer is not None  # noqa: S101 - a reader has no methods that write
            file, number = self._file, 0
            try:
                async with self.writer.begin() as connection:
                    yield connection
                    if file is not None:
                        number = file.next_number()
                        await connection.exec_driver_sql(f"PRAGMA user_version={number}")
            finally:
                self._changed()  # of a commit that failed nobody knows how it ended
            if file is not None:
                file.committed(number)
                self._commits += 1

    @asynccontextmanager
    async def quick(self) -> AsyncIterator[AsyncConnection]:
        """One view of the database, for prepared queries on few rows alone.

        SQLite answers them where they are asked for, and refuses at once what it would wait for.
        """
        async with self.reader.connect() as connection:
            driver = driver_of(connection)
            if driver is None:
                yield connection
                return
            try:
                with driver.snapshot():
                    yield connection
            except sqlite3.Error as error:
                raise told(error) from error

    async def tidy(self) -> None:
        """Move the log of commits into the database if there have been many since the last time.

        Everything in the log is on the disk already. What fails here is done later.
        """
        if self._file is None or self._commits < TIDY_AFTER:
            return
        async with self._gate:
            with contextlib.suppress(SQLAlchemyError, sqlite3.Error, OSError):
                await self._checkpoint("PASSIVE")
                self._commits = 0

    async def _checkpoint(self, mode: str) -> None:
        assert self.writer is not None  # noqa: S101 - only a writer has a file
        async with self.writer.connect() as connection:
            raw = await connection.get_raw_connection()
            await raw.driver_connection.execute_fetchall(f"PRAGMA wal_checkpoint({mode})")  # type: ignore[union-attr]

    async def mend(self) -> None:
        """Put a damaged database aside and begin a new one. Raises StoreError."""
        async with self._gate:
            if self._file is not None:
                await self._begin_anew("it was damaged")

    async def close(self) -> None:
        """Close every connection, and let go of the file."""
        await self._dispose()
        if self._file is not None:
            self._file.release()

    async def _in_place(self) -> None:
        """See to it that what is written goes where the next start will look for it."""
        file = self._file
        if file is None:
            return
        if file.has_lost_log() and not file.is_replaced():
            # The open connection has it still: everything in it goes to the database.
            with contextlib.suppress(SQLAlchemyError):
                await self._checkpoint("TRUNCATE")
            await self._reopen("the log of commits was taken away from under it")
        elif file.is_replaced():
            await self._reopen("its file was deleted or replaced")

    async def _reopen(self, why: str) -> None:
        file = self._file
        assert file is not None  # noqa: S101 - only called with one
        await self._dispose()
        loss = await asyncio.to_thread(file.inspect)
        await self._opened_again(f"{why}: {loss}" if loss else f"{why}: nothing is lost")

    async def _begin_anew(self, why: str) -> None:
        file = self._file
        assert file is not None  # noqa: S101 - only called with one
        await self._dispose()
        aside = await asyncio.to_thread(file.put_aside)
        await self._opened_again(f"{why} and begins anew; what is left of it is in {aside}")

    async def _opened_again(self, loss: str) -> None:
        assert self._file is not None  # noqa: S101 - only called with one
        self.reader, self.writer = sqlite_engines(self._file.path, self._file.connected)
        await self._migrated()
        self._changed()
        self._tell(loss)

    def _changed(self) -> None:
        if self.version is not None:
            self.version += 1

    def _tell(self, loss: str) -> None:
        self.losses.append(loss)
        get_logger("driftd.store").error("the store was damaged", what=loss)
        self.lost()

    async def _migrated(self) -> None:
        assert self.writer is not None  # noqa: S101 - only called with one
        try:
            async with self.writer.begin() as connection:
                await connection.run_sync(migrate)
        except (SQLAlchemyError, OSError, _command_error()) as error:
            await self._dispose()
            raise self._unopened(error) from error

    def _unopened(self, error: BaseException) -> StoreError:
        return StoreError(
            f"cannot open the store {self._url.render_as_string(hide_password=True)}: "
            f"{cause(error)}",
            hint="check store.dsn, the database's rights, and that no newer driftd wrote it",
        )

    async def _dispose(self) -> None:
        await self.reader.dispose()
        if self.writer is not None and self.writer is not self.reader:
            await self.writer.dispose()


def _command_error() -> type[Exception]:
    from alembic.util import CommandError

    return CommandError
