"""Changes whose author hides: ownership wiped, forged or inherited. Each is found all the same."""

from __future__ import annotations

import itertools
import json
from copy import deepcopy
from typing import Any

import pytest

from driftd.diff.compare import Context
from driftd.model.report import Change, ChangeClass, ChangeKind
from driftd.policy.severity import severity
from tests.property.lab import Lab, named, objects
from tests.testbed.cluster import ControlPlane
from tests.testbed.jsonpatch import patched

pytestmark = pytest.mark.cluster

POD = "/spec/template/spec"
MINER = {"name": "miner", "image": "registry.example/miner:1"}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    return Lab(api_server, api_server.create_namespace("evasions"))


def deployed(lab: Lab, kind: str) -> Any:
    """A base object applied by Argo CD, clean."""
    base = next(body for body in objects() if body["kind"] == kind)
    desired = named(base, f"e{next(_numbers)}")
    desired["metadata"].pop("finalizers", None)  # some of these tests delete
    lab.apply(desired, "argocd-controller")
    assert lab.look(desired).changes == ()
    return desired


def wipe(lab: Lab, desired: Any, manager: str) -> None:
    """Remove one manager's managedFields entries, as anybody may."""
    entries = lab.live(desired)["metadata"]["managedFields"]
    kept = [entry for entry in entries if entry["manager"] != manager]
    assert len(kept) < len(entries)
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": kept}
    lab.patch(desired, [operation], "bob")
    assert manager not in json.dumps(lab.live(desired)["metadata"]["managedFields"])


def alarming(lab: Lab, desired: Any, **context: Any) -> dict[str, Change]:
    """The declared and undeclared changes by path."""
    return {c.path: c for c in lab.look(desired, Context(**context)).changes if c.is_drift}


CRITICAL = {
    "host network": ("Deployment", f"{POD}/hostNetwork", True),
    "host pid": ("Deployment", f"{POD}/hostPID", True),
    "miner": ("Deployment", f"{POD}/containers/-", MINER),
    "init container": ("StatefulSet", f"{POD}/initContainers", [MINER]),
    "host path": ("StatefulSet", f"{POD}/volumes", [{"name": "h", "hostPath": {"path": "/"}}]),
    "host path beside others": (
        "Deployment",
        f"{POD}/volumes/-",
        {"name": "h", "hostPath": {"path": "/"}},
    ),
    "privileged": ("StatefulSet", f"{POD}/containers/0/securityContext", {"privileged": True}),
    "capabilities": (
        "ReplicaSet",
        f"{POD}/containers/0/securityContext",
        {"capabilities": {"add": ["SYS_ADMIN"]}},
    ),
    "command": ("ReplicaSet", f"{POD}/containers/0/command", ["sh", "-c", "curl | sh"]),
    "service account": ("ReplicaSet", f"{POD}/serviceAccountName", "admin"),
    "external address": ("Service", "/spec/externalIPs", ["192.0.2.9"]),
    "role by annotation": (
        "ConfigMap",
        "/metadata/annotations",
        {"iam.gke.io/gcp-service-account": "admin@project"},
    ),
    "role grows by aggregation": (
        "ClusterRole",
        "/aggregationRule",
        {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    ),
    "pod security": (
        "Namespace",
        "/metadata/labels/pod-security.kubernetes.io~1warn",
        "privileged",
    ),
}


@pytest.mark.parametrize("case", CRITICAL)
def test_critical_place_without_owner(lab: Lab, case: str) -> None:
    """Who removes his own managedFields entry afterwards is found at every critical place."""
    kind, pointer, value = CRITICAL[case]
    desired = deployed(lab, kind)
    lab.patch(desired, [{"op": "add", "path": pointer, "value": value}], "mallory")
    wipe(lab, desired, "mallory")
    found = alarming(lab, desired)
    place = pointer.removesuffix("/-")
    hits = [change for path, change in found.items() if path.startswith(place)]
    assert hits, found
    assert {c.kind for c in hits} == {ChangeKind.ADDED}
    assert {severity(kind, c)[0] for c in hits} == {"critical"}
    assert [path for path in found if not path.startswith((place, "/spec/template"))] == []


def test_all_owners_wiped(lab: Lab) -> None:
    """Without any managedFields an intruder is found, and nothing else."""
    desired = deployed(lab, "Deployment")
    operations = [
        {"op": "add", "path": f"{POD}/hostNetwork", "value": True},
        {"op": "add", "path": f"{POD}/containers/-", "value": MINER},
        {"op": "add", "path": f"{POD}/containers/0/env/-", "value": {"name": "X", "value": "1"}},
    ]
    lab.patch(desired, operations, "mallory")
    lab.patch(desired, [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}], "m")
    assert set(alarming(lab, desired)) == {
        f"{POD}/hostNetwork",
        f"{POD}/containers/2",
        f"{POD}/containers/0/env/3",
    }


