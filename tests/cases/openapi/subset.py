"""The stored schemas: written by `write`, read by tests through `schemas`.

`tests/property/test_schema_subset.py` fails when a real API server publishes something else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from driftd.diff.schema import Node, SchemaSet
from driftd.model.resource import GVK

FILE = Path(__file__).parent / "schemas.json"
KINDS = {
    "v1": (
        "ConfigMap",
        "Endpoints",
        "LimitRange",
        "Namespace",
        "PersistentVolumeClaim",
        "Pod",
        "ResourceQuota",
        "Secret",
        "Service",
        "ServiceAccount",
    ),
    "apps/v1": ("DaemonSet", "Deployment", "StatefulSet"),
    "batch/v1": ("CronJob", "Job"),
    "autoscaling/v1": ("HorizontalPodAutoscaler",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "networking.k8s.io/v1": ("Ingress", "NetworkPolicy"),
    "policy/v1": ("PodDisruptionBudget",),
    "rbac.authorization.k8s.io/v1": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "admissionregistration.k8s.io/v1": (
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ),
    "apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
}
"""Kinds whose components are stored, by group version."""
_PREFIX = "#/components/schemas/"
_TOLD = "x-kubernetes-group-version-kind"


@cache
def schemas() -> SchemaSet:
    """The stored schemas, compiled."""
    return SchemaSet([json.loads(FILE.read_text("utf-8"))])


def node(api_version: str, kind: str) -> Node:
    """The compiled schema of a stored kind."""
    found = schemas().node(GVK.parse(api_version, kind))
    if found is None:
        raise LookupError(f"{api_version} {kind} is not stored")
    return found


def subset(document_of: Callable[[str], Any]) -> dict[str, Any]:
    """The components that `KINDS` reach, without descriptions. Asked: documents by version."""
    found: dict[str, Any] = {}
    for api_version, kinds in KINDS.items():
        components = document_of(api_version)["components"]["schemas"]
        group, _, version = api_version.rpartition("/")
        wanted = [{"group": group, "version": version, "kind": kind} for kind in kinds]
        waiting = [
            name
            for name, schema in components.items()
            if any(gvk in schema.get(_TOLD, ()) for gvk in wanted)
            and "metadata" in schema.get("properties", {})
        ]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = _stripped(components[name], wanted)
                waiting += _references(found[name])
    return {"components": {"schemas": found}}


def write(document_of: Callable[[str], Any]) -> None:
    """Store the subset, one component a line."""
    FILE.write_text(text(subset(document_of)), "utf-8")


def text(document: dict[str, Any]) -> str:
    """The stored form of a subset."""
    rows = [
        f"{json.dumps(name)}: {json.dumps(schema, sort_keys=True, separators=(',', ':'))}"
        for name, schema in sorted(document["components"]["schemas"].items())
    ]
    return '{"components": {"schemas": {\n' + ",\n".join(rows) + "\n}}}\n"


def _stripped(schema: Any, wanted: list[dict[str, str]]) -> Any:
    """A schema without descriptions; of the kinds that share a component only the wanted ones."""
    if isinstance(schema, list):
        return [_stripped(inner, wanted) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for name, inner in schema.items():
        if name == "description" and isinstance(inner, str):
            continue
        if name == _TOLD:
            kept[name] = [gvk for gvk in inner if gvk in wanted]
        else:
            kept[name] = _stripped(inner, wanted)
    return kept


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        target = schema.get("$ref")
        if isinstance(target, str):
            yield target.removeprefix(_PREFIX)
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)
