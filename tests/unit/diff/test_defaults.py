"""What the API server fills in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff import defaults
from driftd.diff.defaults import Explained, explain, is_empty, with_derived
from driftd.diff.schema import Node
from tests.cases.openapi import subset


def pod() -> Node:
    """The node of a Pod's spec."""
    return subset.node("v1", "Pod").child("spec")


def container() -> Node:
    """The node of a container."""
    return pod().child("containers").item


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1", "IfNotPresent"),
        ("registry.example:5000/web", "Always"),
        ("registry.example:5000/web:1", "IfNotPresent"),
        (f"web@sha256:{'0' * 64}", "IfNotPresent"),
        (f"web:1@sha256:{'0' * 64}", "IfNotPresent"),
        (f"web:latest@sha256:{'0' * 64}", "Always"),
        ("localhost:5000/web", "Always"),
        ("Shop/web", "Always"),
        ("[::1]:5000/web", "Always"),
        ("a__b/c---d", "Always"),
        # No references, so without a tag: as the API server answers of each.
        ("", "IfNotPresent"),
        ("PLACEHOLDER", "IfNotPresent"),
        ("shop/Web:latest", "IfNotPresent"),
        ("web:latest@sha256:0f1e", "IfNotPresent"),
        (f"web:latest@md5:{'0' * 32}", "IfNotPresent"),
        ("0" * 64, "IfNotPresent"),
        ("$(IMAGE)", "IfNotPresent"),
        ("shop//web", "IfNotPresent"),
        ("shop.-/web", "IfNotPresent"),
        ("web:", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_image(image: str, policy: str) -> None:
    """The policy that the server picks (tried on one) is explained, the other one is not."""
    declared = {"image": image}
    for value in ("Always", "IfNotPresent"):
        expected = Explained.WHOLE if value == policy else Explained.NOT
        assert explain(container(), "imagePullPolicy", value, declared, {}) is expected


def test_known_values_and_types() -> None:
    """A table value explains only itself, in its own type."""
    field = "terminationGracePeriodSeconds"
    assert explain(pod(), field, 30, {}, {}) is Explained.WHOLE
    for other in (1, "30", 30.0, True, None):
        assert explain(pod(), field, other, {}, {}) is Explained.NOT
    assert explain(pod(), "unheardOf", 1, {}, {}) is Explained.NOT


def test_struct_that_the_server_makes() -> None:
    """The struct is explained, its members are not yet."""
    spec = subset.node("apps/v1", "Deployment").child("spec")
    assert explain(spec, "strategy", {"type": "Evil"}, {}, {}) is Explained.STRUCT
    assert defaults.is_struct_default(spec, "strategy")
    assert not defaults.is_struct_default(spec, "selector")


SERVICE: Any = {"type": "LoadBalancer"}


@pytest.mark.parametrize(
    ("kind", "path", "field", "live", "desired", "beside", "expected"),
    [
        (("v1", "Service"), "spec", "externalTrafficPolicy", "Cluster", {}, SERVICE, True),
        (("v1", "Service"), "spec", "externalTrafficPolicy", "Local", {}, SERVICE, False),
        (("v1", "Service"), "spec", "externalTrafficPolicy", "Cluster", {}, {}, False),
        (("v1", "Service"), "spec", "allocateLoadBalancerNodePorts", True, {}, SERVICE, True),
        (("v1", "Service"), "spec", "allocateLoadBalancerNodePorts", True, {}, {}, False),
        (
            ("v1", "Service"),
            "spec",
            "sessionAffinityConfig",
            {"clientIP": {"timeoutSeconds": 10800}},
            {},
            {"sessionAffinity": "ClientIP"},
            True,
        ),
        (("batch/v1", "Job"), "spec", "podReplacementPolicy", "TerminatingOrFailed", {}, {}, True),
        (("batch/v1", "Job"), "spec", "podReplacementPolicy", "Failed", {}, {}, False),
        (
            ("batch/v1", "Job"),
            "spec",
            "podReplacementPolicy",
            "Failed",
            {"podFailurePolicy": {"rules": []}},
            {},
            True,
        ),
        (("networking.k8s.io/v1", "NetworkPolicy"), "spec", "policyTypes", ["Ingress"], {}, {},
         True),
        (("networking.k8s.io/v1", "NetworkPolicy"), "spec", "policyTypes",
         ["Ingress", "Egress"], {}, {}, False),
        (("networking.k8s.io/v1", "NetworkPolicy"), "spec", "policyTypes",
         ["Ingress", "Egress"], {"egress": [{}]}, {}, True),
        (("batch/v1", "Job"), "spec", "backoffLimit", 6, {}, {}, True),
        (("batch/v1", "Job"), "spec", "backoffLimit", 6, {"backoffLimitPerIndex": 1}, {}, False),
        (("batch/v1", "Job"), "spec", "backoffLimit", 2147483647,
         {"backoffLimitPerIndex": 1}, {}, True),
        (("batch/v1", "Job"), "spec", "backoffLimit", 2147483647, {}, {}, False),
        (("v1", "PersistentVolumeClaim"), "spec", "dataSource", {"kind": "A", "name": "b"},
         {"dataSourceRef": {"kind": "A", "name": "b"}}, {}, True),
        (("v1", "PersistentVolumeClaim"), "spec", "dataSource", {"kind": "A", "name": "c"},
         {"dataSourceRef": {"kind": "A", "name": "b"}}, {}, False),
        (("v1", "Pod"), "spec", "priority", 0, {}, {}, True),
        (("v1", "Pod"), "spec", "priority", 9, {}, {}, False),
        (("v1", "Pod"), "spec", "priority", 0, {"priorityClassName": "high"}, {}, False),
        (("v1", "Pod"), "spec", "serviceAccount", "a", {}, {"serviceAccountName": "a"}, True),
        (("v1", "Pod"), "spec", "serviceAccount", "a", {}, {"serviceAccountName": "b"}, False),
    ],
)  # fmt: skip
def test_defaults_that_depend_on_siblings(
    kind: tuple[str, str],
    path: str,
    field: str,
    live: Any,
    desired: Any,
    beside: Any,
    expected: bool,
) -> None:
    """A conditional default explains a value only where its condition holds."""
    node = subset.node(*kind).child(path)
    answer = explain(node, field, live, desired, beside)
    assert (answer is Explained.WHOLE) is expected


def test_allocated_fields_belong_to_their_component() -> None:
    """A Service's address is allocated; a field of that name elsewhere is not."""
    assert defaults.is_allocated(subset.node("v1", "Service").child("spec"), "clusterIP")
    assert not defaults.is_allocated(subset.node("v1", "Service").child("spec"), "externalIPs")
    assert not defaults.is_allocated(pod(), "clusterIP")


def test_requests_are_completed_from_limits() -> None:
    """Resources that Git only limits are requested as limited, one by one."""
    resources = container().child("resources")
    limits = {"cpu": "1", "memory": "1Gi"}
    derived = with_derived(
        resources, "requests", {"cpu": "100m"}, {"limits": limits}, {"cpu": "100m", "memory": "1Gi"}
    )
    assert derived == {"cpu": "100m", "memory": "1Gi"}
    same = {"cpu": "100m"}
    assert with_derived(resources, "limits", same, {"limits": limits}, limits) is same
    assert with_derived(pod(), "requests", same, {"limits": limits}, limits) is same


@pytest.mark.parametrize(
    ("reference", "policy"),
    [("web", "Always"), ("web:latest", "Always"), ("web:1", "IfNotPresent"), ("", "IfNotPresent")],
)
def test_image_volumes_are_pulled_as_their_reference_says(reference: str, policy: str) -> None:
    """A volume of an image has the rule of a container's image."""
    image = pod().child("volumes").item.child("image")
    for value in ("Always", "IfNotPresent"):
        expected = Explained.WHOLE if value == policy else Explained.NOT
        assert explain(image, "pullPolicy", value, {"reference": reference}, {}) is expected


def test_limits_of_a_namespace_are_completed_from_their_bounds() -> None:
    """What a LimitRange gives by default comes from its maximum, what it requests from both."""
    item = subset.node("v1", "LimitRange").child("spec").child("limits").item
    bounds = {"max": {"cpu": "2", "memory": "1Gi"}, "min": {"cpu": "1", "storage": "1Mi"}}
    full = {"cpu": "2", "memory": "1Gi"}
    assert with_derived(item, "default", {"cpu": "1"}, bounds, full) == {**full, "cpu": "1"}
    live = {"cpu": "1", "memory": "1Gi", "storage": "1Mi"}
    declared = {**bounds, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}
    assert with_derived(item, "defaultRequest", {"cpu": "1"}, declared, live) == live
    beside = {"default": {"cpu": "1", "memory": "1Gi"}}
    assert explain(item, "defaultRequest", live, bounds, beside) is Explained.WHOLE
    assert explain(item, "defaultRequest", full, bounds, beside) is Explained.NOT


EMPTY = st.recursive(
    st.sampled_from([None, False, 0, "", []]),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(EMPTY, st.sampled_from([True, 1, "x", [None], [0]]))
def test_emptiness(empty: Any, full: Any) -> None:
    """Structs of empty values are empty; one value anywhere inside, and they are not."""
    assert is_empty(empty)
    assert not is_empty({"a": empty, "b": full})


def test_table_has_one_value_where_no_rule_is_needed() -> None:
    """A second value for a field means an unknown condition: only scaling policies have two."""
    several = {
        (component, field)
        for component, fields in defaults.table().items()
        for field, values in fields.items()
        if len(values) > 1
    }
    assert several == {("v2.HPAScalingRules", "policies")}
    assert not {
        (component, field) for component, fields in defaults.table().items() for field in fields
    } & set(defaults.CONDITIONAL)
