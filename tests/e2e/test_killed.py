"""The daemon killed with SIGKILL, again and again, on a real API server where things change."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

KILLS = int(os.environ.get("DAEMON_KILLS", "3"))
STOPPED = float(os.environ.get("DAEMON_STOPPED", "3"))
"""Seconds for which the daemon is suspended."""
LIVELY = ("lively-a", "lively-b", "lively-c", "lively-d")
"""Their colour changes and is put back all the time, and never twice to the same one."""
DRIFTED = "always-red"
CLEAN = "always-blue"
LONGEST = 3.0
"""Seconds after the start, or the first sweep, within which the end comes."""


class Painter:
    """Changes one application after the other by hand, from a thread of its own."""

    def __init__(self, cluster: ControlPlane, chance: random.Random) -> None:
        self._cluster = cluster
        self._chance = chance
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._paint)
        self.changes = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()
        self._thread.join()
        for app in LIVELY:
            paint(self._cluster, app, {"colour": "blue"})

    def _paint(self) -> None:
        red: dict[str, str] = {}
        while not self._ended.wait(self._chance.uniform(0.1, 0.6)):
            app = self._chance.choice(LIVELY)
            if app in red:
                paint(self._cluster, app, {red.pop(app): None})
            else:
                self.changes += 1
                red[app] = f"colour{self.changes}"
                paint(self._cluster, app, {red[app]: "red"})
        for app, field in red.items():
            paint(self._cluster, app, {field: None})


def paint(cluster: ControlPlane, app: str, data: dict[str, str | None]) -> None:
    """Change fields of an application's ConfigMap as a person does."""
    cluster.call(
        "PATCH",
        f"/api/v1/namespaces/{app}/configmaps/settings?fieldManager=kubectl-edit",
        {"data": data},
        user="alice",
        content_type="application/merge-patch+json",
    )


