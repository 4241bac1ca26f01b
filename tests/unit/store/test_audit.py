"""The audit record on both databases: what was tampered with is found, and where."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from driftd.model.resource import ResourceKey
from driftd.store import audit, reading
from driftd.store.audit import Verified
from driftd.store.chain import AuditChange, AuditRecord, Head, canonical, head_from
from driftd.store.ledger import Ledger
from driftd.store.schema import audit as table
from driftd.store.schema import audit_head
from driftd.store.sql import SqlStore

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS = [column.name for column in table.columns]
WEB = ResourceKey("apps", "Deployment", "shop", "web")


def record(number: int, **fields: Any) -> AuditRecord:
    """A record of a write."""
    values = {
        "id": f"r{number}",
        "at": START + timedelta(minutes=number),
        "kind": "result",
        "application": "argocd/web",
        "object": WEB,
        "cause": "drift",
        "changes": (AuditChange("/spec/replicas", 5, 3),),
    }
    return AuditRecord(**(values | fields))


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[SqlStore]:
    """A store with ten entries."""
    opened = await SqlStore.open(dsn)
    ledger = Ledger(opened)
    for number in range(10):
        await ledger.append(record(number))
    yield opened
    await opened.close()


async def run(store: SqlStore, *statements: Any) -> None:
    """Do to the database what somebody with its password can do."""
    async with store.database.writing() as connection:
        for statement in statements:
            await connection.execute(statement)


async def verified(store: SqlStore, known: Head | None = None) -> Verified:
    """What verification says."""
    return await Ledger(store).verify(known)


async def test_what_was_appended_is_verified_and_read_back(store: SqlStore) -> None:
    """Ten entries, numbered, each with the digest of the one before; masked values as given."""
    found = await verified(store)
    assert (found.entries, found.broken) == (10, None)
    rows = await Ledger(store).entries()
    assert [row.seq for row in rows] == list(range(1, 11))
    assert str(found.head) == f"10:{rows[-1].digest}"
    before = ""
    for row in rows:
        told = json.loads(row.entry)
        assert told["previous"] == before
        assert hashlib.sha256(canonical(told).encode()).hexdigest() == row.digest
        before = row.digest
    assert told["changes"] == [{"path": "/spec/replicas", "before": 5, "after": 3}]
    assert told["object"]["name"] == "web"
    assert told["at"] == "2026-03-01T12:09:00.000000Z"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"entry": canonical({"seq": 4})}, "its digest is not that of its text"),
        ({"digest": "0" * 64}, "its digest is not that of its text"),
        ({"application": "argocd/other"}, "its columns say something else"),
        ({"kind": "refusal"}, "its columns say something else"),
        ({"at": START}, "its columns say something else"),
        ({"id": "x"}, "its columns say something else"),
    ],
)
async def test_a_changed_entry_is_named(
    store: SqlStore, values: dict[str, Any], problem: str
) -> None:
    """Text, digest and what is beside them cannot be changed unseen."""
    await run(store, update(table).where(table.c.seq == 4).values(**values))
    broken = (await verified(store)).broken
    assert broken is not None
    assert broken.seq == 4
    assert problem in broken.problem


async def test_an_entry_that_was_written_anew_with_its_digest_breaks_the_next(
    store: SqlStore,
) -> None:
    """Whoever knows how digests are made still breaks the chain."""
    row = (await Ledger(store).entries())[3]
    told = json.loads(row.entry) | {"outcome": "nothing"}
    entry = canonical(told)
    digest = hashlib.sha256(entry.encode()).hexdigest()
    await run(store, update(table).where(table.c.seq == 4).values(entry=entry, digest=digest))
    broken = (await verified(store)).broken
    assert broken is not None
    assert (broken.seq, broken.problem) == (5, "it does not follow on the entry before it")


@pytest.mark.parametrize(("gone", "named"), [((4,), 5), ((1,), 1), ((1, 2, 3), 1), ((4, 5), 6)])
async def test_a_removed_entry_is_missed(
    store: SqlStore, gone: tuple[int, ...], named: int
) -> None:
    """In the middle and at the beginning, where no checkpoint speaks for it."""
    await run(store, delete(table).where(table.c.seq.in_(gone)))
    broken = (await verified(store)).broken
    assert broken is not None
    assert broken.seq == named
    assert "gone" in broken.problem


async def test_reordered_entries_are_named(store: SqlStore) -> None:
    """Two entries that changed their places are not as recorded."""
    numbered = update(table)
    await run(
        store,
        numbered.where(table.c.seq == 3).values(seq=99),
        numbered.where(table.c.seq == 4).values(seq=3),
        numbered.where(table.c.seq == 99).values(seq=4),
    )
    broken = (await verified(store)).broken
    assert broken is not None
    assert broken.seq == 3


async def test_an_entry_put_in_is_named(store: SqlStore) -> None:
    """An entry at the end that driftd did not append disagrees with the head."""
    row = (await Ledger(store).entries())[-1]
    told = json.loads(row.entry) | {"seq": 11, "previous": row.digest, "id": "forged"}
    entry = canonical(told)
    values = {
        "seq": 11,
        "id": "forged",
        "at": row.at,
        "application": row.application,
        "kind": row.kind,
        "entry": entry,
        "digest": hashlib.sha256(entry.encode()).hexdigest(),
    }
    await run(store, table.insert().values(**values))
    broken = (await verified(store)).broken
    assert broken is not None
    assert (broken.seq, broken.problem) == (11, "it was appended by somebody else than driftd")


async def test_a_truncated_tail_is_found_by_the_head(store: SqlStore) -> None:
    """The head beside the record still names the last entry, also after more are appended."""
    await run(store, delete(table).where(table.c.seq > 7))
    broken = (await verified(store)).broken
    assert broken is not None
    assert (broken.seq, broken.problem) == (8, "the entries from here to 10 are gone from the end")
    await Ledger(store).append(record(20))
    again = (await verified(store)).broken
    assert again is not None
    assert (again.seq, again.problem) == (11, "entry 8 is gone")


async def test_a_tail_cut_off_with_its_head_is_found_by_a_head_kept_elsewhere(
    store: SqlStore,
) -> None:
    """Without such a head nothing inside the database can tell; with it the loss is named."""
    kept = (await verified(store)).head
    seventh = (await Ledger(store).entries())[6]
    await run(
        store,
        delete(table).where(table.c.seq > 7),
        update(audit_head).values(seq=7, digest=seventh.digest),
    )
    assert (await verified(store)).broken is None
    broken = (await verified(store, kept)).broken
    assert broken is not None
    assert (broken.seq, broken.problem) == (8, "the entries from here to 10 are gone from the end")


async def test_a_record_that_was_made_anew_is_found_by_a_head_kept_elsewhere(
    store: SqlStore,
) -> None:
    """A whole new chain, valid in itself, is not the one that was kept."""
    kept = head_from(str((await verified(store)).head))
    await run(store, delete(table), update(audit_head).values(seq=0, digest=""))
    for number in range(12):
        await Ledger(store).append(record(number, cause="invented"))
    assert (await verified(store)).broken is None
    broken = (await verified(store, kept)).broken
    assert broken is not None
    assert (broken.seq, broken.problem) == (10, "it is another one than the head that you kept")


async def test_any_single_tampering_is_found(store: SqlStore) -> None:
    """Sixty random changes of one column or row: each is found."""
    chance = random.Random(8)  # noqa: S311
    rows = await Ledger(store).entries()
    for _ in range(60):
        row = chance.choice(rows)
        here = table.c.seq == row.seq
        position = chance.randrange(len(row.entry))
        other = "x" if row.entry[position] != "x" else "y"
        changed = row.entry[:position] + other + row.entry[position + 1 :]
        statement = chance.choice(
            [
                update(table).where(here).values(entry=changed),
                update(table).where(here).values(digest=row.digest[::-1]),
                update(table).where(here).values(seq=row.seq + 100),
                delete(table).where(here),
            ]
        )
        await run(store, statement)
        assert (await verified(store)).broken is not None
        async with store.database.writing() as connection:
            await connection.execute(delete(table))
            values = [{name: getattr(one, name) for name in COLUMNS} for one in rows]
            await connection.execute(table.insert(), values)
    assert (await verified(store)).broken is None


async def test_a_record_is_appended_once(store: SqlStore) -> None:
    """Handing it over again after a commit of unknown fate changes nothing."""
    head = await Ledger(store).append(record(3), record(11), record(11))
    assert head.seq == 11
    assert await Ledger(store).append(record(11)) == head
    assert (await verified(store)).entries == 11


async def test_what_fails_appends_nothing(store: SqlStore) -> None:
    """An entry of a transaction that is rolled back is not there, and the chain goes on."""

    async def fail() -> None:
        async with store.database.writing() as connection:
            await audit.append(connection, [record(30)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await Ledger(store).append(record(31))
    found = await verified(store)
    assert (found.entries, found.broken) == (11, None)


async def test_retention_leaves_a_checkpoint_and_a_whole_chain(store: SqlStore) -> None:
    """Old entries go, the chain holds, and a later shortening stands on the checkpoint."""
    ledger = Ledger(store)
    now = START + timedelta(days=400)
    assert await ledger.shorten(START + timedelta(minutes=4), now) == 4
    found = await verified(store)
    assert (found.entries, found.broken) == (7, None)
    last = (await ledger.entries())[-1]
    assert last.kind == "checkpoint"
    assert json.loads(last.entry)["data"]["through"] == 4
    assert await ledger.shorten(START + timedelta(minutes=4), now) == 0
    assert await ledger.shorten(START + timedelta(minutes=8), now + timedelta(days=1)) == 4
    assert (await verified(store)).broken is None
    await run(store, delete(table).where(table.c.seq == 9))
    broken = (await verified(store)).broken
    assert broken is not None
    assert "entries 1 to 9 are gone" in broken.problem


async def test_retention_never_takes_the_last_entry(store: SqlStore) -> None:
    """However old everything is, something is left that the next entry follows on."""
    now = START + timedelta(days=4000)
    assert await Ledger(store).shorten(now, now) == 9
    assert (await verified(store)).broken is None
    assert await Ledger(store).shorten(now, now) == 1
    assert await Ledger(store).shorten(now, now) == 0
    assert (await verified(store)).broken is None


async def test_an_empty_record_is_whole(dsn: str) -> None:
    """Nothing recorded, nothing broken, and nothing to shorten."""
    store = await SqlStore.open(dsn)
    assert await verified(store) == Verified(Head(), 0)
    assert await Ledger(store).shorten(START, START) == 0
    await store.close()


async def test_it_is_exported_beside_the_daemon_that_writes(store: SqlStore, dsn: str) -> None:
    """By time and by application, as lines whatever names and messages hold."""
    nasty = "a\nlevel=ERROR \x1b[31m\u2028\u202e"
    await Ledger(store).append(record(50, application="argocd/other", message=nasty))
    rows: list[Any] = []
    count = await reading.export_audit(
        dsn, rows.append, since=START + timedelta(minutes=8), application=""
    )
    assert (count, [row.seq for row in rows]) == (3, [9, 10, 11])
    assert rows[-1].entry.isascii()
    assert rows[-1].entry.isprintable()
    assert json.loads(rows[-1].entry)["message"] == nasty
    assert (await reading.verify_audit(dsn, None)).broken is None


async def test_entries_appended_at_once_form_one_chain(dsn: str) -> None:
    """Two processes on PostgreSQL, or twenty callers of one store: no gap and no fork."""
    import asyncio

    stores = [await SqlStore.open(dsn)]
    if dsn.startswith("postgresql"):
        stores.append(await SqlStore.open(dsn))
    calls = [Ledger(stores[n % len(stores)]).append(record(n)) for n in range(20)]
    await asyncio.gather(*calls)
    found = await verified(stores[0])
    assert (found.entries, found.broken) == (20, None)
    async with stores[0].database.reader.connect() as connection:
        seqs = (await connection.execute(select(table.c.seq).order_by(table.c.seq))).scalars()
        assert list(seqs) == list(range(1, 21))
        assert (await connection.execute(text("SELECT count(*) FROM audit_head"))).scalar() == 1
    for one in stores:
        await one.close()
