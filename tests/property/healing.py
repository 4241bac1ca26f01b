"""Many random drifts in one application, put back by one heal, on a real API server.

`python -m tests.property.healing --drifts 500` prints one table: the figures of docs/healing.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftd.acting import heal
from driftd.app import check
from driftd.clock import SystemClock
from driftd.controller.heal_once import HealedObject, HealReport
from driftd.controller.options import CheckOptions
from driftd.model.report import DriftReport, ResourceReport
from driftd.settings.healing import Healing, HealingRule, Rung
from tests.property import histories
from tests.property import lab as labs
from tests.property.lab import Lab
from tests.property.trial import Trial, change, deployed, prepared
from tests.property.truth import leaves, view
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo

Json = Any
URL = "https://git.example.com/healed.git"
RULES = Healing(rules=(HealingRule(applications=("healed",), rung=Rung.FIELDS, undeclared=True),))
AGGREGATION = "system:serviceaccount:kube-system:clusterrole-aggregation-controller"
"""The one controller that writes what Git declares in these trials."""
DELETED = 0.08
"""How many of the drifts are that the object is gone."""


@contextmanager
def without_engines() -> Iterator[None]:
    """Objects are deployed by kubectl where trials say Argo CD: driftd heals nothing of Argo CD."""
    argo, managers = histories.ARGO, dict(labs.MANAGERS)
    histories.ARGO = labs.MANAGERS["server-side apply"] = "kubectl"
    try:
        yield
    finally:
        histories.ARGO = argo
        labs.MANAGERS.update(managers)


@dataclass(slots=True)
class Drift:
    """One object of the application and what was done to it."""

    trial: Trial
    deleted: bool = False
    outcome: str = ""
    message: str = ""
    left: tuple[str, ...] = ()
    """Places that the next look finds."""
    fought: bool = False
    """Whether the aggregation of ClusterRoles has written the object all the while.

    Where somebody has added a rule that aggregates every ClusterRole, its controller writes the
    rules several times a second, and once more after the rule is gone: the heal meets a conflict,
    or is overwritten, and the next one is as it should be.
    """
    lost: tuple[str, ...] = ()
    """Places that are not as they were before the drift."""

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.trial.desired["metadata"]["name"])


@dataclass(slots=True)
class Healed:
    """What a heal made of the drifts."""

    drifts: list[Drift] = field(default_factory=list)
    again: Counter[str] = field(default_factory=Counter)
    """Outcomes of the second heal."""
    writes: int = 0
    """Writes of the second heal that the API server carried out."""

    @property
    def clean(self) -> list[Drift]:
        """Drifts that are gone, as the next look says."""
        return [one for one in self.drifts if not one.left]

    @property
    def unhealed(self) -> list[Drift]:
        """Drifts that are still there."""
        return [one for one in self.drifts if one.left]

    @property
    def wrong(self) -> list[str]:
        """What a heal must not do: leave a drift without a reason, or write again without need."""
        fought = [one for one in self.unhealed if one.fought]
        left = [one for one in self.unhealed if not one.fought]
        told = [
            f"{one.name} is left, {one.outcome or 'not in the plan'}: {one.message}"
            for one in left
            if one.outcome not in ("not-healable", "left alone") or not one.message
        ]
        if len(self.unhealed) > max(1, len(self.drifts) // 20):
            told.append(f"{len(self.unhealed)} of {len(self.drifts)} are left")
        if self.writes > 2 * len(fought):
            told.append(f"the second heal made {self.writes} writes")
        return told

    def __str__(self) -> str:
        total = len(self.drifts)
        outcomes = Counter(one.outcome for one in self.drifts)
        restored = sum(not one.lost for one in self.clean)
        share = 100 * len(self.clean) / max(total, 1)
        lines = [
            f"drifts {total}: clean after one heal {len(self.clean)} ({share:.1f} %)",
            f"  exactly as before the drift {restored}, outcomes {dict(outcomes)}",
            f"  second heal {dict(self.again) or 'nothing to do'}, writes {self.writes}",
        ]
        lines += [
            f"  {one.trial.desired['kind']} {one.name} clean, but not as before: {one.lost}, "
            f"done {one.trial.mutation.operations if one.trial.mutation else 'nothing'}"
            for one in self.clean
            if one.lost
        ]
        for one in self.unhealed:
            lines.append(f"  {one.trial.desired['kind']} {one.name} {one.outcome}: {one.message}")
            lines.append(
                f"    {one.trial.mutation.operations if one.trial.mutation else 'deleted'}"
            )
            lines.append(f"    left {', '.join(one.left)}")
        return "\n".join(lines)


class Bench:
    """One application of random objects, and driftd's one-shot commands on it."""

    def __init__(self, cluster: ControlPlane, namespace: str, folder: Path) -> None:
        self.lab = Lab(cluster, namespace)
        self.managers = labs.MANAGERS
        self.lab.install_widgets()
        self.repo = GitRepo(folder / "repo")
        self.repo.set_remote(URL)
        self.options = CheckOptions(
            repo=folder / "repo",
            kubeconfig=cluster.kubeconfig("admin"),
            applications=("healed",),
            state=folder / "state",
        )
        self.declare_application()

    def declare_application(self, **spec: Any) -> None:
        """Let Git declare the application, with more of its spec."""
        document = self._application(self.lab.namespace)
        document["spec"] |= spec
        self.repo.write("argocd/healed.json", json.dumps(document))

    def _application(self, namespace: str) -> Json:
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": "healed", "namespace": "argocd"},
            "spec": {
                "project": "default",
                "source": {"repoURL": URL, "path": "apps/healed"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
                "syncPolicy": {"automated": {"selfHeal": True}},
            },
        }

    def declare(self, trials: list[Trial]) -> None:
        """Commit what the trials declare as the application's manifests."""
        for trial in trials:
            name = trial.desired["metadata"]["name"]
            self.repo.write(f"apps/healed/{name}.json", json.dumps(trial.desired))
        self.repo.commit()

    def look(self) -> DriftReport:
        """`driftd check --state`."""
        return asyncio.run(check(self.options, progress=lambda _text: None, clock=SystemClock()))

    def heal(self) -> HealReport:
        """`driftd heal --yes`, additions too."""
        return asyncio.run(
            heal(self.options, RULES, opened=True, progress=lambda _text: None, clock=SystemClock())
        )

    def last_writers(self, since: int) -> dict[str, str]:
        """Who wrote each object last, by the audit log; driftd is `admin` here."""
        found = {}
        for event in self.lab.cluster.audit_events(since):
            about, verb = event.get("objectRef") or {}, event["verb"]
            done = event["stage"] == "ResponseComplete" and event["responseStatus"]["code"] < 300
            if not done or verb not in ("create", "update", "patch") or "subresource" in about:
                continue
            if "dryRun" not in event["requestURI"]:
                found[str(about.get("name"))] = str(event["user"]["username"])
        return found

    def writes(self, since: int) -> int:
        """Writes of driftd that the API server carried out, by its audit log."""
        return sum(
            event["stage"] == "ResponseComplete"
            and event["responseStatus"]["code"] < 300
            and "fieldManager=driftd" in event["requestURI"]
            and "dryRun" not in event["requestURI"]
            for event in self.lab.cluster.audit_events(since)
        )

    def live(self, trial: Trial) -> Json | None:
        """The object of a trial as it is; None if it is gone."""
        try:
            return self.lab.live(trial.desired)
        except ApiError:
            return None


