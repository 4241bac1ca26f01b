"""The audit record in the database: appended to, read, verified, and shortened by retention."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.store.chain import CHECKPOINT, AuditRecord, AuditRow, Broken, Head, Verifier, row_of
from driftd.store.schema import audit, audit_head

_PAGE: Final = 1000
_ONLY: Final = 1


class Verified(msgspec.Struct, frozen=True):
    """What following the whole record came to."""

    head: Head
    """The last entry that is as recorded."""
    entries: int
    """How many are."""
    broken: Broken | None = None


def new_id() -> str:
    """An id for a record."""
    return uuid.uuid4().hex


async def append(connection: AsyncConnection, records: Sequence[AuditRecord]) -> Head:
    """Append records in a transaction, each once; the last entry then.

    Whoever appends at the same time waits: entries are numbered without a gap.
    """
    query = select(audit_head).where(audit_head.c.id == _ONLY).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    head = Head(row.seq, row.digest) if row is not None else await _last(connection)
    ids = [record.id for record in records]
    known: set[str] = set()
    for start in range(0, len(ids), _PAGE):
        asked = select(audit.c.id).where(audit.c.id.in_(ids[start : start + _PAGE]))
        known.update((await connection.execute(asked)).scalars())
    rows: list[dict[str, Any]] = []
    for record in records:
        if record.id in known:
            continue
        known.add(record.id)
        entry = row_of(record, head)
        head = Head(entry.seq, entry.digest)
        rows.append(msgspec.structs.asdict(entry))
    if not rows:
        return head
    await connection.execute(insert(audit), rows)
    values = {"seq": head.seq, "digest": head.digest}
    if row is None:
        await connection.execute(insert(audit_head).values(id=_ONLY, **values))
    else:
        await connection.execute(update(audit_head).values(**values))
    return head


async def read(
    connection: AsyncConnection, *, since: datetime | None = None, application: str = ""
) -> AsyncIterator[AuditRow]:
    """Entries in their order, of all applications or of one (`namespace/name`)."""
    query = select(audit)
    if since is not None:
        query = query.where(audit.c.at >= since)
    if application:
        query = query.where(audit.c.application == application)
    last = 0
    while True:
        page = query.where(audit.c.seq > last).order_by(audit.c.seq).limit(_PAGE)
        rows = (await connection.execute(page)).all()
        for row in rows:
            yield _row(row)
        if len(rows) < _PAGE:
            return
        last = rows[-1].seq


async def verify(connection: AsyncConnection, known: Head | None = None) -> Verified:
    """Follow the whole record; `known` is a head that somebody kept elsewhere."""
    stored = (await connection.execute(select(audit_head))).one_or_none()
    verifier = Verifier()
    differs: Broken | None = None
    async for row in read(connection):
        verifier.feed([row])
        if known is not None and row.seq == known.seq and row.digest != known.digest:
            differs = Broken(row.seq, "it is another one than the head that you kept")
    broken = verifier.end(Head(stored.seq, stored.digest) if stored else Head(), known)
    first = min(filter(None, (broken, differs)), key=lambda one: one.seq, default=None)
    return Verified(verifier.head, verifier.entries, first)


async def last_of(connection: AsyncConnection, application: str, kind: str) -> AuditRow | None:
    """The last entry of a kind about an application."""
    query = select(audit).where(audit.c.application == application, audit.c.kind == kind)
    row = (await connection.execute(query.order_by(audit.c.seq.desc()).limit(1))).one_or_none()
    return None if row is None else _row(row)


async def shorten(connection: AsyncConnection, since: datetime, now: datetime) -> int:
    """Take away entries from before `since`, from the start on; how many.

    A checkpoint entry says how many and with which digest they ended, so that the chain holds.
    """
    kept = select(func.min(audit.c.seq)).where(audit.c.at >= since)
    first_kept = (await connection.execute(kept)).scalar_one_or_none()
    # The last entry stays whatever its age: it is what the next one follows on.
    newest = (await connection.execute(select(func.max(audit.c.seq)))).scalar_one_or_none()
    through = min(first_kept or newest or 0, newest or 0) - 1
    last = select(audit).where(audit.c.seq == through)
    row = (await connection.execute(last)).one_or_none()
    if row is None:
        return 0
    gone = select(func.count()).where(audit.c.seq <= through)
    count = int((await connection.execute(gone)).scalar_one())
    record = AuditRecord(
        id=f"checkpoint-{through}",
        at=now,
        kind=CHECKPOINT,
        cause="retention",
        data={"through": through, "digest": row.digest, "entries": count},
    )
    await append(connection, [record])
    await connection.execute(delete(audit).where(audit.c.seq <= through))
    return count


async def _last(connection: AsyncConnection) -> Head:
    query = select(audit.c.seq, audit.c.digest).order_by(audit.c.seq.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return Head() if row is None else Head(row.seq, row.digest)


def _row(row: Row[Any]) -> AuditRow:
    return AuditRow(
        seq=row.seq,
        id=row.id,
        at=row.at,
        application=row.application,
        kind=row.kind,
        entry=row.entry,
        digest=row.digest,
    )
