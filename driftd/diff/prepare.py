"""The views that are compared: system metadata and write-only fields out of the way."""

from __future__ import annotations

import base64
from collections.abc import Callable
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

INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
"""The label that Argo CD tracked by before version 3, unless it was told another one."""

_JOB_LABELS: Final = {
    "batch.kubernetes.io/controller-uid": "uid",
    "batch.kubernetes.io/job-name": "name",
    "controller-uid": "uid",
    "job-name": "name",
}
"""Labels that the API server puts on a Job and its Pods, with the metadata field they repeat."""

_LABELLED_BY_TEMPLATE: Final = frozenset({"Job", "ReplicationController"})
"""Kinds whose labels the API server takes from their Pod template where they have none."""

_ACCOUNT_MOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_ADMITTED_TOLERATIONS: Final = tuple(
    {
        "key": f"node.kubernetes.io/{condition}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for condition in ("not-ready", "unreachable")
)

_METADATA: Final = ("labels", "annotations", "finalizers", "ownerReferences")
SYSTEM_METADATA: Final = frozenset(
    {
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
        "clusterName",
    }
)
"""Metadata that is no part of a comparison; any other name there is a slip in Git."""


def desired_view(body: dict[str, Any]) -> dict[str, Any]:
    """What Git declares, as it is compared: no status, no system metadata, stringData folded."""
    view = {k: v for k, v in body.items() if k not in ("status", "metadata", "apiVersion", "kind")}
    metadata = body.get("metadata") or {}
    kept = {
        name: value for name, value in metadata.items() if value and name not in SYSTEM_METADATA
    }
    view["metadata"] = kept
    annotations = kept.get("annotations")
    if isinstance(annotations, dict) and LAST_APPLIED in annotations:
        kept["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    if body.get("kind") == "Secret" and body.get("apiVersion") == "v1":
        _fold_string_data(view)
    if body.get("kind") == "Job":
        _leave_selector(view)
    return view


def live_view(
    body: dict[str, Any],
    desired: dict[str, Any],
    *,
    instance_label: str | None = None,
    instances: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """What the cluster holds, as it is compared with `desired` (a desired view).

    Metadata of deployment tools that Git does not declare is left out: tracking marks,
    release names, last-applied configurations. `instance_label` is Argo CD's tracking label.
    `instances` are the values of the default tracking label that name the application itself:
    with one of them it is Argo CD's mark, which overwrites what Git declares there.
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
    if "labels" in kept:
        wanted = declared.get("labels") or {}
        copied = {} if wanted else _copied_labels(kind, desired)
        kept["labels"] = {
            name: wanted[name] if name in wanted and _names_it(name, value, instances) else value
            for name, value in kept["labels"].items()
            if name in wanted
            or not (
                _is_tool_label(name, value, body, instance_label)
                or _names_it(name, value, instances)
                or copied.get(name) == value
            )
        }
    # A map that Git declares stays, if empty: it is there, and only keys of it may be gone.
    view["metadata"] = {name: value for name, value in kept.items() if value or declared.get(name)}
    if kind == "Job":
        _drop_job_labels(view, metadata, desired)
    if kind == "Pod" and isinstance(view.get("spec"), dict):
        view["spec"] = without_admission(view["spec"], desired.get("spec") or {})
    return view


def without_admission(spec: dict[str, Any], declared: dict[str, Any]) -> dict[str, Any]:
    """A Pod's spec without what the admission of every Pod appends to its lists.

    That is the token volume of its service account, the mounts of it, and the two tolerations of
    300 seconds. All of them are appended last, so the positions of the other items stay.
    """
    known = {volume.get("name") for volume in declared.get("volumes") or ()}
    tokens = {
        volume["name"]
        for volume in spec.get("volumes") or ()
        if volume.get("name") not in known and _is_token_volume(volume)
    }
    rest = {**spec}
    _keep(rest, "volumes", lambda volume: volume.get("name") not in tokens)
    for name in ("containers", "initContainers"):
        if name in rest:
            rest[name] = [
                _keep({**container}, "volumeMounts", lambda m: not _is_token_mount(m, tokens))
                for container in rest[name]
            ]
    wanted = declared.get("tolerations") or ()
    _keep(rest, "tolerations", lambda t: t in wanted or t not in _ADMITTED_TOLERATIONS)
    return rest


def _keep(
    struct: dict[str, Any], name: str, wanted: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Keep the wanted items of the list at `name`, or no list at all if none is left."""
    if isinstance(struct.get(name), list):
        struct[name] = [item for item in struct[name] if wanted(item)]
        if not struct[name]:
            del struct[name]
    return struct


def _is_token_volume(volume: dict[str, Any]) -> bool:
    if volume.keys() != {"name", "projected"}:
        return False
    sources = volume["projected"].get("sources") or ()
    return volume["name"].startswith("kube-api-access-") and all(
        "serviceAccountToken" in source
        or "downwardAPI" in source
        or (source.get("configMap") or {}).get("name") == "kube-root-ca.crt"
        for source in sources
    )


def _is_token_mount(mount: dict[str, Any], tokens: set[str]) -> bool:
    return mount.get("name") in tokens and mount.get("mountPath") == _ACCOUNT_MOUNT


def last_applied_view(
    body: dict[str, Any],
    desired: dict[str, Any],
    *,
    instance_label: str | None = None,
    instances: frozenset[str] = frozenset(),
) -> dict[str, Any] | None:
    """What the last client-side apply sent, as it is compared with `desired` (a desired view).

    None without a usable record. The marks that Argo CD adds before it applies are left out.
    """
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(LAST_APPLIED)
    if not isinstance(text, str):
        return None
    try:
        applied = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(applied, dict):
        return None
    sent = {**desired_view(applied), "kind": applied.get("kind", "")}
    return live_view(sent, desired, instance_label=instance_label, instances=instances)


def _copied_labels(kind: str, desired: dict[str, Any]) -> dict[str, Any]:
    """What the API server labels an object with that has no labels: its template's (row 2)."""
    return _template_labels(desired) if kind in _LABELLED_BY_TEMPLATE else {}


def _template_labels(body: dict[str, Any]) -> dict[str, Any]:
    """The labels of an object's Pod template."""
    place: Any = body
    for name in ("spec", "template", "metadata", "labels"):
        place = place.get(name) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else {}


def _drop_job_labels(view: dict[str, Any], job: dict[str, Any], desired: dict[str, Any]) -> None:
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
    rest = {k: v for k, v in labels.items() if not _is_job_label(k, v, job)}
    inner = {k: v for k, v in metadata.items() if k != "labels"}
    if rest or _template_labels(desired):
        inner["labels"] = rest
    view["spec"] = {**spec, "template": {**template, "metadata": inner}}


def _leave_selector(view: dict[str, Any]) -> None:
    """A Job's empty selector asks the API server to choose one, as an absent one does."""
    spec = view.get("spec")
    if not isinstance(spec, dict) or spec.get("manualSelector") or "selector" not in spec:
        return
    selector = spec["selector"]
    if not selector or (isinstance(selector, dict) and not any(selector.values())):
        view["spec"] = {name: value for name, value in spec.items() if name != "selector"}


def removed_labels(body: dict[str, Any], desired: dict[str, Any]) -> list[str]:
    """The labels that the API server gave a Job, and that somebody has removed from it.

    A Job without labels gets all those of its template, which cannot be changed: a part of the
    generated ones alone is no server's work.
    """
    metadata = body.get("metadata") or {}
    labels = metadata.get("labels")
    if body.get("kind") != "Job" or not isinstance(labels, dict):
        return []
    wanted = desired.get("metadata", {}).get("labels") or {}
    made = [
        name
        for name, value in _template_labels(body).items()
        if name not in wanted and _is_job_label(name, value, metadata)
    ]
    gone = [name for name in made if name not in labels]
    return gone if len(gone) < len(made) else []


def _is_tool_label(name: str, value: Any, body: dict[str, Any], instance_label: str | None) -> bool:
    if name == "kubernetes.io/metadata.name":
        return body.get("kind") == "Namespace" and value == body.get("metadata", {}).get("name")
    if name in TOOL_LABELS:
        return TOOL_LABELS[name] in (None, value)
    if body.get("kind") == "Job" and _is_job_label(name, value, body.get("metadata") or {}):
        return True
    return name == instance_label


def _names_it(name: str, value: Any, instances: frozenset[str]) -> bool:
    """Whether a label is Argo CD's mark of the very application that declares the object."""
    return name == INSTANCE_LABEL and value in instances


def _is_job_label(name: str, value: Any, job: dict[str, Any]) -> bool:
    """Whether a label repeats the Job's own uid or name (catalogue row 16)."""
    field = _JOB_LABELS.get(name)
    return field is not None and job.get(field, value) == value


def _fold_string_data(view: dict[str, Any]) -> None:
    """`stringData` wins over `data` and is stored base64-encoded (catalogue row 43)."""
    plain, kept = view.pop("stringData", None), view.get("data") or {}
    if not isinstance(plain, dict) or not isinstance(kept, dict):
        return
    encoded = {
        name: base64.b64encode(str(value if value is not None else "").encode()).decode()
        for name, value in plain.items()
    }
    view["data"] = {**kept, **encoded}
