"""The test bed's runs of driftd are what `python -m driftd.cli.main` is."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.testbed import program
from tests.testbed.processes import wait_until


@pytest.mark.parametrize(
    "arguments",
    [("apps",), ("check", "--nonesuch"), ("version", "-o", "json"), ("help", "exit-codes")],
    ids=["error", "usage", "output", "topic"],
)
def test_a_run_is_the_program(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Exit code, output and errors are the same."""
    done = subprocess.run(
        [sys.executable, "-m", "driftd.cli.main", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(program.ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    run = program.driftd(*arguments, cwd=tmp_path, env=os.environ)
    assert (run.returncode, run.stdout, run.stderr) == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_scripts_get_output_and_exit_code(tmp_path: Path) -> None:
    """The client for shells writes to the script's own output and ends with the run's code."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", program.CLIENT, program.server(), "check", "--nonesuch"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option '--nonesuch'" in done.stderr


def test_a_run_gets_its_environment_and_leaves_none(tmp_path: Path) -> None:
    """A variable reaches the run that it is given to and not the next one."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    variable = {"DRIFTD_REPO": "/nonexistent/repository"}
    given = program.driftd("apps", cwd=tmp_path, env={**environment, **variable})
    without = program.driftd("apps", cwd=tmp_path, env=environment)
    assert "/nonexistent/repository" in given.stderr
    assert "/nonexistent/repository" not in without.stderr


def test_a_run_without_caller_is_ended(tmp_path: Path) -> None:
    """When whoever asked for a run has ended or given up, the run does not go on."""
    file = tmp_path / "endless"
    os.mkfifo(file)
    client = subprocess.Popen(
        [*(sys.executable, "-I", "-S", program.CLIENT, program.server()),
         *("diff", f"--desired={file}", f"--live={file}")],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ends: list[int] = []

    def is_read() -> bool:
        with suppress(OSError):
            ends.append(os.open(file, os.O_WRONLY | os.O_NONBLOCK))
        return bool(ends)

    try:
        wait_until(is_read, what="the run reads", timeout=60)
        gone = select.poll()
        gone.register(ends[0], 0)
        assert gone.poll(0) == []
        client.kill()
        assert gone.poll(60_000) == [(ends[0], select.POLLERR)]
    finally:
        client.kill()
        client.wait(timeout=10)
        for end in ends:
            os.close(end)
