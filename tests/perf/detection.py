"""How soon a verdict is stored after an edit, beside a raw watch on the same edits.

    python -m tests.perf.detection [--edits 2000] [--applications 51] [--clusters 3] [--updates 50]

`driftd run` watches real API servers that hold 200 objects an application. People edit one object
after the other, or put one back, while a controller writes status all the time. An edit counts
from the moment before its request is sent to the moment when the verdict is committed, which is
when the daemon logs the change of state; a watch of our own says when the API server told of it.
PSS, CPU and what the looks cost are those of the daemon's whole process tree. A daemon that
starts anew afterwards tells what its second sweep over everything takes.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from tests.e2e.daemon import Daemon
from tests.perf.scale import (
    OBJECTS,
    PATHS,
    apply_all,
    manifest,
    tree_cpu,
    tree_pss,
    write_repository,
)
from tests.testbed.cluster import ControlPlane, control_planes
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig
from tests.testbed.processes import wait_until

WAIT = 60.0
"""Seconds after which an edit counts as missed."""
SWEEP: dict[str, str] = {"interval": "90s", "jitter": "0s"}
"""Long enough that the first sweep is over when the second one begins."""
CHANGES: dict[str, tuple[str, Any]] = {
    "Deployment": ("/spec/template/spec/containers/0/image", "registry.example/evil:1"),
    "Service": ("/spec/ports/0/targetPort", 9999),
    "ConfigMap": ("/data/key-3", "tampered"),
    "Role": ("/rules/0/resources/0", "secrets"),
}


@dataclass(slots=True)
class Edit:
    """One change by hand; times are seconds since the epoch."""

    application: str
    sent: float
    version: str = ""
    watched: float = 0.0
    stored: float = 0.0


@dataclass
class Fleet:
    """The applications of each cluster."""

    clusters: dict[str, ControlPlane]
    homes: dict[str, str]
    """The cluster of each application."""
    drifted: dict[str, list[int]] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311

    def patch(self, name: str, number: int, *, back: bool) -> Any:
        """Edit an object by hand, or put it back."""
        body = manifest(name, number)
        kind = body["kind"]
        path, value = CHANGES[kind]
        if back:
            value = _at(body, path)
        return self.clusters[self.homes[name]].call(
            "PATCH",
            PATHS[kind].format(ns=name, name=body["metadata"]["name"]) + "?fieldManager=alice",
            [{"op": "replace", "path": path, "value": value}],
            content_type="application/json-patch+json",
        )

    def edit(self, name: str) -> Edit:
        """Change one object of an application, or put back one that was changed before."""
        drifted = self.drifted.setdefault(name, [])
        back = bool(drifted) and self.chance.random() < 0.5
        if back:
            number = drifted.pop(self.chance.randrange(len(drifted)))
        else:
            number = self.chance.choice([i for i in range(OBJECTS) if i not in drifted])
            drifted.append(number)
        edit = Edit(name, time.time())
        edit.version = self.patch(name, number, back=back)["metadata"]["resourceVersion"]
        return edit


def _at(value: Any, path: str) -> Any:
    for part in path.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


class Log(threading.Thread):
    """Follows the daemon's log for changes of state."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True)
        self._file = file
        self._news = threading.Condition()
        self._changes: dict[str, list[float]] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        """Read until the end."""
        with self._file.open("rb") as log:
            rest = b""
            while not self.ended.is_set():
                piece = log.read()
                if not piece:
                    self.ended.wait(0.002)
                    continue
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._take(line)

    def _take(self, line: bytes) -> None:
        if b"state change" not in line:
            return
        entry = json.loads(line)
        moment = datetime.fromisoformat(entry["timestamp"]).timestamp()
        with self._news:
            name = entry["application"].partition("/")[2]
            self._changes.setdefault(name, []).append(moment)
            self._news.notify_all()

    def seen(self, application: str) -> int:
        """How many changes of state an application had so far."""
        with self._news:
            return len(self._changes.get(application, ()))

    def wait(self, application: str, before: int) -> float:
        """The moment of the next change of state; 0 if none comes."""
        with self._news:
            found = self._news.wait_for(
                lambda: len(self._changes.get(application, ())) > before, timeout=WAIT
            )
            return self._changes[application][before] if found else 0.0


