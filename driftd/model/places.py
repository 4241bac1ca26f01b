"""Which places in an object are critical, and which are only worth a look.

Rules match on the names of a path, list steps as `*`, anchored at the end where a place
occurs in many kinds (a pod template), at the start where it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

POD_FIELDS: Final = frozenset(
    {
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostUsers",
        "serviceAccountName",
        "serviceAccount",
        "automountServiceAccountToken",
    }
)
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
RESTART_STAMP: Final = "kubectl.kubernetes.io/restartedAt"


def is_critical(kind: str, path: Sequence[str]) -> bool:
    """Whether a change at `path` (names, list steps as `*`) can hand somebody power or traffic."""
    if not path:
        return False
    head, last = path[0], path[-1]
    if head == "metadata":
        return _critical_metadata(path)
    if kind in RBAC_KINDS and head in ("rules", "subjects", "roleRef", "aggregationRule"):
        return True
    if kind in WEBHOOK_KINDS:
        return True
    if head == "spec" and kind == "Service" and len(path) > 1:
        return path[1] in ("externalIPs", "externalName", "type", "loadBalancerIP")
    return _critical_in_pod(path, last)


def _critical_in_pod(path: Sequence[str], last: str) -> bool:
    if last in POD_FIELDS:
        return True
    if "securityContext" in path:
        return last == "securityContext" or bool(SECURITY_FIELDS.intersection(path))
    if "volumes" in path:
        return last in ("*", "volumes") or "hostPath" in path
    for position, name in enumerate(path):
        if name in CONTAINER_LISTS:
            rest = path[position + 1 :]
            # The list, a whole container, its image or what it runs.
            return len(rest) <= 1 or rest[1] in ("image", "command")
    return False


def _critical_metadata(path: Sequence[str]) -> bool:
    if len(path) < 3:
        return False
    if path[1] == "labels":
        return path[2].startswith("pod-security.kubernetes.io/")
    return path[1] == "annotations" and path[2] in IDENTITY_ANNOTATIONS


def holds_critical(kind: str, path: Sequence[str], value: Any) -> bool:
    """Whether a value at `path` has a critical place inside: an added struct or list with one."""
    if isinstance(value, dict):
        inner: Iterable[tuple[str, Any]] = value.items()
    elif isinstance(value, list):
        inner = (("*", item) for item in value)
    else:
        return False
    return any(
        is_critical(kind, (*path, name)) or holds_critical(kind, (*path, name), below)
        for name, below in inner
    )


def is_review(path: Sequence[str]) -> bool:
    """Whether an addition by somebody else here is worth a look rather than an alarm.

    Finalizers, owner references, labels and annotations of the object itself, restart stamps.
    """
    if path[0] == "metadata":
        return True
    return path[-1] == RESTART_STAMP
