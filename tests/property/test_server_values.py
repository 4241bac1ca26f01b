"""Values that the server fills in or the cluster chooses: whose they are, on a real API server."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from driftd.model.report import Change
from tests.property.histories import ARGO
from tests.property.lab import Lab, named, objects
from tests.property.remembered import Remembered, told
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

POD = "/spec/template/spec"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    return Lab(api_server, api_server.create_namespace("server-values"))


def deployed(lab: Lab, kind: str, **spec: Any) -> tuple[Any, Remembered]:
    """A base object with more of a spec, applied by Argo CD and seen clean once."""
    desired = named(next(b for b in objects() if b["kind"] == kind), f"s{next(_numbers)}")
    desired["metadata"].pop("finalizers", None)
    desired["spec"] |= spec
    lab.apply(desired, ARGO)
    looks = Remembered(lab)
    assert looks.look(desired).changes == ()
    return desired, looks


def put_at(lab: Lab, desired: Any, pointer: str, value: Any, manager: str = "alice") -> None:
    """Write one value by a JSON patch."""
    lab.patch(desired, [{"op": "add", "path": pointer, "value": value}], manager)


def disown(lab: Lab, desired: Any, manager: str) -> None:
    """Remove a manager's entries of managedFields."""
    entries = lab.live(desired)["metadata"]["managedFields"]
    kept = [entry for entry in entries if entry["manager"] != manager]
    place = "/metadata/managedFields"
    lab.patch(desired, [{"op": "replace", "path": place, "value": kept}], "m")


def drifts(changes: tuple[Change, ...]) -> list[tuple[str, str, str]]:
    """Kind, class and path of what is drift."""
    return told(tuple(change for change in changes if change.is_drift))


ELSEWHERE = [
    ("Deployment", f"{POD}/enableServiceLinks", True),
    ("DaemonSet", f"{POD}/preemptionPolicy", "PreemptLowerPriority"),
    ("CronJob", "/spec/jobTemplate/spec/completionMode", "NonIndexed"),
    ("CronJob", "/spec/jobTemplate/spec/suspend", False),
    ("CronJob", "/spec/jobTemplate/spec/backoffLimit", 6),
]


@pytest.mark.parametrize(("kind", "pointer", "value"), ELSEWHERE)
def test_default_where_the_server_fills_in_nothing(
    lab: Lab, kind: str, pointer: str, value: Any
) -> None:
    """What a Pod or Job gets by itself is somebody's value in a template."""
    desired, looks = deployed(lab, kind)
    put_at(lab, desired, pointer, value)
    for changes in (looks.look(desired).changes, looks.alone(desired)):
        assert drifts(changes) == [("added", "undeclared", pointer)]


def test_default_of_the_other_direction(lab: Lab) -> None:
    """Policies that are the default of scaling down are none of scaling up."""
    desired, looks = deployed(lab, "HorizontalPodAutoscaler", behavior={"scaleUp": {}})
    pointer = "/spec/behavior/scaleUp/policies"
    by_share = {"type": "Percent", "value": 100, "periodSeconds": 15}
    put_at(lab, desired, pointer, [by_share])
    for changes in (looks.look(desired).changes, looks.alone(desired)):
        assert drifts(changes) == [("added", "undeclared", pointer)]


def test_struct_that_is_not_made_again(lab: Lab) -> None:
    """A StatefulSet's rolling update that somebody removes stays away: history misses it."""
    desired, looks = deployed(lab, "StatefulSet")
    place = "/spec/updateStrategy/rollingUpdate"
    lab.patch(desired, [{"op": "remove", "path": place}], "alice")
    assert "rollingUpdate" not in lab.live(desired)["spec"]["updateStrategy"]
    for _ in range(2):
        (change,) = looks.look(desired).changes
        assert (change.kind, change.change_class) == ("missing", "undeclared")
        assert str(change.ssa_path) == "f:spec/f:updateStrategy/f:rollingUpdate"
    assert looks.alone(desired) == ()


