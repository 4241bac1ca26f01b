"""Prepared copies run what the program would run, and none is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from driftd.demo.stage import PACKAGE
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.slow

SCRIPT = """
import asyncio, json, os, sys, tempfile
from pathlib import Path
from driftd.demo.processes import Processes

count, arguments = int(sys.argv[1]), sys.argv[3:]

async def run(processes):
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        running = await processes.start(
            arguments,
            folder=Path(sys.argv[2]),
            environment=dict(os.environ),
            output=output.fileno(),
            errors=errors.fileno(),
        )
        if arguments[0] == "run":
            running.terminate()
        code = await running.wait()
        told = []
        for stream in (output, errors):
            stream.seek(0)
            told.append(stream.read().decode())
    return [code, *told, running.returncode]

with Processes(count) as processes:
    told = asyncio.run(run(processes))
try:
    left = os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    left = None
print(json.dumps([*told, left]))
"""


def prepared(folder: Path, count: int, *arguments: str, **environment: str) -> list[object]:
    """Code, output, errors, code again, and children left, of a run with so many copies."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(count), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer: list[object] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(
    "arguments",
    [("apps",), ("check", "--nonesuch"), ("completion", "bash"), ("--version",)],
    ids=["error", "usage", "output", "version"],
)
@pytest.mark.parametrize("count", [0, 2], ids=["new", "copied"])
def test_a_copy_is_the_program(tmp_path: Path, count: int, arguments: tuple[str, ...]) -> None:
    """Exit code, output and errors are those of `python -m driftd.cli.main` in that folder."""
    done = subprocess.run(
        [sys.executable, "-m", "driftd.cli.main", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    code = done.returncode
    assert prepared(tmp_path, count, *arguments) == [code, done.stdout, done.stderr, code, None]


def test_the_environment_is_the_one_that_was_given(tmp_path: Path) -> None:
    """A flag in the environment reaches the copy."""
    code, _, errors, *_ = prepared(tmp_path, 1, "apps", DRIFTD_REPO="/nonexistent/repository")
    assert code == 2
    assert "/nonexistent/repository" in str(errors)


def test_a_copy_can_be_terminated(tmp_path: Path, git_repo: GitRepo) -> None:
    """A daemon, which would run for ever, ends with SIGTERM, whether it has begun or not."""
    git_repo.write("README.md", "A repository\n")
    git_repo.commit()
    settings = tmp_path / "driftd.yaml"
    document = {
        "repositories": [{"path": str(git_repo.path)}],
        "store": {"dsn": f"sqlite:///{tmp_path}/driftd.db"},
        "server": {"listen": "127.0.0.1:0"},
    }
    settings.write_text(json.dumps(document))
    code, _, _, again, left = prepared(tmp_path, 2, "run", "--config", str(settings))
    assert (code, left) == (again, None)
    assert code in (-signal.SIGTERM, 0)
