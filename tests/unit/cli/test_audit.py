"""`driftd audit` on a store."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from driftd.cli.main import driftd
from driftd.store.chain import AuditRecord, canonical
from driftd.store.ledger import Ledger
from driftd.store.sql import SqlStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with three entries, the last one of now."""
    path = tmp_path / "driftd.db"

    async def fill() -> None:
        store = await SqlStore.open(f"sqlite:///{path}")
        now = datetime.now(UTC)
        for number, age in enumerate((9, 5, 0)):
            moment = now - timedelta(hours=age)
            await Ledger(store).append(AuditRecord(id=f"r{number}", at=moment, kind="result"))
        await store.close()

    asyncio.run(fill())
    return path


def ran(path: Path, *arguments: str) -> Result:
    """What one command prints."""
    command, *rest = arguments
    return CliRunner().invoke(
        driftd, ["audit", command, f"--store=sqlite:///{path}", *rest], standalone_mode=False
    )


def spoil(path: Path) -> None:
    """Change the second entry."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE audit SET entry = replace(entry, 'result', 'nothing') WHERE seq=2"
        )
    connection.close()


def test_a_record_as_it_was_written_is_verified(path: Path) -> None:
    """The number of entries and the head to keep; exit code 0."""
    found = ran(path, "verify")
    lines = found.stdout.splitlines()
    assert found.return_value == 0
    assert lines[0] == "3 entries, as recorded"
    head = lines[1].removeprefix("head ")
    again = ran(path, "verify", "--head", head, "-ojson")
    document = json.loads(again.stdout)
    assert (again.return_value, document["intact"], document["head"]) == (0, True, head)


def test_the_first_broken_entry_is_named(path: Path) -> None:
    """Number and problem; exit code 1, in JSON too."""
    spoil(path)
    found = ran(path, "verify")
    assert found.return_value == 1
    assert found.stdout.startswith("BROKEN at entry 2: it was changed")
    document = json.loads(ran(path, "verify", "-ojson").stdout)
    assert (document["intact"], document["broken"]["entry"]) == (False, 2)


def test_a_head_of_more_entries_than_there_are_is_told(path: Path) -> None:
    """What was cut off the end is missed by a head that was kept."""
    found = ran(path, "verify", "--head", f"7:{'0' * 64}")
    assert found.return_value == 1
    assert found.stdout == "BROKEN at entry 4: the entries from here to 7 are gone from the end\n"


@pytest.mark.parametrize("head", ["7", "x:1", "7:abc", ":"])
def test_a_head_that_is_none_is_a_usage_error(path: Path, head: str) -> None:
    """Nothing is verified against nonsense."""
    found = ran(path, "verify", "--head", head)
    assert "is no head; write NUMBER:DIGEST" in str(found.exception)


def test_entries_are_exported_as_lines_that_can_be_hashed_again(path: Path) -> None:
    """One line an entry, oldest first; --since leaves older ones out."""
    lines = ran(path, "export").stdout.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, 1):
        told = json.loads(line)
        assert told["entry"]["seq"] == number
        assert hashlib.sha256(canonical(told["entry"]).encode()).hexdigest() == told["digest"]
    assert ran(path, "export", "--since=6h").stdout.splitlines() == lines[1:]


def test_an_application_that_was_never_seen_is_an_error(path: Path) -> None:
    """Nothing is exported in silence."""
    found = ran(path, "export", "--application=nobody")
    assert "knows no application 'nobody'" in str(found.exception)
