"""How much slower changes are seen on one cluster while another is dark (F-13).

Interleaved pairs: edits while both answer, edits while the other refuses every connection, and
so on; from the API server's answer to the edit until the verdict is stored. `BULKHEAD_PAIRS` says
how many; `make prove` takes 40.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.reports import verdicts
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gate import Gate
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster

PAIRS = int(os.environ.get("BULKHEAD_PAIRS", "1"))
EDITS = 5
"""In each half of a pair."""
APPLICATIONS = 12
"""On the cluster that answers: edits go round, so that none is looked at too often."""
WORTH = 0.05
"""Seconds that count as no difference at all, whatever the ratio."""


@pytest.fixture(scope="module")
def other() -> Iterator[ControlPlane]:
    """The cluster that goes dark."""
    with ControlPlane("dark", audit="Metadata") as cluster:
        yield cluster


def kubeconfig(path: Path, bright: ControlPlane, dark: ControlPlane, port: int) -> Path:
    """Contexts of both, the dark one through its gate."""
    document = json.loads(bright.kubeconfig("detector").read_text())
    behind = json.loads(dark.kubeconfig("detector").read_text())
    for one in (document, behind):
        name = "bright" if one is document else "dark"
        for part in ("clusters", "users", "contexts"):
            one[part][0]["name"] = name
        one["contexts"][0]["context"] |= {"cluster": name, "user": name}
    behind["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    for part in ("clusters", "users", "contexts"):
        document[part] += behind[part]
    document["current-context"] = "bright"
    path.write_text(json.dumps(document))
    return path


def percentile(values: list[float], part: float) -> float:
    """The value that this part of all values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def test_a_dark_cluster_makes_others_no_slower(
    api_server: ControlPlane,
    other: ControlPlane,
    git_repo: GitRepo,
    tmp_path: Path,
    private_environment: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The median of edits beside a dark cluster is that of edits beside one that answers."""
    git_repo.set_remote(URL)
    text = config_map("settings", colour="blue")
    places: dict[str, str] = {}
    for number in range(APPLICATIONS + 4):
        name = f"bright-{number}" if number < APPLICATIONS else f"dark-{number}"
        cluster = api_server if number < APPLICATIONS else other
        places[name] = cluster.create_namespace(f"bulkhead-{number}")
        cluster.kubectl("apply", "--server-side", "-n", places[name], "-f", "-", input=text)
        git_repo.write(f"apps/{name}/settings.yaml", text)
        destination = {"name": name.partition("-")[0], "namespace": places[name]}
        git_repo.write(
            f"argocd/{name}.yaml", application(name, places[name], destination=destination)
        )
    git_repo.commit()
    store = tmp_path / "driftd.db"
    seconds: dict[str, list[float]] = {"bright": [], "dark": []}
    with Gate(int(other.server.rpartition(":")[2])) as gate:
        settings = {
            "repositories": [{"path": str(git_repo.path)}],
            "clusters": {
                "kubeconfig": str(
                    kubeconfig(tmp_path / "kubeconfig", api_server, other, gate.port)
                ),
                "timeout": "2s",
            },
            "sweep": {"interval": "1h", "jitter": "0s", "workers": 2},
            "store": {"dsn": f"sqlite:///{store}"},
        }
        with Daemon(tmp_path, settings, private_environment) as daemon:

            def statuses(beginning: str) -> set[str]:
                found = verdicts(store)
                return {found[name]["status"] for name in places if name.startswith(beginning)}

            def edit(name: str, colour: str) -> float:
                path = f"/api/v1/namespaces/{places[name]}/configmaps/settings"
                api_server.call(
                    "PATCH", path, {"data": {"colour": colour}}, user="alice",
                    content_type="application/merge-patch+json",
                )  # fmt: skip
                began = time.monotonic()
                wanted = "Synced" if colour == "blue" else "OutOfSync"
                daemon.wait(lambda: verdicts(store)[name]["status"] == wanted, "the verdict")
                return time.monotonic() - began

            daemon.wait_ready()
            running = 'driftd_watches{{cluster="{}",state="running"}}'.format
            for name in ("bright", "dark"):
                daemon.wait(lambda name=name: daemon.metric(running(name)) >= 1, "the watches")
            edit("bright-0", "red")
            edit("bright-0", "blue")
            before = daemon.memory("VmRSS")
            colours: dict[str, str] = {}
            for number in range(PAIRS):
                first = ("bright", "dark") if number % 2 else ("dark", "bright")
                for state in first:
                    if state == "dark":
                        gate.shut()
                        daemon.wait(lambda: statuses("dark") == {"Unknown"}, "the darkness")
                    else:
                        gate.open()
                        daemon.wait(lambda: statuses("dark") == {"Synced"}, "the light")
                    for one in range(1, EDITS + 1):
                        name = f"bright-{one if state == 'bright' else one + EDITS}"
                        colours[name] = "red" if colours.get(name) != "red" else "blue"
                        seconds[state].append(edit(name, colours[name]))
            grown = daemon.memory("VmRSS") - before
    figures = {
        f"{state} p{round(100 * part)}": round(1000 * percentile(values, part))
        for state, values in seconds.items()
        for part in (0.5, 0.99)
    }
    with capsys.disabled():
        sys.stdout.write(f"\nbulkhead, {PAIRS} pairs, ms: {figures}, memory +{grown // 1024} KiB\n")
    bright, dark = (statistics.median(seconds[state]) for state in ("bright", "dark"))
    assert dark <= 1.1 * bright + WORTH, figures
    assert grown <= 20 * 1024 * 1024, (grown, figures)
