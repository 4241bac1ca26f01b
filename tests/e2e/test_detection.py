"""Detection on three real clusters: clean after every way of deploying, exact after drift.

Each cluster is deployed to in another way. `DETECTION_WAYS=all` takes each way on all three as
well. The seeds are printed. More of them, on the mixed clusters:
`DRIFTD_TEST_SEEDS=7,8 pytest -s tests/e2e/test_detection.py`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from driftd.app import render
from driftd.controller.options import CheckOptions
from tests.e2e.deploying import ENVIRONMENTS, WAYS, Site, Way, deploy, everywhere
from tests.e2e.edits import Objects, Target
from tests.e2e.looking import SERVERS, Look, look, score
from tests.e2e.mutations import CATALOGUE, Expected, random_drift
from tests.testbed.cluster import ControlPlane, control_planes
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig
from tests.testbed.processes import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.full]

EXAMPLE = Path(__file__).parents[1] / "fixtures" / "kubernetes-gitops"
MIXED = "mixed"
PLANS = {MIXED: WAYS}
"""The way of each environment, by the name of the whole."""
if os.environ.get("DETECTION_WAYS") == "all":
    PLANS |= {way.name: (way,) * len(ENVIRONMENTS) for way in WAYS}
SEEDS = {MIXED: (20264,), "server-side": (20261,), "client-side": (20262,), "helm": (20263,)}
AGAIN = {
    "server-side": Way("client-side over it", server_side=False, charts="kubectl"),
    "client-side": Way(
        "server-side over it",
        server_side=True,
        charts="helm",
        helm_flags=("--server-side=true", "--force-conflicts"),
    ),
}
"""The second deployment, where it is another one than the first: fields get two owners."""
MORE_SEEDS = tuple(int(seed) for seed in os.environ.get("DRIFTD_TEST_SEEDS", "").split(",") if seed)
CHANGES = 40
KEPT = ("Namespace", "CustomResourceDefinition", "PersistentVolumeClaim")
"""Kinds that hold others' content: undone in place."""
DETECTOR = "system:serviceaccount:driftd:driftd-detect"


def say(text: str) -> None:
    """A line that is seen with `-s` and beside a failure."""
    sys.stdout.write(f"\n{text}")


@dataclass(slots=True)
class Fleet:
    """Three clusters with the example repository deployed in one way, or each in its own."""

    name: str
    sites: list[Site]
    clusters: dict[str, ControlPlane]
    repository: Path
    kubeconfig: Path
    home: Path
    desired: dict[tuple[str, ...], Any]
    targets: list[Target]
    drift: list[Expected] = field(default_factory=list)

    def look(self) -> Look:
        """What `driftd check` says, with the detector's credentials."""
        seen = look(self.repository, self.kubeconfig, self.home)
        say(f"{self.name}: driftd check {seen.seconds:.1f} s, exit {seen.exit_code}")
        return seen

    def objects(self) -> dict[str, Objects]:
        """The objects of each cluster."""
        return {name: Objects(cluster) for name, cluster in self.clusters.items()}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example repository as a Git checkout."""
    path = tmp_path_factory.mktemp("e2e") / "kubernetes-gitops"
    shutil.copytree(EXAMPLE, path)
    GitRepo(path).commit()
    return path


@pytest.fixture(scope="module", params=PLANS)
def fleet(
    request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Fresh clusters, deployed and settled."""
    name: str = request.param
    home = tmp_path_factory.mktemp("home")
    started = time.monotonic()
    with control_planes(*ENVIRONMENTS, audit="Metadata") as clusters:
        up = time.monotonic()
        kubeconfig = write_kubeconfig(
            home / "kubeconfig", [cluster.access("detector") for cluster in clusters.values()]
        )
        desired, targets, jsonnet = rendered(repository, kubeconfig)
        sites = [
            Site(environment, clusters[environment], repository, way, jsonnet)
            for environment, way in zip(ENVIRONMENTS, PLANS[name], strict=True)
        ]
        deploy(sites)
        say(f"{name}: start {up - started:.1f} s, deploy {time.monotonic() - up:.1f} s")
        yield Fleet(name, sites, clusters, repository, kubeconfig, home, desired, targets)


def rendered(
    repository: Path, kubeconfig: Path
) -> tuple[dict[tuple[str, ...], Any], list[Target], dict[str, str]]:
    """What Git declares: documents and targets by key, and the Jsonnet applications' manifests."""
    options = CheckOptions(repo=repository, kubeconfig=kubeconfig, cluster_map=SERVERS)
    documents: dict[tuple[str, ...], Any] = {}
    targets: list[Target] = []
    jsonnet: dict[str, str] = {}
    for shown in asyncio.run(render(options, progress=lambda _: None)):
        one = shown.desired
        application = one.entry.application
        for manifest in one.manifests:
            key = manifest.key
            target = Target(
                one.entry.cluster,
                key.group,
                key.kind,
                key.namespace,
                key.name,
                manifest.version,
                application.name,
            )
            documents[target.key] = orjson.loads(manifest.body)
            if key.kind != "Secret":
                targets.append(target)
        directory = application.spec.all_sources[0].directory
        if directory and (directory.jsonnet.tlas or directory.jsonnet.ext_vars):
            items = [orjson.loads(manifest.body) for manifest in one.manifests]
            for item in items:
                item["metadata"]["namespace"] = application.spec.destination.namespace
            text = orjson.dumps({"apiVersion": "v1", "kind": "List", "items": items}).decode()
            jsonnet[application.name] = text
    return documents, targets, jsonnet


