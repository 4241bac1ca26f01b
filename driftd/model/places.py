"""Which places in an object are critical, and which are only worth a look.

Rules match on the names of a path, list steps as `*`, anchored at the end where a place
occurs in many kinds (a pod template), at the start where it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

POD_FIELDS: Final = {
    "hostNetwork": "host network",
    "hostPID": "the node's processes",
    "hostIPC": "the node's shared memory",
    "hostUsers": "decides whether root in the Pod is root on the node",
    "serviceAccountName": "decides the Pod's identity",
    "serviceAccount": "decides the Pod's identity",
    "automountServiceAccountToken": "gives the Pod an API token",
}
"""Fields of a Pod and, in short words, what they give away."""
CONTAINER_LISTS: Final = frozenset({"containers", "initContainers", "ephemeralContainers"})
SECURITY_FIELDS: Final = frozenset(
    {
        "privileged",
        "allowPrivilegeEscalation",
        "capabilities",
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "procMount",
        "seccompProfile",
        "appArmorProfile",
        "seLinuxOptions",
        "windowsOptions",
        "sysctls",
        "supplementalGroups",
    }
)
RBAC_KINDS: Final = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})
WEBHOOK_KINDS: Final = frozenset(
    {
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "APIService",
    }
)
IDENTITY_ANNOTATIONS: Final = frozenset(
    {
        "eks.amazonaws.com/role-arn",
        "iam.gke.io/gcp-service-account",
        "azure.workload.identity/client-id",
        "azure.workload.identity/tenant-id",
        "iam.amazonaws.com/role",
    }
)
_CORE: Final = ""
_WORKLOADS: Final = {
    _CORE: frozenset({"Pod", "ReplicationController"}),
    "apps": frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}),
    "batch": frozenset({"Job", "CronJob"}),
}
_RBAC_GROUP: Final = "rbac.authorization.k8s.io"
_ADMISSION_GROUP: Final = "admissionregistration.k8s.io"
_ADMISSION_ENGINES: Final = frozenset(
    {
        "constraints.gatekeeper.sh",
        "kyverno.io",
        "policies.kyverno.io",
        "templates.gatekeeper.sh",
    }
)
_EXTRA_KINDS: Final = {
    (_CORE, "ServiceAccount"): "an identity that Pods can take",
    (_CORE, "Secret"): "a token or credential that nobody declared",
    (_CORE, "Namespace"): "a place where anything may follow",
    ("apiextensions.k8s.io", "CustomResourceDefinition"): "adds an API to the cluster",
    ("apiregistration.k8s.io", "APIService"): "takes part in requests to the API server",
}
RESTART_STAMP: Final = "kubectl.kubernetes.io/restartedAt"
_RBAC_FIELDS: Final = frozenset({"rules", "subjects", "roleRef", "aggregationRule"})
_TRAFFIC_FIELDS: Final = frozenset({"externalIPs", "externalName", "type", "loadBalancerIP"})
_WHAT_RUNS: Final = {
    "image": "an image decides what runs",
    "command": "a command decides what runs",
    "lifecycle": "a hook runs a command",
}


def is_critical(kind: str, path: Sequence[str]) -> bool:
    """Whether a change at `path` (names, list steps as `*`) can hand somebody power or traffic."""
    return bool(critical_reason(kind, path))


def critical_reason(kind: str, path: Sequence[str]) -> str:
    """What a change at `path` can give away, in short words; empty where it is not critical."""
    if not path:
        return ""
    head = path[0]
    if tuple(path[-3:-1]) == ("metadata", "annotations") and path[-1] in IDENTITY_ANNOTATIONS:
        return "gives a cloud identity"  # in a Pod's template too
    if head == "metadata":
        return _critical_metadata(path)
    if kind in RBAC_KINDS and head in _RBAC_FIELDS:
        return "RBAC hands out rights"
    if kind in WEBHOOK_KINDS:
        return "takes part in every request to the API server"
    if head == "spec" and kind == "Service" and len(path) > 1:
        return "decides where traffic goes" if path[1] in _TRAFFIC_FIELDS else ""
    return _critical_in_pod(path, path[-1])


def _critical_in_pod(path: Sequence[str], last: str) -> str:
    if last in POD_FIELDS:
        return POD_FIELDS[last]
    if last == "hostPort":
        return "a port of the node"
    if "securityContext" in path:
        critical = last == "securityContext" or SECURITY_FIELDS.intersection(path)
        return "decides what a container may do to its node" if critical else ""
    if "volumes" in path:
        if "hostPath" in path:
            return "a folder of the node"
        return "decides what the Pod mounts" if last in ("*", "volumes") else ""
    for position, name in enumerate(path):
        if name in CONTAINER_LISTS:
            rest = path[position + 1 :]
            # The list, a whole container, its image or what it runs.
            return (
                "a container decides what runs" if len(rest) <= 1 else _WHAT_RUNS.get(rest[1], "")
            )
    return ""


def _critical_metadata(path: Sequence[str]) -> str:
    if len(path) < 3:
        return ""
    if path[1] == "labels" and path[2].startswith("pod-security.kubernetes.io/"):
        return "decides which Pods the namespace admits"
    return ""


def holds_critical(kind: str, path: Sequence[str], value: Any) -> bool:
    """Whether a value at `path` has a critical place inside: an added struct or list with one."""
    return bool(reason_inside(kind, path, value))


def reason_inside(kind: str, path: Sequence[str], value: Any) -> str:
    """The reason of the first critical place inside a value at `path`; empty if there is none."""
    if isinstance(value, dict):
        inner: Iterable[tuple[str, Any]] = value.items()
    elif isinstance(value, list):
        inner = (("*", item) for item in value)
    else:
        return ""
    for name, below in inner:
        place = (*path, name)
        reason = critical_reason(kind, place) or reason_inside(kind, place, below)
        if reason:
            return reason
    return ""


def whole_object_reason(status: str, group: str, kind: str) -> str:
    """Why nobody may accept that an object is `Missing` or `Extra`, in short words; empty if one
    may.

    Extra: what runs, hands out rights, identities or credentials, takes part in requests, or
    filters traffic. Missing: safeguards, whose absence lets something through.
    """
    extra = status == "Extra"
    if group == _RBAC_GROUP:
        return "RBAC hands out rights" if extra else "rights that Git declares are not there"
    if group == _ADMISSION_GROUP or group in _ADMISSION_ENGINES:
        return (
            "takes part in requests to the API server" if extra else "admission lacks a safeguard"
        )
    # Calico, Cilium and the Gateway API's group have kinds of their own that end so.
    if kind.endswith("NetworkPolicy"):
        return "decides where traffic goes" if extra else "traffic is not filtered"
    if not extra:
        return ""
    if kind in _WORKLOADS.get(group, ()):
        return "runs what nobody declared"
    return _EXTRA_KINDS.get((group, kind), "")


def is_review(path: Sequence[str]) -> bool:
    """Whether an addition by somebody else here is worth a look rather than an alarm.

    Finalizers, owner references, labels and annotations of the object itself, restart stamps.
    """
    if path[0] == "metadata":
        return True
    return path[-1] == RESTART_STAMP
