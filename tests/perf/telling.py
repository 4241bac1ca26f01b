"""How soon a receiver has the message of an edit, what telling costs, and what a storm makes of it.

    python -m tests.perf.telling [--edits 200] [--applications 8] [--pairs 20] [--storm 5000]

`driftd run` watches a real API server; a person edits one object after the other, or puts one
back. An edit counts from the moment before its request is sent to the moment when the webhook's
receiver has the message that tells it. Then two daemons, one with receivers and one without, take
turns of ten edits each while the other one stands still: the ratio of how soon they store a
verdict is what telling costs. The storm drifts 5,000 objects of three simulated clusters within
ten seconds, with the settings that ship: every message must be in a call, few calls to each
receiver, and no drift may be missing.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tests.e2e.daemon import Daemon
from tests.e2e.receivers import SECRET, Receivers, receivers
from tests.perf import fleet as simulated
from tests.perf.detection import Fleet, Log, deploy, percentile, settings_of
from tests.testbed.cluster import control_planes
from tests.testbed.gitrepo import GitRepo
from tests.testbed.processes import wait_until
from tests.testbed.simulation import MANIFESTS, MERGE, Simulation

WAIT = 60.0
STORM_SECONDS = 10.0
STORM_CLUSTERS = 3
MOST_CALLS = 3
"""To each receiver, however many messages a storm makes."""
QUIET = 35.0
"""Seconds after a storm without a call until it counts as over."""
TURN = 10
"""Edits of one daemon until it is the other one's turn."""
SETTLED = 1.0
"""Seconds without a change of state after which a daemon that stood still has caught up."""
DRIFTED: dict[str, dict[str, Any]] = {
    "Deployment": {"spec": {"replicas": 9}},
    "Service": {"spec": {"sessionAffinity": "ClientIP"}},
    "ConfigMap": {"data": {"key-3": "tampered"}},
    "Role": {"rules": []},
}
"""A merge patch for each generated kind."""


def messages(got: Receivers) -> list[Any]:
    """The single messages that arrived."""
    return [one for one in got.webhook if one["kind"] != "Digest"]


def wait_for(condition: Any, seconds: float) -> bool:
    """Whether a condition came true in time, looked at a thousand times a second."""
    ended, due = threading.Event(), time.monotonic() + seconds
    while not condition():
        if time.monotonic() > due:
            return False
        ended.wait(0.001)
    return True


def told_to(got: Receivers, folder: Path) -> dict[str, Any]:
    """Settings of a webhook and a Slack."""
    (folder / "secret").write_text(SECRET)
    (folder / "slack").write_text(f"{got.url}/slack/T0/B0/secret")
    return {
        "allowNetworks": ["127.0.0.0/8"],
        "webhooks": [{"url": f"{got.url}/hook", "secretFile": str(folder / "secret")}],
        "slack": [{"urlFile": str(folder / "slack")}],
    }


def tell(fleet: Fleet, got: Receivers, edits: int) -> list[float]:
    """Seconds from each edit to its message, one edit after the other; infinite where none came."""
    names, found = sorted(fleet.homes), []
    for number in range(edits):
        name, before = names[number % len(names)], len(messages(got))
        edit = fleet.edit(name)
        came = wait_for(lambda before=before: len(messages(got)) > before, WAIT)
        found.append(time.time() - edit.sent if came else float("inf"))
    return found


@contextmanager
def followed(daemon: Daemon) -> Iterator[Log]:
    """The changes of state that a daemon logs."""
    log = Log(daemon.log)
    log.start()
    try:
        yield log
    finally:
        log.ended.set()
        log.join()


def turn(fleet: Fleet, daemon: Daemon, log: Log, edits: int) -> list[float]:
    """Seconds from edit to stored verdict while this daemon alone runs; then it stands still."""
    names = sorted(fleet.homes)
    daemon.signal(signal.SIGCONT)
    seen, since = -1, time.monotonic()

    def settled() -> bool:
        nonlocal seen, since
        now = sum(map(log.seen, names))
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= SETTLED

    wait_until(settled, what="a daemon to catch up", timeout=WAIT, interval=0.05)
    found = []
    for number in range(edits + 1):
        name = names[number % len(names)]
        before = log.seen(name)
        edit = fleet.edit(name)
        stored = log.wait(name, before)
        # The first one wakes what has slept.
        if number:
            found.append(stored - edit.sent if stored else WAIT)
    daemon.signal(signal.SIGSTOP)
    return found


