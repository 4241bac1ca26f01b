"""What the store keeps of healing: the audit record, backups, heals under way, and halts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.store import acts, audit, backups, heals
from driftd.store.audit import Verified
from driftd.store.backups import Backup
from driftd.store.chain import AuditRecord, AuditRow, Head
from driftd.store.heals import Heal
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

        return _told(await self._store.change("append to the audit record", add), records)

    async def intended(self, found: Sequence[Heal], *records: AuditRecord) -> None:
        """Write down, in one transaction, which writes are decided."""

        async def add(connection: AsyncConnection) -> Head:
            await heals.put(connection, found)
            return await audit.append(connection, records)

        _told(await self._store.change("write down what is to be healed", add), records)

    async def kept(self, heal: Heal, backup: Backup | None = None, sealed: bytes = b"") -> None:
        """Write down that a write is about to be made, and keep what it writes over."""

        async def add(connection: AsyncConnection) -> None:
            await heals.change(connection, heal)
            if backup is not None:
                await backups.put(connection, backup, sealed)

        await self._store.change("keep what is about to be written over", add)

    async def keep(self, backup: Backup, sealed: bytes) -> None:
        """Keep a manifest, once."""

        async def add(connection: AsyncConnection) -> None:
            await backups.put(connection, backup, sealed)

        await self._store.change("keep what was written over", add)

    async def closed(
        self, *records: AuditRecord, written: Heal | None = None, over: Sequence[str] = ()
    ) -> None:
        """Write down what came of writes: `written` is to be looked after, `over` are done."""

        async def add(connection: AsyncConnection) -> Head:
            if written is not None:
                await heals.change(connection, written)
            if over:
                await heals.drop(connection, over)
            return await audit.append(connection, records)

        _told(await self._store.change("write down what came of healing", add), records)

    async def open_heals(self) -> list[Heal]:
        """All writes whose end is not known."""
        return await self._store.ask("read what is being healed", heals.every)

    async def halted(self) -> Mapping[str, str]:
        """The applications (`namespace/name`) that wait for a person, and why."""
        return await self._store.ask_again("read which applications wait", heals.halted)

    async def halt(
        self, application: str, why: str, record: AuditRecord, over: Sequence[str] = ()
    ) -> None:
        """Heal an application no more until a person says so; `over` are heals that are done."""

        async def add(connection: AsyncConnection) -> Head:
            await heals.halt(connection, application, why, record.at)
            if over:
                await heals.drop(connection, over)
            return await audit.append(connection, [record])

        _told(await self._store.change(f"stop healing {application}", add), [record])

    async def resume(self, application: str, record: AuditRecord) -> None:
        """A person has said that an application may be healed again."""

        async def add(connection: AsyncConnection) -> Head:
            await heals.resume(connection, application)
            return await audit.append(connection, [record])

        _told(await self._store.change(f"resume healing {application}", add), [record])

    async def act(self, record: AuditRecord) -> None:
        """Put what a person did on the record, and do to healing what it means.

        Whoever restores an object wants it other than Git says: its application waits then.
        """
        if record.kind == "resume":
            await self.resume(record.application, record)
        elif record.kind == "restore" and record.application:
            why = f"{record.who} restored {record.object}"
            await self.halt(record.application, why, record)
        else:
            await self.append(record)

    async def expire(self, since: datetime) -> int:
        """Delete backups from before `since`; how many."""
        return await self._store.change(
            "delete old backups", lambda connection: backups.expire(connection, since)
        )

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


def _told(head: Head, records: Sequence[AuditRecord]) -> Head:
    """The log is kept elsewhere: it tells of entries that are cut off the end later."""
    if records:
        get_logger("driftd.audit").info("audit", head=str(head), entries=len(records))
    return head


async def take_in(ledger: Ledger, folder: Path) -> list[str]:
    """Put acts that were left in a folder on the record, in their order, and do what they mean.

    The names of files that are none. Raises StoreError.
    """
    unknown: list[str] = []
    for path, kept in acts.left_backups(folder):
        if kept is not None:
            await ledger.keep(kept.backup, kept.sealed)
        acts.taken(path)
    for path, record in acts.left(folder):
        if record is None:
            unknown.append(path.name)
        else:
            await ledger.act(record)
        acts.taken(path)
    return unknown


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
        await ledger.act(record)


async def kept(dsn: str, backup: Backup, sealed: bytes) -> None:
    """Keep a manifest that a command is about to write over; as `acted`."""
    folder = acts.folder_of(dsn)
    if folder is not None:
        acts.leave_backup(folder, acts.Kept(backup, sealed))
        return
    async with writing(dsn) as ledger:
        await ledger.keep(backup, sealed)
