"""The wheel and the source archive: what is in them, and that the wheel runs without Go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from driftd.sandbox.build import BINARY, SOURCES

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "fixtures" / "kubernetes-gitops"
WORKER = "driftd/sandbox/bin/driftd-worker"
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: '%s'}\n"


def build(kind: str, folder: Path) -> Path:
    """Build an archive of the checkout, with its own worker; its path."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"},
        timeout=300,
    )
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for this machine."""
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def examples() -> set[str]:
    """The files of the demonstration's repository, below its folder."""
    return {path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*") if path.is_file()}


def test_wheel_has_the_worker_and_the_example(wheel: Path) -> None:
    """The wheel carries this checkout's worker, executable, the rules, the example, and no Go."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read(WORKER) == BINARY.read_bytes()
        rules = archive.read("driftd/model/data/severity.yaml")
        assert rules == (ROOT / "config" / "severity.yaml").read_bytes()
        assert archive.getinfo(WORKER).external_attr >> 16 & 0o111 == 0o111
    below = "driftd/demo/kubernetes-gitops/"
    assert {name.removeprefix(below) for name in names if name.startswith(below)} == examples()
    assert [name for name in names if name.endswith((".go", "go.mod", ".sources"))] == []
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_wheel_is_tagged_for_its_platform(wheel: Path) -> None:
    """The tags in the metadata are those of the name, each for a platform and any Python 3."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith(".dist-info/WHEEL")]
        lines = archive.read(name).decode().splitlines()
    platforms = wheel.stem.rsplit("-", 1)[1].split(".")
    tags = {line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: ")}
    assert tags == {f"py3-none-{one}" for one in platforms}
    assert "Root-Is-Purelib: false" in lines


def test_source_archive_has_what_building_takes(tmp_path: Path) -> None:
    """The worker's sources, the example and the licence are there, and nothing that was built."""
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {one.name.split("/", 1)[1] for one in archive.getmembers()}
        binaries = [
            one.name
            for one in archive.getmembers()
            if (content := archive.extractfile(one)) and b"\0" in content.read()
        ]
    below = SOURCES.relative_to(ROOT).as_posix()
    needed = {f"{below}/{path.name}" for path in SOURCES.iterdir() if path.is_file()}
    needed |= {f"tests/fixtures/kubernetes-gitops/{name}" for name in examples()}
    needed |= {"LICENSE", "README.md", "hatch_build.py", "requirements/runtime.txt"}
    needed |= {"config/severity.yaml"}
    assert needed - names == set()
    assert binaries == []


def test_wheel_runs_without_go_and_compiler(wheel: Path, tmp_path: Path) -> None:
    """Installed in an environment of its own, driftd works with git and sh alone on PATH.

    The demonstration too, which needs the example and the recordings, and no checkout.
    """
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel],
        check=True,
    )
    (packages,) = environment.glob("lib/python*/site-packages")
    # The locked dependencies are those of this very environment.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "sh"):
        (tools / name).symlink_to(shutil.which(name) or name)
    only = {"PATH": str(tools), "HOME": str(tmp_path), "LANG": "C.UTF-8"}

    def driftd(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [environment / "bin" / "driftd", *arguments],
            cwd=tmp_path,
            env=only,
            capture_output=True,
            text=True,
            check=False,
        )

    version = driftd("version")
    assert version.returncode == 0, version.stderr
    assert "helm.sh/helm/v4" in version.stdout
    (tmp_path / "desired.yaml").write_text(MANIFEST % 1)
    (tmp_path / "live.yaml").write_text(MANIFEST % 2)
    diff = driftd("diff", "--desired", "desired.yaml", "--live", "live.yaml")
    # 2, not 1: without a schema not all can be judged.
    assert (diff.returncode, diff.stderr) == (2, "")
    assert "data.a" in diff.stdout
    demo = driftd("demo")
    assert (demo.returncode, demo.stderr) == (0, "")
    assert "\nenvironment/bin/driftd check\n" in demo.stdout  # what one can type next
