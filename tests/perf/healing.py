"""How soon an edit is put back, from the API server's word of it to its word of the heal.

    python -m tests.perf.healing [--edits 300] [--applications 10]

`driftd run` watches a real API server that holds 200 objects an application, with the rung
`fields` and no grace: an edit may be healed from the moment on that it is seen. People edit one
object after the other; a watch of our own says when the API server told of the edit, and when of
the object as Git declares it. The time between holds all that driftd does: notice, look at the
whole application, plan, dry run, write. No guard holds anything back: budgets, storms, canaries
and quarantines are set so wide that what is measured is latency. An edit that is not healed within
30 s ends the run with what the guards say.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import click
import yaml

from tests.e2e.daemon import Daemon
from tests.perf.detection import CHANGES, WAIT, Fleet, Watch, percentile
from tests.perf.scale import OBJECTS, PATHS, application, apply_all, manifest
from tests.testbed.cluster import ControlPlane, control_planes
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig
from tests.testbed.processes import wait_until

PLACE = "site"
LIMIT = 30.0
"""Seconds within which an edit must be healed."""
NEVER = 100_000
"""More than a run can reach of what a guard counts."""


def deploy(folder: Path, cluster: ControlPlane, names: list[str]) -> GitRepo:
    """Declare and apply everything; each application asks for self-healing, none is Argo CD's."""
    repository = GitRepo(folder / "repository")
    repository.set_remote("https://git.example/scale.git")
    for name in names:
        document = application(name, PLACE)
        document["spec"]["syncPolicy"] = {"automated": {"selfHeal": True}}
        repository.write(f"applications/{name}.yaml", yaml.safe_dump(document))
        for number in range(OBJECTS):
            body = yaml.dump(manifest(name, number), Dumper=yaml.CSafeDumper)
            repository.write(f"apps/{name}/{number:03}.yaml", body)
    repository.commit("Declare everything")
    apply_all(cluster, names, manager="kubectl")
    return repository


def settings_of(repository: GitRepo, folder: Path, cluster: ControlPlane) -> dict[str, Any]:
    """The daemon's settings: watches alone tell, and everything is healed at once."""
    kubeconfig = write_kubeconfig(folder / "kubeconfig", [cluster.access("admin")])
    severities = ("critical", "high", "medium", "low", "info")
    return {
        "repositories": [{"path": str(repository.path)}],
        "clusters": {"kubeconfig": str(kubeconfig)},
        "sweep": {"interval": "1h", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{folder}/driftd.db"},
        "healing": {
            "rules": [{"applications": ["*"], "rung": "fields"}],
            "grace": dict.fromkeys(severities, "0s"),
            "budget": {"application": NEVER, "cluster": NEVER},
            "quarantine": {"heals": NEVER},
            "storm": {"percent": 100, "objects": NEVER},
            "canary": {"objects": NEVER},
        },
    }


def held_back(daemon: Daemon) -> str:
    """What the guards hold, and the end of the daemon's log."""
    series = [
        line for line in daemon.get("/metrics")[1].splitlines() if "driftd_heals_held" in line
    ]
    held = [line for line in series if not line.startswith("#") and not line.endswith(" 0.0")]
    return f"held by guards: {'; '.join(held) or 'nothing'}\n{daemon.log.read_text()[-2000:]}"


def healed(fleet: Fleet, name: str, seen: dict[tuple[str, str], float], daemon: Daemon) -> float:
    """Edit one object of an application; seconds from the edit's event to the heal's.

    Raises ClickException if it is not healed in time.
    """
    cluster = fleet.clusters[PLACE]
    number = fleet.chance.randrange(OBJECTS)
    body = manifest(name, number)
    path = PATHS[body["kind"]].format(ns=name, name=body["metadata"]["name"])
    edited = fleet.patch(name, number, back=False)["metadata"]["resourceVersion"]
    changed = CHANGES[body["kind"]][1]
    found: list[str] = []

    def back() -> bool:
        live = cluster.call("GET", path)
        value = str(changed) not in str({**live, "metadata": {}})
        found[:] = [live["metadata"]["resourceVersion"]]
        return value

    try:
        wait_until(back, what=f"the heal of {path}", timeout=LIMIT, interval=0.05)
    except TimeoutError:
        raise click.ClickException(
            f"{body['kind']} {body['metadata']['name']} of {name} was edited (resourceVersion "
            f"{edited}) and is not healed after {LIMIT:.0f} s; {held_back(daemon)}"
        ) from None
    places = ((cluster.server, edited), (cluster.server, found[0]))
    wait_until(lambda: all(one in seen for one in places), what="its events", timeout=WAIT)
    return seen[places[1]] - seen[places[0]]


@click.command()
@click.option("--edits", default=300, show_default=True)
@click.option("--applications", default=10, show_default=True)
@click.option("--pause", default=0.3, show_default=True, help="Seconds between edits.")
def main(edits: int, applications: int, pause: float) -> None:
    """Measure the time from an edit to its heal on a real API server."""
    names = [f"app-{i:02}" for i in range(applications)]
    with tempfile.TemporaryDirectory() as place, control_planes(PLACE, full=False) as planes:
        folder = Path(place)
        repository = deploy(folder, planes[PLACE], names)
        fleet = Fleet(planes, dict.fromkeys(names, PLACE))
        click.echo(f"{applications * OBJECTS} objects, {OBJECTS} an application")
        with Daemon(folder, settings_of(repository, folder, planes[PLACE]), folder) as daemon:
            daemon.wait_ready()
            seen: dict[tuple[str, str], float] = {}
            watches = [Watch(planes[PLACE], kind, seen) for kind in CHANGES]
            for watch in watches:
                watch.start()
            for watch in watches:
                watch.ready.wait(WAIT)
            took, began = [], time.monotonic()
            for number in range(edits):
                took.append(healed(fleet, names[number % len(names)], seen, daemon))
                time.sleep(pause)
            lasted = time.monotonic() - began
    click.echo(f"{'ms from edit to heal':34}{'p50':>8}{'p90':>8}{'p99':>8}{'max':>8}")
    shares = "".join(f"{percentile(took, share):8.0f}" for share in (0.5, 0.9, 0.99, 1.0))
    click.echo(f"{f'{edits} edits in {lasted:.0f} s':34}{shares}")


if __name__ == "__main__":
    main()
