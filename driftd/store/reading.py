"""Looking into a store that is there, beside the daemon that writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.clock import SystemClock
from driftd.errors import StoreError
from driftd.store import audit, backups
from driftd.store.audit import Verified
from driftd.store.backups import Backup
from driftd.store.chain import AuditRow, Head
from driftd.store.sql import SqlStore
from driftd.store.types import DeadLetter, Episode, EpisodeQuery, HistoryEntry


async def episodes(dsn: str, query: EpisodeQuery) -> tuple[Episode, ...]:
    """Episodes that a store holds. Raises StoreError and ConfigError."""
    async with SqlStore.existing(dsn) as store:
        return await store.episodes(query)


async def history(dsn: str, application: str, limit: int) -> tuple[HistoryEntry, ...]:
    """What a store knows to have happened to an application (`NAME` or `NAMESPACE/NAME`).

    Raises StoreError, and ConfigError for an application that the store has never seen.
    """
    async with SqlStore.existing(dsn) as store:
        return await store.history(await store.whole_name(application), limit)


async def dead_letters(dsn: str, limit: int = 1000) -> tuple[DeadLetter, ...]:
    """Messages that were given up, the latest first. Raises StoreError and ConfigError."""
    async with SqlStore.existing(dsn) as store:
        return await store.dead(limit)


async def retry_dead(dsn: str) -> int:
    """Make messages due again that were given up; how many. Raises StoreError and ConfigError."""
    async with SqlStore.existing(dsn):
        pass  # a store that is not there is not made by asking
    store = await SqlStore.open(dsn)
    try:
        return await store.revive(SystemClock().now())
    finally:
        await store.close()


async def verify_audit(dsn: str, known: Head | None) -> Verified:
    """Follow the whole audit record of a store; `known` is a head that somebody kept.

    Raises StoreError and ConfigError.
    """
    async with SqlStore.existing(dsn) as store:
        return await store.ask(
            "read the audit record", lambda connection: audit.verify(connection, known)
        )


async def export_audit(
    dsn: str, write: Callable[[AuditRow], None], *, since: datetime | None, application: str
) -> int:
    """Hand each entry of the audit record to `write`, oldest first; how many there were.

    `application` is `NAME` or `NAMESPACE/NAME`; empty means all. Raises StoreError, and
    ConfigError for an application that the store has never seen.
    """
    async with SqlStore.existing(dsn) as store:
        name = await store.whole_name(application) if application else ""

        async def all_of_them(connection: AsyncConnection) -> int:
            count = 0
            async for row in audit.read(connection, since=since, application=name):
                write(row)
                count += 1
            return count

        return await store.ask("read the audit record", all_of_them)


async def find_backups(dsn: str, application: str, limit: int) -> Sequence[Backup]:
    """Manifests that healing wrote over, newest first. Raises StoreError and ConfigError.

    `application` is `NAME` or `NAMESPACE/NAME`; empty means all.
    """
    async with SqlStore.existing(dsn) as store:
        return await store.ask(
            "list backups",
            lambda connection: backups.find(connection, application=application, limit=limit),
        )


async def backup(dsn: str, beginning: str) -> tuple[Backup, bytes]:
    """The one backup whose id begins so, with what is sealed in it. Raises StoreError."""
    async with SqlStore.existing(dsn) as store:
        found = await store.ask(
            "read a backup", lambda connection: backups.get(connection, beginning)
        )
    if len(found) != 1:
        many = f"several backups begin with {beginning!r}" if found else f"no backup {beginning!r}"
        raise StoreError(many, hint="`driftd restore` lists them")
    return found[0]


async def whole_name(dsn: str, application: str) -> str:
    """`namespace/name` of an application that the store knows. Raises StoreError, ConfigError."""
    async with SqlStore.existing(dsn) as store:
        return await store.whole_name(application)
