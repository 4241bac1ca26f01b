"""The order in which Argo CD applies objects: sync wave, then kind, then name."""

from __future__ import annotations

from typing import Any

from driftd.model.resource import ResourceKey

WAVE_ANNOTATION = "argocd.argoproj.io/sync-wave"
_HOOK_WEIGHT = "helm.sh/hook-weight"

_KINDS = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
]
_RANK = {kind: rank for rank, kind in enumerate(_KINDS)}


def wave_of(annotations: dict[str, Any]) -> int:
    """The sync wave that an object declares; 0 without one or when it is not a number."""
    for name in (WAVE_ANNOTATION, _HOOK_WEIGHT):
        try:
            return int(annotations[name])
        except (KeyError, TypeError, ValueError):
            continue
    return 0


def order_key(wave: int, key: ResourceKey) -> tuple[int, int, str, str]:
    """Sorts objects into the order of application; kinds that Argo CD does not name come last."""
    return wave, _RANK.get(key.kind, len(_RANK)), key.name, key.namespace
