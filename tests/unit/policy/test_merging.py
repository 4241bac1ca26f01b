"""How much a change in Git matters, and what it sets off."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, structs

from driftd.model.preview import Action, Effect
from driftd.model.report import Change, ChangeClass, ChangeKind
from driftd.model.resource import ResourceKey
from driftd.model.severities import SeverityRule, SeverityRules
from driftd.policy.merging import effect_of, field_severity, object_severity

POD = "/spec/template/spec"
NODE = "decides what a container may do to its node"
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
    ("path", "old", "new", "told"),
    [
        (f"{POD}/securityContext/runAsUser", 999, 0, ("critical", "runs as root")),
        (f"{POD}/securityContext/runAsUser", UNSET, 0, ("critical", "runs as root")),
        (f"{POD}/securityContext", UNSET, {"runAsGroup": 0}, ("critical", "runs as root")),
        (f"{CONTAINER}/securityContext/runAsUser", 0, 999, ("high", NODE)),
        (f"{CONTAINER}/securityContext/runAsUser", 998, 999, ("high", NODE)),
        (f"{CONTAINER}/securityContext/runAsUser", 999, UNSET, ("high", NODE)),
        (f"{CONTAINER}/securityContext", UNSET, {"runAsUser": 999}, ("high", NODE)),
        (f"{CONTAINER}/securityContext/privileged", True, False, ("high", NODE)),
        ("/spec/replicas", 3, 0, ("high", "nothing runs")),
        ("/spec/replicas", 0, 3, ("high", "how many Pods run")),
    ],
)
def test_reasons_of_fields(path: str, old: Any, new: Any, told: tuple[str, str]) -> None:
    """The reason is that of the new value, never that of the one that goes."""
    assert field_severity("Deployment", change(path, old, new)) == told


def test_a_rule_of_ones_own_speaks_of_what_merging_brings() -> None:
    """What a rule asks of the live value is asked of the new one, of Git's of the old one."""
    rule = {"id": "off", "level": "high", "reason": "switched off", "paths": ["spec.on"]}
    own = {**rule, "changes": ["missing"], "when": {"desired": [True], "live": [None]}}
    rules = SeverityRules([msgspec.convert(own, SeverityRule)])
    gone = structs.replace(change("/spec/on", True, UNSET), kind=ChangeKind.ADDED)
    new = structs.replace(change("/spec/on", UNSET, True), kind=ChangeKind.MISSING)
    assert field_severity("Lamp", gone, rules=rules) == ("high", "switched off")
    assert field_severity("Lamp", new, rules=rules)[0] == "medium"


@pytest.mark.parametrize(
    ("action", "kind", "new", "level"),
    [
        (Action.DELETE, "NetworkPolicy", {}, "critical"),
        (Action.DELETE, "RoleBinding", {}, "critical"),
        (Action.CREATE, "ConfigMap", {"data": {"a": "b"}}, "medium"),
        (Action.CREATE, "Pod", {"spec": {"hostPID": True}}, "critical"),
        (Action.CREATE, "Pod", {"spec": {"securityContext": {"runAsUser": 0}}}, "critical"),
        (Action.CREATE, "Pod", {"spec": {"securityContext": {"runAsUser": 999}}}, "medium"),
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


def test_what_is_refused_has_no_identity() -> None:
    """Of an object that is refused it is told that it is not there, not what it would decide."""
    new = {"spec": {"serviceAccountName": "own"}}
    told = object_severity(Action.REFUSE, "apps", "Deploymnet", {}, new)
    assert told == ("high", "the object is not created")


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


@pytest.mark.parametrize(
    ("group", "kind", "path", "sides", "old", "effect"),
    [
        ("", "Service", "/spec/clusterIP", ("10.0.0.1", UNSET), {}, None),
        ("", "Service", "/spec/clusterIP", (UNSET, "None"), {}, Effect.RECREATE),
        (
            "",
            "Service",
            "/spec/clusterIP",
            (UNSET, "None"),
            {"spec": {"type": "ExternalName"}},
            None,
        ),
        ("", "Service", "/spec/clusterIPs/1", (UNSET, "fd00::1"), {}, None),
        ("", "PersistentVolumeClaim", "/spec/volumeName", (UNSET, "pv-1"), {}, None),
        ("", "PersistentVolumeClaim", "/spec/volumeName", ("pv-0", "pv-1"), {}, Effect.RECREATE),
        ("", "PersistentVolumeClaim", "/spec/volumeMode", (UNSET, "Block"), {}, Effect.RECREATE),
        ("batch", "Job", f"{CONTAINER}/image", ("a", "b"), {"spec": {"suspend": True}}, None),
        ("batch", "Job", "/spec/selector", (UNSET, {}), {"spec": {"suspend": True}}, "recreate"),
    ],
)
def test_what_the_api_server_may_take_is_not_called_refused(
    group: str, kind: str, path: str, sides: tuple[Any, Any], old: Any, effect: Effect | None
) -> None:
    """Addresses that it keeps, what a claim gets once, and the template of a suspended Job."""
    one = change(path, *sides)
    if sides[0] is UNSET:
        one = structs.replace(one, kind=ChangeKind.MISSING)
    found = effect_of(ResourceKey(group, kind, "shop", "web"), one, old)
    assert (found[0] if found else None) == effect
