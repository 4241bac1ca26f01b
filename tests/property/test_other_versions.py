"""Changes through another apiVersion than Git's, on a real API server."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import Any

import pytest

from driftd.model.report import UNSET
from tests.property.lab import Lab
from tests.property.remembered import Remembered, told
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

BEHAVIOR = "/metadata/annotations/autoscaling.alpha.kubernetes.io~1behavior"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    return Lab(api_server, api_server.create_namespace("otherversions"))


def autoscaler(lab: Lab) -> Any:
    """An autoscaler that Git holds at `autoscaling/v1`, applied and clean."""
    desired = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"a{next(_numbers)}"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "targetCPUUtilizationPercentage": 70,
        },
    }
    lab.apply(desired, "argocd-controller")
    assert lab.look(desired).changes == ()
    return desired


def at_v2(desired: Any) -> Any:
    """The same object, addressed at `autoscaling/v2`."""
    return {**deepcopy(desired), "apiVersion": "autoscaling/v2"}


def add_behavior(lab: Lab, desired: Any, manager: str) -> None:
    """Let the object scale down at once, through v2."""
    value = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    lab.patch(at_v2(desired), [{"op": "add", "path": "/spec/behavior", "value": value}], manager)


def test_field_that_gits_version_does_not_name(lab: Lab) -> None:
    """Row 80c: it shows as an annotation that nobody owns, and is drift by its likely writer."""
    desired = autoscaler(lab)
    add_behavior(lab, desired, "alice")
    (change,) = lab.look(desired).changes
    assert (change.kind, change.change_class, change.path) == ("added", "undeclared", BEHAVIOR)
    assert (change.manager, change.confidence) == ("alice", "likely")
    assert "autoscaling/v2" in str(change.reason)
    looks = Remembered(lab)
    for _ in range(2):
        assert told(looks.look(desired).changes) == [("added", "undeclared", BEHAVIOR)]


def test_without_a_writer(lab: Lab) -> None:
    """Whoever drops his entry at the other version hides himself, not the change."""
    desired = autoscaler(lab)
    add_behavior(lab, desired, "alice")
    entries = lab.live(desired)["metadata"]["managedFields"]
    kept = [entry for entry in entries if entry["manager"] != "alice"]
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": kept}
    lab.patch(desired, [operation], "bob")
    (change,) = lab.look(desired).changes
    assert (change.kind, change.change_class, change.path) == ("added", "undeclared", BEHAVIOR)
    assert change.manager is UNSET


def test_annotation_that_is_a_field_of_another_version(lab: Lab) -> None:
    """Written as the annotation that it is in v1, a field of v2 is no harmless annotation."""
    desired = autoscaler(lab)
    source = autoscaler(lab)
    add_behavior(lab, source, "alice")
    annotations = lab.live(source)["metadata"]["annotations"]
    lab.patch(desired, [{"op": "add", "path": "/metadata/annotations", "value": annotations}],
              "mallory")  # fmt: skip
    assert "behavior" in lab.live(at_v2(desired))["spec"]
    (change,) = lab.look(desired).changes
    assert (change.change_class, change.path, change.manager) == ("undeclared", BEHAVIOR, "mallory")


def test_writes_that_both_versions_name(lab: Lab) -> None:
    """A manager that wrote through v2 what v1 has too, or the status alone, makes nothing odd."""
    desired = autoscaler(lab)
    lab.patch(at_v2(desired), [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}],
              "alice")  # fmt: skip
    conditions = [{"type": "AbleToScale", "status": "True", "lastTransitionTime": None}]
    status = {"desiredReplicas": 1, "currentReplicas": 1, "conditions": conditions}
    lab.patch(at_v2(desired), [{"op": "add", "path": "/status", "value": status}],
              "kube-controller-manager", "/status")  # fmt: skip
    assert told(lab.look(desired).changes) == [("added", "review", "/metadata/labels/a")]


def test_deployer_at_another_version(lab: Lab) -> None:
    """What a deployer has at an older version makes nobody suspect."""
    desired = autoscaler(lab)
    newer = {
        **at_v2(desired),
        "spec": {
            "scaleTargetRef": desired["spec"]["scaleTargetRef"],
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 70},
                    },
                }
            ],
        },
    }
    assert lab.look(newer).changes == ()
    lab.apply(newer, "argocd-controller")
    assert lab.look(newer).changes == ()
    assert lab.look(desired).changes == ()


def two_versions(lab: Lab) -> Any:
    """A kind of two versions, of which the older one lacks a field, and an applied object."""
    name = f"n{next(_numbers)}"
    group = f"{name}.example.com"

    def version(number: int, **fields: Any) -> Any:
        spec = {"type": "object", "properties": {"a": {"type": "string"}, **fields}}
        schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
        return {"name": f"v{number}", "served": True, "storage": number == 2, "schema": schema}

    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"pools.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Pool", "plural": "pools"},
            "versions": [version(1), version(2, hostNetwork={"type": "boolean"})],
        },
    }
    lab.cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    for number in (1, 2):
        lab.cluster.wait_for(
            f"/openapi/v3/apis/{group}/v{number}",
            lambda document: any("Pool" in key for key in document["components"]["schemas"]),
        )
    desired = {
        "apiVersion": f"{group}/v1",
        "kind": "Pool",
        "metadata": {"name": name},
        "spec": {"a": "1"},
    }
    lab.apply(desired, "argocd-controller")
    return desired


def test_field_that_gits_version_drops(lab: Lab) -> None:
    """The limit: a custom field of the other version alone is nowhere to be seen at Git's.

    The API server cannot say at Git's version who wrote it, and drops all managedFields.
    """
    desired = two_versions(lab)
    assert lab.look(desired).changes == ()
    newer = {**desired, "apiVersion": desired["apiVersion"].replace("/v1", "/v2")}
    lab.patch(newer, [{"op": "add", "path": "/spec/hostNetwork", "value": True}], "mallory")
    assert lab.live(newer)["spec"] == {"a": "1", "hostNetwork": True}
    live = lab.live(desired)
    assert live["spec"] == {"a": "1"}
    assert "managedFields" not in live["metadata"]
    assert lab.look(desired).changes == ()
    (change,) = lab.look({**newer, "spec": desired["spec"]}).changes
    assert (change.change_class, change.path) == ("undeclared", "/spec/hostNetwork")
