"""The file of silences: written by several commands, read by a daemon, never in the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.errors import StoreError
from driftd.model.silence import Silence
from driftd.store.silences import KEPT, SilenceFile, change, file_of, read

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def silence(name: str, hours: float = 1) -> Silence:
    """A silence that ends some hours from now."""
    return Silence(id=name, until=NOW + timedelta(hours=hours), owner="alice", reason="why")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Many writers at a time lose nothing, and what is over for long goes."""
    path = tmp_path / "silences.json"
    assert read(path) == ()
    change(path, NOW, lambda known: (*known, silence("old", -KEPT / timedelta(hours=1))))
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            one = silence(f"{number}")
            pool.submit(change, path, NOW, lambda known, one=one: (*known, one))
    assert {one.id for one in read(path)} == {str(number) for number in range(40)}


def test_a_daemon_follows_the_file(tmp_path: Path) -> None:
    """It reads what is new, and a broken file silences nothing and is told once."""
    path, told = tmp_path / "silences.json", []
    file = SilenceFile(path, told.append)
    assert file.current() == ()
    change(path, NOW, lambda known: (silence("a"),))
    assert [one.id for one in file.current()] == ["a"]
    change(path, NOW, lambda known: ())
    assert file.current() == ()
    path.write_text("{")
    assert (file.current(), file.current()) == ((), ())
    assert told == [f"{path}: is no file of silences; driftd silence alone writes it"]
    path.unlink()
    assert file.current() == ()
    assert SilenceFile(None, told.append).current() == ()


def test_where_it_lies() -> None:
    """Beside an SQLite store, where the settings say, and nowhere beside PostgreSQL."""
    assert file_of("", "sqlite:////data/driftd.db") == Path("/data/driftd.db-silences.json")
    assert file_of("/etc/silences", "postgresql://a@b/c") == Path("/etc/silences")
    with pytest.raises(StoreError, match="no place for silences"):
        file_of("", "postgresql://a@b/c")