class Watch(threading.Thread):
    """A raw watch of one kind of one cluster: when which resourceVersion was told."""

    def __init__(self, cluster: ControlPlane, kind: str, seen: dict[tuple[str, str], float]):
        super().__init__(daemon=True)
        self._cluster = cluster
        self._path = PATHS[kind].replace("/namespaces/{ns}", "").replace("/{name}", "")
        self._seen = seen
        self.ready = threading.Event()

    def run(self) -> None:
        """List, then read events until the server ends."""
        version = self._cluster.call("GET", f"{self._path}?limit=1")["metadata"]["resourceVersion"]
        port = int(self._cluster.server.rsplit(":", 1)[1])
        trust = ssl.create_default_context(cafile=str(self._cluster.ca_file))
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=None)
        path = f"{self._path}?watch=true&resourceVersion={version}&timeoutSeconds=36000"
        headers = {"Authorization": f"Bearer {self._cluster.token()}"}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        self.ready.set()
        for line in response:
            now = time.time()
            # An event's first resourceVersion is its own: managedFields come later and have none.
            text = line[line.index(b'"resourceVersion":"') + 19 :]
            version = text[: text.index(b'"')].decode()
            self._seen[self._cluster.server, version] = now


class Updates(threading.Thread):
    """A controller that writes the status of Deployments all the time."""

    def __init__(self, fleet: Fleet, rate: float) -> None:
        super().__init__(daemon=True)
        self._fleet = fleet
        self._rate = rate
        self.ended = threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Write at the given rate until the end."""
        names = sorted(self._fleet.homes)
        numbers = [i for i in range(OBJECTS) if manifest("x", i)["kind"] == "Deployment"]
        due = time.monotonic()
        while not self.ended.is_set():
            name = names[self.sent % len(names)]
            number = numbers[self.sent // len(names) % len(numbers)]
            path = PATHS["Deployment"].format(ns=name, name=f"web-{number:03}")
            self._fleet.clusters[self._fleet.homes[name]].call(
                "PATCH",
                f"{path}/status?fieldManager=kube-controller-manager",
                {"status": {"observedGeneration": self.sent + 1}},
                content_type="application/merge-patch+json",
            )
            self.sent += 1
            due += 1 / self._rate
            self.ended.wait(max(0.0, due - time.monotonic()))


def percentile(values: list[float], share: float) -> float:
    """A percentile of seconds, in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def _rows(edits: list[Edit]) -> Iterator[str]:
    yield f"\n{'ms after the edit was sent':34}{'p50':>8}{'p90':>8}{'p99':>8}{'max':>8}"
    measures = {
        "raw watch": [e.watched - e.sent for e in edits if e.watched and e.stored],
        "verdict stored": [e.stored - e.sent for e in edits if e.stored],
        "more than the watch": [e.stored - e.watched for e in edits if e.watched and e.stored],
    }
    for what, values in measures.items():
        row = "".join(f"{percentile(values, p):8.0f}" for p in (0.5, 0.9, 0.99, 1.0))
        yield f"{what:34}{row}"


def deploy(folder: Path, clusters: dict[str, ControlPlane], count: int) -> tuple[Fleet, GitRepo]:
    """Declare and apply everything, the applications spread over the clusters."""
    names = [f"app-{i:02}" for i in range(count)]
    places = sorted(clusters)
    homes = {name: places[i % len(places)] for i, name in enumerate(names)}
    repository = GitRepo(folder / "repository")
    repository.set_remote("https://git.example/scale.git")
    write_repository(repository, names, homes)
    for place, cluster in clusters.items():
        apply_all(cluster, [name for name in names if homes[name] == place])
    return Fleet(clusters, homes), repository