def assert_clean(seen: Look) -> None:
    """Nothing differs, everything was judged but the Secrets."""
    assert seen.findings() == [], seen.stderr
    assert seen.exit_code == 0, seen.stderr
    assert seen.report["complete"] is True
    assert {a["status"] for a in seen.report["applications"]} == {"Synced"}
    assert seen.report["summary"]["changes"] == {}
    unread = {key[2] for key, one in seen.resources() if one["status"] == "NotChecked"}
    assert unread == {"Secret"}


def undo(fleet: Fleet) -> None:
    """Put everything back: changed objects go and come back with the next deployment."""
    objects = fleet.objects()
    gone = []
    for one in fleet.drift:
        here = objects[one.target.cluster]
        if one.target.kind in KEPT or "/metadata/finalizers/0" in one.paths:
            here.restore(one.target, one.before, one.manager or "undo")
        else:
            here.cluster.request("DELETE", here.path(one.target))
            gone.append(one.target)
    wait_until(
        lambda: not any(objects[target.cluster].exists(target) for target in gone),
        what="changed objects are gone",
        timeout=60,
    )
    deploy(fleet.sites)


def test_deployed_is_clean(fleet: Fleet) -> None:
    """After each way of deploying nothing is reported, of any class, and the exit code is 0."""
    seen = fleet.look()
    assert_clean(seen)
    assert len(list(seen.resources())) == len(fleet.desired)


def test_deployed_again_is_clean(fleet: Fleet) -> None:
    """Deploying the same revision over it, in the other way if there is one, reports nothing."""
    deploy([replace(site, way=AGAIN.get(site.way.name, site.way)) for site in fleet.sites])
    assert_clean(fleet.look())


def test_random_drift_is_found_exactly(fleet: Fleet) -> None:
    """Each of 40 random changes is found at its place with its author, and nothing else is."""
    seeds = SEEDS[fleet.name] + (MORE_SEEDS if fleet.name == MIXED else ())
    problems: list[str] = []
    for number, seed in enumerate(seeds):
        if number:
            undo(fleet)
            assert_clean(fleet.look())
        started = time.monotonic()
        fleet.drift = random_drift(seed, CHANGES, fleet.targets, fleet.objects(), fleet.desired)
        everywhere(fleet.sites, Site.notice)
        say(f"{fleet.name}: seed {seed}, changed in {time.monotonic() - started:.1f} s")
        seen = fleet.look()
        result = score(fleet.drift, seen)
        say(f"{fleet.name}: seed {seed}: {result}")
        problems += [f"seed {seed}: {problem}" for problem in result.problems]
        assert seen.exit_code == 1, seen.stderr
    assert problems == []


def test_a_stopped_cluster_is_unknown_and_hides_nothing_else(fleet: Fleet) -> None:
    """Its applications are Unknown, all others keep their verdicts, the exit code is 2."""
    before = fleet.look()
    fleet.clusters["staging"].stop_api_server()
    after = fleet.look()
    assert after.exit_code == 2
    assert after.report["complete"] is False
    others = ("production", "development")
    assert after.verdicts(*others) == before.verdicts(*others)
    assert len(after.verdicts(*others)) == 12
    stopped = [a for a in after.report["applications"] if a["cluster"] == "staging"]
    assert len(stopped) == 6
    for application in stopped:
        assert application["status"] == "Unknown"
        assert application["conditions"], application["name"]
        assert {one["status"] for one in application["resources"]} == {"Unknown"}


def test_the_detector_wrote_nothing(fleet: Fleet) -> None:
    """The audit logs hold no write of driftd's user, dry runs and reviews included."""
    for cluster in fleet.clusters.values():
        verbs: dict[str, set[str]] = {}
        for event in cluster.audit_events():
            verbs.setdefault(event["user"]["username"], set()).add(event["verb"])
        assert verbs[DETECTOR] <= {"get", "list", "watch"}
        assert verbs[DETECTOR] >= {"get", "list"}
        assert {"create", "patch"} <= verbs["admin"]


def test_the_catalogue_is_broad() -> None:
    """The changes come from at least 120 makers over at least 25 kinds."""
    assert len(CATALOGUE) >= 120
    assert len({kind for kinds, _ in CATALOGUE.values() for kind in kinds}) >= 25
