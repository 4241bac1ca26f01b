"""How much a change in Git matters, and what it sets off."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from driftd.model.preview import Action, Effect
from driftd.model.report import Change, ChangeClass, ChangeKind
from driftd.model.resource import ResourceKey
from driftd.policy.merging import effect_of, field_severity, object_severity

POD = "/spec/template/spec"
CONTAINER = f"{POD}/containers/0"


def change(path: str, old: Any, new: Any) -> Change:
    """A field that goes from `old` to `new`."""
    return Change(
        kind=ChangeKind.MODIFIED,
        change_class=ChangeClass.DECLARED,
        path=path,
        live=old,
        desired=new,
    )


@pytest.mark.parametrize(
    ("path", "old", "new", "level"),
    [
        (f"{CONTAINER}/image", "a:1", "a:2", "high"),
        (f"{CONTAINER}/image", "a:1", "evil/a:1", "critical"),
        (f"{CONTAINER}/securityContext/privileged", UNSET, True, "critical"),
        (f"{CONTAINER}/securityContext/privileged", True, False, "high"),
        (f"{CONTAINER}/securityContext", UNSET, {"runAsNonRoot": True}, "high"),
        (f"{CONTAINER}/securityContext", {"runAsNonRoot": True}, UNSET, "critical"),
        (f"{CONTAINER}/securityContext/allowPrivilegeEscalation", False, True, "critical"),
        (f"{POD}/hostNetwork", UNSET, True, "critical"),
        (f"{POD}/hostNetwork", True, UNSET, "high"),
        (f"{POD}/containers/1", UNSET, {"name": "b", "image": "b:1"}, "high"),
        (f"{POD}/volumes/0", UNSET, {"name": "v", "hostPath": {"path": "/"}}, "critical"),
        (f"{POD}/volumes/0", UNSET, {"name": "v", "emptyDir": {}}, "high"),
        ("/metadata/labels/a", "b", "c", "low"),
        ("/spec/replicas", 2, 3, "high"),
    ],
)
def test_severity_of_fields(path: str, old: Any, new: Any, level: str) -> None:
    """Critical is what gives power away or takes a safeguard away, and another image."""
    assert field_severity("Deployment", change(path, old, new))[0] == level


def test_another_identity_is_critical() -> None:
    """A new workload may run as its own account; that a known one changes its is critical."""
    place = change(f"{POD}/serviceAccountName", "own", "other")
    assert field_severity("Deployment", place)[0] == "critical"


@pytest.mark.parametrize(
    ("action", "kind", "new", "level"),
    [
        (Action.DELETE, "NetworkPolicy", {}, "critical"),
        (Action.DELETE, "RoleBinding", {}, "critical"),
        (Action.CREATE, "ConfigMap", {"data": {"a": "b"}}, "medium"),
        (Action.CREATE, "Pod", {"spec": {"hostPID": True}}, "critical"),
        (Action.CREATE, "ClusterRole", {"rules": [{"verbs": ["*"]}]}, "critical"),
        (Action.CREATE, "Pod", {"spec": {"serviceAccountName": "own"}}, "high"),
        (Action.CREATE, "Pod", {"spec": {"serviceAccountName": "a", "hostPID": True}}, "critical"),
        (Action.CREATE, "Service", {"spec": {"type": "ClusterIP"}}, "medium"),
        (Action.CREATE, "Service", {"spec": {"type": "LoadBalancer"}}, "critical"),
        (Action.DELETE, "ConfigMap", {}, "high"),
        (Action.DELETE, "PersistentVolumeClaim", {}, "critical"),
        (Action.LEAVE, "PersistentVolumeClaim", {}, "medium"),
    ],
)
def test_severity_of_objects(action: Action, kind: str, new: Any, level: str) -> None:
    """A deletion is critical where it takes data or a safeguard along, a creation where it gives
    power away.
    """
    group = {
        "NetworkPolicy": "networking.k8s.io",
        "RoleBinding": "rbac.authorization.k8s.io",
    }.get(kind, "")
    assert object_severity(action, group, kind, {}, new)[0] == level


@pytest.mark.parametrize(
    ("group", "kind", "path", "old", "effect"),
    [
        ("apps", "Deployment", f"{CONTAINER}/image", {}, Effect.ROLLOUT),
        ("apps", "Deployment", "/spec/replicas", {}, None),
        ("apps", "Deployment", "/spec/selector/matchLabels/a", {}, Effect.RECREATE),
        ("apps", "StatefulSet", "/spec/volumeClaimTemplates/0/spec", {}, Effect.RECREATE),
        ("apps", "StatefulSet", "/spec/serviceName", {}, Effect.RECREATE),
        ("apps", "StatefulSet", "/spec/replicas", {}, None),
        (
            "apps",
            "DaemonSet",
            f"{CONTAINER}/image",
            {"spec": {"updateStrategy": {"type": "OnDelete"}}},
            None,
        ),
        ("batch", "Job", f"{CONTAINER}/image", {}, Effect.RECREATE),
        ("batch", "CronJob", "/spec/jobTemplate/spec/template/spec/x", {}, None),
        ("", "Service", "/spec/clusterIP", {}, Effect.RECREATE),
        ("", "Service", "/spec/type", {}, None),
        ("", "PersistentVolumeClaim", "/spec/storageClassName", {}, Effect.RECREATE),
        ("", "PersistentVolumeClaim", "/spec/resources/requests/storage", {}, None),
        ("rbac.authorization.k8s.io", "RoleBinding", "/roleRef/name", {}, Effect.RECREATE),
        ("", "ConfigMap", "/data/a", {"immutable": True}, Effect.RECREATE),
        ("", "ConfigMap", "/data/a", {}, None),
        ("", "ConfigMap", "/metadata/labels/a", {"immutable": True}, None),
    ],
)
def test_effects(group: str, kind: str, path: str, old: Any, effect: Effect | None) -> None:
    """Templates roll out, fields that the API server refuses to change ask for a new object."""
    found = effect_of(ResourceKey(group, kind, "shop", "web"), change(path, "a", "b"), old)
    assert (found[0] if found else None) == effect
