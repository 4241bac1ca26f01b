"""What driftd finds and others miss, class by class, on one real fleet.

    python -m tests.perf.peers [--seeds 20261,20262] [--changes 60]

The example repository is deployed to three real clusters, by client-side and by server-side apply,
and looked at clean. Then random changes are made by hand, one an object, and every tool says of
every object whether it differs from Git:

- `kubectl diff`, and `kubectl diff --server-side`: a dry run of server-side apply, on which Flux,
  Config Sync and Argo CD's server-side diff stand too;
- Argo CD's own diff engine (gitops-engine, built from its Go module), with the local strategy that
  fits: three-way merge after client-side apply, structured merge after server-side apply;
- `driftd check`.

Each gets the same objects at the same time. One table for each way of applying is printed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import orjson

from tests.e2e.changes import MISSING
from tests.e2e.deploying import ENVIRONMENTS, Site, Way, deploy, everywhere
from tests.e2e.edits import Objects, Target
from tests.e2e.looking import look
from tests.e2e.mutations import Expected, random_drift
from tests.e2e.test_detection import EXAMPLE, rendered
from tests.testbed import binaries
from tests.testbed.cluster import ControlPlane, control_planes
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

WAYS = {
    "client-side": Way("client-side", server_side=False, charts="kubectl"),
    "server-side": Way("server-side", server_side=True, charts="kubectl"),
}
STRATEGIES = {
    "client-side": ("threeWay", "Argo CD, three-way merge"),
    "server-side": ("structuredMerge", "Argo CD, structured merge"),
}
"""The engine's name and ours of what Argo CD does with objects that were applied this way."""
KUBECTL = {
    "client-side": ("kubectl diff", ("diff",)),
    "server-side": (
        "kubectl diff --server-side",
        ("diff", "--server-side", "--force-conflicts"),
    ),
}
MANAGER = "kubectl"
Key = tuple[str, str, str, str, str]


@dataclass(slots=True)
class Tally:
    """What each tool said: objects it called different, by class of the change made to them."""

    made: Counter[str] = field(default_factory=Counter)
    found: dict[str, Counter[str]] = field(default_factory=dict)
    clean: int = 0
    alarms: Counter[str] = field(default_factory=Counter)
    """Objects called different that nobody had changed."""
    missed: dict[str, list[str]] = field(default_factory=dict)

    def add(
        self, drift: Iterable[Expected], said: Mapping[str, set[Key]], critical: set[Key]
    ) -> None:
        """Count what the tools said after the changes of one seed."""
        for one in drift:
            classes = [one.change_class]
            if one.target.key in critical and one.change_class == "undeclared":
                classes.append("undeclared, critical")
            for name in classes:
                self.made[name] += 1
            for tool, keys in said.items():
                for name in classes:
                    self.found.setdefault(tool, Counter())[name] += one.target.key in keys
                if one.target.key not in keys:
                    self.missed.setdefault(tool, []).append(f"{one.target.kind}: {one.change}")

    def add_clean(self, objects: int, said: Mapping[str, set[Key]]) -> None:
        """Count what the tools said before anything was changed."""
        self.clean += objects
        for tool, keys in said.items():
            self.alarms[tool] += len(keys)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The deployed fleet that all tools look at."""

    way: str
    clusters: dict[str, ControlPlane]
    repository: Path
    kubeconfig: Path
    home: Path
    desired: dict[Key, Any]
    engine: Path

    def ask(self, targets: list[Target]) -> tuple[dict[str, set[Key]], set[Key]]:
        """By tool the objects that it calls different; and those that driftd calls critical."""
        objects = {name: Objects(cluster) for name, cluster in self.clusters.items()}
        title, command = KUBECTL[self.way]
        said: dict[str, set[Key]] = {title: set()}
        for name, cluster in self.clusters.items():
            here = [target for target in targets if target.cluster == name]
            with ThreadPoolExecutor(3) as pool:
                answers = pool.map(lambda t, c=cluster: self._kubectl(c, command, t), here)
                said[title] |= {t.key for t, differs in zip(here, answers, strict=True) if differs}
            said.setdefault(STRATEGIES[self.way][1], set()).update(
                self._engine(objects[name], here)
            )
        seen = look(self.repository, self.kubeconfig, self.home)
        wanted = {target.key for target in targets}
        said["driftd check"] = {
            key
            for key, one in seen.resources()
            if key in wanted and (one["status"] not in ("Synced", "NotChecked") or one["changes"])
        }
        critical = {
            key
            for key, one in seen.resources()
            if any(change["severity"] == "critical" for change in one["changes"])
        }
        return said, critical

    def _document(self, target: Target) -> Any:
        body = self.desired[target.key]
        if not target.namespace:
            return body
        return {**body, "metadata": {**body["metadata"], "namespace": target.namespace}}

    def _kubectl(self, cluster: ControlPlane, command: tuple[str, ...], target: Target) -> bool:
        text = orjson.dumps(self._document(target)).decode()
        done = cluster.kubectl(*command, "-f", "-", input=text, check=False, timeout=120)
        if done.returncode > 1:
            # The merge would be refused: who reads the error knows that something is wrong.
            click.echo(f"{target}: kubectl diff: {done.stderr.strip()}", err=True)
        return done.returncode != 0

    def _engine(self, objects: Objects, targets: list[Target]) -> set[Key]:
        """The objects that Argo CD's diff engine calls different."""
        strategy, title = STRATEGIES[self.way]
        pairs = [
            {
                "desired": self._document(target),
                "live": objects.get(target) if objects.exists(target) else None,
            }
            for target in targets
        ]
        openapi = objects.cluster.call("GET", "/openapi/v2")
        text = orjson.dumps({"manager": MANAGER, "openapi": openapi, "pairs": pairs})
        done = subprocess.run([str(self.engine)], input=text, capture_output=True, check=True)
        found = set()
        for target, answer in zip(targets, orjson.loads(done.stdout), strict=True):
            if answer[strategy] == "modified":
                found.add(target.key)
            elif answer[strategy] != "same":
                click.echo(f"{target}: {title}: {answer[strategy]}", err=True)
        return found


