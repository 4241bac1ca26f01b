"""The few facts of Kubernetes' own schemas that a comparison without any cluster needs.

They are the merge keys of lists, the quantities, and the names of the components, under which the
default table knows what a server fills in. Everything else of a kind is compared as it stands.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from driftd.diff.schema import QUANTITY_REF, SchemaSet

_LISTS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "core.v1.PodSpec": {
        "containers": ("core.v1.Container", "name"),
        "initContainers": ("core.v1.Container", "name"),
        "volumes": ("core.v1.Volume", "name"),
        "imagePullSecrets": ("", "name"),
        "hostAliases": ("", "ip"),
        "topologySpreadConstraints": ("", "topologyKey,whenUnsatisfiable"),
    },
    "core.v1.Container": {
        "ports": ("core.v1.ContainerPort", "containerPort,protocol"),
        "env": ("core.v1.EnvVar", "name"),
        "volumeMounts": ("core.v1.VolumeMount", "mountPath"),
        "volumeDevices": ("", "devicePath"),
    },
    "core.v1.ServiceSpec": {"ports": ("core.v1.ServicePort", "port,protocol")},
    "core.v1.ServiceAccount": {"secrets": ("", "name"), "imagePullSecrets": ("", "name")},
}
_STRUCTS: Final[dict[str, dict[str, str]]] = {
    "core.v1.PodTemplateSpec": {"spec": "core.v1.PodSpec"},
    "core.v1.PodSpec": {"securityContext": "core.v1.PodSecurityContext"},
    "core.v1.Container": {
        "resources": "core.v1.ResourceRequirements",
        "livenessProbe": "core.v1.Probe",
        "readinessProbe": "core.v1.Probe",
        "startupProbe": "core.v1.Probe",
    },
    "core.v1.Probe": {"httpGet": "core.v1.HTTPGetAction"},
    "core.v1.Volume": {
        "configMap": "core.v1.ConfigMapVolumeSource",
        "secret": "core.v1.SecretVolumeSource",
    },
    "batch.v1.JobTemplateSpec": {"spec": "batch.v1.JobSpec"},
    "batch.v1.CronJobSpec": {"jobTemplate": "batch.v1.JobTemplateSpec"},
    "batch.v1.JobSpec": {"template": "core.v1.PodTemplateSpec"},
    **{
        f"apps.v1.{kind}Spec": {"template": "core.v1.PodTemplateSpec"}
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
    },
}
_KINDS: Final = (
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("", "Pod"),
)
_SCALARS: Final = {"core.v1.ContainerPort", "core.v1.ServicePort"}


@lru_cache(maxsize=1)
def wellknown_schemas() -> SchemaSet:
    """Schemas of the workloads and Services of Kubernetes, as far as merging lists needs them."""
    parts: dict[str, dict[str, Any]] = {}
    for name, lists in _LISTS.items():
        for field, (item, keys) in lists.items():
            _part(parts, name)["properties"][field] = {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": keys.split(","),
                "items": _reference(parts, item) if item else _open(),
            }
    for name, fields in _STRUCTS.items():
        for field, target in fields.items():
            _part(parts, name)["properties"][field] = _reference(parts, target)
    for name in _SCALARS:
        _part(parts, name)["properties"]["protocol"] = {"type": "string", "default": "TCP"}
    amounts = {"type": "object", "additionalProperties": {"$ref": _ref(QUANTITY_REF)}}
    for field in ("limits", "requests"):
        _part(parts, "core.v1.ResourceRequirements")["properties"][field] = amounts
    for group, kind in _KINDS:
        package = group or "core"
        root = _part(parts, f"{package}.v1.{kind}")
        root["properties"]["metadata"] = _open()
        if kind != "ServiceAccount":
            root["properties"]["spec"] = _reference(parts, f"{package}.v1.{kind}Spec")
        root["x-kubernetes-group-version-kind"] = [{"group": group, "version": "v1", "kind": kind}]
    return SchemaSet([{"components": {"schemas": parts}}])


def _part(parts: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    full = f"io.k8s.api.{name}"
    if full not in parts:
        parts[full] = {**_open(), "properties": {}}
        # A struct without any property would count as one that nothing is known of.
        parts[full]["properties"]["status"] = _open()
    return parts[full]


def _reference(parts: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    _part(parts, name)
    return {"$ref": _ref(f"io.k8s.api.{name}")}


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"


def _open() -> dict[str, Any]:
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
