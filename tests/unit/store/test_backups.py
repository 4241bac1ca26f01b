"""Backups and what `driftd restore` does with a store, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.errors import StoreError
from driftd.model.resource import ResourceKey
from driftd.store import acts, reading
from driftd.store.backups import Backup
from driftd.store.chain import AuditRecord
from driftd.store.envelope import envelope_of
from driftd.store.ledger import Ledger, acted, kept, take_in
from driftd.store.sql import SqlStore

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = b'{"data":{"colour":"red"},"binaryData":"\x00\xff"}'


def backup(number: int, application: str = "argocd/shop", **fields: str) -> Backup:
    """A manifest that was kept `number` minutes after the start."""
    return Backup(
        id=fields.get("id", f"{number:032x}"),
        application=application,
        cluster="production",
        server="https://production.example.com",
        key=ResourceKey("", "ConfigMap", "shop", f"settings-{number}"),
        version="v1",
        at=START + timedelta(minutes=number),
        plan="p" * 64,
    )


async def ids(dsn: str, application: str = "", limit: int = 100) -> list[int]:
    """The numbers of the backups that are listed."""
    return [int(one.id, 16) for one in await reading.find_backups(dsn, application, limit)]


async def test_what_was_kept_is_listed_newest_first(store: SqlStore, dsn: str) -> None:
    """Of one application by either name, so many at most; a name is no pattern."""
    ledger = Ledger(store)
    for number, name in enumerate(("argocd/shop", "team/shop", "argocd/shoX", "argocd/a_b"), 1):
        await ledger.keep(backup(number, name), b"sealed")
    assert await ids(dsn) == [4, 3, 2, 1]
    assert await ids(dsn, limit=2) == [4, 3]
    assert await ids(dsn, "shop") == [2, 1]
    assert await ids(dsn, "argocd/shop") == [1]
    assert await ids(dsn, "sho_") == await ids(dsn, "%") == []
    assert await ids(dsn, "a_b") == [4]
    (one,) = await reading.find_backups(dsn, "team/shop", 1)
    assert one == backup(2, "team/shop")


async def test_it_opens_byte_for_byte_with_its_key(
    store: SqlStore, dsn: str, tmp_path: Path
) -> None:
    """Every byte comes back, beside its own row alone, and with the key of the daemon alone."""
    right = envelope_of(tmp_path / "key", make=True)
    other = envelope_of(tmp_path / "other", make=True)
    one = backup(1)
    await Ledger(store).keep(one, right.seal(one.row, BODY))
    found, sealed = await reading.backup(dsn, one.id[:31])
    assert found == one
    assert right.open(found.row, sealed) == BODY
    assert b"colour" not in sealed
    for row, envelope in ((one.row, other), (backup(2).row, right)):
        with pytest.raises(StoreError, match="cannot be decrypted"):
            envelope.open(row, sealed)


async def test_a_manifest_is_kept_once(store: SqlStore, dsn: str) -> None:
    """What is handed over again, after an answer that was lost, changes nothing."""
    ledger = Ledger(store)
    await ledger.keep(backup(1), b"first")
    await ledger.keep(backup(1), b"second")
    assert await ids(dsn) == [1]
    assert (await reading.backup(dsn, backup(1).id))[1] == b"first"


@pytest.mark.parametrize(
    ("beginning", "problem"),
    [("0", "several backups begin with '0'"), ("f", "no backup 'f'"), ("%", "no backup '%'")],
)
async def test_one_backup_is_meant_or_none(
    store: SqlStore, dsn: str, beginning: str, problem: str
) -> None:
    """The beginning of an id that fits several or none is an error that says what lists them."""
    for number in (1, 2):
        await Ledger(store).keep(backup(number), b"sealed")
    with pytest.raises(StoreError, match=problem) as raised:
        await reading.backup(dsn, beginning)
    assert "driftd restore" in str(raised.value.hint)


async def test_retention_takes_the_old_ones(store: SqlStore, dsn: str) -> None:
    """What was kept before a moment goes, what was kept at it stays."""
    ledger = Ledger(store)
    for number in range(1, 5):
        await ledger.keep(backup(number), b"sealed")
    assert await ledger.expire(START + timedelta(minutes=3)) == 2
    assert await ids(dsn) == [4, 3]


async def test_commands_keep_and_record_beside_the_daemon(store: SqlStore, dsn: str) -> None:
    """Beside an open store a command keeps a manifest, and a restore lets healing wait."""
    ledger, folder = Ledger(store), acts.folder_of(dsn)
    record = AuditRecord(
        id="restore-1",
        at=START,
        kind="restore",
        who="ada@desk",
        application="argocd/shop",
        object=backup(1).key,
    )
    await kept(dsn, backup(1), b"sealed")
    await acted(dsn, record)
    if folder is not None:  # an SQLite store takes it in by itself, as the daemon does
        assert await ids(dsn) == []
        assert await take_in(ledger, folder) == []
    assert await ids(dsn) == [1]
    why = f"ada@desk restored {backup(1).key}"
    assert await ledger.halted() == {"argocd/shop": why}
    resumed = AuditRecord(id="r", at=START, kind="resume", application="argocd/shop")
    await acted(dsn, resumed)
    if folder is not None:
        await take_in(ledger, folder)
    assert await ledger.halted() == {}
    assert [row.kind for row in await ledger.entries()] == ["restore", "resume"]
    assert (await ledger.verify()).broken is None


async def test_without_a_key_file_postgresql_keeps_nothing(dsn: str) -> None:
    """Beside SQLite a key has its place; on PostgreSQL the settings must name one."""
    if acts.folder_of(dsn) is not None:
        assert acts.key_of("", dsn).parent == acts.folder_of(dsn).parent
        return
    with pytest.raises(StoreError, match="there is no key") as raised:
        acts.key_of("", dsn)
    assert "store.keyFile" in str(raised.value.hint)
