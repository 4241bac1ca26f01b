"""What the API server refuses of counts and durations: numbers below the least of their field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

from driftd.diff.refused_rules import Place, Refusal, mapping
from driftd.model.resource import ResourceKey

_PROBE: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
_JOB: Final = (
    "parallelism",
    "completions",
    "backoffLimit",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
)
_COUNTS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("apps", "Deployment"): (
        "replicas",
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ),
    ("apps", "StatefulSet"): ("replicas", "minReadySeconds"),
    ("apps", "ReplicaSet"): ("replicas", "minReadySeconds"),
    ("apps", "DaemonSet"): ("minReadySeconds", "revisionHistoryLimit"),
    ("", "ReplicationController"): ("replicas", "minReadySeconds"),
    ("batch", "Job"): _JOB,
    ("batch", "CronJob"): (
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): ("minReplicas",),
}
"""Fields of specs that are 0 or more."""


def of_counts(spec: Mapping[str, Any], key: ResourceKey) -> Iterator[Refusal]:
    """Numbers of a spec that are too low for their field."""
    kind = (key.group, key.kind)
    yield from _least(spec, ("spec",), _COUNTS.get(kind, ()), 0)
    if kind == ("batch", "CronJob"):
        job = mapping(mapping(spec.get("jobTemplate")).get("spec"))
        yield from _least(job, ("spec", "jobTemplate", "spec"), _JOB, 0)
    if kind == ("autoscaling", "HorizontalPodAutoscaler"):
        yield from _least(spec, ("spec",), ("maxReplicas",), 1)
    if kind == ("apps", "Deployment"):
        yield from _deadline(spec)


def of_probe(probe: Mapping[str, Any], here: Place, *, once: bool) -> Iterator[Refusal]:
    """Numbers of a probe that are too low; `once` where a single success is enough, always."""
    yield from _least(probe, here, _PROBE, 0)
    wanted = probe.get("successThreshold")
    if once and _number(wanted) and wanted > 1:
        text = f"successThreshold of a {here[-1]} is 1: remove it"
        yield Refusal((*here, "successThreshold"), text)


def _least(
    values: Mapping[str, Any], place: Place, names: tuple[str, ...], least: int
) -> Iterator[Refusal]:
    for name in names:
        value = values.get(name)
        if _number(value) and value < least:
            yield Refusal((*place, name), f"{name} is {least} or more")


def _deadline(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds") or 0
    deadline = 600 if deadline is None else deadline  # the API server's default
    if _number(deadline) and _number(ready) and 0 <= deadline <= ready:
        text = "progressDeadlineSeconds is above minReadySeconds: raise it, or lower the latter"
        places = ("spec", "progressDeadlineSeconds"), ("spec", "minReadySeconds")
        given = [place for place in places if place[1] in spec]
        yield Refusal(given[0], text, tuple(given[1:]))


def _number(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number; other types are left to the schema."""
    return isinstance(value, int) and not isinstance(value, bool)
