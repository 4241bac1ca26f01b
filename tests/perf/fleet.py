"""How `driftd run` bears many objects: 10,000 to 100,000 over twenty simulated clusters.

    python -m tests.perf.fleet [--objects 10000 --objects 100000] [--clusters 20] [--churn 50]

Applications of 200 objects, one namespace each; every object is as Argo CD's server-side apply
left it. Per size the daemon starts from nothing: no history, no renderings on disk. Cold start is
the time until every application has a verdict. Memory is the proportional set size (PSS) of its
process tree: the highest of all samples, and when it has settled under `--churn` status updates a
second. One drift is made on every cluster then, to see that the verdicts are real.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from tests.perf.scale import _pss, _tree
from tests.testbed.gitrepo import GitRepo
from tests.testbed.processes import reserve_port, wait_until
from tests.testbed.simulation import MERGE, SimulatedCluster, Simulation

ROOT = Path(__file__).parents[2]
URL = "https://git.example/fleet.git"
EACH = 200
"""Objects of an application."""
FILES = 4
"""Files that they lie in."""
LIMIT = 1800.0
"""Seconds after which a cold start counts as failed."""
SETTLING = 30.0
"""Seconds of churn before the settled figures are taken."""
SAMPLES = 3.0
"""Seconds between two readings of the memory; each one holds the processes up for a moment."""
TICKS = os.sysconf("SC_CLK_TCK")


def application(cluster: SimulatedCluster, namespace: int) -> dict[str, Any]:
    """The Application of one namespace."""
    name = f"{cluster.name}-app-{namespace:05}"
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {"repoURL": URL, "path": f"apps/{name}"},
            "destination": {"name": cluster.name, "namespace": f"app-{namespace:05}"},
        },
    }


def write_repository(repository: GitRepo, simulation: Simulation, namespaces: int) -> None:
    """Every application's objects, some to a file."""
    for cluster in simulation.clusters:
        for namespace in range(namespaces):
            document = application(cluster, namespace)
            name = document["metadata"]["name"]
            repository.write(f"applications/{name}.yaml", yaml.safe_dump(document))
            step = EACH // FILES
            for part in range(FILES):
                numbers = range(part * step, (part + 1) * step)
                # JSON is YAML; dumping YAML would take longer than what is measured.
                texts = (json.dumps(cluster.manifest(namespace, one)) for one in numbers)
                repository.write(f"apps/{name}/{part}.yaml", "\n---\n".join(texts) + "\n")
    repository.commit("Declare everything")


@dataclass
class Figures:
    """What one size took."""

    objects: int
    applications: int
    cold: float
    cpu: float
    peak: int
    settled: int
    churn_cpu: float
    found: int


class Daemon:
    """`driftd run` on a repository and the simulated clusters, started from nothing."""

    def __init__(self, folder: Path, repository: Path, kubeconfig: Path) -> None:
        self.folder = folder
        self.port, self._holder = reserve_port()
        self.log = folder / "driftd.log"
        settings = {
            "repositories": [{"path": str(repository)}],
            "clusters": {"kubeconfig": str(kubeconfig)},
            "sweep": {"interval": "1h", "jitter": "0s"},
            "store": {"dsn": f"sqlite:///{folder / 'driftd.db'}"},
            "server": {"listen": f"127.0.0.1:{self.port}"},
        }
        self.settings = folder / "driftd.yaml"
        self.settings.write_text(json.dumps(settings))
        self.peak = 0

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The process, whose memory is sampled; ended by SIGTERM."""
        self._holder.close()
        command = [sys.executable, "-m", "driftd.cli.main", "run", f"--config={self.settings}"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{key: text for key, text in os.environ.items() if key.startswith("PYTHON")},
        }
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        over = threading.Event()

        def sample() -> None:
            while not over.wait(SAMPLES):
                self.peak = max(self.peak, memory(process.pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield process
        finally:
            over.set()
            sampler.join()
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def metric(self, name: str) -> float:
        """The sum of all series of a metric; 0 while nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except OSError:
            return 0.0
        finally:
            connection.close()
        values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, values))


def memory(pid: int) -> int:
    """The PSS of a process tree in bytes."""
    return sum(map(_pss, _tree(pid)))


def cpu(pid: int) -> float:
    """The CPU seconds of a process tree and of its children that have ended."""
    total = 0
    for one in _tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text("ascii").rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def measure(objects: int, clusters: int, churn: float) -> Figures:
    """One size, from an empty folder to the drifts."""
    namespaces = max(objects // EACH // clusters, 1)
    applications = namespaces * clusters
    with (
        tempfile.TemporaryDirectory() as place,
        Simulation(clusters, namespaces, EACH) as simulation,
    ):
        folder = Path(place)
        repository = GitRepo(folder / "repository")
        write_repository(repository, simulation, namespaces)
        repository.set_remote(URL)
        daemon = Daemon(folder, repository.path, simulation.kubeconfig())
        started = time.monotonic()
        with daemon.running() as process:

            def judged() -> bool:
                if process.poll() is not None:
                    raise RuntimeError(daemon.log.read_text()[-3000:])
                return daemon.metric("driftd_applications") >= applications

            wait_until(judged, what="every verdict", timeout=LIMIT, interval=1)
            cold, used = time.monotonic() - started, cpu(process.pid)
            click.echo(f"{objects} objects: cold start {cold:.1f} s, {used:.1f} CPU s", err=True)
            before = cpu(process.pid), time.monotonic()
            for one in simulation.clusters:
                one.burst(int(churn * SETTLING / clusters), churn / clusters, "report")
            settled: list[int] = []

            def over() -> bool:
                settled.append(memory(process.pid))
                return time.monotonic() - before[1] >= SETTLING

            wait_until(over, what="settling", timeout=2 * SETTLING, interval=2)
            share = (cpu(process.pid) - before[0]) / (time.monotonic() - before[1])
            for one in simulation.clusters:
                patch = {"data": {"key-3": "tampered"}}
                one.call("PATCH", one.path(0, 2), patch, content_type=MERGE)
            wait_until(
                lambda: daemon.metric("driftd_drift_open") >= clusters,
                what="the drifts",
                timeout=120,
                interval=0.2,
            )
            found = int(daemon.metric("driftd_drift_open"))
    return Figures(
        applications * EACH, applications, cold, used, daemon.peak, settled[-1], share, found
    )


@click.command()
@click.option("--objects", multiple=True, type=int, default=(10_000, 30_000, 100_000))
@click.option("--clusters", default=20, show_default=True)
@click.option("--churn", default=50.0, show_default=True, help="Status updates a second.")
def main(objects: tuple[int, ...], clusters: int, churn: float) -> None:
    """Measure sizes one after the other, and print one table."""
    rows = [measure(size, clusters, churn) for size in objects]
    click.echo(
        "| Objects | Applications | Cold start s | CPU s of it | Peak PSS MB | Settled PSS MB "
        f"| KB per object | CPU % at {churn:g} updates/s | Drifts of {clusters} |"
    )
    click.echo("|" + "---:|" * 9)
    for one in rows:
        click.echo(
            f"| {one.objects:,} | {one.applications} | {one.cold:.1f} | {one.cpu:.1f} "
            f"| {one.peak / 1e6:.0f} | {one.settled / 1e6:.0f} "
            f"| {one.settled / one.objects / 1e3:.1f} | {100 * one.churn_cpu:.1f} | {one.found} |"
        )


if __name__ == "__main__":
    main()
