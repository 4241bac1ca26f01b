"""Opening the database: DSN, connection settings and migrations."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from driftd.errors import ConfigError, StoreError

WRITE_OPTION = "driftd_write"
"""Execution option of the engine whose transactions write."""

_MIGRATION_LOCK = 0x64726966
_BUSY_MILLISECONDS = 10_000


async def open_engine(dsn: str) -> AsyncEngine:
    """Connect and bring the schema up to date.

    `dsn` is `sqlite:///file` or `postgresql://…`. Raises ConfigError for a DSN that cannot
    work and StoreError when the database cannot be opened or is newer than this driftd.
    """
    url = _url(dsn)
    if url.get_backend_name() == "sqlite":
        engine = _sqlite(url)
    else:
        engine = create_async_engine(url, pool_pre_ping=True)
    try:
        async with engine.execution_options(**{WRITE_OPTION: True}).begin() as connection:
            await connection.run_sync(_migrate)
    except (SQLAlchemyError, OSError, _command_error()) as error:
        await engine.dispose()
        raise StoreError(
            f"cannot open the store {url.render_as_string(hide_password=True)}: {_cause(error)}",
            hint="check store.dsn, the database's rights, and that no newer driftd wrote it",
        ) from error
    return engine


def _command_error() -> type[Exception]:
    from alembic.util import CommandError

    return CommandError


def _cause(error: BaseException) -> str:
    """The driver's own words without the statement and its parameters."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def _url(dsn: str) -> URL:
    try:
        url = make_url(dsn)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "the store's DSN cannot be parsed",
            hint="write sqlite:///driftd.db or postgresql://user@host/database",
        ) from None
    backend = url.drivername.partition("+")[0]
    if backend == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ConfigError("the store's DSN names no file", hint="write sqlite:///driftd.db")
        return url.set(drivername="sqlite+aiosqlite")
    if backend in ("postgresql", "postgres"):
        _require_asyncpg()
        return url.set(drivername="postgresql+asyncpg")
    raise ConfigError(
        f"the store's DSN names {url.drivername!r}, which driftd cannot use",
        hint="use sqlite or postgresql",
    )


def require_existing(dsn: str) -> None:
    """Refuse the DSN of a file that does not exist, so that reading makes none.

    Raises ConfigError.
    """
    url = _url(dsn)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise ConfigError(
            f"there is no store {url.database}",
            hint="name the daemon's settings with --config, or its store with --store",
        )


def _require_asyncpg() -> None:
    from importlib.util import find_spec

    if find_spec("asyncpg") is None:
        raise ConfigError(
            "a PostgreSQL store needs the driver asyncpg", hint="install driftd[postgres]"
        )


def _sqlite(url: URL) -> AsyncEngine:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Reports name objects and values: only the owner may read them.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(
            f"cannot open the store {path}: {error.strerror}",
            hint="choose a writable folder in store.dsn",
        ) from None
    engine = create_async_engine(url)
    event.listen(engine.sync_engine, "connect", _on_connect)
    event.listen(engine.sync_engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: writers begin immediately (below), or
    # two of them could deadlock while upgrading their read locks.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_MILLISECONDS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITE_OPTION, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, "head")