def test_recreated_with_a_miner_before_the_next_apply(lab: Lab) -> None:
    """`kubectl replace --force` makes the intruder the creator; Argo CD's apply changes nothing."""
    desired = deployed(lab, "Deployment")
    evil = patched(
        desired,
        [
            {"op": "add", "path": f"{POD}/hostNetwork", "value": True},
            {"op": "add", "path": f"{POD}/containers/-", "value": MINER},
        ],
    )
    lab.cluster.kubectl(
        "replace", "--force", "-n", lab.namespace, "-f", "-", input=json.dumps(evil)
    )
    lab.apply(desired, "argocd-controller")
    found = alarming(lab, desired)
    assert {f"{POD}/hostNetwork", f"{POD}/containers/2"} <= set(found)


@pytest.mark.parametrize("operation", ["Update", "Apply"])
def test_forged_deployer(lab: Lab, operation: str) -> None:
    """Under the name `argocd-controller` it counts as formerly declared, which is drift too."""
    desired = deployed(lab, "Deployment")
    change = [{"op": "add", "path": f"{POD}/hostNetwork", "value": True}]
    if operation == "Update":
        lab.patch(desired, change, "argocd-controller")
    else:
        lab.apply(patched(desired, change), "argocd-controller")
    found = alarming(lab, desired)
    change_found = found[f"{POD}/hostNetwork"]
    assert change_found.kind is ChangeKind.FORMERLY_DECLARED
    assert change_found.operation == operation
    assert severity("Deployment", change_found)[0] == "critical"


def test_forged_deployer_at_a_declared_critical_field(lab: Lab) -> None:
    """Another image under the deployer's name is drift even if Argo CD has just synced."""
    desired = deployed(lab, "Deployment")
    image = f"{POD}/containers/0/image"
    lab.patch(
        desired, [{"op": "replace", "path": image, "value": "registry.example/evil:1"}],
        "argocd-controller",
    )  # fmt: skip
    assert alarming(lab, desired, synced_here=True)[image].change_class is ChangeClass.DECLARED


def test_scale_under_a_deployers_name(lab: Lab) -> None:
    """`kubectl scale` writes as `kubectl` through a subresource: a person, not Git's hand."""
    desired = deployed(lab, "Deployment")
    name = desired["metadata"]["name"]
    lab.cluster.kubectl("scale", "-n", lab.namespace, f"deployment/{name}", "--replicas=9")
    (change,) = alarming(lab, desired).values()
    assert (change.path, change.manager, change.subresource) == (
        "/spec/replicas",
        "kubectl",
        "scale",
    )
    assert (change.desired, change.live) == (3, 9)


@pytest.mark.parametrize("declared", [True, False])
def test_forged_autoscaler(lab: Lab, declared: bool) -> None:
    """The autoscaler's name on /scale excuses nothing while there is no autoscaler."""
    desired = deployed(lab, "Deployment")
    if not declared:
        desired = deepcopy(desired)
        del desired["spec"]["replicas"]
        lab.apply(desired, "argocd-controller")
    operation = [{"op": "replace", "path": "/spec/replicas", "value": 9}]
    lab.patch(desired, operation, "kube-controller-manager", "/scale")
    assert set(alarming(lab, desired)) == {"/spec/replicas"}


def test_forged_aggregation(lab: Lab) -> None:
    """The aggregation controller's name excuses no rules of a role that Git does not aggregate."""
    desired = deployed(lab, "ClusterRole")
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    lab.patch(desired, [{"op": "replace", "path": "/rules", "value": rules}],
              "clusterrole-aggregation-controller")  # fmt: skip
    assert set(alarming(lab, desired)) == {"/rules"}
