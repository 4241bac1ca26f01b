"""What `driftd doctor` says of a daemon's store."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.cli.diagnosis import lines
from driftd.clock import SystemClock
from driftd.controller.doctor import Doctor, DoctorReport
from driftd.controller.options import CheckOptions
from driftd.store.sql import SqlStore
from driftd.store.types import OutboxMessage, Refusal
from tests.unit.reports import change, report, resource

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings whose store lies beside them."""
    file = tmp_path / "driftd.yaml"
    file.write_text(json.dumps({"store": {"dsn": f"sqlite:///{tmp_path}/state/driftd.db"}}))
    return file


async def examined(config: Path | None) -> DoctorReport:
    """What is found about the store alone."""
    doctor = Doctor(CheckOptions(config=config), SystemClock(), lambda _text: None)
    await doctor.store()
    return doctor.report()


async def store_of(config: Path) -> SqlStore:
    """A store as a daemon makes it."""
    return await SqlStore.open(f"sqlite:///{config.parent}/state/driftd.db")


async def test_a_store_that_is_well(config: Path) -> None:
    """Where it lies, its schema and how much it knows; no message waits for a person."""
    store = await store_of(config)
    drift = report(resource("web", change("/spec/replicas", desired=3, live=5)))
    await store.record(drift, NOW, lambda _change: ())
    await store.close()
    told = list(lines(await examined(config)))
    assert told[0].startswith(f"ok    store          {config.parent}/state/driftd.db answers: ")
    assert told[0].endswith(", 1 application")
    assert told[1] == "ok    notifications  no message was given up"


async def test_messages_that_were_given_up(config: Path) -> None:
    """How many, the last one with its receiver and error, and what to do."""
    store = await store_of(config)
    drift = report(resource("web", change("/spec/replicas", desired=3, live=5)))
    message = OutboxMessage(id="1", target="chat", application="argocd/shop", payload=b"{}")
    await store.record(drift, NOW, lambda _change: (message,))
    (due,) = await store.due("chat", NOW, 10)
    gone = Refusal(error="HTTP 410: Gone", certain=True, max_attempts=1, dead_before=NOW)
    await store.mark_failed(due, NOW + timedelta(days=1), gone, None)
    await store.close()
    told = list(lines(await examined(config)))
    what = "1 message given up, the last at 2026-03-05 12:00 UTC to chat: HTTP 410: Gone"
    assert told[1] == f"warn  notifications  {what}"
    assert told[2].strip().startswith("to do: driftd notify dead lists them")


async def test_a_store_that_is_not_there_is_not_made(config: Path) -> None:
    """A warning, and neither a file nor a folder."""
    told = list(lines(await examined(config)))
    assert told[0] == f"warn  store  there is no store {config.parent}/state/driftd.db"
    assert list(config.parent.iterdir()) == [config]


async def test_another_schema_fails(config: Path) -> None:
    """Both versions, and which driftd is to be used; the file stays as it is."""
    await (await store_of(config)).close()
    file = config.parent / "state/driftd.db"
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    told = list(lines(await examined(config)))
    assert told[0].startswith("fail  store  the store has schema 9999, and this driftd knows ")
    assert told[1] == "             to do: use the driftd that wrote it, or a newer one"


async def test_a_file_that_is_no_store_fails(config: Path) -> None:
    """An empty file is none, and is left empty."""
    file = config.parent / "state/driftd.db"
    file.parent.mkdir()
    file.touch()
    assert (await examined(config)).ok is False
    assert file.stat().st_size == 0


async def test_settings_that_are_wrong_are_a_finding(tmp_path: Path) -> None:
    """The rest of the diagnosis goes on; without settings nothing is said."""
    found = await examined(tmp_path / "nowhere.yaml")
    assert [(one.area, one.status) for one in found.checks] == [("store", "fail")]
    assert (await examined(None)).checks == ()