def settings_of(repository: GitRepo, folder: Path, fleet: Fleet) -> dict[str, Any]:
    """The daemon's settings: sweeps are an hour apart, so that watches alone tell."""
    kubeconfig = write_kubeconfig(
        folder / "kubeconfig", [one.access("detector") for one in fleet.clusters.values()]
    )
    return {
        "repositories": [{"path": str(repository.path)}],
        "clusters": {"kubeconfig": str(kubeconfig)},
        "sweep": {"interval": "1h", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{folder}/driftd.db"},
    }


def run_edits(fleet: Fleet, log: Log, count: int, pause: float) -> list[Edit]:
    """Edit one application after the other, each only after its last edit was told."""
    edits: list[Edit] = []
    names = sorted(fleet.homes)
    for _ in range(count):
        name = fleet.chance.choice(names)
        before = log.seen(name)
        began = time.monotonic()
        edit = fleet.edit(name)
        edit.stored = log.wait(name, before)
        edits.append(edit)
        time.sleep(max(0.0, pause - (time.monotonic() - began)))
    return edits


@click.command()
@click.option("--edits", default=2000, show_default=True)
@click.option("--applications", default=51, show_default=True)
@click.option("--clusters", default=3, show_default=True)
@click.option("--updates", default=50.0, show_default=True, help="Status updates a second.")
@click.option("--pause", default=0.1, show_default=True, help="Seconds from edit to edit.")
@click.option("--calm", default=30.0, show_default=True, help="Seconds without edits, for CPU.")
def main(
    edits: int, applications: int, clusters: int, updates: float, pause: float, calm: float
) -> None:
    """Measure the time from an edit to the stored verdict on real API servers."""
    places = [f"site-{i}" for i in range(clusters)]
    with tempfile.TemporaryDirectory() as name, control_planes(*places, full=False) as planes:
        folder = Path(name)
        fleet, repository = deploy(folder, planes, applications)
        click.echo(f"{applications * OBJECTS} objects on {clusters} API servers")
        with Daemon(folder, settings_of(repository, folder, fleet), folder) as daemon:
            began = time.monotonic()
            daemon.wait_ready()
            click.echo(f"first sweep {time.monotonic() - began:.1f} s")
            done = measure(fleet, daemon, edits, updates, pause, calm)
        verify_again(folder, settings_of(repository, folder, fleet))
    for line in _rows(done):
        click.echo(line)
    missed = sum(1 for one in done if not one.stored)
    click.echo(f"\n{len(done)} edits, {missed} not told within {WAIT:.0f} s")


def verify_again(folder: Path, settings: dict[str, Any]) -> None:
    """What a sweep over everything takes that has been looked at before, without updates."""
    series = "driftd_look_duration_seconds_count"
    with Daemon(folder, {**settings, "sweep": SWEEP}, folder) as daemon:
        daemon.wait_ready()
        first, each = daemon.metric(series), daemon.total("driftd_applications")
        used: list[float] = []

        def begun() -> bool:
            used.append(tree_cpu(daemon.pid))
            return daemon.metric(series) > first

        wait_until(begun, what="the second sweep", timeout=3 * WAIT, interval=0.5)
        # The look that has ended had begun before.
        before = used[-2] if len(used) > 1 else used[-1]
        wait_until(
            lambda: daemon.metric(series) >= first + each,
            what="the end of the second sweep",
            timeout=2 * WAIT,
            interval=0.5,
        )
        click.echo(
            f"verified again: {tree_cpu(daemon.pid) - before:.1f} CPU s, "
            f"PSS {tree_pss(daemon.pid) / 1e6:.0f} MB"
        )


def measure(
    fleet: Fleet, daemon: Daemon, edits: int, updates: float, pause: float, calm: float
) -> list[Edit]:
    """Run the edits beside the updates, then the updates alone."""
    seen: dict[tuple[str, str], float] = {}
    watches = [Watch(one, kind, seen) for one in fleet.clusters.values() for kind in CHANGES]
    for watch in watches:
        watch.start()
    for watch in watches:
        watch.ready.wait(WAIT)
    log = Log(daemon.log)
    log.start()
    controller = Updates(fleet, updates)
    controller.start()
    began, cpu = time.monotonic(), tree_cpu(daemon.pid)
    sent = controller.sent
    time.sleep(calm)
    took = time.monotonic() - began
    click.echo(
        f"{(controller.sent - sent) / took:.0f} status updates/s alone: CPU "
        f"{(tree_cpu(daemon.pid) - cpu) / took:.1%}, PSS {tree_pss(daemon.pid) / 1e6:.0f} MB"
    )
    began, cpu = time.monotonic(), tree_cpu(daemon.pid)
    done = run_edits(fleet, log, edits, pause)
    took = time.monotonic() - began
    click.echo(
        f"with {len(done) / took:.1f} edits/s: CPU {(tree_cpu(daemon.pid) - cpu) / took:.1%}, "
        f"PSS {tree_pss(daemon.pid) / 1e6:.0f} MB"
    )
    controller.ended.set()
    controller.join()
    log.ended.set()
    for edit in done:
        server = fleet.clusters[fleet.homes[edit.application]].server
        edit.watched = seen.get((server, edit.version), 0.0)
    return done


if __name__ == "__main__":
    main()
