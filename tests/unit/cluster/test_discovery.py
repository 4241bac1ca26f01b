"""Discovery documents and what is made of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from driftd.cluster.discovery import aggregated_resources, base_path, resource_path
from driftd.cluster.reader import ApiResource, Discovery, Listing
from driftd.errors import ClusterError


def kind(name: str, plural: str, scope: str = "Namespaced") -> dict[str, Any]:
    """One resource of aggregated discovery."""
    return {
        "resource": plural,
        "responseKind": {"group": "", "version": "", "kind": name},
        "scope": scope,
        "verbs": ["get", "list"],
    }


def group(name: str, *versions: dict[str, Any]) -> dict[str, Any]:
    """One group of aggregated discovery."""
    return {"metadata": {"name": name}, "versions": list(versions)}


def document(*groups: dict[str, Any]) -> bytes:
    """An APIGroupDiscoveryList."""
    return json.dumps({"kind": "APIGroupDiscoveryList", "items": list(groups)}).encode()


def discovery(*groups: dict[str, Any]) -> Discovery:
    """The Discovery of a document."""
    return Discovery.of(*aggregated_resources(document(*groups)))


def test_stale_group_is_failed_and_hides_no_other() -> None:
    """A stale version is named in `failed_groups`; its old kinds are not offered as served."""
    found = discovery(
        group("metrics.k8s.io", {"version": "v1", "freshness": "Stale", "resources": []}),
        group(
            "apps",
            {
                "version": "v1",
                "freshness": "Current",
                "resources": [kind("Deployment", "deployments")],
            },
        ),
    )
    assert list(found.failed_groups) == ["metrics.k8s.io/v1"]
    assert found.failure("metrics.k8s.io", "v1").startswith("metrics.k8s.io/v1: ")
    assert found.failure("metrics.k8s.io", "v2") == ""
    assert found.failure("apps") == ""
    assert found.preferred("apps", "Deployment") is not None


def test_first_version_is_preferred_but_others_are_served() -> None:
    """A kind without version is the one of the group's first version that has it."""
    found = discovery(
        group(
            "autoscaling",
            {"version": "v2", "resources": [kind("HorizontalPodAutoscaler", "hpas")]},
            {
                "version": "v1",
                "resources": [kind("HorizontalPodAutoscaler", "hpas"), kind("Old", "olds")],
            },
        )
    )
    preferred = found.preferred("autoscaling", "HorizontalPodAutoscaler")
    assert preferred is not None
    assert preferred.version == "v2"
    old = found.preferred("autoscaling", "Old")
    assert old is not None
    assert old.version == "v1"
    assert found.served("autoscaling", "v2", "Old") is None


def test_scope_is_known_for_known_kinds_only() -> None:
    """Namespaced, cluster-scoped and unknown are three answers."""
    found = discovery(
        group(
            "",
            {"version": "v1", "resources": [kind("Pod", "pods"), kind("Node", "nodes", "Cluster")]},
        )
    )
    assert found.scope("", "Pod") is True
    assert found.scope("", "Node") is False
    assert found.scope("", "Widget") is None


def test_api_versions_in_the_form_of_helm() -> None:
    """Group versions and kinds, sorted; a failed version is there without its kinds."""
    found = discovery(
        group("", {"version": "v1", "resources": [kind("Pod", "pods")]}),
        group("apps", {"version": "v1", "resources": [kind("Deployment", "deployments")]}),
        group("metrics.k8s.io", {"version": "v1", "freshness": "Stale"}),
    )
    assert found.api_versions() == (
        "apps/v1",
        "apps/v1/Deployment",
        "metrics.k8s.io/v1",
        "v1",
        "v1/Pod",
    )


def test_resources_without_kind_are_left_out() -> None:
    """Endpoints without a kind of their own are no objects."""
    resource = {**kind("X", "xs"), "responseKind": None}
    assert discovery(group("a", {"version": "v1", "resources": [resource]})).resources == ()


def test_another_document_is_an_error() -> None:
    """A document of another shape is refused, not taken for an empty cluster."""
    with pytest.raises(msgspec.ValidationError):
        aggregated_resources(b'{"items": [{"metadata": {"name": 5}}]}')


def test_paths() -> None:
    """The core group lives under /api, all others under /apis; namespaces only where they exist."""
    pods = ApiResource("", "v1", "Pod", "pods", True)
    roles = ApiResource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False)
    assert base_path("v1") == "/api/v1"
    assert resource_path(pods) == "/api/v1/pods"
    assert resource_path(pods, "n") == "/api/v1/namespaces/n/pods"
    assert resource_path(roles, "n") == "/apis/rbac.authorization.k8s.io/v1/clusterroles"


@pytest.mark.parametrize(
    ("errors", "covered"),
    [({}, True), ({"n": ClusterError("x")}, False), ({"": ClusterError("x")}, False)],
)
def test_coverage_of_a_namespace(errors: dict[str, ClusterError], covered: bool) -> None:
    """Only an error of that namespace or of the whole list makes its absences unknown."""
    listing = Listing((), {**errors, "other": ClusterError("y")}, complete=False)
    assert listing.covers("n") is covered
    assert not listing.covers("other")
    assert Listing(()).covers("n")
    assert not Listing((), namespaces=frozenset({"m"})).covers("n")