@pytest.fixture(scope="module")
def deployed(api_server: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with six applications, one of them red for ever."""
    repository = GitRepo(tmp_path_factory.mktemp("killed") / "repository")
    repository.set_remote(URL)
    for app in (*LIVELY, DRIFTED, CLEAN):
        text = config_map("settings", colour="blue")
        repository.write(f"apps/{app}/settings.yaml", text)
        destination = {"name": "one", "namespace": app}
        repository.write(f"argocd/{app}.yaml", application(app, app, destination=destination))
        api_server.create_namespace(app)
        api_server.kubectl("apply", "--server-side", "-n", app, "-f", "-", input=text)
    repository.commit()
    paint(api_server, DRIFTED, {"colour": "red"})
    return repository.path


@pytest.fixture
def settings(api_server: ControlPlane, deployed: Path, tmp_path: Path) -> dict[str, Any]:
    """A daemon with a new store that looks every second."""
    access = api_server.access("detector")
    return {
        "repositories": [{"path": str(deployed)}],
        "clusters": {
            "kubeconfig": str(write_kubeconfig(tmp_path / "kubeconfig", [access])),
            "destinations": {"one": access.name},
        },
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{tmp_path}/driftd.db"},
    }


def until_ready(daemon: Daemon) -> None:
    """Wait for the first sweep, on a busy machine not for ever: any moment will do."""
    late = time.monotonic() + 60
    daemon.wait(lambda: daemon.get("/readyz")[0] == 200 or time.monotonic() > late, "a while")


def acknowledged(log: Path) -> list[tuple[str, str]]:
    """What the daemon said to be recorded: application and transition, in order."""
    found = []
    for line in log.read_text().splitlines():
        if line.startswith("{") and line.endswith("}"):
            entry = json.loads(line)
            if entry["message"] == "state change":
                found.append((entry["application"], entry["transition"]))
    return found


def recorded(store: Path) -> list[tuple[str, str]]:
    """What the store has of it."""
    query = "SELECT application, kind FROM history ORDER BY id"
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return database.execute(query).fetchall()


def episodes(store: Path) -> list[tuple[Any, ...]]:
    """Application, field, first look and end of every episode."""
    query = "SELECT application, path, first_seen, closed_at FROM episodes ORDER BY id"
    with closing(sqlite3.connect(store)) as database:
        return database.execute(query).fetchall()


def test_a_daemon_that_is_killed_loses_and_invents_nothing(
    api_server: ControlPlane,
    settings: dict[str, Any],
    tmp_path: Path,
    private_environment: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was said to be recorded is there; every episode once; none of what nobody changed."""
    chance = random.Random(KILLS)  # noqa: S311 - no secret is made of it
    told: list[tuple[str, str]] = []
    painter = Painter(api_server, chance)
    with painter:
        for _ in range(KILLS):
            with Daemon(tmp_path, settings, private_environment) as daemon:
                if chance.random() < 0.7:
                    until_ready(daemon)
                threading.Event().wait(chance.uniform(0, LONGEST))
                daemon.kill()
                told += acknowledged(daemon.log)
    with Daemon(tmp_path, settings, private_environment) as daemon:
        daemon.wait_ready()
        daemon.wait(lambda: daemon.total("driftd_drift_open") == 1, "one open drift")
        assert daemon.stop()[0] == 0
        assert "the store was damaged" not in daemon.log.read_text()
        told += acknowledged(daemon.log)
    store = tmp_path / "driftd.db"
    happened = recorded(store)
    for app in (*LIVELY, DRIFTED, CLEAN):
        said = [kind for name, kind in told if name == f"argocd/{app}"]
        found = [kind for name, kind in happened if name == f"argocd/{app}"]
        rest = iter(found)
        assert all(kind in rest for kind in said), (app, said, found)
        assert len(found) - len(said) <= KILLS, (app, said, found)
        drifts = False
        for kind in found:
            assert kind in (("changed", "recovered") if drifts else ("drifted",)), (app, found)
            drifts = kind != "recovered"
    of = Counter(name.partition("/")[2] for name, *_ in episodes(store))
    assert (of[DRIFTED], of[CLEAN]) == (1, 0)
    assert [end for name, _, _, end in episodes(store) if name == f"argocd/{DRIFTED}"] == [None]
    fields = Counter((name, path) for name, path, *_ in episodes(store))
    assert max(fields.values()) == 1
    assert sum(of[app] for app in LIVELY) <= painter.changes
    with capsys.disabled():
        print(  # noqa: T201
            f"\nkill -9 of the daemon: {KILLS} kills, {painter.changes} changes by hand, "
            f"{len(told)} state changes acknowledged: lost 0, doubled 0, invented 0"
        )


def test_a_daemon_that_is_suspended_goes_on_where_it_was(
    api_server: ControlPlane,
    settings: dict[str, Any],
    tmp_path: Path,
    private_environment: Path,
) -> None:
    """Stopped in the middle, as a paused machine is: what changed meanwhile is seen, no more."""
    settings["sweep"] = {"interval": "1h", "jitter": "0s"}
    app = LIVELY[0]
    with Daemon(tmp_path, settings, private_environment) as daemon:
        daemon.wait_ready()
        daemon.wait(lambda: daemon.total("driftd_drift_open") == 1, "what is always there")
        daemon.signal(signal.SIGSTOP)
        paint(api_server, app, {"while-away": "red"})
        threading.Event().wait(STOPPED)
        daemon.signal(signal.SIGCONT)
        daemon.wait(lambda: daemon.total("driftd_drift_open") == 2, "what changed meanwhile")
        assert daemon.get("/healthz") == (200, "ok\n")
        paint(api_server, app, {"while-away": None})
        daemon.wait(lambda: daemon.total("driftd_drift_open") == 1, "its end")
        assert daemon.stop()[0] == 0
        told = acknowledged(daemon.log)
    assert sorted(told) == sorted(
        [
            (f"argocd/{DRIFTED}", "drifted"),
            (f"argocd/{app}", "drifted"),
            (f"argocd/{app}", "recovered"),
        ]
    )


def test_a_second_signal_changes_nothing(
    settings: dict[str, Any], tmp_path: Path, private_environment: Path
) -> None:
    """SIGTERM again while the first one is obeyed: in time, with 0, and the store is whole."""
    with Daemon(tmp_path, settings, private_environment) as daemon:
        daemon.wait_ready()
        for _ in range(3):
            daemon.terminate()
        code, seconds = daemon.ended()
    assert (code, seconds < 10) == (0, True), daemon.log.read_text()[-3000:]
    recorded(tmp_path / "driftd.db")


def test_an_end_while_the_schema_is_made_leaves_a_usable_store(
    settings: dict[str, Any], tmp_path: Path, private_environment: Path
) -> None:
    """Killed or ended as soon as the file is there: the next start goes on, and loses nothing."""
    store = tmp_path / "driftd.db"
    for number in (signal.SIGKILL, signal.SIGTERM):
        for file in tmp_path.glob("driftd.db*"):
            file.unlink()
        with Daemon(tmp_path, settings, private_environment) as daemon:
            daemon.wait(store.exists, "the file of the store")
            daemon.signal(number)
            daemon.ended()
        with Daemon(tmp_path, settings, private_environment) as daemon:
            daemon.wait_ready()
            assert daemon.stop()[0] == 0
            assert "the store was damaged" not in daemon.log.read_text()
        assert recorded(store) == [(f"argocd/{DRIFTED}", "drifted")]