def ways_to_drift(bench: Bench, drifts: int, seed: int) -> list[Drift]:
    """So many objects, deployed clean and then changed, or deleted, at random."""
    trials: list[Trial] = []
    number = seed
    while len(trials) < drifts:
        number += 1
        trial = prepared(number, bench.lab)
        try:
            deployed(bench.lab, trial)
        except ApiError:
            continue  # a former release has what cannot be changed in place
        if not trial.found:
            trials.append(trial)
    bench.declare(trials)
    first = bench.look()
    clean = {one.name for one in first.applications[0].resources if one.status == "Synced"}
    made: list[Drift] = []
    for trial in trials:
        if trial.desired["metadata"]["name"] not in clean:
            continue
        rng = random.Random(trial.seed + 7)  # noqa: S311 - reproducible, not secret
        trial.before = bench.lab.live(trial.desired)
        if rng.random() < DELETED:
            bench.lab.cluster.call(
                "DELETE", f"{bench.lab.path(trial.desired)}/{trial.desired['metadata']['name']}"
            )
            made.append(Drift(trial, deleted=bench.live(trial) is None))
            continue
        change(bench.lab, trial, rng)
        made.append(Drift(trial))
    return made


def healed(bench: Bench, drifts: int, seed: int) -> Healed:
    """Let objects drift, heal once, look, and heal again."""
    with without_engines():
        made = ways_to_drift(bench, drifts, seed)
    before = {one.name: one for one in _resources(bench.look())}
    score = Healed([one for one in made if before[one.name].is_drift])
    since = bench.lab.cluster.audit_mark()
    done = {one.name: one for one in bench.heal().objects}
    after = {one.name: one for one in _resources(bench.look())}
    last = bench.last_writers(since)
    for one in score.drifts:
        _judge(bench, one, done.get(one.name), after[one.name])
        busy = last.get(one.name) == AGGREGATION
        one.fought = busy and one.outcome in ("applied", "conflict")
    since = bench.lab.cluster.audit_mark()
    score.again = Counter(str(one.outcome or one.action) for one in bench.heal().objects)
    score.writes = bench.writes(since)
    return score


def _resources(report: DriftReport) -> tuple[ResourceReport, ...]:
    return report.applications[0].resources


def _judge(bench: Bench, one: Drift, done: HealedObject | None, after: ResourceReport) -> None:
    if done is not None:
        one.outcome = str(done.outcome or "left alone")
        one.message = str(done.message or done.reason or "")
    if after.is_drift:
        one.left = tuple(c.path for c in after.changes if c.is_drift) or (str(after.status),)
    live = bench.live(one.trial)
    if live is not None and not one.deleted:
        found = leaves(view(one.trial.before), view(live))
        one.lost = tuple(leaf.pointer for leaf in found)


def main() -> int:
    """Print one table; 1 if the figures are not good enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drifts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bare", action="store_true", help="without controllers")
    chosen = parser.parse_args()
    with (
        ControlPlane("healing", full=not chosen.bare, audit="Metadata") as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        bench = Bench(cluster, cluster.create_namespace("healed"), Path(folder))
        score = healed(bench, chosen.drifts, chosen.seed)
    print(score)  # noqa: T201 - this is its purpose
    for text in score.wrong:
        print(f"wrong: {text}")  # noqa: T201 - as above
    return 1 if score.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
