"""What the store keeps of healing: the audit record, backups, heals under way, and halts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.store import acts, audit
from driftd.store.audit import Verified
from driftd.store.chain import AuditRecord, AuditRow, Head
from driftd.store.sql import SqlStore
from driftd.telemetry.logs import get_logger


class Ledger:
    """The audit record of a store that is open. Every method raises StoreError."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def append(self, *records: AuditRecord) -> Head:
        """Append records, each once however often it is handed over; the last entry then."""

        async def add(connection: AsyncConnection) -> Head:
            return await audit.append(connection, records)

        head = await self._store.change("append to the audit record", add)
        # The log is kept elsewhere: it tells of entries that are cut off the end later.
        get_logger("driftd.audit").info("audit", head=str(head), entries=len(records))
        return head

    async def verify(self, known: Head | None = None) -> Verified:
        """Follow the whole record; `known` is a head that somebody kept elsewhere."""
        return await self._store.ask(
            "read the audit record", lambda connection: audit.verify(connection, known)
        )

    async def last_of(self, application: str, kind: str) -> AuditRow | None:
        """The last entry of a kind about an application (`namespace/name`)."""
        return await self._store.ask(
            "read the audit record",
            lambda connection: audit.last_of(connection, application, kind),
        )

    async def entries(
        self, *, since: datetime | None = None, application: str = ""
    ) -> Sequence[AuditRow]:
        """Entries in their order."""

        async def collect(connection: AsyncConnection) -> list[AuditRow]:
            return [
                row async for row in audit.read(connection, since=since, application=application)
            ]

        return await self._store.ask("read the audit record", collect)

    async def shorten(self, since: datetime, now: datetime) -> int:
        """Take away entries from before `since` behind a checkpoint; how many."""
        return await self._store.change(
            "shorten the audit record",
            lambda connection: audit.shorten(connection, since, now),
        )


@asynccontextmanager
async def writing(dsn: str) -> AsyncIterator[Ledger]:
    """The ledger of a store that no daemon has open. Raises ConfigError and StoreError."""
    store = await SqlStore.open(dsn)
    try:
        yield Ledger(store)
    finally:
        await store.close()


async def acted(dsn: str, record: AuditRecord) -> None:
    """Put what a person did on the record: at once, or through the daemon that has the store.

    Raises ConfigError and StoreError.
    """
    folder = acts.folder_of(dsn)
    if folder is not None:
        acts.leave(folder, record)
        return
    async with writing(dsn) as ledger:
        await ledger.append(record)
