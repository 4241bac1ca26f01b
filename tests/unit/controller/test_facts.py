"""What explains controllers' writes: each controller's cases, and what is read for them.

A case of `tests/cases/trusted` has the objects of the cluster that give the evidence, and a live
object as `managedFields` were recorded; it goes through the reading of facts and the comparison.
"""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import UNSET

from driftd.cluster.reader import ApiResource, Discovery
from driftd.controller.facts import (
    UNSEEN,
    explained,
    explaining_kinds,
    read_facts,
    unexplained,
)
from driftd.diff.compare import Context, compare
from driftd.diff.facts import Facts
from driftd.diff.schema import SchemaSet
from driftd.diff.trusted import controllers
from driftd.errors import ClusterError, Forbidden
from driftd.model.report import Change, ChangeClass, ChangeKind, ResourceReport, ResourceStatus
from driftd.model.resource import GVK, ResourceKey
from tests.cases.openapi import subset
from tests.testbed.jsonpatch import patched
from tests.unit.controller.cluster import AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, READ, MemoryCluster
from tests.unit.diff.catalogue import Case

pytestmark = pytest.mark.slow

CASES = Path(__file__).parents[2] / "cases" / "trusted"
KINDS = (
    AUTOSCALERS,
    ApiResource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", True, READ),
    ApiResource("autoscaling.k8s.io", "v1", "VerticalPodAutoscaler", "vpas", True, READ),
    ApiResource("argoproj.io", "v1alpha1", "Rollout", "rollouts", True, READ),
    ApiResource("flagger.app", "v1beta1", "Canary", "canaries", True, READ),
)
TOLD_AS = {"Kubernetes": ("Deployment controller", "Volume binding", "ClusterRole aggregation",
                          "Service account tokens")}  # fmt: skip
REAL = ("Endpoints and EndpointSlices", "API server")
"""Controllers whose writes only a real control plane shows (`tests/e2e`)."""


@cache
def _files() -> list[Any]:
    paths = sorted(path for path in CASES.glob("*.yaml") if path.name != "schemas.yaml")
    return [yaml.load(path.read_text("utf-8"), yaml.CSafeLoader) for path in paths]


@cache
def _schemas() -> SchemaSet:
    """The stored schemas and those of the kinds of `schemas.yaml`."""
    strings = {"type": "object", "additionalProperties": {"type": "string"}}
    finalizers = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    metadata = {
        "type": "object",
        "properties": {"labels": strings, "annotations": strings, "finalizers": finalizers},
    }
    components = {}
    for one in yaml.safe_load((CASES / "schemas.yaml").read_text("utf-8")):
        spec = {"type": "object", "properties": one.pop("spec")}
        components[f"{one['group']}.{one['version']}.{one['kind']}"] = {
            "type": "object",
            "properties": {"metadata": metadata, "spec": spec},
            "x-kubernetes-group-version-kind": [one],
        }
    return subset.schemas().extended([{"components": {"schemas": components}}])


def _read(
    cluster: MemoryCluster, wanted: ResourceKey, version: str, declared: list[ResourceKey]
) -> tuple[Facts, dict[str, ClusterError]]:
    resource = ApiResource(wanted.group, version, wanted.kind, "wanted", True, READ)

    async def read() -> tuple[Facts, dict[str, ClusterError]]:
        found = {resource: {(wanted.namespace, wanted.name)}}
        discovery = await cluster.discover()
        return await read_facts(cluster, discovery, found, declared, limit=2)

    return asyncio.run(read())


class TrustCase(Case):
    """A case: the row of a file, with the facts of its cluster."""

    def __init__(self, file: Any, row: Any) -> None:
        body = patched(file["objects"][row["object"]], row.get("before", []))
        gvk = GVK.parse(body["apiVersion"], body["kind"])
        metadata = body["metadata"]
        self.key = ResourceKey(gvk.group, gvk.kind, metadata.get("namespace", ""), metadata["name"])
        node = _schemas().node(gvk)
        assert node is not None
        self.node = node
        self.desired = body
        cluster = MemoryCluster()
        cluster.resources = list(KINDS)
        for one in file["cluster"]:
            cluster.put(one)
        declared = [ResourceKey(*names) for names in row.get("declared", [])]
        facts, problems = _read(cluster, self.key, gvk.version, declared)
        assert not problems
        self.context = Context(facts=facts)
        self.live = self._live(body, row)
        for entry in self.live["metadata"]["managedFields"]:
            entry["manager"] = entry["manager"].replace("~", "/")  # rows part names at slashes


ROWS = [
    pytest.param(file, row, id=f"{file['controller']}: {row['what']}")
    for file in _files()
    for row in file["cases"]
]


@pytest.mark.parametrize(("file", "row"), ROWS)
def test_case(file: Any, row: Any) -> None:
    """Exactly the expected changes: the controller's write is told as what it is, others too."""
    case = TrustCase(file, row)
    found = compare(case.key, case.desired, case.live, case.node, case.context).changes
    told = [[str(one.kind), str(one.change_class), one.path] for one in found]
    assert told == [expected[:3] for expected in row["expect"]]
    for change, expected in zip(found, row["expect"], strict=True):
        assert expected[3:] in ([], [change.manager])
    if "reason" in row:
        assert row["reason"] in found[0].reason