def test_label_that_the_server_gave_a_job(lab: Lab) -> None:
    """One generated label that is gone, while others are there, was removed by somebody."""
    desired, looks = deployed(lab, "Job")
    place = "/metadata/labels/batch.kubernetes.io~1job-name"
    lab.patch(desired, [{"op": "remove", "path": place}], "alice")
    for changes in (looks.look(desired).changes, looks.alone(desired)):
        assert told(changes) == [("missing", "review", place)]
    put_at(lab, desired, "/metadata/labels", {"team": "x"})
    assert told(looks.look(desired).changes) == [("added", "review", "/metadata/labels/team")]


def free_port(lab: Lab) -> int:
    """A node port that no Service of the cluster has."""
    services = lab.cluster.call("GET", "/api/v1/services")["items"]
    taken = {port.get("nodePort") for one in services for port in one["spec"].get("ports", ())}
    return next(port for port in range(32767, 30000, -1) if port not in taken)


def test_chosen_port_that_somebody_changed(lab: Lab) -> None:
    """Another node port without owner is told by who saw the first one, until it is set back."""
    desired, looks = deployed(lab, "Service", type="NodePort")
    place = "/spec/ports/0/nodePort"
    chosen = lab.live(desired)["spec"]["ports"][0]["nodePort"]
    put_at(lab, desired, place, free_port(lab))
    disown(lab, desired, "alice")
    for _ in range(2):
        assert drifts(looks.look(desired).changes) == [("added", "undeclared", place)]
    assert looks.alone(desired) == ()
    put_at(lab, desired, place, chosen)
    assert looks.look(desired).changes == ()


@pytest.mark.parametrize("wiped", [False, True])
def test_storage_class_that_came_later(lab: Lab, wiped: bool) -> None:
    """Admission chooses a class when the claim is created; a later one without owner is told."""
    desired, looks = deployed(lab, "PersistentVolumeClaim")
    put_at(lab, desired, "/spec/storageClassName", "made-up")
    disown(lab, desired, ARGO if wiped else "alice")
    if wiped:
        disown(lab, desired, "alice")
    assert drifts(looks.look(desired).changes) == [
        ("added", "undeclared", "/spec/storageClassName")
    ]


def test_volume_that_no_controller_bound(lab: Lab) -> None:
    """A claim's volume without the mark of the controller that binds is somebody's choice."""
    desired, looks = deployed(lab, "PersistentVolumeClaim")
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": [{}]}
    lab.patch(desired, [operation], "m")
    put_at(lab, desired, "/spec/volumeName", "made-up")
    assert drifts(looks.look(desired).changes) == [("added", "undeclared", "/spec/volumeName")]


def test_second_tool_that_leaves_the_same_to_the_cluster(lab: Lab) -> None:
    """Who applies Git's `nodePort: 0` too owns the port that the cluster has chosen: no drift."""
    ports = [{"name": "http", "port": 80, "nodePort": 0}]
    desired, looks = deployed(lab, "Service", type="NodePort", ports=ports)
    chosen = lab.live(desired)["spec"]["ports"][0]["nodePort"]
    lab.apply(desired, "fleet-agent")
    assert lab.live(desired)["spec"]["ports"][0]["nodePort"] == chosen
    assert looks.look(desired).changes == ()
    assert looks.alone(desired) == ()
    other = free_port(lab)
    lab.apply({**desired, "spec": {**desired["spec"], "ports": [{**ports[0], "nodePort": other}]}},
              "fleet-agent")  # fmt: skip
    assert drifts(looks.look(desired).changes) == [
        ("modified", "declared", "/spec/ports/0/nodePort")
    ]
    lab.apply({**desired, "spec": {**desired["spec"], "sessionAffinity": "ClientIP"}},
              "fleet-agent")  # fmt: skip
    found = drifts(looks.alone(desired))
    assert ("modified", "declared", "/spec/ports/0/nodePort") in found


def test_empty_value_that_a_deployer_owns(lab: Lab) -> None:
    """What the cluster made of Git's empty value stays so when others write elsewhere."""
    ports = [{"name": "http", "port": 80, "nodePort": 0}]
    desired, looks = deployed(lab, "Service", type="NodePort", ports=ports, ipFamilies=[])
    put_at(lab, desired, "/metadata/labels/team", "x")
    assert told(looks.look(desired).changes) == [("added", "review", "/metadata/labels/team")]
