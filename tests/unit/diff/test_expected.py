"""What a dry run's answer says of the changes of an object."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from msgspec import UNSET

from driftd.diff.expected import Sides, with_expected
from driftd.model.report import Change
from tests.unit.diff.objects import applied, changes, config_map, deployment, entry, key_of, node_of

SAID = "a dry run"
TEMPLATE = ("spec", "template", "spec")


def asked(desired: Any, live: Any, made: Any, *, whole: bool = True) -> dict[str, Change]:
    """The changes by their path, with what the answer `made` says of them."""
    node = node_of(desired)
    assert node is not None
    sides = Sides(key_of(desired), desired, live, made)
    found = with_expected(changes(desired, live), sides, node, said=SAID, whole=whole)
    return {change.path: change for change in found}


def pod_of(body: Any) -> Any:
    """The spec of a Deployment's Pods."""
    return body["spec"]["template"]["spec"]


def by(manager: str, *names: str) -> Any:
    """The entry of a manager that wrote fields of the Pods' spec."""
    fields: Any = {f"f:{name}": {} for name in names}
    for name in reversed(TEMPLATE):
        fields = {f"f:{name}": fields}
    return entry(manager, fields)


def test_an_overridden_default_has_its_value_beside_it() -> None:
    """Drift stays drift; what the server would give is told."""
    desired = deployment()
    live = applied(desired, by("alice", "terminationGracePeriodSeconds"))
    pod_of(live)["terminationGracePeriodSeconds"] = 5
    made = deployment(terminationGracePeriodSeconds=30)
    change = asked(desired, live, made)["/spec/template/spec/terminationGracePeriodSeconds"]
    assert (change.live, change.expected, change.is_drift) == (5, 30, True)


def test_what_somebody_wrote_stays_drift_though_the_server_would_do_the_same() -> None:
    """Ownership decides: an owned extra is somebody's."""
    desired = deployment()
    live = applied(desired, by("alice", "schedulerName"))
    pod_of(live)["schedulerName"] = "mine"
    (change,) = asked(desired, live, deployment(schedulerName="mine")).values()
    assert (change.expected, change.manager, change.is_drift) == ("mine", "alice", True)


@pytest.mark.parametrize(
    ("field", "value", "change_class"),
    [("schedulerName", "mine", "injected"), ("hostNetwork", True, "undeclared")],
)
def test_an_unowned_extra_is_explained_unless_it_is_critical(
    field: str, value: Any, change_class: str
) -> None:
    """A webhook's value is told as such; at a critical place an answer excuses nothing."""
    desired = deployment()
    live = applied(desired)
    pod_of(live)[field] = value
    made = deployment(**{field: value})
    change = asked(desired, live, made)[f"/spec/template/spec/{field}"]
    assert str(change.change_class) == change_class
    assert (SAID in str(change.reason)) is (change_class == "injected")


def test_a_value_that_admission_makes_of_gits_is_rewritten() -> None:
    """Declared and live differ, and writing Git's value would give live's: no drift."""
    desired = deployment()
    live = applied(desired)
    live["spec"]["replicas"] = 3
    made = deepcopy(desired)
    made["spec"]["replicas"] = 3
    (change,) = asked(desired, live, made, whole=False).values()
    assert str(change.change_class) == "rewritten"
    assert not change.is_drift
    pod_of(live)["containers"][0]["image"] = pod_of(made)["containers"][0]["image"] = "evil:1"
    found = asked(desired, live, made)
    image = found["/spec/template/spec/containers/0/image"]
    assert image.is_drift


def test_a_declared_value_that_the_server_stores_otherwise() -> None:
    """What the server would store for Git's value is told only where it is not Git's own."""
    desired = deployment()
    live = applied(desired)
    live["spec"]["replicas"] = 3
    made = deepcopy(desired)
    (change,) = asked(desired, live, made).values()
    assert change.expected is UNSET
    made["spec"]["replicas"] = 4
    (change,) = asked(desired, live, made).values()
    assert (change.desired, change.live, change.expected) == (2, 3, 4)


def test_what_the_server_adds_and_live_lacks() -> None:
    """A whole sidecar, a field in a container, a label: each told once, as no drift."""
    desired = deployment()
    live = applied(desired)
    made = deepcopy(desired)
    made["metadata"]["labels"]["mesh"] = "on"
    pod_of(made)["containers"][0]["stdin"] = True
    pod_of(made)["containers"].append({"name": "proxy", "image": "mesh/proxy:1"})
    found = asked(desired, live, made)
    assert {path: change.expected for path, change in found.items()} == {
        "/metadata/labels/mesh": "on",
        "/spec/template/spec/containers/0/stdin": True,
        "/spec/template/spec/containers/1": {"name": "proxy", "image": "mesh/proxy:1"},
    }
    assert {(str(c.kind), str(c.change_class)) for c in found.values()} == {("missing", "injected")}
    # An apply keeps what live has and says nothing of it.
    assert asked(desired, live, made, whole=False) == {}


def test_what_git_declares_is_not_told_a_second_time() -> None:
    """A declared field that live lacks is missing already; an allocated one is nobody's."""
    desired = deployment(dnsPolicy="Default")
    live = applied(desired)
    del pod_of(live)["dnsPolicy"]
    made = deepcopy(desired)
    (change,) = asked(desired, live, made).values()
    assert str(change.change_class) == "declared"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"ports": [{"port": 80}]},
    }
    made = deepcopy(service)
    made["spec"] |= {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}
    assert asked(service, applied(service), made) == {}


def test_secret_values_are_masked() -> None:
    """What a Secret is expected to hold leaves the comparison no more than what it holds."""
    desired = {**config_map(), "kind": "Secret", "data": {"a": "Zm9v"}}
    live = applied(desired)
    live["data"]["a"] = "YmFy"
    made = deepcopy(desired)
    made["data"] = {"a": "cXV4", "b": "cXV4"}
    found = asked(desired, live, made)
    assert {path: change.expected for path, change in found.items()} == {
        "/data/a": {"masked": True},
        "/data/b": {"masked": True},
    }
