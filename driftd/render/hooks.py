"""Which objects Argo CD runs or removes by itself, so that they are never compared. Pure."""

from __future__ import annotations

import msgspec

from driftd.model.resource import Json, ResourceKey

ARGO_HOOK = "argocd.argoproj.io/hook"
HELM_HOOK = "helm.sh/hook"
HOOKS = frozenset({ARGO_HOOK, HELM_HOOK})
"""The annotations that make a hook in an Application of Argo CD."""

_ARGO_HOOKS = frozenset(
    {"PreSync", "Sync", "PostSync", "SyncFail", "Skip", "PreDelete", "PostDelete"}
)
_HELM_TO_ARGO = {
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
    "pre-delete": "PreDelete",
    "post-delete": "PostDelete",
}


class Hook(msgspec.Struct, frozen=True):
    """The hook annotation of one object."""

    types: tuple[str, ...]
    """Argo CD's types, in the order written; empty when none is valid (then it never runs)."""
    unknown: tuple[str, ...] = ()
    """Values of Argo CD's own annotation that it does not know."""


def hook_of(annotations: Json) -> Hook | None:
    """The hook that an object is, None if it is none.

    Argo CD's annotation, valid or not, makes a hook and beats Helm's; of Helm's values
    `crd-install` alone makes none, and those without a counterpart never run.
    """
    if not isinstance(annotations, dict):
        return None
    if ARGO_HOOK in annotations:
        values = _values(annotations[ARGO_HOOK])
        return Hook(
            tuple(v for v in values if v in _ARGO_HOOKS),
            tuple(v for v in values if v not in _ARGO_HOOKS) if values else ("",),
        )
    if HELM_HOOK not in annotations or annotations[HELM_HOOK] == "crd-install":
        return None
    types = (_HELM_TO_ARGO.get(value) for value in _values(annotations[HELM_HOOK]))
    return Hook(tuple(dict.fromkeys(t for t in types if t)))


def _values(text: Json) -> list[str]:
    if not isinstance(text, str):
        return []
    return [value for part in text.split(",") if (value := part.strip())]


def is_transient_job(key: ResourceKey, value: dict[str, Json]) -> bool:
    """Whether this is a Job that Kubernetes deletes some time after it finished."""
    if key.kind != "Job" or key.group != "batch":
        return False
    spec = value.get("spec")
    return isinstance(spec, dict) and spec.get("ttlSecondsAfterFinished") is not None
