"""`driftd demo`, whole and in parts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import pytest

from driftd.app import check
from driftd.clock import SystemClock
from driftd.controller.options import CheckOptions
from driftd.demo import main as demo
from driftd.demo.recording import load
from driftd.demo.server import SimulatedApiServer
from driftd.demo.story import DESTINATIONS, STEPS
from driftd.errors import SourceError
from driftd.model.report import DriftReport
from tests.testbed.record_demo import story_problems


async def look(folder: Path, *, after: bool) -> DriftReport:
    """What a check of the example repository on the simulated clusters reports."""
    async with AsyncExitStack() as stack:
        servers = []
        for one in load(SystemClock().now()).values():
            server = await stack.enter_async_context(SimulatedApiServer(one))
            server.state = one.after if after else one.before
            servers.append(server)
        await demo.make_repository(folder / "repo")
        demo.write_kubeconfig(folder / "kubeconfig", servers)
        options = CheckOptions(
            repo=folder / "repo",
            kubeconfig=folder / "kubeconfig",
            cluster_map=DESTINATIONS,
        )
        return await check(options, progress=lambda text: None, clock=SystemClock())


async def test_nothing_drifted_before_the_night(tmp_path: Path) -> None:
    """The recorded deployment is what the example repository declares, in every field."""
    report = await look(tmp_path, after=False)
    assert story_problems(report, ()) == [], "record again: python -m tests.testbed.record_demo"
    assert sum(len(app.resources) for app in report.applications) > 200


async def test_exactly_the_recorded_changes_are_found(tmp_path: Path) -> None:
    """After the night each step's object drifted in the step's path, by its manager, back then."""
    report = await look(tmp_path, after=True)
    assert story_problems(report, STEPS) == []
    changes = {
        (app.name, resource.kind, resource.name, change.path): change
        for app in report.applications
        for resource in app.resources
        for change in resource.changes
    }
    now = SystemClock().now()
    for step in STEPS:
        for path in step.drift:
            change = changes[step.at.application, step.at.kind, step.at.name, path]
            if step.command[0] == "scale":  # its subresource records no time
                assert (change.manager, change.subresource) == ("kubectl", "scale")
                continue
            assert change.manager == f"kubectl-{step.command[0]}"
            ago = now - datetime.fromisoformat(change.time)
            assert abs((ago - step.ago).total_seconds()) < 120


def run_demo(columns: int, **environment: str) -> subprocess.CompletedProcess[str]:
    """The demo as a process of its own, as `make demo` starts it."""
    return subprocess.run(
        [sys.executable, "-m", "driftd.cli.main", "demo"],
        env={**os.environ, "COLUMNS": str(columns), **environment},
        cwd=demo.PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_demo_shows_drift_and_ends_well(tmp_path: Path) -> None:
    """It exits 0, shows both checks and three next commands, and leaves nothing behind."""
    done = run_demo(80, TMPDIR=str(tmp_path), DRIFTD_QUIET="yes", KUBECONFIG="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert "exit 0: no drift" in done.stdout
    assert "exit 1: drift found" in done.stdout
    for step in STEPS:
        assert step.why in done.stdout
    ending = done.stdout.rpartition("next commands")[2]
    commands = [line for line in ending.splitlines() if " --repo PATH" in line]
    assert [re.search(r"(?:main|driftd) (\w+) ", line)[1] for line in commands] == [
        "clusters",
        "check",
        "check",
    ]
    assert list(tmp_path.iterdir()) == []


def test_demo_fails_where_a_check_fails(tmp_path: Path) -> None:
    """A check that cannot look (here: no sandbox worker) makes the demo fail and say so."""
    done = run_demo(80, DRIFTD_WORKER=str(tmp_path / "nonesuch"))
    assert done.returncode == 1
    assert "before the night ended with 2 instead of 0" in done.stderr


def test_serving_ends_without_traces(tmp_path: Path) -> None:
    """SIGTERM ends `--serve` with 0 and removes the folder with the repository."""
    with subprocess.Popen(
        [sys.executable, "-m", "driftd.cli.main", "demo", "--serve"],
        env={**os.environ, "COLUMNS": "80", "TMPDIR": str(tmp_path)},
        cwd=demo.PACKAGE.parent,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = threading.Timer(120, process.kill)
        deadline.start()
        try:
            told = any("no clusters for kubectl" in line for line in process.stdout)
            assert told
            assert list(tmp_path.iterdir()) != []
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
        finally:
            process.kill()
            deadline.cancel()
    assert list(tmp_path.iterdir()) == []


def test_sigterm_during_a_check_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM before the end stops the check that runs, exits 143 and removes the folder."""
    with subprocess.Popen(
        [sys.executable, "-m", "driftd.cli.main", "demo"],
        env={**os.environ, "COLUMNS": "80", "TMPDIR": str(tmp_path)},
        cwd=demo.PACKAGE.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        deadline = threading.Timer(120, process.kill)
        deadline.start()
        try:
            assert any(line.startswith("$ driftd check") for line in process.stdout)
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 143
        finally:
            process.kill()
            deadline.cancel()
    assert list(tmp_path.iterdir()) == []


async def test_missing_example_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the example's files the error names the remedy."""
    monkeypatch.setattr(demo, "EXAMPLE", (tmp_path / "nonesuch",))
    with pytest.raises(SourceError, match="example repository is missing"):
        await demo.make_repository(tmp_path / "repo")


def test_own_settings_do_not_change_the_demo() -> None:
    """Settings of driftd, Git and Kubernetes in the environment are not handed on."""
    given = {"DRIFTD_REPO": "x", "GIT_DIR": "x", "KUBECONFIG": "x", "PATH": "/bin", "NO_COLOR": "1"}
    kept = demo.clean_environment(given)
    assert kept == {"PATH": "/bin", "NO_COLOR": "1", "PYTHONPATH": str(demo.PACKAGE.parent)}
