"""The oracles beside driftd's own comparison, on changes by hand to Deployments and Services.

What a dry-run apply finds is what a dry run of server-side apply can find at all: declared values.
A replacement and a create find everything, and so does driftd without asking anybody.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import pytest

from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.oracle import DryRun, KubeOracle
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport
from driftd.diff.expected import Sides, with_expected
from driftd.model.resource import GVK, ResourceKey
from tests.property.lab import Lab
from tests.property.truth import leaves, view
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

Json = Any
POD = "/spec/template/spec"
FIRST = f"{POD}/containers/0"


class Hand(NamedTuple):
    """One change by hand: what it is, whether Git declares the place, and the JSON patch."""

    what: str
    declared: bool
    operations: list[Json]
    kind: str = "Deployment"
    expected: Json = None
    """The value that the server would give, of an overridden default."""


def put(path: str, value: Json, operation: str = "add") -> list[Json]:
    """A JSON patch of one operation."""
    return [{"op": operation, "path": path, "value": value}]


ENV = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
HANDS = (
    Hand("image", True, put(f"{FIRST}/image", "registry.example/a:2", "replace")),
    Hand("replicas", True, put("/spec/replicas", 5, "replace")),
    Hand("env value", True, put(f"{FIRST}/env/0/value", "9", "replace")),
    Hand("env removed", True, [{"op": "remove", "path": f"{FIRST}/env/0"}]),
    Hand("env reordered", True, put(f"{FIRST}/env", ENV[::-1], "replace")),
    Hand("toleration added (atomic)", True, put(f"{POD}/tolerations/-", {"operator": "Exists"})),
    Hand("args changed (atomic)", True, put(f"{FIRST}/args/-", "--debug")),
    Hand("label changed", True, put("/metadata/labels/app", "other", "replace")),
    Hand("selector key added", True, put("/spec/selector/x", "y"), "Service"),
    Hand("env added", False, put(f"{FIRST}/env/-", {"name": "C", "value": "3"})),
    Hand("container added", False,
         put(f"{POD}/containers/-", {"name": "miner", "image": "miner:1"})),
    Hand("volume added", False, put(f"{POD}/volumes", [{"name": "v", "hostPath": {"path": "/"}}])),
    Hand("container port added", False, put(f"{FIRST}/ports", [{"containerPort": 80}])),
    Hand("label added", False, put("/metadata/labels/x", "y")),
    Hand("annotation added", False, put("/metadata/annotations", {"x": "y"})),
    Hand("Pod annotation added", False, put("/spec/template/metadata/annotations", {"x": "y"})),
    Hand("finalizer added", False, put("/metadata/finalizers", ["example.com/x"])),
    Hand("grace period", False,
         put(f"{POD}/terminationGracePeriodSeconds", 5, "replace"), expected=30),
    Hand("pull policy", False,
         put(f"{FIRST}/imagePullPolicy", "Always", "replace"), expected="IfNotPresent"),
    Hand("strategy", False, put("/spec/strategy", {"type": "Recreate"}, "replace")),
    Hand("run as root", False, put(f"{POD}/securityContext", {"runAsUser": 0}, "replace")),
    Hand("host network", False, put(f"{POD}/hostNetwork", True)),
    Hand("paused", False, put("/spec/paused", True)),
    Hand("type NodePort", False, put("/spec/type", "NodePort", "replace"), "Service", "ClusterIP"),
    Hand("session affinity", False, put("/spec/sessionAffinity", "ClientIP", "replace"), "Service",
         "None"),
    Hand("external address", False, put("/spec/externalIPs", ["10.9.9.9"]), "Service"),
    Hand("port added", False, put("/spec/ports/-", {"port": 81, "name": "b"}), "Service"),
)  # fmt: skip
"""The catalogue of measurements in which a dry run of server-side apply is blind."""
RESOURCES = {
    "Deployment": ApiResource("apps", "v1", "Deployment", "deployments", True),
    "Service": ApiResource("", "v1", "Service", "services", True),
}


def declared(kind: str, name: str) -> Json:
    """What Git says."""
    metadata = {"name": name, "labels": {"app": "a"}}
    if kind == "Service":
        spec: Json = {"selector": {"app": "a"}, "ports": [{"port": 80, "name": "a"}]}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    container = {"name": "a", "image": "registry.example/a:1", "args": ["--x"], "env": ENV}
    pod = {"containers": [container], "tolerations": [{"key": "a", "operator": "Exists"}]}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all changes of this file."""
    return Lab(api_server, api_server.create_namespace("oracles"))


