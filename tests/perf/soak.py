"""`driftd run` under a million events: what grows, and what does not.

    python -m tests.perf.soak [--events 1000000] [--rate 2000]

A simulated cluster of 1,000 objects in five applications makes events as fast as `--rate` says: of
each 10,000 of them 9,950 are status updates, and 50 change replicas by hand. After each 10,000 the
daemon is given the time to look at what they changed; then its process tree's proportional set
size, open files, threads and the bytes of its store are taken. The slope is that of the straight
line through the samples after the warm-up (the first half of them).
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

from tests.perf.fleet import EACH, URL, Daemon, memory, write_repository
from tests.perf.scale import _pss, _tree
from tests.testbed.gitrepo import GitRepo
from tests.testbed.processes import wait_until
from tests.testbed.simulation import Simulation

BLOCK = 10_000
EDITS = 50
NAMESPACES = 5
MOST_SLOPE = 50.0
"""KiB of memory for each block."""
MOST_SPREAD = 0.05
"""By how much open files and threads may differ."""


@dataclass(frozen=True)
class Sample:
    """The daemon after a block of events."""

    memory: int
    """Bytes."""
    daemon: int
    """Without its helpers."""
    files: int
    threads: int
    store: int
    """Bytes of the database with its log."""
    looks: float


def sample(daemon: Daemon, pid: int) -> Sample:
    """What the process and its store take now."""
    return Sample(
        memory=memory(pid),
        daemon=_pss(pid),
        files=sum(len(os.listdir(f"/proc/{one}/fd")) for one in _tree(pid)),
        threads=sum(len(os.listdir(f"/proc/{one}/task")) for one in _tree(pid)),
        store=sum(file.stat().st_size for file in daemon.folder.glob("driftd.db*")),
        looks=daemon.metric("driftd_look_duration_seconds_count"),
    )


def settled(daemon: Daemon) -> None:
    """Wait until no look has ended for a while."""
    before = -1.0

    def quiet() -> bool:
        nonlocal before
        now = daemon.metric("driftd_look_duration_seconds_count")
        same, before = now == before, now
        return same

    wait_until(quiet, what="the last look", timeout=120, interval=1.0)


def slope(values: list[int]) -> float:
    """What is added from one sample to the next, by the straight line through them."""
    return statistics.linear_regression(range(len(values)), values).slope


@click.command()
@click.option("--events", default=1_000_000, show_default=True)
@click.option("--rate", default=2_000.0, show_default=True)
def main(events: int, rate: float) -> None:
    """Print a line for each five blocks, and what it comes to; exit 1 if something grows."""
    samples: list[Sample] = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        Simulation(1, NAMESPACES, EACH, history=4 * BLOCK) as simulation,
    ):
        folder = Path(scratch)
        repository = GitRepo(folder / "gitops")
        repository.set_remote(URL)
        write_repository(repository, simulation, NAMESPACES)
        daemon = Daemon(folder, repository.path, simulation.kubeconfig())
        with daemon.running() as process:
            wait_until(
                lambda: daemon.metric("driftd_applications") == NAMESPACES,
                what="the first sweep",
                timeout=300,
                interval=0.5,
            )
            settled(daemon)
            (cluster,) = simulation.clusters
            for number in range(events // BLOCK):
                updates = cluster.burst(BLOCK - EDITS, rate, "report", seed=number + 1)
                edits = cluster.burst(EDITS, rate / 100, "edit", seed=number + 1, manager="alice")
                updates.wait()
                edits.wait()
                settled(daemon)
                samples.append(sample(daemon, process.pid))
                if number % 5 == 4 or number < 2:
                    click.echo(f"{(number + 1) * BLOCK:>9,} events  {described(samples[-1])}")
            drifts = daemon.metric("driftd_drift_open")
        with closing(sqlite3.connect(folder / "driftd.db")) as database:
            ((episodes, still),) = database.execute(
                "SELECT count(*), sum(closed_at IS NULL) FROM episodes"
            )
    report(samples, int(drifts), episodes, still)


def described(one: Sample) -> str:
    """A sample as a line."""
    return (
        f"PSS {one.memory / 2**20:.1f} MB (the daemon alone {one.daemon / 2**20:.1f}), "
        f"{one.files} files, {one.threads} threads, store {one.store / 2**20:.2f} MB, "
        f"{one.looks:.0f} looks"
    )


def report(samples: list[Sample], drifts: int, episodes: int, still: int) -> None:
    """Print what it comes to; exit 1 if something grows."""
    warm = samples[len(samples) // 2 :]
    grows = slope([one.memory for one in warm]) / 1024
    files = (min(one.files for one in warm), max(one.files for one in warm))
    threads = (min(one.threads for one in warm), max(one.threads for one in warm))
    click.echo(
        json.dumps(
            {
                "events": len(samples) * BLOCK,
                "slopeKiBPer10000": round(grows, 1),
                "files": files,
                "threads": threads,
                "storeBytesPer10000": round(slope([one.store for one in warm])),
                "openDrifts": drifts,
                "episodes": episodes,
            }
        )
    )
    flat = all(high - low <= max(2, MOST_SPREAD * low) for low, high in (files, threads))
    if grows > MOST_SLOPE or not flat or drifts != still:
        sys.exit(1)


if __name__ == "__main__":
    main()