def measure(way: str, seed: int, changes: int, tally: Tally, engine: Path) -> None:
    """Deploy to fresh clusters, ask every tool, change, ask again."""
    with tempfile.TemporaryDirectory(prefix="driftd-peers-") as folder:
        repository = Path(folder, "kubernetes-gitops")
        shutil.copytree(EXAMPLE, repository)
        GitRepo(repository).commit()
        home = Path(folder, "home")
        home.mkdir()
        with control_planes(*ENVIRONMENTS) as clusters:
            kubeconfig = write_kubeconfig(
                home / "kubeconfig", [cluster.access("detector") for cluster in clusters.values()]
            )
            desired, targets, jsonnet = rendered(repository, kubeconfig)
            sites = [
                Site(name, clusters[name], repository, WAYS[way], jsonnet) for name in ENVIRONMENTS
            ]
            deploy(sites)
            fleet = Fleet(way, clusters, repository, kubeconfig, home, desired, engine)
            said, _ = fleet.ask(targets)
            tally.add_clean(len(targets), said)
            objects = {name: Objects(cluster) for name, cluster in clusters.items()}
            drift = random_drift(seed, changes, targets, objects, desired)
            everywhere(sites, Site.notice)
            said, critical = fleet.ask([one.target for one in drift])
            tally.add(drift, said, critical)


def table(way: str, tally: Tally) -> None:
    """Print found of made by class, and false alarms."""
    classes = ["declared", "undeclared", "undeclared, critical", "review", MISSING]
    classes = [name for name in classes if tally.made[name]]
    click.echo(f"\nApplied {way}: {sum(tally.made[c] for c in classes if ',' not in c)} changes")
    click.echo(f"| {'':28} | {' | '.join(classes)} | false alarms |")
    click.echo(f"|---|{'---:|' * (len(classes) + 1)}")
    for tool, found in tally.found.items():
        row = [f"{found[name]} of {tally.made[name]}" for name in classes]
        row.append(f"{tally.alarms[tool]} of {tally.clean}")
        click.echo(f"| {tool:28} | {' | '.join(row)} |")


@click.command()
@click.option("--seeds", default="20261", show_default=True)
@click.option("--changes", default=60, show_default=True)
@click.option("--verbose", is_flag=True, help="Name what each tool misses.")
def main(seeds: str, changes: int, *, verbose: bool) -> None:
    """Measure all ways and seeds."""
    engine = binaries.program("gitopsengine", Path(__file__).with_name("gitopsengine"))
    for way in WAYS:
        tally = Tally()
        for seed in seeds.split(","):
            measure(way, int(seed), changes, tally, engine)
        table(way, tally)
        if verbose:
            for tool, missed in tally.missed.items():
                click.echo(f"{tool} misses: {'; '.join(sorted(missed))}")


if __name__ == "__main__":
    main()