def answers(lab: Lab, desired: Json, live: Json) -> dict[DryRun, Json]:
    """What each oracle says of Git's object."""
    resource = RESOURCES[desired["kind"]]
    name = desired["metadata"]["name"]

    async def ask() -> dict[DryRun, Json]:
        transport = Transport(load_kubeconfig(str(lab.cluster.kubeconfig())).access())
        oracle = KubeOracle(transport)
        version = {"resourceVersion": live["metadata"]["resourceVersion"]}
        bodies = {
            DryRun.POST: {**desired, "metadata": {**desired["metadata"], "name": f"{name}-new"}},
            DryRun.PUT: {**desired, "metadata": {**desired["metadata"], **version}},
            DryRun.APPLY: desired,
        }
        found = {}
        for how, body in bodies.items():
            answer = await oracle.ask(
                how, resource, lab.namespace, body["metadata"]["name"], json.dumps(body).encode(),
                manager="argocd-controller",
            )  # fmt: skip
            found[how] = json.loads(answer)
        await transport.close()
        return found

    return asyncio.run(ask())


def differs(made: Json, live: Json) -> bool:
    """Whether an answer is another object than live, but for addresses that are chosen anew."""
    chosen = ("/spec/clusterIP", "/spec/clusterIPs")
    return any(not leaf.pointer.startswith(chosen) for leaf in leaves(view(made), view(live)))


@pytest.fixture(scope="module")
def seen(lab: Lab) -> list[tuple[Hand, dict[str, bool], list[Json]]]:
    """Each change, who finds it, and the expected values that a create's answer fills in."""
    found = []
    for number, hand in enumerate(HANDS):
        desired = declared(hand.kind, f"hand{number}")
        lab.apply(desired, "argocd-controller")
        lab.patch(desired, hand.operations, "alice")
        live = lab.live(desired)
        changes = lab.look(desired).changes
        made = answers(lab, desired, live)
        finders = {str(how): differs(answer, live) for how, answer in made.items()}
        gvk = GVK.parse(desired["apiVersion"], hand.kind)
        key = ResourceKey(gvk.group, gvk.kind, lab.namespace, f"hand{number}")
        node = lab.node(gvk)
        assert node is not None
        sides = Sides(key, desired, live, made[DryRun.POST])
        told = with_expected(changes, sides, node, said="a create", whole=True)
        values = [change.expected for change in told]
        found.append((hand, {**finders, "driftd": bool(changes)}, values))
    return found


def test_an_apply_finds_what_git_declares_alone(seen: Any) -> None:
    """9 of 27: every addition and every overridden default escapes a dry run of an apply."""
    table = {hand.what: finders["apply"] for hand, finders, _ in seen}
    assert table == {hand.what: hand.declared for hand in HANDS}
    assert sum(table.values()) == 9


@pytest.mark.parametrize("who", ["put", "post", "driftd"])
def test_the_others_find_everything(seen: Any, who: str) -> None:
    """A replacement, a create, and driftd's own comparison, which asks nobody, find all 27."""
    assert [hand.what for hand, finders, _ in seen if not finders[who]] == []


def test_an_overridden_default_is_told_with_its_value(seen: Any) -> None:
    """The value that the server would give is filled in from a create's answer."""
    told = {hand.what: values for hand, _, values in seen if hand.expected is not None}
    assert len(told) == 4
    for hand in HANDS:
        if hand.expected is not None:
            assert hand.expected in told[hand.what], hand.what


def test_nothing_of_it_is_stored(lab: Lab, seen: Any) -> None:
    """Each object is there once, under Git's name; no dry run has left another one."""
    for kind in RESOURCES:
        objects = lab.cluster.call("GET", lab.path(declared(kind, "any")))["items"]
        names = {item["metadata"]["name"] for item in objects}
        assert names == {f"hand{n}" for n, (hand, _, _) in enumerate(seen) if hand.kind == kind}