def test_every_controller_has_cases() -> None:
    """The clean write, an untrusted writer, a write outside its relation, an edit beside it."""
    assert len(ROWS) >= 60
    told = {name for file in _files() for name in TOLD_AS.get(file["controller"], ())}
    told |= {file["controller"] for file in _files()} | set(REAL)
    assert {one.controller for one in controllers()} <= told
    for file in _files():
        classes = [[change[1] for change in row["expect"]] for row in file["cases"]]
        assert sum(set(found) <= {"review"} for found in classes) >= 1
        assert sum(bool({"declared", "undeclared"} & set(found)) for found in classes) >= 2


WEB = ResourceKey("apps", "Deployment", "shop", "web")


def test_only_served_kinds_that_matter_are_listed() -> None:
    """A ConfigMap needs no facts; a Deployment brings the served kinds that act on one."""
    cluster = MemoryCluster()
    _read(cluster, ResourceKey("", "ConfigMap", "shop", "settings"), "v1", [])
    assert cluster.asked["list"] == 0
    _read(cluster, WEB, "v1", [])
    assert cluster.asked["list"] == 1
    cluster.resources = [CONFIG_MAPS, DEPLOYMENTS, *KINDS]
    _read(cluster, WEB, "v1", [])
    assert cluster.asked["list"] == 1 + 4
    assert asyncio.run(read_facts(cluster, None, {}, [], limit=1)) == (Facts(), {})
    assert asyncio.run(read_facts(cluster, Discovery.of([], {}), {}, [], limit=1))[1] == {}


def test_a_refused_kind_explains_nothing_and_is_told() -> None:
    """403 is no excuse: the change stays drift, and a condition says what could not be read."""
    cluster = MemoryCluster()
    cluster.resources = list(KINDS)
    cluster.refused["ScaledObject", ""] = Forbidden("scaledobjects is forbidden")
    facts, problems = _read(cluster, WEB, "v1", [])
    assert facts == Facts()
    assert list(problems) == ["ScaledObject"]

    def drifted(manager: Any, change_class: ChangeClass) -> ResourceReport:
        change = Change(kind=ChangeKind.ADDED, change_class=change_class, path="/spec/replicas",
                        ssa_path="", manager=manager)  # fmt: skip
        return ResourceReport(group="apps", version="v1", kind="Deployment", namespace="shop",
                              name="web", status=ResourceStatus.OUT_OF_SYNC,
                              changes=(change,))  # fmt: skip

    (told,) = unexplained(problems, [drifted("keda", ChangeClass.UNDECLARED)])
    assert told.type == UNSEEN
    assert "scaledobjects is forbidden" in told.message
    assert unexplained(problems, [drifted("keda", ChangeClass.REVIEW)]) == []
    assert unexplained(problems, [drifted("mallory", ChangeClass.UNDECLARED)]) == []
    assert unexplained({}, [drifted("keda", ChangeClass.UNDECLARED)]) == []
    assert unexplained(problems, [drifted(UNSET, ChangeClass.UNDECLARED)]) == [told]


def test_an_object_without_its_shape_explains_nothing() -> None:
    """A ScaledObject whose target is a word does not stop the look."""
    cluster = MemoryCluster()
    cluster.resources = list(KINDS)
    broken = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"}
    for number, spec in enumerate(({"scaleTargetRef": "web"}, {}, {"scaleTargetRef": {}})):
        cluster.put({**broken, "metadata": {"name": f"n{number}", "namespace": "shop"},
                     "spec": spec})  # fmt: skip
    facts, problems = _read(cluster, WEB, "v1", [])
    assert (facts, problems) == (Facts(), {})


def autoscaler(name: str, target: str, **spec: Any) -> dict[str, Any]:
    """A HorizontalPodAutoscaler of a Deployment."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 5, **spec},
    }


WEB = ResourceKey("apps", "Deployment", "shop", "web")


async def test_the_objects_that_explain_a_look_are_told() -> None:
    """Those that act on what is wanted, with their content; autoscalers of others are none."""
    cluster = MemoryCluster()
    ours = cluster.put(autoscaler("scaler", "web"))
    cluster.put(autoscaler("other", "api"))
    cluster.put(autoscaler("broken", "web", scaleTargetRef="web"))
    explaining: dict[Any, Any] = {}
    wanted = {DEPLOYMENTS: {("shop", "web")}}
    discovery = await cluster.discover()
    facts, problems = await read_facts(
        cluster, discovery, wanted, [WEB], limit=1, explaining=explaining
    )
    assert explaining == {(AUTOSCALERS.gvk, "shop", "scaler"): ours}
    assert (set(facts.autoscaled) >= {WEB}, problems) == (True, {})


def test_what_an_object_explains_is_known_from_it_alone() -> None:
    """One that appears, or changes its target, tells whom it concerns, before and after."""
    body = json.dumps(autoscaler("scaler", "web")).encode()
    assert explained(AUTOSCALERS.gvk, body) == {WEB}
    assert explained(DEPLOYMENTS.gvk, body) == frozenset()
    assert explained(AUTOSCALERS.gvk, b"{}") == frozenset()
    assert explained(AUTOSCALERS.gvk, b"no JSON") == frozenset()


async def test_kinds_that_may_explain_are_the_served_ones() -> None:
    """Of what is declared: nothing explains a ConfigMap, nothing that is not served anything."""
    discovery = await MemoryCluster().discover()
    assert explaining_kinds(discovery, {("apps", "Deployment")}) == [AUTOSCALERS]
    assert explaining_kinds(discovery, {("", "ConfigMap")}) == []
    assert explaining_kinds(None, {("apps", "Deployment")}) == []
