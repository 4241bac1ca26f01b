"""How `driftd run` ends as a process: in time and without loss, whatever hangs around it."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.receivers import SECRET, receivers
from tests.testbed.gitrepo import GitRepo
from tests.testbed.one_application import declare_shop

LIMIT = 10.0
"""Seconds from SIGTERM to the end of the process, as `docker stop` gives it."""
ROUNDS = 12


class Hanging:
    """A server that takes connections and never says anything."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked = threading.Event()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                self._open.append(self._listener.accept()[0])
            except OSError:
                return
            self.asked.set()

    def close(self) -> None:
        """Let go of all."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for one in self._open:
            one.close()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """The API server of every cluster."""
    server = Hanging()
    yield server
    server.close()


@pytest.fixture
def settings(git_repo: GitRepo, hanging: Hanging, tmp_path: Path) -> dict[str, Any]:
    """A repository with one application on the cluster that hangs."""
    declare_shop(git_repo)
    server = f"http://127.0.0.1:{hanging.port}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "one", "user": {}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(document))
    return {
        "repositories": [{"path": str(git_repo.path)}],
        "clusters": {"kubeconfig": str(kubeconfig), "timeout": "5m"},
        "store": {"dsn": f"sqlite:///{tmp_path}/driftd.db"},
    }


def test_a_cluster_that_hangs_does_not_hold_up_the_end(
    settings: dict[str, Any], hanging: Hanging, tmp_path: Path
) -> None:
    """Alive while the cluster hangs, unready before the end, and gone in time with 0."""
    with Daemon(tmp_path, settings, tmp_path) as daemon:
        assert hanging.asked.wait(60)
        assert daemon.get("/healthz") == (200, "ok\n")
        assert daemon.get("/readyz") == (503, "waiting for the first sweep\n")
        daemon.terminate()
        daemon.wait(
            lambda: daemon.get("/readyz") == (503, "waiting for the end of the process\n"),
            "the drain",
        )
        code, seconds = daemon.ended()
    assert code == 0, daemon.log.read_text()[-3000:]
    assert seconds < LIMIT
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert [one for one in lines if one["level"] == "error"] == []


def test_a_hub_that_hangs_does_not_hold_up_the_end(
    settings: dict[str, Any], hanging: Hanging, tmp_path: Path
) -> None:
    """A daemon that has not begun yet ends at once."""
    settings["clusters"]["hubContext"] = "one"
    with Daemon(tmp_path, settings, tmp_path) as daemon:
        assert hanging.asked.wait(60)
        code, seconds = daemon.stop()
    assert (code, seconds < LIMIT) == (0, True), daemon.log.read_text()[-3000:]


def test_a_blocked_event_loop_is_told_and_does_not_hold_up_the_end(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    """A read that never returns: one line says where, and the process is gone in time."""
    os.mkfifo(tmp_path / "secret")
    hook = {"url": "https://alerts.example.com/hook", "secretFile": f"{tmp_path}/secret"}
    settings["notifications"] = {
        "allowNetworks": ["127.0.0.0/8"],
        "storm": {"messages": 1000},
        "webhooks": [hook],
    }
    with Daemon(tmp_path, settings, tmp_path) as daemon:
        daemon.wait(lambda: "event loop blocked" in daemon.log.read_text(), "the watchdog's line")
        code, seconds = daemon.stop()
    assert (code, seconds < LIMIT) == (0, True)
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    [told] = [one for one in lines if any("read_secret" in at for at in one.get("stack", ()))]
    assert told["message"] == "event loop blocked"
    assert lines[-1]["message"] == "ended while something hung"


def test_a_sweep_that_is_ended_is_no_success(
    settings: dict[str, Any], hanging: Hanging, tmp_path: Path
) -> None:
    """`--once` cannot say that it has looked at everything: 130, as for any command."""
    with Daemon(tmp_path, settings, tmp_path, "--once") as daemon:
        assert hanging.asked.wait(60)
        code, seconds = daemon.stop()
    assert (code, seconds < LIMIT) == (130, True), daemon.log.read_text()[-3000:]


def test_a_store_that_goes_away_makes_unready(
    settings: dict[str, Any], git_repo: GitRepo, tmp_path: Path
) -> None:
    """Ready after the first sweep, not while the store cannot be read, alive all the time."""
    git_repo.remove("argocd/shop.json")
    git_repo.commit()
    with (
        Daemon(tmp_path, settings, tmp_path) as daemon,
        closing(sqlite3.connect(tmp_path / "driftd.db", timeout=30)) as database,
    ):
        daemon.wait_ready()
        database.execute("ALTER TABLE applications RENAME TO away")
        unready = (503, "waiting for the store\n")
        daemon.wait(lambda: daemon.get("/readyz") == unready, "unreadiness")
        assert daemon.get("/healthz") == (200, "ok\n")
        database.execute("ALTER TABLE away RENAME TO applications")
        daemon.wait_ready()
        assert daemon.stop()[0] == 0


@pytest.mark.full
def test_ends_at_random_moments_lose_nothing_and_tell_nothing_twice(
    settings: dict[str, Any], git_repo: GitRepo, tmp_path: Path
) -> None:
    """Thirty applications, SIGTERM after a random number of log lines, again and again.

    Each end is in time and with 0; in the end each application was told once, the store is whole.
    """
    for number in range(30):
        name = f"app-{number:02}"
        document = json.loads((git_repo.path / "argocd/shop.json").read_text())
        document["metadata"]["name"] = name
        document["spec"]["destination"]["name"] = "nowhere"
        git_repo.write(f"argocd/{name}.json", json.dumps(document))
    git_repo.remove("argocd/shop.json")
    git_repo.commit()
    (tmp_path / "secret").write_text(SECRET)
    moments = random.Random(ROUNDS)  # noqa: S311 - no secret is made of it
    with receivers() as got:
        hook = {"url": f"{got.url}/hook", "secretFile": f"{tmp_path}/secret"}
        settings |= {
            "notifications": {
                "allowNetworks": ["127.0.0.0/8"],
                "storm": {"messages": 1000},
                "webhooks": [hook],
            },
            "log": {"level": "debug"},
        }
        slowest = 0.0
        for _ in range(ROUNDS):
            lines = moments.randint(1, 40)
            with Daemon(tmp_path, settings, tmp_path) as daemon:
                daemon.wait(
                    lambda daemon=daemon, lines=lines: (
                        len(daemon.log.read_text().splitlines()) >= lines
                        or daemon.get("/readyz")[0] == 200
                    ),
                    "the moment",
                )
                code, seconds = daemon.stop()
                assert code == 0, daemon.log.read_text()[-3000:]
                slowest = max(slowest, seconds)
        with Daemon(tmp_path, settings, tmp_path) as daemon:
            daemon.wait_ready()
            daemon.wait(lambda: len({one["application"] for one in got.webhook}) == 30, "all")
            assert daemon.stop()[0] == 0
    assert slowest < LIMIT
    # A message whose receipt the end cut off comes again, under the same id.
    told = {one["id"]: (one["application"], one["type"]) for one in got.webhook}
    assert sorted(told.values()) == [(f"app-{number:02}", "unknown") for number in range(30)]
    with closing(sqlite3.connect(tmp_path / "driftd.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
