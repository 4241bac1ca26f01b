"""Temporary folders, and what is left of them where a process was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from driftd.scratch import ScratchFolder, remove_left

PREFIX = "driftd-mirrors-"
HOLD = f"""
from driftd.scratch import ScratchFolder
folder = ScratchFolder({PREFIX!r})
(folder.path / "mirror").mkdir()
print(folder.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed(place: Path) -> None:
    """The next folder of the same prefix takes the old ones with it once their process is gone."""
    environment = {"TMPDIR": str(place), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        assert (left / "mirror").is_dir()
        with ScratchFolder(PREFIX):
            assert left.exists()
        process.kill()
        process.wait()
    with ScratchFolder(PREFIX) as own:
        assert not left.parent.exists()
        assert [own.parent] == list(place.iterdir())
    assert list(place.iterdir()) == []


def test_what_is_held_or_nobodys_stays(place: Path) -> None:
    """Folders in use, of other prefixes, without an owner's lock, and links are left alone."""
    (place / f"{PREFIX}old" / "content").mkdir(parents=True)
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "owner.lock").touch()
    (place / f"{PREFIX}link").symlink_to(place / "elsewhere")
    (place / f"{PREFIX}file").touch()
    with ScratchFolder(PREFIX) as held, ScratchFolder("driftd-renders-") as other:
        before = sorted(place.iterdir())
        remove_left(PREFIX)
        assert sorted(place.iterdir()) == before
        assert held.is_dir()
        assert other.is_dir()
    assert (place / "elsewhere" / "owner.lock").exists()


def test_only_this_user_reads_it(place: Path) -> None:
    """Neither the folder nor what is in it is open to others."""
    with ScratchFolder(PREFIX) as folder:
        assert folder.parent.parent == place
        assert {one.stat().st_mode & 0o777 for one in (folder, folder.parent)} == {0o700}
