"""The build: what makes it necessary."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from driftd.sandbox.build import (
    SOURCES,
    build_worker,
    find_go,
    is_current,
    required_go,
    source_hash,
    stamp,
)

FAKE_GO = """\
#!/bin/sh
# Tells its version, or writes its arguments where -o says.
if [ "$*" = "env GOVERSION" ]; then echo "$FAKE_GO_VERSION"; exit; fi
arguments="$*"
while [ "$1" != "-o" ]; do shift; done
echo "$arguments CGO_ENABLED=$CGO_ENABLED GOOS=$GOOS GOARCH=$GOARCH GOAMD64=$GOAMD64" > "$2"
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


def test_build_for_another_platform(
    sources: Path, go: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform reaches Go, and processors older than the builder's own are served."""
    monkeypatch.setenv("GOAMD64", "v4")
    target = tmp_path / "aside" / "driftd-worker"
    build_worker(go, target, sources, {"GOOS": "darwin", "GOARCH": "arm64"})
    assert "GOOS=darwin GOARCH=arm64 GOAMD64=v1" in target.read_text()


def test_required_go_is_that_of_the_module(sources: Path) -> None:
    """go.mod says which Go is needed; one that does not say so is refused."""
    (sources / "go.mod").write_text("module example\n\ngo 1.99.1\n")
    assert required_go(sources) == "1.99.1"
    (sources / "go.mod").write_text("module example\n")
    with pytest.raises(ValueError, match="names no Go version"):
        required_go(sources)


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("go1.26.0", True),
        ("go1.26.8 X:nodwarf5", True),
        ("go1.100", True),
        ("go1.25.9", False),
        ("go1.9", False),
        ("devel", False),
    ],
)
def test_go_on_path_is_taken_if_new_enough(
    monkeypatch: pytest.MonkeyPatch, go: str, version: str, fits: bool
) -> None:
    """PATH decides if its Go is new enough; an older one does not stand in the way of others."""
    monkeypatch.setenv("PATH", str(Path(go).parent))
    monkeypatch.setenv("FAKE_GO_VERSION", version)
    assert (find_go() == go) == fits


def test_go_that_does_not_start_is_passed_over(monkeypatch: pytest.MonkeyPatch, go: str) -> None:
    """A broken Go is like none."""
    Path(go).write_text("#!/nonexistent/interpreter\n")
    monkeypatch.setenv("PATH", str(Path(go).parent))
    assert find_go() != go


def test_go_of_the_toolchain_wheel(
    monkeypatch: pytest.MonkeyPatch, go: str, tmp_path: Path
) -> None:
    """Without Go on PATH, the toolchain that is installed as the package `go` is found."""
    package = tmp_path / "packages" / "go"
    command = package / "bin" / "go"
    command.parent.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(go, command)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("FAKE_GO_VERSION", "go1.26.6")
    assert find_go() == str(command)
