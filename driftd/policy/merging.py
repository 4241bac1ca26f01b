"""What a change in Git brings with it: how much it matters, and what it sets off in the cluster.

Unlike drift, a change in Git is meant: a new container is the normal case. Critical is what
newly gives power away, an image of another name, and what takes a safeguard or data away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, structs

from driftd.model import places
from driftd.model.preview import Action, Effect, Level
from driftd.model.report import Change, ChangeKind
from driftd.model.resource import Json, ResourceKey
from driftd.model.severities import SeverityRules
from driftd.policy.severity import is_image, severity

Judged = tuple[Level, str]

_SAFE_VALUES: Final[Mapping[str, Json]] = {
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "hostUsers": False,
    "privileged": False,
    "allowPrivilegeEscalation": False,
    "automountServiceAccountToken": False,
    "runAsNonRoot": True,
}
"""Values that take power away: writing one down is no risk, taking one out is."""
_USERS: Final = frozenset({"runAsUser", "runAsGroup"})
"""Any but 0 is no power to have; that another one gives a Pod nothing, or takes nothing away, only
the image knows.
"""
_TURNED: Final[Mapping[ChangeKind, ChangeKind]] = {
    ChangeKind.MISSING: ChangeKind.ADDED,
    ChangeKind.ADDED: ChangeKind.MISSING,
    ChangeKind.FORMERLY_DECLARED: ChangeKind.MISSING,
}
_SAFE_BELOW: Final = frozenset({"drop", "seccompProfile", "appArmorProfile"})
_USUAL: Final[Mapping[tuple[str, tuple[str, ...]], Json]] = {
    ("Service", ("spec", "type")): "ClusterIP",
}
"""What stands there where nobody says anything: written down it gives nothing away."""
_IDENTITY: Final = ("serviceAccountName", "serviceAccount")
RECREATED: Final = ": recreate the object"
"""What the reason of a recreation ends with."""
_LOSSES: Final = {
    "Namespace": "everything in the namespace is deleted with it",
    "CustomResourceDefinition": "every object of the kind is deleted with it",
    "PersistentVolumeClaim": "the data of the volume may be lost",
    "PersistentVolume": "the data of the volume may be lost",
}
_TEMPLATES: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_STATEFULSET_MUTABLE: Final = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    }
)
_IMMUTABLE: Final[Mapping[tuple[str, str], tuple[tuple[str, ...], ...]]] = {
    ("apps", "Deployment"): (("spec", "selector"),),
    ("apps", "ReplicaSet"): (("spec", "selector"),),
    ("apps", "DaemonSet"): (("spec", "selector"),),
    ("batch", "Job"): (
        ("spec", "selector"),
        ("spec", "template"),
        ("spec", "completionMode"),
        ("spec", "podFailurePolicy"),
        ("spec", "successPolicy"),
    ),
    ("", "Service"): (("spec", "clusterIP"), ("spec", "clusterIPs")),
    ("", "Secret"): (("type",),),
    ("rbac.authorization.k8s.io", "RoleBinding"): (("roleRef",),),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (("roleRef",),),
    ("storage.k8s.io", "StorageClass"): (
        ("provisioner",),
        ("parameters",),
        ("reclaimPolicy",),
        ("volumeBindingMode",),
    ),
    ("scheduling.k8s.io", "PriorityClass"): (("value",), ("preemptionPolicy",)),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (("spec", "group"), ("spec", "scope")),
}
"""Fields that the API server refuses to change; a prefix of a path counts."""
_CLAIM_MUTABLE: Final = (
    ("spec", "resources", "requests"),
    ("spec", "volumeAttributesClassName"),
)


def field_severity(
    kind: str, change: Change, group: str | None = None, rules: SeverityRules | None = None
) -> Judged:
    """How much a change in Git matters; `change.desired` is the new value, `live` the old one.

    `rules` are an operator's above the shipped ones; what newly gives power away is critical
    whatever they say. Rules speak of drift, from what Git says to what is live: here it is from
    the old value to the new one.
    """
    place = _place(change.path)
    gained = _power(kind, place, change.desired)
    if gained:
        return "critical", gained
    lost = _safeguard(kind, place, change.live, change.desired)
    if lost:
        return "critical", lost
    turned = structs.replace(
        change,
        kind=_TURNED.get(change.kind, change.kind),
        desired=change.live,
        live=change.desired,
    )
    level, reason = severity(kind, turned, group, rules)
    if level == "critical" and not is_image(place):
        return "high", reason
    return ("low" if level == "info" else level), reason


def object_severity(action: Action, group: str, kind: str, old: Json, new: Json) -> Judged:
    """How much the creation or the end of a whole object matters: as much as that it is Extra or
    Missing, where that is critical.
    """
    if action in (Action.CREATE, Action.REFUSE):
        # Whatever is new runs as somebody; that something known runs as somebody else is graver.
        gained = _power(kind, (), new, but=_IDENTITY)
        if gained:
            return "critical", gained
        named = _power(kind, (), new)
        if action is Action.REFUSE:  # nothing runs as somebody
            return ("high" if named else "medium"), "the object is not created"
        return ("high", named) if named else ("medium", "a new object")
    if action is Action.LEAVE:
        return "medium", "nothing deletes it"
    if action is Action.DELETE:
        loss = _LOSSES.get(kind) or places.whole_object_reason("Missing", group, kind)
        return ("critical", loss) if loss else ("high", "the object is deleted")
    return "medium", "another application declares it"


def effect_of(
    key: ResourceKey, change: Change, old: Mapping[str, Any]
) -> tuple[Effect, str] | None:
    """What changing a field of an object sets off; None if it is only stored."""
    place = _place(change.path)
    if is_immutable(key, place, old):
        if _is_open(key, place, change, old):
            return None
        field = ".".join(place[:2] if place[0] == "spec" else place[:1])
        return Effect.RECREATE, f"{field} cannot be changed in place{RECREATED}"
    if key.group == "apps" and key.kind in _TEMPLATES and place[:2] == ("spec", "template"):
        strategy = (old.get("spec") or {}).get("updateStrategy") or {}
        if key.kind != "Deployment" and strategy.get("type") == "OnDelete":
            return None
        return Effect.ROLLOUT, "its Pods are replaced"
    return None


def is_immutable(key: ResourceKey, place: Sequence[str], old: Mapping[str, Any]) -> bool:
    """Whether the API server refuses to change the field at `place` of an existing object."""
    path = tuple(place)
    if (key.group, key.kind) == ("apps", "StatefulSet"):
        return len(path) > 1 and path[0] == "spec" and path[1] not in _STATEFULSET_MUTABLE
    if (key.group, key.kind) == ("", "PersistentVolumeClaim"):
        return path[:1] == ("spec",) and not any(path[: len(m)] == m for m in _CLAIM_MUTABLE)
    fixed = key.group == "" and key.kind in ("ConfigMap", "Secret") and old.get("immutable") is True
    if fixed and path[:1] in (("data",), ("binaryData",), ("stringData",), ("immutable",)):
        return True
    return any(path[: len(one)] == one for one in _IMMUTABLE.get((key.group, key.kind), ()))


def loss_of(kind: str) -> str:
    """What is lost with an object of a kind when it is deleted; empty if nothing is."""
    return _LOSSES.get(kind, "")


def _is_open(
    key: ResourceKey, place: tuple[str, ...], change: Change, old: Mapping[str, Any]
) -> bool:
    """Whether the API server may take a change of a field that is immutable as a rule.

    It keeps the address of a Service that no longer names one, and does not look at those of
    another type; a claim may get its volume and class once, a suspended Job another template.
    """
    spec = old.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    if (key.group, key.kind) == ("", "Service"):
        external = spec.get("type") == "ExternalName"
        return change.desired is UNSET or external or place[1] == "clusterIPs"
    if (key.group, key.kind) == ("", "PersistentVolumeClaim"):
        once = place[1:2] in (("volumeName",), ("storageClassName",))
        return once and change.kind is ChangeKind.MISSING
    if (key.group, key.kind) == ("batch", "Job"):
        return place[1:2] == ("template",) and spec.get("suspend") is True
    return False


def _power(kind: str, place: tuple[str, ...], value: Json, *, but: tuple[str, ...] = ()) -> str:
    """What a new value gives away, in short words; empty if it is nothing.

    Fields called as in `but` are passed over.
    """
    for inner, leaf in _leaves(place, value):
        if _is_program(inner) or _is_safe(inner, leaf):
            continue
        if _USUAL.get((kind, inner)) == leaf or (inner and inner[-1] in but):
            continue
        if inner and inner[-1] in _USERS and type(leaf) is int and leaf != 0:
            continue
        reason = places.critical_reason(kind, inner, leaf)
        if reason:
            return reason
    return ""


def _safeguard(kind: str, place: tuple[str, ...], old: Json, new: Json) -> str:
    """Which safeguard an old value was that the new one no longer is."""
    kept = {inner for inner, leaf in _leaves(place, new) if _is_safe(inner, leaf)}
    for inner, leaf in _leaves(place, old):
        if _is_safe(inner, leaf) and inner not in kept and places.critical_reason(kind, inner):
            return f"takes a safeguard away ({inner[-1] if inner[-1] != '*' else inner[-2]})"
    return ""


def _is_safe(place: Sequence[str], value: Json) -> bool:
    if place and place[-1] in _SAFE_VALUES:
        return value is _SAFE_VALUES[place[-1]]
    return bool(_SAFE_BELOW.intersection(place)) and value != "Unconfined"


def _is_program(place: Sequence[str]) -> bool:
    """Whether a place says which program runs: that is what changes in Git are for."""
    for position, name in enumerate(place):
        if name in places.CONTAINER_LISTS:
            rest = place[position + 1 :]
            return len(rest) <= 1 or rest[1] in ("image", "command", "lifecycle")
        if name == "volumes":
            return "hostPath" not in place
    return False


def _leaves(place: tuple[str, ...], value: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    if value is UNSET or value is None:
        return
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves((*place, name), inner)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaves((*place, "*"), inner)
    else:
        yield place, value


def _place(pointer: str) -> tuple[str, ...]:
    """The names of a pointer, list positions as `*`."""
    tokens = (t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:])
    return tuple("*" if token.isdigit() else token for token in tokens)
