"""Trusted controllers: every part of a rule has to match."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.diff.facts import Bounds, Facts
from driftd.diff.owners import Entry
from driftd.diff.relations import RELATIONS
from driftd.diff.trusted import expected_value, rules, trusted_write
from driftd.model.resource import ResourceKey

WEB = ResourceKey("apps", "Deployment", "shop", "web")
ROLE = ResourceKey("rbac.authorization.k8s.io", "ClusterRole", "", "auditor")


class Object(msgspec.Struct, frozen=True):
    """The object under comparison."""

    key: ResourceKey
    desired: dict[str, Any] = {}
    facts: Facts = Facts()


def writer(manager: str, operation: str = "Update", subresource: str = "") -> Entry:
    """A managedFields entry."""
    raw = {"manager": manager, "operation": operation, "subresource": subresource, "fieldsV1": {}}
    return Entry(raw, frozenset())


REVISION = ("metadata", "annotations", "deployment.kubernetes.io/revision")
MANAGER = "kube-controller-manager"


@pytest.mark.parametrize(
    ("entry", "key", "path", "trusted"),
    [
        (writer(MANAGER), WEB, REVISION, True),
        (writer(MANAGER, subresource="status"), WEB, REVISION, True),
        (writer(MANAGER, "Apply"), WEB, REVISION, False),
        (writer(MANAGER, subresource="scale"), WEB, REVISION, False),
        (writer("alice"), WEB, REVISION, False),
        (writer(MANAGER), ResourceKey("apps", "StatefulSet", "shop", "web"), REVISION, False),
        (writer(MANAGER), ResourceKey("x.io", "Deployment", "shop", "web"), REVISION, False),
        (writer(MANAGER), WEB, REVISION[:2], False),
        (writer(MANAGER), WEB, (*REVISION, "more"), False),
    ],
)
def test_every_part_has_to_match(
    entry: Entry, key: ResourceKey, path: tuple[str, ...], trusted: bool
) -> None:
    """Manager, operation, subresource, group, kind and path; never a name alone."""
    assert (trusted_write(entry, Object(key), path, "1") is not None) is trusted


@pytest.mark.parametrize(
    ("replicas", "trusted"), [(1, False), (2, True), (5, True), (6, False), (True, False)]
)
def test_autoscaler_within_its_bounds(replicas: Any, trusted: bool) -> None:
    """Replicas are excused between the bounds of an autoscaler that targets the object."""
    facts = Facts(autoscaled={WEB: Bounds(2, 5, "web")})
    scale = writer(MANAGER, subresource="scale")
    path = ("spec", "replicas")
    found = trusted_write(scale, Object(WEB, facts=facts), path, replicas)
    assert (found is not None) is trusted
    assert trusted_write(scale, Object(WEB), path, replicas) is None


def test_aggregated_rules_need_the_aggregation_in_git() -> None:
    """Rules are excused where Git says that they are computed."""
    controller = writer("clusterrole-aggregation-controller", "Apply")
    aggregated = Object(ROLE, {"aggregationRule": {"clusterRoleSelectors": []}})
    for path in (("rules",), ("rules", "*"), ("rules", "*", "verbs")):
        assert trusted_write(controller, aggregated, path, []) is not None
        assert trusted_write(controller, Object(ROLE), path, []) is None
    assert trusted_write(controller, aggregated, ("metadata", "labels", "a"), "b") is None


TOKEN = ResourceKey("", "Secret", "shop", "web-token")
HOOKS = ResourceKey("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "", "hooks")
CA = ("webhooks", "*", "clientConfig", "caBundle")


def test_token_needs_the_type_in_git() -> None:
    """Only a Secret that Git declares as a service account's token is filled by a controller."""
    asked = Object(TOKEN, {"type": "kubernetes.io/service-account-token"})
    for name, trusted in (("token", True), ("ca.crt", True), ("namespace", True), ("x", False)):
        found = trusted_write(writer(MANAGER), asked, ("data", name), "")
        assert (found is not None) is trusted
    assert trusted_write(writer(MANAGER), Object(TOKEN), ("data", "token"), "") is None
    assert trusted_write(writer("alice"), asked, ("data", "token"), "") is None


