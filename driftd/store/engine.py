"""What connections to the database are like, by DSN, and its migrations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from driftd.errors import ConfigError, StoreError
from driftd.store.faults import cause
from driftd.store.prompt import LOCK, PromptConnection

_MIGRATION_LOCK = 0x64726966
_BUSY_MILLISECONDS = 5_000
_LOG_BYTES = 64 << 20
_LOG_PAGES = 8_000
_CONNECT_SECONDS = 5
_COMMAND_SECONDS = 15
_LOCK_MILLISECONDS = 5_000
_IDLE_MILLISECONDS = 60_000


def store_url(dsn: str) -> URL:
    """The address of a store, with the driver that it is used through. Raises ConfigError."""
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


def beside(dsn: str, suffix: str) -> Path | None:
    """A path beside an SQLite store; None for a database that several may write.

    Raises ConfigError.
    """
    url = store_url(dsn)
    if url.get_backend_name() != "sqlite":
        return None
    path = Path(str(url.database))
    return path.with_name(path.name + suffix)


def require_existing(dsn: str) -> None:
    """Refuse the DSN of a file that does not exist, so that reading makes none.

    Raises ConfigError.
    """
    url = store_url(dsn)
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


def sqlite_engines(path: Path, connected: Callable[[], None]) -> tuple[AsyncEngine, AsyncEngine]:
    """What reads and what writes a file, which exists.

    Only the one connection that writes ever moves the log into the database, so that it is never
    reset while another one does the same (the WAL-reset defect of SQLite 3.7.0 to 3.51.2).
    `connected` is told of each connection that writes.
    """

    async def connect(*_arguments: Any, **_options: Any) -> PromptConnection:
        connection = PromptConnection(str(path))
        await connection
        return connection

    writer = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=1,
        max_overflow=0,
        async_creator=connect,
    )

    def on_connect(connection: Any, record: Any) -> None:
        _on_connect(connection, record)
        connected()

    event.listen(writer.sync_engine, "connect", on_connect)
    event.listen(writer.sync_engine, "begin", _begin_immediate)
    return sqlite_reader(path), writer


def sqlite_reader(path: Path) -> AsyncEngine:
    """What reads a file that exists, and can do nothing else to it."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro"

    async def connect(*_arguments: Any, **_options: Any) -> PromptConnection:
        connection = PromptConnection(address, uri=True, reads=True)
        await connection
        return connection

    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)), async_creator=connect
    )
    event.listen(engine.sync_engine, "connect", _on_reader)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def postgresql_engine(url: URL) -> AsyncEngine:
    """What reads and writes a database of PostgreSQL."""
    engine = create_async_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=_CONNECT_SECONDS,
        connect_args={"timeout": _CONNECT_SECONDS, "command_timeout": _COMMAND_SECONDS},
    )
    event.listen(engine.sync_engine, "begin", _on_postgresql_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: writers begin immediately (below), or
    # two of them could deadlock while upgrading their read locks.
    connection.isolation_level = None
    _set(
        connection,
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        # Moving the log into the database takes many times as long as a commit: `Database.tidy`
        # does that between commits. Where these leave no time, a commit does it.
        f"wal_autocheckpoint={_LOG_PAGES}",
        f"busy_timeout={_BUSY_MILLISECONDS}",
        # A reader that took long let the log grow; this much of it may stay on the disk.
        f"journal_size_limit={_LOG_BYTES}",
    )


def _on_reader(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    _set(connection, "query_only=ON", "wal_autocheckpoint=0", f"busy_timeout={_BUSY_MILLISECONDS}")


def _set(connection: Any, *pragmas: str) -> None:
    cursor = connection.cursor()
    try:
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
    except BaseException:
        # Nobody else knows of this connection yet.
        connection.close()
        raise
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql(LOCK)


def _on_postgresql_begin(connection: Connection) -> None:
    # For this transaction alone, because a pooler in between may hand the session to others.
    # Another session may hold a lock for ever; and what is told to be stored must be stored,
    # whatever the server's default is.
    connection.exec_driver_sql(
        "SELECT set_config('lock_timeout', $1, true), "
        "set_config('idle_in_transaction_session_timeout', $2, true), "
        "CASE WHEN current_setting('synchronous_commit') = 'off' "
        "THEN set_config('synchronous_commit', 'on', true) END",
        (f"{_LOCK_MILLISECONDS}ms", f"{_IDLE_MILLISECONDS}ms"),
    )


def newest_revision() -> str:
    """The schema that this driftd writes."""
    names = (Path(__file__).parent / "migrations" / "versions").glob("v*.py")
    return max(name.stem.partition("_")[0].removeprefix("v") for name in names)


def require_newest(connection: Connection) -> None:
    """Refuse a database whose schema is another one. Raises StoreError."""
    try:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    except SQLAlchemyError as error:
        raise StoreError(
            f"this is no store of driftd, or a damaged one: {cause(error)}",
            hint="name the store of a daemon",
        ) from None
    newest = newest_revision()
    if found == newest:
        return
    if str(found) < newest:
        raise StoreError(
            f"the store has schema {found}, and this driftd reads {newest}",
            hint="start `driftd run` of this version: it brings the store up to date",
        )
    raise StoreError(
        f"the store has schema {found}, and this driftd knows {newest} at most",
        hint="use the driftd that wrote it, or a newer one",
    )


def migrate(connection: Connection) -> None:
    """Bring the schema up to date. Raises alembic's CommandError for one that is newer."""
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        # Another driftd may be at it, for as long as it takes.
        connection.exec_driver_sql("SELECT set_config('lock_timeout', '0', true)")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, "head")
