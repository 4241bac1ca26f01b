"""Deployments, StatefulSets, DaemonSets, ReplicaSets, Pods, Jobs and CronJobs."""

from __future__ import annotations

from collections.abc import Iterator

from driftd.health.reading import (
    Body,
    at,
    conditions,
    entries,
    number,
    text,
    unobserved,
)
from driftd.health.types import (
    HEALTHY,
    Health,
    HealthStatus,
    degraded,
    healthy,
    progressing,
)

_UNSEEN = "its controller has not seen the last change yet"


def deployment(body: Body) -> Health:
    """A rollout is complete when every replica is new, available, and the only one."""
    if at(body, "spec", "paused") is True:
        return Health(HealthStatus.SUSPENDED, "the Deployment is paused")
    if unobserved(body):
        return progressing(_UNSEEN)
    rollout = conditions(body).get("Progressing")
    if rollout is not None and rollout.reason == "ProgressDeadlineExceeded":
        return degraded(f"the progress deadline is exceeded: {rollout.message}")
    wanted = number(body, "spec", "replicas", default=1)
    updated = number(body, "status", "updatedReplicas")
    every = number(body, "status", "replicas")
    available = number(body, "status", "availableReplicas")
    if updated < wanted:
        return progressing(f"{updated} of {wanted} replicas are updated")
    if every > updated:
        return progressing(f"{every - updated} old replicas are to end")
    if available < updated:
        return progressing(f"{available} of {updated} updated replicas are available")
    return HEALTHY


def stateful_set(body: Body) -> Health:
    """A rollout is complete when all Pods are ready and of the new revision, or its partition."""
    if not number(body, "status", "observedGeneration") or unobserved(body):
        return progressing(_UNSEEN)
    wanted = number(body, "spec", "replicas", default=1)
    ready = number(body, "status", "readyReplicas")
    updated = number(body, "status", "updatedReplicas")
    if ready < wanted:
        return progressing(f"{ready} of {wanted} Pods are ready")
    if text(body, "spec", "updateStrategy", "type") == "OnDelete":
        return healthy(f"{ready} Pods are ready; they are updated when somebody deletes them")
    partition = number(body, "spec", "updateStrategy", "rollingUpdate", "partition")
    if partition > 0:
        share = max(0, wanted - partition)
        if updated < share:
            return progressing(f"{updated} of {share} Pods of the partition are updated")
        return healthy(f"the partition is rolled out: {updated} Pods are updated")
    revision = text(body, "status", "updateRevision")
    if revision != text(body, "status", "currentRevision"):
        return progressing(f"{updated} of {wanted} Pods are of revision {revision}")
    return HEALTHY


def daemon_set(body: Body) -> Health:
    """A rollout is complete when each node that should have a Pod has a new, available one."""
    if unobserved(body):
        return progressing(_UNSEEN)
    wanted = number(body, "status", "desiredNumberScheduled")
    updated = number(body, "status", "updatedNumberScheduled")
    available = number(body, "status", "numberAvailable")
    if text(body, "spec", "updateStrategy", "type") == "OnDelete":
        return healthy(f"{updated} of {wanted} Pods are updated; the others when they are deleted")
    if updated < wanted:
        return progressing(f"{updated} of {wanted} Pods are updated")
    if available < wanted:
        return progressing(f"{available} of {wanted} Pods are available")
    return HEALTHY


def replica_set(body: Body) -> Health:
    """As many Pods are available as are wanted."""
    if unobserved(body):
        return progressing(_UNSEEN)
    failure = conditions(body).get("ReplicaFailure")
    if failure is not None and failure.is_true:
        return degraded(failure.message)
    wanted = number(body, "spec", "replicas", default=1)
    available = number(body, "status", "availableReplicas")
    if available < wanted:
        return progressing(f"{available} of {wanted} replicas are available")
    return HEALTHY


def pod(body: Body) -> Health:
    """Ready, or ended well; one that is to run for ever and was ended is degraded."""
    # Pods of Jobs try again by themselves, which is no failure of theirs.
    for_ever = text(body, "spec", "restartPolicy") in ("", "Always")
    if for_ever:
        stuck = list(_stuck(body))
        if stuck:
            return degraded(", ".join(stuck))
    phase = text(body, "status", "phase")
    message = text(body, "status", "message")
    if phase == "Succeeded":
        return healthy(message)
    if phase == "Failed":
        return degraded(message or next(_failures(body), text(body, "status", "reason")))
    if phase == "Running" and for_ever:
        ready = conditions(body).get("Ready")
        if ready is not None and ready.is_true:
            return healthy(message)
        for one in _containers(body):
            if at(one, "lastState", "terminated") is not None:
                return degraded(f"container {text(one, 'name')} was ended and is not ready")
    if phase in ("Pending", "Running"):
        return progressing(message)
    return Health(HealthStatus.UNKNOWN, message)


def job(body: Body) -> Health:
    """Complete, or failed for good."""
    found = conditions(body)
    if "Failed" in found and found["Failed"].is_true:
        return degraded(found["Failed"].message)
    if "Suspended" in found and found["Suspended"].is_true:
        return Health(HealthStatus.SUSPENDED, found["Suspended"].message)
    if "Complete" in found and found["Complete"].is_true:
        return healthy(found["Complete"].message)
    return progressing("the Job is not complete yet")


def cron_job(body: Body) -> Health:
    """Degraded once a run that is over has not succeeded, where one has succeeded before."""
    if at(body, "spec", "suspend") is True:
        return Health(HealthStatus.SUSPENDED, "the CronJob is suspended")
    scheduled = text(body, "status", "lastScheduleTime")
    succeeded = text(body, "status", "lastSuccessfulTime")
    if not scheduled:
        return healthy("no Job was due yet")
    if not succeeded:
        return healthy("no Job has succeeded yet")
    # Both are RFC 3339 in UTC and to the second, so they sort as texts.
    if not entries(body, "status", "active") and succeeded < scheduled:
        return degraded(f"the Job of {scheduled} has not succeeded")
    return HEALTHY


def _containers(body: Body) -> Iterator[Body]:
    for name in ("initContainerStatuses", "containerStatuses"):
        yield from entries(body, "status", name)


def _stuck(body: Body) -> Iterator[str]:
    """The containers that the kubelet cannot start."""
    for one in _containers(body):
        reason = text(one, "state", "waiting", "reason")
        if reason.startswith("Err") or reason.endswith(("Error", "BackOff")):
            message = text(one, "state", "waiting", "message")
            yield f"container {text(one, 'name')}: {reason}" + (f": {message}" if message else "")


def _failures(body: Body) -> Iterator[str]:
    for one in _containers(body):
        name, ended = text(one, "name"), at(one, "state", "terminated")
        if not ended:
            continue
        if text(ended, "message"):
            yield text(ended, "message")
        elif text(ended, "reason") == "OOMKilled":
            yield f"container {name}: OOMKilled"
        elif number(ended, "exitCode"):
            yield f"container {name} ended with exit code {number(ended, 'exitCode')}"
