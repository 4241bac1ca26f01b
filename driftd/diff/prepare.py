"""The views that are compared: system metadata and write-only fields out of the way."""

from __future__ import annotations

import base64
from typing import Any, Final

import orjson

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
TRACKING_ID: Final = "argocd.argoproj.io/tracking-id"

TOOL_ANNOTATIONS: Final = frozenset(
    {
        LAST_APPLIED,
        TRACKING_ID,
        "argocd.argoproj.io/installation-id",
        "meta.helm.sh/release-name",
        "meta.helm.sh/release-namespace",
        "config.kubernetes.io/origin",
        "kustomize.toolkit.fluxcd.io/checksum",
    }
)
"""Annotations that deployers add for themselves; extras of these names are never drift."""

SERVER_ANNOTATIONS: Final[dict[str, frozenset[str]]] = {
    "DaemonSet": frozenset({"deprecated.daemonset.template.generation"}),
}
"""Annotations that the API server keeps on a kind by itself (catalogue row 18)."""

SERVER_FINALIZERS: Final[dict[str, frozenset[str]]] = {
    "PersistentVolumeClaim": frozenset({"kubernetes.io/pvc-protection"}),
    "PersistentVolume": frozenset({"kubernetes.io/pv-protection"}),
    "Service": frozenset({"service.kubernetes.io/load-balancer-cleanup"}),
    "VolumeAttributesClass": frozenset({"kubernetes.io/vac-protection"}),
}
"""Finalizers that admission and controllers of Kubernetes put on a kind (catalogue row 19)."""

TOOL_LABELS: Final[dict[str, str | None]] = {
    "app.kubernetes.io/managed-by": "Helm",
    "kustomize.toolkit.fluxcd.io/name": None,
    "kustomize.toolkit.fluxcd.io/namespace": None,
    "helm.toolkit.fluxcd.io/name": None,
    "helm.toolkit.fluxcd.io/namespace": None,
}
"""Labels likewise, with the value that they must have (None: any)."""

_JOB_LABELS: Final = frozenset(
    {
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
    }
)

_METADATA: Final = ("labels", "annotations", "finalizers", "ownerReferences")


def desired_view(body: dict[str, Any]) -> dict[str, Any]:
    """What Git declares, as it is compared: no status, no system metadata, stringData folded."""
    view = {k: v for k, v in body.items() if k not in ("status", "metadata", "apiVersion", "kind")}
    metadata = body.get("metadata") or {}
    kept = {name: metadata[name] for name in _METADATA if metadata.get(name)}
    view["metadata"] = kept
    annotations = kept.get("annotations")
    if isinstance(annotations, dict) and LAST_APPLIED in annotations:
        kept["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    if body.get("kind") == "Secret" and body.get("apiVersion") == "v1":
        _fold_string_data(view)
    return view


def live_view(
    body: dict[str, Any], desired: dict[str, Any], *, instance_label: str | None = None
) -> dict[str, Any]:
    """What the cluster holds, as it is compared with `desired` (a desired view).

    Metadata of deployment tools that Git does not declare is left out: tracking marks,
    release names, last-applied configurations. `instance_label` is Argo CD's tracking label.
    """
    view = {k: v for k, v in body.items() if k not in ("status", "metadata", "apiVersion", "kind")}
    metadata = body.get("metadata") or {}
    kept = {name: metadata[name] for name in _METADATA if metadata.get(name)}
    declared = desired.get("metadata", {})
    kind = body.get("kind", "")
    server = SERVER_ANNOTATIONS.get(kind, frozenset())
    if "annotations" in kept:
        wanted = declared.get("annotations") or {}
        kept["annotations"] = {
            name: value
            for name, value in kept["annotations"].items()
            if name in wanted or not (name in TOOL_ANNOTATIONS or name in server)
        }
    if "finalizers" in kept and kind in SERVER_FINALIZERS:
        wanted = declared.get("finalizers") or ()
        kept["finalizers"] = [
            name
            for name in kept["finalizers"]
            if name in wanted or name not in SERVER_FINALIZERS[kind]
        ]
    if "labels" in kept:
        wanted = declared.get("labels") or {}
        kept["labels"] = {
            name: value
            for name, value in kept["labels"].items()
            if name in wanted or not _is_tool_label(name, value, body, instance_label)
        }
    view["metadata"] = {name: value for name, value in kept.items() if value}
    if body.get("kind") == "Job":
        _drop_job_labels(view)
    return view


def last_applied_view(body: dict[str, Any]) -> dict[str, Any] | None:
    """What the last client-side apply sent, as a desired view; None without a usable record."""
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(LAST_APPLIED)
    if not isinstance(text, str):
        return None
    try:
        applied = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return desired_view(applied) if isinstance(applied, dict) else None


def _drop_job_labels(view: dict[str, Any]) -> None:
    """The API server labels a Job's pods with the Job's uid (catalogue row 16)."""
    spec = view.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    metadata = template.get("metadata") if isinstance(template, dict) else None
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    if not (
        isinstance(spec, dict)
        and isinstance(template, dict)
        and isinstance(metadata, dict)
        and isinstance(labels, dict)
    ):
        return
    rest = {k: v for k, v in labels.items() if k not in _JOB_LABELS}
    inner = {k: v for k, v in metadata.items() if k != "labels"}
    if rest:
        inner["labels"] = rest
    view["spec"] = {**spec, "template": {**template, "metadata": inner}}


def _is_tool_label(name: str, value: Any, body: dict[str, Any], instance_label: str | None) -> bool:
    if name == "kubernetes.io/metadata.name":
        return body.get("kind") == "Namespace" and value == body.get("metadata", {}).get("name")
    if name in TOOL_LABELS:
        return TOOL_LABELS[name] in (None, value)
    if body.get("kind") == "Job" and name in _JOB_LABELS:
        return True
    return name == instance_label


def _fold_string_data(view: dict[str, Any]) -> None:
    """`stringData` wins over `data` and is stored base64-encoded (catalogue row 43)."""
    plain = view.pop("stringData", None)
    if not isinstance(plain, dict):
        return
    encoded = {
        name: base64.b64encode(str(value if value is not None else "").encode()).decode()
        for name, value in plain.items()
    }
    view["data"] = {**(view.get("data") or {}), **encoded}
