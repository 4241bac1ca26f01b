"""The build: what makes it necessary."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from driftd.sandbox.build import SOURCES, build_worker, find_go, is_current, source_hash, stamp

FAKE_GO = """\
#!/bin/sh
# Writes its arguments where -o says.
arguments="$*"
while [ "$1" != "-o" ]; do shift; done
echo "$arguments CGO_ENABLED=$CGO_ENABLED" > "$2"
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the Go sources."""
    return Path(shutil.copytree(SOURCES, tmp_path / "worker"))


@pytest.fixture
def go(tmp_path: Path) -> str:
    """A program in place of Go that notes how it was called."""
    program = tmp_path / "go"
    program.write_text(FAKE_GO)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_hash_follows_the_sources(sources: Path) -> None:
    """Code and module files count; tests of the Go code do not; nothing else does."""
    first = source_hash(sources)
    assert first == source_hash(SOURCES)
    (sources / "some_test.go").write_text("package main\n")
    (sources / "notes.txt").write_text("x")
    assert source_hash(sources) == first
    for name in ("main.go", "go.sum", "new.go"):
        before = source_hash(sources)
        with (sources / name).open("a") as file:
            file.write("\n")
        assert source_hash(sources) != before


def test_without_sources_there_is_no_hash(tmp_path: Path) -> None:
    """An installed wheel ships no Go sources."""
    assert source_hash(tmp_path) is None


def test_build_is_current_until_a_source_changes(sources: Path, go: str, tmp_path: Path) -> None:
    """A build notes its sources' hash, in the binary and beside it."""
    target = tmp_path / "bin" / "driftd-worker"
    assert not is_current(target, sources)
    build_worker(go, target, sources)
    assert is_current(target, sources)
    assert [path.name for path in sorted(target.parent.iterdir())] == [
        target.name,
        stamp(target).name,
    ]
    call = target.read_text()
    assert f"-X main.sourceHash={source_hash(sources)}" in call
    assert "-trimpath" in call
    assert "CGO_ENABLED=0" in call
    (sources / "new.go").write_text("package main\n")
    assert not is_current(target, sources)


def test_go_is_found_on_path_first(monkeypatch: pytest.MonkeyPatch, go: str) -> None:
    """PATH decides; without Go there, nothing or the toolchain wheel is found."""
    monkeypatch.setenv("PATH", str(Path(go).parent))
    assert find_go() == go
    monkeypatch.setenv("PATH", "")
    assert find_go() != go
