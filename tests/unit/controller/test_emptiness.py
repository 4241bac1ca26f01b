"""Clusters that hold next to nothing of what Git declares."""

from __future__ import annotations

import pytest

from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.kubeconfig import KubeContext
from driftd.controller.check import check
from driftd.controller.emptiness import LOOKS_EMPTY, Presence, place_of, remedy
from driftd.controller.options import CheckOptions
from driftd.errors import Forbidden
from driftd.model.report import DriftReport, exit_code, has_drift
from tests.unit.controller.conftest import CONTEXTS, World
from tests.unit.reports import START, VirtualClock

pytestmark = pytest.mark.slow

QUESTION = (
    "3 of 3 objects that Git declares are missing from cluster one (context one, server "
    "https://one.example.com); is it the right cluster? If not, name the right one with "
    "--cluster one=CONTEXT (available contexts: two)"
)


async def checked(world: World, **options) -> DriftReport:
    """The report on what is committed now."""
    world.repo.commit()
    world.workspace.repositories.forget()
    return await check(
        world.workspace, CheckOptions(**options), progress=world.progress, clock=VirtualClock(START)
    )


def told(report: DriftReport) -> list[tuple[str, str]]:
    """The warnings about empty clusters."""
    return [
        (one.message, str(one.severity)) for one in report.conditions if one.type == LOOKS_EMPTY
    ]


async def test_one_question_for_a_cluster_without_anything(world: World) -> None:
    """Three applications with all objects missing make one warning, and still exit code 1."""
    world.declare("third")
    for name in ("shop", "kept"):
        world.clusters.one.delete("ConfigMap", "shop", name)
    report = await checked(world)
    assert told(report) == [(QUESTION, "warning")]
    resources = tuple(one for app in report.applications for one in app.resources)
    assert exit_code(complete=report.complete, drift=has_drift(resources)) == 1


async def test_a_cluster_with_what_git_dropped_is_the_right_one(world: World) -> None:
    """Everything has another name now, and what had the old ones carries the mark: no question."""
    world.declare("third")
    for name in ("shop", "kept"):
        world.clusters.one.delete("ConfigMap", "shop", name)
    mark = {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:shop/former"}
    metadata = {"name": "former", "namespace": "shop", "annotations": mark}
    world.clusters.one.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    report = await checked(world)
    assert told(report) == []
    statuses = {str(one.status) for app in report.applications for one in app.resources}
    assert statuses == {"Missing", "Extra"}


async def test_another_cluster_is_no_part_of_it(world: World) -> None:
    """What is on cluster two neither hides that one is empty nor is told to be empty itself."""
    world.declare("third")
    for number in range(30):
        world.declare(f"other{number}", cluster="two")
        world.paint(f"other{number}", "blue", cluster="two")
    for name in ("shop", "kept"):
        world.clusters.one.delete("ConfigMap", "shop", name)
    assert told(await checked(world)) == [(QUESTION, "warning")]


async def test_few_missing_objects_are_no_sign(world: World) -> None:
    """Two missing objects of two, and three of four, raise no question."""
    for name in ("shop", "kept"):
        world.clusters.one.delete("ConfigMap", "shop", name)
    assert told(await checked(world)) == []
    world.declare("third")
    world.declare("fourth")
    world.paint("fourth", "red")
    assert told(await checked(world)) == []


async def test_what_cannot_be_seen_is_not_missing(world: World) -> None:
    """A cluster whose ConfigMaps may not be listed is not told to be empty."""
    world.declare("third")
    world.clusters.one.refused["ConfigMap", ""] = Forbidden("may not")
    assert told(await checked(world)) == []


@pytest.mark.parametrize(
    ("numbers", "empty"),
    [((3, 3, 3), True), ((2, 2, 2), False), ((9, 10, 10), True), ((8, 9, 9), False),
     ((5, 5, 10), True), ((5, 5, 11), False)],
)  # fmt: skip
def test_share(numbers: tuple[int, int, int], empty: bool) -> None:
    """At least three, nine of ten that could be looked for, and half of all."""
    assert Presence(*numbers).looks_empty is empty


def test_words() -> None:
    """What could not be looked for is counted apart."""
    told = "5 of 7 objects that Git declares (2 could not be looked for) are missing"
    assert Presence(5, 5, 7).words == told


def test_places() -> None:
    """The kubeconfig's cluster, the hub's cluster and the own one are named as what they are."""
    contexts = [KubeContext(name="prod", cluster="eks-1", server="https://a.example.com")]
    target = ClusterTarget(TargetKind.CONTEXT, "prod", "https://a.example.com")
    assert (
        place_of(target, contexts) == "cluster eks-1 (context prod, server https://a.example.com)"
    )
    hub = ClusterTarget(TargetKind.HUB_CLUSTER, "shop", "https://b.example.com")
    assert "cluster shop (a cluster Secret of the hub, server" in place_of(hub, contexts)
    own = ClusterTarget(TargetKind.IN_CLUSTER, "in-cluster")
    assert place_of(own, contexts) == "the cluster that driftd runs in"


@pytest.mark.parametrize(
    ("cluster_map", "flag"),
    [
        ({}, "--context CONTEXT ("),
        ({"in-cluster": "one"}, "--cluster https://kubernetes.default.svc=CONTEXT ("),
    ],
)
async def test_flag_of_the_own_cluster(
    world: World, cluster_map: dict[str, str], flag: str
) -> None:
    """Argo CD's own cluster is named by --context, unless --cluster has said which one it is."""
    destination = {"server": "https://kubernetes.default.svc", "namespace": "shop"}
    for name in ("a", "b", "c"):
        world.declare(name, destination=destination)
    options = {"cluster_map": cluster_map} if cluster_map else {"context": "two"}
    (text, _), *rest = told(await checked(world, applications=("a", "b", "c"), **options))
    assert flag in text
    assert rest == []


def test_the_only_context() -> None:
    """Where no other context is, another kubeconfig is the remedy."""
    target = ClusterTarget(TargetKind.CONTEXT, "one")
    assert "this one has no other context" in remedy(target, [], CONTEXTS[:1], {})