def hooks(**client: Any) -> dict[str, Any]:
    """A webhook of a service in Git."""
    return {"webhooks": [{"clientConfig": {"service": {"name": "hooks"}, **client}}]}


@pytest.mark.parametrize(
    ("manager", "desired", "trusted"),
    [
        ("cainjector", {"metadata": {"annotations": {"cert-manager.io/inject-ca-from": "a/b"}}}, 1),
        ("cainjector", hooks(), 0),
        ("kube-webhook-certgen", hooks(), 1),
        ("kube-webhook-certgen", hooks(caBundle="Cg=="), 1),
        ("kube-webhook-certgen", hooks(caBundle="QQ=="), 0),
        ("pilot-discovery", {"webhooks": [{"clientConfig": {"url": "https://x"}}]}, 0),
        ("alice", hooks(), 0),
    ],
)
def test_certificate_authority_that_git_asks_for(
    manager: str, desired: dict[str, Any], trusted: int
) -> None:
    """An injector fills a CA in where Git asks for it or leaves a service's out, nothing else."""
    found = trusted_write(writer(manager), Object(HOOKS, desired), CA, "QQ==")
    assert (found is not None) == bool(trusted)
    assert trusted_write(writer(manager), Object(HOOKS, desired), CA[:-1], {}) is None


def test_places_of_the_api_server_itself() -> None:
    """What the API server writes has no owner; a person's entry is no excuse for it."""
    pod = Object(ResourceKey("", "Pod", "shop", "toolbox"))
    zone = ("metadata", "labels", "topology.kubernetes.io/zone")
    assert expected_value(pod, zone, "a", by_anybody=False) is not None
    assert trusted_write(writer("alice"), pod, zone, "a") is None
    assert expected_value(Object(WEB), zone, "a", by_anybody=False) is None


def test_lost_managers_excuse_a_place_but_never_a_critical_one() -> None:
    """Without names the relation or the place in metadata decides; roles and CAs stay drift."""
    scaled = Object(WEB, facts=Facts(autoscaled={WEB: Bounds(2, 5, "web")}))
    assert expected_value(scaled, ("spec", "replicas"), 3, by_anybody=True) is not None
    assert expected_value(scaled, ("spec", "replicas"), 3, by_anybody=False) is None
    assert expected_value(scaled, ("spec", "replicas"), 9, by_anybody=True) is None
    assert expected_value(Object(WEB), REVISION, "1", by_anybody=True) is not None
    claim = Object(ResourceKey("", "PersistentVolumeClaim", "shop", "data"))
    assert expected_value(claim, ("spec", "volumeName"), "x", by_anybody=True) is None
    role = Object(ROLE, {"aggregationRule": {"clusterRoleSelectors": []}})
    assert expected_value(role, ("rules",), [], by_anybody=True) is None
    assert expected_value(Object(HOOKS, hooks()), CA, "QQ==", by_anybody=True) is None


def test_no_shipped_rule_trusts_a_name_alone() -> None:
    """Every rule names a path below the root and its kinds; only scaling is of any kind."""
    for rule in rules():
        assert rule.paths
        assert all(len(path) > 1 or rule.needs_evidence for path in rule.paths)
        assert rule.reason
        assert "*" not in rule.objects or rule.relation in ("autoscaled", "event-scaled")
        assert rule.relation is None or rule.relation in RELATIONS
        assert not rule.namer or rule.named


def test_outside_metadata_a_third_partys_write_needs_evidence() -> None:
    """Whoever is no part of Kubernetes is trusted outside metadata by a relation alone."""
    own = {"kube-controller-manager", "kube-scheduler", "clusterrole-aggregation-controller"}
    for rule in rules():
        if any(path[0] != "metadata" for path in rule.paths) and not own & set(rule.managers):
            assert rule.needs_evidence, rule


@pytest.mark.parametrize(
    ("finalizer", "trusted"),
    [("kubernetes.io/pvc-protection", True), ("example.com/block", False)],
)
def test_finalizers_of_a_claim_without_owners(finalizer: str, trusted: bool) -> None:
    """Where nobody is named any more, only Kubernetes' own finalizers count as its own."""
    claim = Object(ResourceKey("", "PersistentVolumeClaim", "shop", "data"))
    path = ("metadata", "finalizers", "*")
    assert (expected_value(claim, path, finalizer, by_anybody=True) is not None) is trusted
