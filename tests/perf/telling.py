"""How soon a receiver has the message of an edit, and what a storm of edits makes of it.

    python -m tests.perf.telling [--edits 200] [--applications 8] [--storm 5000]

`driftd run` watches a real API server; a person edits one object after the other, or puts one
back. An edit counts from the moment before its request is sent to the moment when the webhook's
receiver has the message that tells it. The storm then drifts as many objects as it can within ten
seconds, with the settings that ship: every message must be in a call, and there are few calls.
"""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from tests.e2e.daemon import Daemon
from tests.e2e.receivers import SECRET, Receivers, receivers
from tests.perf.detection import Fleet, deploy, settings_of
from tests.perf.scale import OBJECTS
from tests.testbed.cluster import control_planes

WAIT = 60.0
STORM_SECONDS = 10.0
QUIET = 45.0
"""Seconds after a storm without a call until it counts as over."""


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


def tell(fleet: Fleet, got: Receivers, edits: int) -> list[float]:
    """Seconds from each edit to its message, one edit after the other; infinite where none came."""
    names, found = sorted(fleet.homes), []
    for number in range(edits):
        name, before = names[number % len(names)], len(messages(got))
        edit = fleet.edit(name)
        came = wait_for(lambda before=before: len(messages(got)) > before, WAIT)
        found.append(time.time() - edit.sent if came else float("inf"))
    return found


def storm(fleet: Fleet, got: Receivers, objects: int) -> tuple[int, int, int, float]:
    """Drifted objects, calls, messages in them, and the seconds that the edits took."""
    todo = [(name, number) for number in range(OBJECTS) for name in sorted(fleet.homes)]
    todo = [one for one in todo if one[1] not in fleet.drifted.get(one[0], ())][:objects]
    began, before = time.monotonic(), len(got.webhook)

    def drift(one: tuple[str, int]) -> bool:
        if time.monotonic() - began > STORM_SECONDS:
            return False
        fleet.patch(*one, back=False)
        return True

    with ThreadPoolExecutor(16) as pool:
        done = sum(pool.map(drift, todo))
    took = time.monotonic() - began
    count = len(got.webhook)
    while wait_for(lambda count=count: len(got.webhook) > count, QUIET):
        count = len(got.webhook)
    calls = got.webhook[before:]
    told = sum(len(one["messages"]) if one["kind"] == "Digest" else 1 for one in calls)
    return done, len(calls), told, took


@click.command()
@click.option("--edits", default=200, show_default=True)
@click.option("--applications", default=8, show_default=True)
@click.option("--storm", "objects", default=5000, show_default=True)
def main(edits: int, applications: int, objects: int) -> None:
    """Measure on one real API server, and print a table."""
    applications = max(applications, -(-objects // OBJECTS))
    with (
        tempfile.TemporaryDirectory() as name,
        receivers() as got,
        control_planes("telling", full=False) as planes,
    ):
        folder = Path(name)
        fleet, repository = deploy(folder, planes, applications)
        (folder / "secret").write_text(SECRET)
        settings = settings_of(repository, folder, fleet)
        hook = {"url": f"{got.url}/hook", "secretFile": str(folder / "secret")}
        told: dict[str, Any] = {"allowNetworks": ["127.0.0.0/8"], "webhooks": [hook]}
        settings["notifications"] = told | {"storm": {"messages": 1_000_000}}
        with Daemon(folder, settings, folder) as daemon:
            daemon.wait_ready()
            times = sorted(tell(fleet, got, edits)) if edits else []
        settings["notifications"] = told
        with Daemon(folder, settings, folder) as daemon:
            daemon.wait_ready()
            drifted, calls, listed, took = storm(fleet, got, objects) if objects else (0, 0, 0, 0.0)
            waiting = daemon.metric("driftd_notifications_waiting")
    click.echo("| edit → webhook has the message | p50 | p90 | p99 | most |")
    click.echo("|---|---|---|---|---|")
    if times:
        row = [times[int(len(times) * part)] for part in (0.5, 0.9, 0.99)]
        cells = " | ".join(f"{one * 1000:.0f} ms" for one in (*row, times[-1]))
        click.echo(f"| {len(times)} edits, one after the other | {cells} |")
    click.echo(
        f"\nstorm: {drifted} drifts in {took:.1f} s, {listed} messages in {calls} calls, "
        f"{waiting:.0f} waiting"
    )


if __name__ == "__main__":
    main()