def costs(
    fleet: Fleet, settings: dict[str, Any], told: dict[str, Any], folder: Path, pairs: int
) -> tuple[list[float], list[float]]:
    """Seconds from edit to verdict with receivers, and without, in turns."""
    (folder / "with").mkdir()
    (folder / "without").mkdir()
    storing = {
        name: {**settings, "store": {"dsn": f"sqlite:///{folder}/{name}/driftd.db"}}
        for name in ("with", "without")
    }
    storing["with"]["notifications"] = told | {"storm": {"messages": 1_000_000}}
    times: tuple[list[float], list[float]] = ([], [])
    with (
        Daemon(folder / "with", storing["with"], folder) as telling,
        Daemon(folder / "without", storing["without"], folder) as silent,
        followed(telling) as telling_log,
        followed(silent) as silent_log,
    ):
        sides = ((telling, telling_log, times[0]), (silent, silent_log, times[1]))
        for daemon, _, _ in sides:
            daemon.wait_ready()
            daemon.signal(signal.SIGSTOP)
        for number in range(pairs):
            for daemon, log, found in sides if number % 2 else sides[::-1]:
                found += turn(fleet, daemon, log, TURN)
    return times


def spread(simulation: Simulation, objects: int, applications: int) -> tuple[int, float]:
    """Drift so many objects by hand, evenly over ten seconds and all clusters; how many, how long.

    The edits are spread over the clusters and their applications.
    """
    todo = [
        (cluster, namespace, number)
        for number in range(simulated.EACH)
        for namespace in range(applications)
        for cluster in simulation.clusters
    ][:objects]
    began = time.monotonic()

    def drift(place: int) -> int:
        cluster, namespace, number = todo[place]
        due = began + STORM_SECONDS * 0.85 * place / len(todo)
        time.sleep(max(0.0, due - time.monotonic()))
        if time.monotonic() - began > STORM_SECONDS:
            return 0
        kind = MANIFESTS[number % len(MANIFESTS)]["kind"]
        path = f"{cluster.path(namespace, number)}?fieldManager=alice"
        status, answer = cluster.request("PATCH", path, DRIFTED[kind], content_type=MERGE)
        if status != 200:
            raise click.ClickException(f"PATCH {path}: {answer}")
        return 1

    with ThreadPoolExecutor(16) as pool:
        done = sum(pool.map(drift, range(len(todo))))
    return done, time.monotonic() - began


def calls(got: Receivers) -> tuple[int, int]:
    """How often each receiver was called."""
    return len(got.webhook), len(got.slack)


