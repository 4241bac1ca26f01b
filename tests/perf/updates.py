"""What an update costs that changes no verdict, by how many come a second.

    python -m tests.perf.updates [--rate 50 --rate 200 --rate 1000] [--rounds 3]

Three simulated clusters report the status of Deployments; one process watches them, once with
asyncio's own event loop and once with the one of `driftd run`, which reads noisy watches together
(ADR 11). Both take turns in one run. CPU is that of the process that watches.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

from driftd.cluster.gathering import new_event_loop
from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.reader import ApiResource, Listing, ObjectMeta
from driftd.cluster.transport import Transport
from driftd.cluster.watch import Reflector
from driftd.diff.digest import digests_once
from driftd.errors import ClusterError
from driftd.model.resource import LiveObject, ResourceKey
from tests.testbed.simulation import Simulation

CLUSTERS = 3
SECONDS = 8.0
"""How long updates come for one figure."""
DEPLOYMENTS = ApiResource("apps", "v1", "Deployment", "deployments", True, ("list", "watch"))


class Counted:
    """A sink to which nothing is news; it does what the daemon does to know that."""

    def __init__(self) -> None:
        self.count = 0
        self.begun = asyncio.Event()

    def wants(self, _meta: ObjectMeta) -> bool:
        """Everything."""
        return True

    async def listed(self, _listing: Listing) -> None:
        """The watch has begun."""
        self.begun.set()

    async def changed(self, live: LiveObject) -> bool:
        """Compare nothing, and find nothing."""
        digests_once(live.body)
        self.count += 1
        return False

    async def gone(self, _key: ResourceKey) -> None:
        """Nothing."""

    async def state(self, _error: ClusterError | None) -> None:
        """Nothing."""


async def _watch(kubeconfig: str) -> None:
    """Watch all contexts; answer each line of standard input with updates so far and CPU."""
    known = load_kubeconfig(kubeconfig)
    sinks, tasks, transports = [], [], []
    for context in known.contexts:
        sink = Counted()
        transports.append(Transport(known.access(context.name)))
        cluster = KubeCluster(transports[-1])
        tasks.append(asyncio.create_task(Reflector(cluster, DEPLOYMENTS, "", sink).run()))
        sinks.append(sink)
    for sink in sinks:
        await sink.begun.wait()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while True:
        sys.stdout.write(json.dumps([sum(s.count for s in sinks), time.process_time()]) + "\n")
        sys.stdout.flush()
        if not await reader.readline():
            break
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for transport in transports:
        await transport.close()


class Watcher:
    """A process that watches."""

    def __init__(self, kubeconfig: Path, *, gathers: bool) -> None:
        command = [sys.executable, "-m", "tests.perf.updates", f"--watch={kubeconfig}"]
        command += ["--gathers"] if gathers else []
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.said()

    def said(self) -> tuple[int, float]:
        """Updates so far, and CPU seconds."""
        assert self._process.stdout is not None
        count, cpu = json.loads(self._process.stdout.readline())
        return count, cpu

    def ask(self) -> tuple[int, float]:
        """As `said`, now."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.said()

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def measure(simulation: Simulation, rate: float, *, gathers: bool) -> float:
    """CPU microseconds of one update."""
    watcher = Watcher(simulation.kubeconfig(), gathers=gathers)
    try:
        before = watcher.ask()
        bursts = []
        for one in simulation.clusters:
            bursts.append(one.burst(int(rate * SECONDS / CLUSTERS), rate / CLUSTERS))
            time.sleep(1 / rate)  # their updates do not come all at the same moment
        wanted = before[0] + sum(one.wait()["count"] for one in bursts)
        count, cpu = watcher.ask()
        while count < wanted:
            time.sleep(0.1)
            count, cpu = watcher.ask()
        return 1e6 * (cpu - before[1]) / (count - before[0])
    finally:
        watcher.close()


@click.command()
@click.option("--rate", multiple=True, type=float, default=(50.0, 200.0, 1000.0))
@click.option("--rounds", default=3, show_default=True)
@click.option("--watch", hidden=True)
@click.option("--gathers", is_flag=True, hidden=True)
def main(rate: tuple[float, ...], rounds: int, watch: str | None, *, gathers: bool) -> None:
    """Measure both loops at each rate in turns, and print one table."""
    if watch is not None:
        factory = new_event_loop if gathers else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_watch(watch))
        return
    click.echo("| Updates a second | usual loop, us an update | read together | ratio |")
    click.echo("|---:|---:|---:|---:|")
    with Simulation(CLUSTERS, 5, 200) as simulation:
        for one in rate:
            pairs = [
                (measure(simulation, one, gathers=False), measure(simulation, one, gathers=True))
                for _ in range(rounds)
            ]
            usual, together = (statistics.median(times) for times in zip(*pairs, strict=True))
            click.echo(f"| {one:g} | {usual:.0f} | {together:.0f} | {together / usual:.2f} |")


if __name__ == "__main__":
    main()
