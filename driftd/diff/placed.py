"""Defaults that the API server fills in at some places of a schema component, at others not.

The default table knows components, not places: a Pod's spec is a Deployment's template too. What
the server fills in for Pods alone is somebody's value in a template, however much it looks like
the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from driftd.diff import scalars
from driftd.diff.paths import Path
from driftd.model.resource import Json


def _own(_live: Json, path: Path) -> bool:
    """Whether the struct is the object's own spec, and none that it is a template of."""
    return len(path) == 1


def _scaled_up(_live: Json, path: Path) -> bool:
    return path[-1] == "scaleUp"


def _scaling_policies(live: Json, path: Path) -> bool:
    by_share: Any = {"type": "Percent", "value": 100, "periodSeconds": 15}
    by_number: Any = {"type": "Pods", "value": 4, "periodSeconds": 15}
    made = [by_number, by_share] if path[-1] == "scaleUp" else [by_share]
    return scalars.identical(made, live)


FILLED_IN: Final[Mapping[tuple[str, str], Callable[[Json, Path], bool]]] = {
    ("v1.PodSpec", "enableServiceLinks"): _own,
    ("v1.PodSpec", "preemptionPolicy"): _own,
    ("v1.PodSpec", "priority"): _own,
    ("v1.JobSpec", "backoffLimit"): _own,
    ("v1.JobSpec", "completionMode"): _own,
    ("v1.JobSpec", "completions"): _own,
    ("v1.JobSpec", "manualSelector"): _own,
    ("v1.JobSpec", "parallelism"): _own,
    ("v1.JobSpec", "podReplacementPolicy"): _own,
    ("v1.JobSpec", "suspend"): _own,
    ("v2.HPAScalingRules", "policies"): _scaling_policies,
    ("v2.HPAScalingRules", "stabilizationWindowSeconds"): _scaled_up,
}
"""Component and field: whether a value is the server's in the struct at a path."""

NOT_AGAIN: Final = frozenset({("v1.StatefulSetUpdateStrategy", "rollingUpdate")})
"""Structs that the server makes with an object, and not again once somebody has removed them."""