def storm(objects: int) -> list[str]:
    """Let so many objects drift in ten seconds; what is wrong with what was told of it."""
    applications = -(-objects * 2 // (simulated.EACH * STORM_CLUSTERS))
    with (
        tempfile.TemporaryDirectory() as name,
        receivers() as got,
        Simulation(STORM_CLUSTERS, applications, simulated.EACH) as simulation,
    ):
        folder = Path(name)
        repository = GitRepo(folder / "repository")
        simulated.write_repository(repository, simulation, applications)
        repository.set_remote(simulated.URL)
        settings = {
            "repositories": [{"path": str(repository.path)}],
            "clusters": {"kubeconfig": str(simulation.kubeconfig())},
            "sweep": {"interval": "1h", "jitter": "0s"},
            "store": {"dsn": f"sqlite:///{folder}/driftd.db"},
            "notifications": told_to(got, folder),
        }
        with Daemon(folder, settings, folder) as daemon:
            daemon.wait(lambda: daemon.get("/readyz")[0] == 200, "the first sweep", timeout=600)
            drifted, took = spread(simulation, objects, applications)
            daemon.wait(
                lambda: daemon.total("driftd_drift_open") >= drifted, "every drift", timeout=300
            )
            count = (0, 0)
            while wait_for(lambda known=count: calls(got) != known, QUIET):
                count = calls(got)
            waiting = daemon.metric("driftd_notifications_waiting")
            found = int(daemon.total("driftd_drift_open"))
            lines = daemon.log.read_text().splitlines()
    changes = sum("state change" in line for line in lines)
    listed = [
        message
        for one in got.webhook
        for message in (one["messages"] if one["kind"] == "Digest" else [one["id"]])
    ]
    told = sum(
        sum(entry["opened"] for entry in one["entries"])
        if one["kind"] == "Digest"
        else one["counts"]["opened"]
        for one in got.webhook
    )
    click.echo(
        f"\nstorm: {drifted:,} drifts in {took:.1f} s on {STORM_CLUSTERS} clusters, {found:,} "
        f"found, {told:,} told; {changes} messages in {len(got.webhook)} calls of the webhook and "
        f"{len(got.slack)} of Slack, {waiting:.0f} waiting"
    )
    wrong = {
        f"{drifted} of {objects} drifts were made in {STORM_SECONDS:.0f} s": drifted < objects,
        f"{found} of {drifted} drifts were found": found != drifted,
        f"{told} of {found} drifts were told": told != found,
        f"{len(set(listed))} of {changes} messages arrived": len(set(listed)) != changes,
        f"{len(listed) - len(set(listed))} messages came twice": len(listed) != len(set(listed)),
        f"a receiver was called {max(count)} times": max(count) > MOST_CALLS,
        f"{waiting:.0f} messages wait": bool(waiting),
    }
    return [text for text, is_wrong in wrong.items() if is_wrong]


@click.command()
@click.option("--edits", default=200, show_default=True)
@click.option("--applications", default=8, show_default=True)
@click.option("--pairs", default=20, show_default=True)
@click.option("--storm", "objects", default=5000, show_default=True)
def main(edits: int, applications: int, pairs: int, objects: int) -> None:
    """Measure, and print a table; 1 if the storm was not told as it should be."""
    if edits or pairs:
        delays(edits, applications, pairs)
    problems = storm(objects) if objects else []
    for text in problems:
        click.echo(f"wrong: {text}", err=True)
    if problems:
        raise SystemExit(1)


def delays(edits: int, applications: int, pairs: int) -> None:
    """How soon a receiver has a message, and what telling costs, on one real API server."""
    with (
        tempfile.TemporaryDirectory() as name,
        receivers() as got,
        control_planes("telling", full=False) as planes,
    ):
        folder = Path(name)
        fleet, repository = deploy(folder, planes, applications)
        settings = settings_of(repository, folder, fleet)
        told = told_to(got, folder)
        times = []
        if edits:
            singly = settings | {"notifications": told | {"storm": {"messages": 1_000_000}}}
            with Daemon(folder, singly, folder) as daemon:
                daemon.wait_ready()
                times = tell(fleet, got, edits)
        both = costs(fleet, settings, told, folder, pairs) if pairs else ([], [])
    shares = (0.5, 0.9, 0.99)
    click.echo("| | p50 | p90 | p99 | most |")
    click.echo("|---|---|---|---|---|")
    rows = {
        f"edit → webhook has the message, {len(times)} edits": times,
        f"edit → verdict, with receivers, {len(both[0])} edits": both[0],
        f"edit → verdict, without, {len(both[1])} edits": both[1],
    }
    for what, values in rows.items():
        if values:
            cells = " | ".join(f"{percentile(values, one):.0f} ms" for one in (*shares, 1.0))
            click.echo(f"| {what} | {cells} |")
    if pairs:
        ratios = [percentile(both[0], one) / percentile(both[1], one) for one in shares]
        cells = " | ".join(f"{one:.2f}" for one in ratios)
        click.echo(f"| with receivers by without, {pairs} pairs of turns | {cells} | |")


if __name__ == "__main__":
    main()
