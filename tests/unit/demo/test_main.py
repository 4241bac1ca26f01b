"""`driftd demo`, whole and in parts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest

from driftd.app import check
from driftd.clock import SystemClock
from driftd.controller.options import CheckOptions
from driftd.demo import main as demo
from driftd.demo import stage
from driftd.demo.receiver import Receiver
from driftd.demo.recording import load
from driftd.demo.server import SimulatedApiServer
from driftd.demo.story import DESTINATIONS, INJECTED, STEPS
from driftd.errors import SourceError
from driftd.model.report import DriftReport
from tests.testbed.demo_text import END, FINDING, START, normalised
from tests.testbed.record_demo import story_problems

pytestmark = pytest.mark.slow

ROOT = stage.PACKAGE.parent


async def look(folder: Path, *, after: bool) -> DriftReport:
    """What a check of the example repository on the simulated clusters reports."""
    async with AsyncExitStack() as stack:
        servers = []
        now = SystemClock().now()
        for one in load(now).values():
            server = await stack.enter_async_context(SimulatedApiServer(one))
            for number in range(len(STEPS) if after else 0):
                server.state = one.played(server.state, number, [now] * len(STEPS))
            servers.append(server)
        await stage.make_repository(folder / "repo")
        stage.write_kubeconfig(folder / "kubeconfig", servers)
        options = CheckOptions(
            repo=folder / "repo",
            kubeconfig=folder / "kubeconfig",
            cluster_map=DESTINATIONS,
        )
        return await check(options, progress=lambda text: None, clock=SystemClock())


async def test_nothing_drifted_before_the_steps(tmp_path: Path) -> None:
    """The recorded deployment is what the example repository declares, in every field."""
    report = await look(tmp_path, after=False)
    assert story_problems(report, ()) == [], "record again: python -m tests.testbed.record_demo"
    assert sum(len(app.resources) for app in report.applications) > 200


async def test_exactly_the_recorded_changes_are_found(tmp_path: Path) -> None:
    """After the steps each one's object drifted in the step's path, by its manager, just now."""
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
            assert abs((now - datetime.fromisoformat(change.time)).total_seconds()) < 120
    restarted = [change for key, change in changes.items() if key[2] == "development-app3"]
    assert {str(change.change_class) for change in restarted} == {"review"}
    injected = [key for key, change in changes.items() if change.change_class == "injected"]
    cluster, namespace, _ = INJECTED
    path = "/spec/template/spec/dnsConfig"
    assert injected == [(f"{cluster}-{namespace}", "Deployment", "ledger-api", path)]


def run_demo(**environment: str) -> subprocess.CompletedProcess[str]:
    """The demo as a process of its own, as `make demo` starts it."""
    return subprocess.run(
        [sys.executable, "-m", "driftd.cli.main", "demo"],
        env={**os.environ, **environment},
        cwd=stage.PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_demo_finds_what_the_steps_did(tmp_path: Path) -> None:
    """It exits 0, tells each drift once, is 135 by 80, matches the docs and leaves nothing."""
    done = run_demo(TMPDIR=str(tmp_path), DRIFTD_QUIET="no", KUBECONFIG="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("signed webhook: healed") == sum(step.healed for step in STEPS)
    told = sum(step.told + step.healed for step in STEPS)
    assert done.stdout.count("signed webhook") == told
    assert "exit 1: drift found" in done.stdout
    assert len(done.stdout.splitlines()) <= 135
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
    for step in STEPS:
        assert step.why in done.stdout
    recorded = (ROOT / "docs/demo.md").read_text()
    findings = [line for line in normalised(done.stdout).splitlines() if FINDING.match(line)]
    assert len(findings) >= sum(step.told for step in STEPS)
    assert [line for line in findings if line not in recorded] == [], "run: make record-demo"
    excerpt = (ROOT / "README.md").read_text().partition(START)[2].partition(END)[0]
    assert excerpt.strip(), "the README has an excerpt"
    quoted = [line for line in excerpt.splitlines() if line.strip() and line[0] not in "`<"]
    assert [line for line in quoted if line not in recorded] == [], "run: make record-demo"
    assert list(tmp_path.iterdir()) == []


def test_demo_fails_where_the_daemon_fails(tmp_path: Path) -> None:
    """A daemon that cannot look (here: no sandbox worker) makes the demo fail and say so."""
    done = run_demo(DRIFTD_WORKER=str(tmp_path / "nonesuch"))
    assert done.returncode == 1
    assert "the daemon did not finish its first sweep" in done.stderr
    assert "the sandbox worker is missing" in done.stderr


async def test_receiver_refuses_wrong_signatures() -> None:
    """A message that is not signed with the secret is refused and handed to nobody."""
    arrived: list[object] = []
    async with Receiver(arrived.append) as receiver, aiohttp.ClientSession() as session:
        headers = {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        async with session.post(receiver.url, data=b"{}", headers=headers) as answer:
            assert answer.status == 401
        assert (arrived, receiver.refused) == ([], 1)


def test_a_message_that_no_step_explains_fails() -> None:
    """A told drift that no step made is a failure, not a line of the show."""
    watch = demo.Watch({})
    drift = {"kind": "Deployment", "name": "other", "path": "/spec/replicas"}
    message = {"drifts": [drift], "closed": [], "counts": {"opened": 1}, "application": "a"}
    watch.arrived(message)
    with pytest.raises(demo.Failed, match="no step did"):
        asyncio.run(watch.play())


def test_a_recovery_that_nobody_caused_fails() -> None:
    """A drift that is told to be over, but that driftd did not heal, is a failure."""
    watch = demo.Watch({})
    drift = {"kind": "Deployment", "name": "other", "path": "/spec/replicas"}
    message = {"drifts": [], "closed": [drift], "counts": {"opened": 0}, "application": "a"}
    watch.arrived(message)
    with pytest.raises(demo.Failed, match="nobody put back"):
        asyncio.run(watch.play())


def test_serving_ends_without_traces(tmp_path: Path) -> None:
    """SIGTERM ends `--serve` with 0 and removes the folder with the repository."""
    with subprocess.Popen(
        [sys.executable, "-m", "driftd.cli.main", "demo", "--serve"],
        env={**os.environ, "COLUMNS": "80", "TMPDIR": str(tmp_path)},
        cwd=stage.PACKAGE.parent,
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


def test_sigterm_during_the_steps_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM before the end stops the daemon, exits 143 and removes the folder."""
    with subprocess.Popen(
        [sys.executable, "-m", "driftd.cli.main", "demo"],
        env={**os.environ, "COLUMNS": "80", "TMPDIR": str(tmp_path)},
        cwd=stage.PACKAGE.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        deadline = threading.Timer(120, process.kill)
        deadline.start()
        try:
            assert any(line.startswith("Every application") for line in process.stdout)
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 143
        finally:
            process.kill()
            deadline.cancel()
    assert list(tmp_path.iterdir()) == []


async def test_missing_example_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the example's files the error names the remedy."""
    monkeypatch.setattr(stage, "EXAMPLE", (tmp_path / "nonesuch",))
    with pytest.raises(SourceError, match="example repository is missing"):
        await stage.make_repository(tmp_path / "repo")


def test_own_settings_do_not_change_the_demo() -> None:
    """Settings of driftd, Git and Kubernetes in the environment are not handed on."""
    given = {"DRIFTD_REPO": "x", "GIT_DIR": "x", "KUBECONFIG": "x", "PATH": "/bin", "NO_COLOR": "1"}
    kept = stage.clean_environment(given)
    assert kept == {"PATH": "/bin", "NO_COLOR": "1", "PYTHONPATH": str(stage.PACKAGE.parent)}
