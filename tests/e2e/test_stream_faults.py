"""Faults of lists and watches, F-01 to F-08, on a daemon over a simulated cluster.

Each fault is in force while somebody changes an object by hand and puts it back. However the
answers break: exactly that drift is told, once, and nothing else; no object is called missing.
`make test` takes a few of them, `STREAM_FAULTS=all` every one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.e2e.daemon import Daemon
from tests.testbed.gitrepo import GitRepo
from tests.testbed.simulation import MERGE, SimulatedCluster, Simulation

URL = "https://git.example.com/platform/gitops.git"
OBJECTS = 8
MAP = 2
"""The number of the ConfigMap that is changed by hand."""
APPLICATIONS = ("quiet", "touched")
LISTS = {"path": "/(configmaps|services|deployments|roles)$"}


@dataclass(slots=True)
class Site:
    """A running daemon, and its one cluster."""

    simulation: Simulation
    daemon: Daemon
    edits: int = 0

    @property
    def cluster(self) -> SimulatedCluster:
        """The simulated cluster."""
        return self.simulation.clusters[0]

    def paint(self, value: str, person: str) -> None:
        """Change the ConfigMap by hand."""
        self.cluster.call(
            "PATCH",
            self.cluster.path(1, MAP),
            {"data": {"key-3": value}},
            content_type=MERGE,
            manager=person,
        )

    @property
    def declared(self) -> str:
        """What Git says of it."""
        return str(self.cluster.manifest(1, MAP)["data"]["key-3"])

    def open(self) -> float:
        """Drifts that are open now."""
        return self.daemon.total("driftd_drift_open")

    def missing(self) -> float:
        """Objects that are called missing now."""
        return self.daemon.metric('driftd_resources{status="Missing"}')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two applications of eight objects; the daemon sweeps every two seconds."""
    folder = tmp_path_factory.mktemp("site")
    with Simulation(1, len(APPLICATIONS), OBJECTS, bookmarks=1) as simulation:
        cluster = simulation.clusters[0]
        repository = GitRepo(folder / "gitops")
        repository.set_remote(URL)
        for space, name in enumerate(APPLICATIONS):
            document = {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": name, "namespace": "argocd"},
                "spec": {
                    "project": "default",
                    "source": {"repoURL": URL, "path": f"apps/{name}"},
                    "destination": {"name": cluster.name, "namespace": f"app-{space:05}"},
                },
            }
            repository.write(f"argocd/{name}.yaml", yaml.safe_dump(document))
            for number in range(OBJECTS):
                text = json.dumps(cluster.manifest(space, number))
                repository.write(f"apps/{name}/{number}.yaml", text)
        repository.commit()
        settings = {
            "repositories": [{"path": str(repository.path)}],
            "clusters": {"kubeconfig": str(simulation.kubeconfig()), "timeout": "2s"},
            "sweep": {"interval": "2s", "jitter": "0s"},
            "store": {"dsn": f"sqlite:///{folder / 'driftd.db'}"},
        }
        with Daemon(folder, settings, tmp_path_factory.mktemp("home")) as daemon:
            synced = 'driftd_applications{status="Synced"}'
            daemon.wait(lambda: daemon.metric(synced) == len(APPLICATIONS), "the first verdicts")
            running = Site(simulation, daemon)
            assert running.open() == 0
            yield running


FAULTS: dict[str, dict[str, Any]] = {
    "F-01 429, Retry-After 1": {"status": 429, "retryAfter": "1", "share": 0.5},
    "F-01 429 without Retry-After": {"status": 429, "share": 0.5},
    "F-01 429, a date": {
        "status": 429,
        "retryAfter": "Wed, 21 Oct 2015 07:28:00 GMT",
        "share": 0.5,
    },
    "F-01 429, garbage": {"status": 429, "retryAfter": "soon", "share": 0.5},
    "F-02 10 % of 500": {"status": 500, "share": 0.1},
    "F-02 50 % of 503": {"status": 503, "share": 0.5},
    "F-02 all 502 for ten requests": {"status": 502, "times": 10},
    "F-04 lists longer than the limit": {"verb": "list", "delay": 3, "times": 4},
    "F-04 headers, then silence": {"verb": "list", "silence": 0, "times": 4},
    "F-04 slow bytes": {"verb": "list", "bytesPerSecond": 100, "times": 4},
    "F-05 410 on open": {"verb": "watch", "status": 410, "times": 6},
    "F-05 410 in the stream": {"verb": "watch", "events": "expire"},
    "F-06 lists cut": {"verb": "list", "cut": 900, "share": 0.5},
    "F-06 lists reset": {"verb": "list", "cut": 1500, "reset": True, "share": 0.5},
    "F-06 watches cut": {"verb": "watch", "cut": 700},
    "F-06 connections refused": {"refuse": True, "share": 0.5},
    "F-07 silent watches": {"verb": "watch", "silence": 0},
    "F-08 duplicate events": {"verb": "watch", "events": "duplicate"},
    "F-08 reordered events": {"verb": "watch", "events": "reorder"},
    "F-08 replayed events": {"verb": "watch", "events": "replay"},
    "F-08 lost events": {"verb": "watch", "events": "drop"},
    "F-08 nonsense": {"verb": "watch", "events": "nonsense", "after": 1},
    "F-08 a list with duplicates": {"verb": "list", "duplicate": 0, **LISTS},
    "F-08 a list in another order": {"verb": "list", "reverse": True, **LISTS},
    "F-08 a list of another version": {"verb": "list", "resourceVersion": "1", **LISTS},
}


FEW = ("F-02 10 % of 500", "F-05 410 in the stream", "F-08 lost events")
TAKEN = FAULTS if os.environ.get("STREAM_FAULTS") == "all" else {name: FAULTS[name] for name in FEW}


@pytest.mark.parametrize("rule", TAKEN.values(), ids=TAKEN)
def test_exactly_the_drift_is_told(
    site: Site, rule: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """One episode for one change, from its onset to its end, and none for the fault itself."""
    daemon = site.daemon
    site.edits += 1
    with site.simulation.fault(**rule) as fault:
        site.cluster.end_watches()  # so that they meet the fault
        daemon.wait(lambda: site.simulation.hits(fault) >= 1, "the fault")
        site.paint(f"tampered {site.edits}", "alice")
        edited = time.monotonic()
        daemon.wait(lambda: site.open() == 1, "the drift")
        found = time.monotonic() - edited
        hits = site.simulation.hits(fault)
        assert site.missing() == 0
    daemon.wait_looks(len(APPLICATIONS))
    assert site.open() == 1
    site.paint(site.declared, "bob")
    reverted = time.monotonic()
    daemon.wait(lambda: site.open() == 0, "the end of the drift")
    episodes = daemon.episodes("touched")
    assert len(episodes) == site.edits
    assert all("/data/key-3" in json.dumps(one) for one in episodes), episodes
    assert daemon.episodes("quiet") == []
    name = request.node.callspec.id
    took = f"told after {found:.2f} s, over after {time.monotonic() - reverted:.2f} s"
    sys.stdout.write(f"\n{name}: {took}; {hits} answers broken; phantom drifts 0\n")
