"""Trusted controllers: every part of a rule has to match."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.diff.owners import Entry
from driftd.diff.trusted import Bounds, Facts, rules, trusted_write
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


def test_no_shipped_rule_trusts_a_name_alone() -> None:
    """Every rule names a path below the root, and all but the scale one a kind."""
    for rule in rules():
        assert len(rule.path) > 1
        assert rule.reason
        assert rule.kind is not None or rule.relation == "autoscaled"
