"""Whether a planned write is one that may ever be made, beside the plan that says so. Pure.

The plan makes none that fails here; that it does not is not left to it alone.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET

from driftd.model.report import ChangeClass, ResourceReport, ResourceStatus, is_masked
from driftd.sync.plan import HEAL_ANNOTATION, SyncTask

PROTECTED: Final = f"its manifest says {HEAL_ANNOTATION}: never"


def problem(task: SyncTask, resource: ResourceReport | None) -> str:
    """Why a write must not be made whoever asks for it; empty if it may."""
    if resource is None:
        return "the verdict does not know the object"
    if resource.ignored_by is not UNSET:
        return f"that it is {resource.status} is accepted by {resource.ignored_by}"
    if task.create is not (resource.status is ResourceStatus.MISSING):
        return "the write does not fit the verdict"
    if not task.create:
        if resource.status is not ResourceStatus.OUT_OF_SYNC:
            return f"the object is {resource.status}, which is not healed"
        if found := _not_drift(resource):
            return found
    try:
        body = msgspec.json.decode(task.body)
    except msgspec.MsgspecError:
        return "what would be written is no JSON"
    if not isinstance(body, dict):
        return "what would be written is no object"
    values = [body, *(one.value for one in task.removals if one.op != "test")]
    if any(map(_has_mask, values)):
        return "what would be written has masked values"
    return ""


def is_protected(task: SyncTask) -> bool:
    """Whether Git says that the object is not to be healed; what live says does not count."""
    body = msgspec.json.decode(task.body)
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    return isinstance(annotations, dict) and annotations.get(HEAL_ANNOTATION) == "never"


def _not_drift(resource: ResourceReport) -> str:
    if not any(change.is_drift for change in resource.changes):
        return "none of its differences is drift: accepted, rewritten and pending ones stay"
    if any(change.change_class is ChangeClass.PENDING for change in resource.changes):
        return "Git is ahead of what was synced last; applying would roll that out"
    return ""


def _has_mask(value: Any) -> bool:
    if is_masked(value):
        return True
    if isinstance(value, dict):
        return any(map(_has_mask, value.values()))
    return isinstance(value, list) and any(map(_has_mask, value))
