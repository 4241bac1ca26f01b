"""Files of this user's that nobody else can have written."""

from __future__ import annotations

import os
from pathlib import Path

from driftd.sealed import SealedFolder

ONE, TWO = "1" * 64, "2" * 64


def opened(place: Path, limit: int = 1 << 20) -> SealedFolder:
    """A folder of charts."""
    return SealedFolder(place / "charts", "charts", limit)


def file_of(place: Path, name: str) -> Path:
    """Where a file lies."""
    return place / "charts" / name[:2] / name


def test_what_was_written_is_read_by_others_of_this_user(tmp_path: Path) -> None:
    """Another process finds it; a name that was never written is nothing."""
    opened(tmp_path).write(ONE, b"chart")
    other = opened(tmp_path)
    assert other.read(ONE) == b"chart"
    assert other.read(TWO) is None
    other.write(ONE, b"newer")
    assert opened(tmp_path).read(ONE) == b"newer"
    assert (tmp_path / "charts").stat().st_mode & 0o777 == 0o700


def test_what_was_changed_is_thrown_away(tmp_path: Path) -> None:
    """A changed byte, another file's content and a file of another folder are no answers."""
    folder = opened(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    opened(tmp_path / "elsewhere").write(ONE, b"forged")
    forged = file_of(tmp_path / "elsewhere", ONE).read_bytes()
    folder.write(TWO, b"other")
    swapped = file_of(tmp_path, TWO).read_bytes()
    for number, bad in enumerate((b"", b"x" * 40, forged, swapped), 1):
        folder.write(ONE, b"chart")
        file_of(tmp_path, ONE).write_bytes(bad)
        assert folder.read(ONE) is None
        assert not file_of(tmp_path, ONE).exists()
        assert folder.alarms == number


def test_a_key_that_others_can_read_counts_for_nothing(tmp_path: Path) -> None:
    """Nothing is read or written then, and the problem is said."""
    opened(tmp_path).write(ONE, b"chart")
    (tmp_path / "charts/key").chmod(0o644)
    folder = opened(tmp_path)
    folder.write(TWO, b"chart")
    assert folder.read(ONE) is None
    assert not folder.usable
    assert not file_of(tmp_path, TWO).exists()
    assert "can be read by others" in folder.problem


def test_the_folder_is_bounded(tmp_path: Path) -> None:
    """What was not used for the longest time goes first; folders of others are left alone."""
    folder = opened(tmp_path, limit=5_000)
    (tmp_path / "charts/more").mkdir()
    (tmp_path / "charts/more/large").write_bytes(b"x" * 9_000)
    names = [f"{number:064x}" for number in range(1, 8)]
    for age, name in enumerate(names, 1):
        folder.write(name, b"x" * 1_000)
        os.utime(file_of(tmp_path, name), (age, age)) if file_of(tmp_path, name).exists() else None
    there = [name for name in names if file_of(tmp_path, name).exists()]
    assert there == names[-len(there) :]
    assert 3 <= len(there) <= 4
    assert (tmp_path / "charts/more/large").exists()


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path: Path) -> None:
    """A disk that fails is a cache that misses."""
    (tmp_path / "charts").write_text("")
    folder = opened(tmp_path)
    folder.write(ONE, b"chart")
    assert folder.read(ONE) is None
    assert folder.problem.startswith("charts are not kept in")
