"""What a planned write sets off beyond the fields themselves, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.model.counts import counted
from driftd.model.preview import Effect
from driftd.model.report import ChangeKind
from driftd.policy.merging import effect_of
from driftd.sync.plan import SyncTask

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod")


def impact_of(task: SyncTask, live: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What carrying out a task does to what runs; `live` is the object now, None if missing."""
    if task.create or live is None:
        starts = task.key.kind in _WORKLOADS
        return ("the object is created" + (", and its Pods start" if starts else ""),)
    told: dict[str, None] = {}
    for change in task.heals:
        effect = effect_of(task.key, change, live)
        if effect is not None and effect[0] is Effect.ROLLOUT:
            told[f"{effect[1]}{_how_many(live)}"] = None
        elif effect is not None:
            told[f"the API server will refuse it: {effect[1]}"] = None
        elif change.path == "/spec/replicas" and change.kind is ChangeKind.MODIFIED:
            told[f"scaled from {change.live} to {counted(change.desired, 'replica')}"] = None
    return tuple(told)


def fixed_fields(task: SyncTask, live: Mapping[str, Any]) -> tuple[str, ...]:
    """Why the API server refuses to change an object in place, as far as its kind says."""
    effects = (effect_of(task.key, change, live) for change in task.heals)
    return tuple(one[1] for one in effects if one is not None and one[0] is Effect.RECREATE)


def _how_many(live: Mapping[str, Any]) -> str:
    count = (live.get("spec") or {}).get("replicas")
    return f" ({counted(count, 'replica')})" if isinstance(count, int) else ""
