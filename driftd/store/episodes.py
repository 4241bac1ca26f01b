"""When drifts begin and end, and what a look changed. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import UNSET

from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import ResourceKey
from driftd.store.types import Drift, DriftKey, StateChange, Transition

_WHOLE_OBJECT = frozenset({ResourceStatus.MISSING, ResourceStatus.EXTRA})
_NOT_JUDGED = frozenset({ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED})


def state_change(
    previous: ApplicationStatus | None,
    known: Iterable[Drift],
    report: ApplicationReport,
    now: datetime,
) -> StateChange:
    """What `report` changes for an application with the open drifts `known`.

    A drift closes when its object was judged without it, or when a complete look no longer
    has the object; never because something could not be seen.
    """
    before = {drift.key: drift for drift in known}
    seen = dict(_drifts(report, now))
    judged, unjudged = _judged(report)
    opened: list[Drift] = []
    stay: list[Drift] = []
    closed: list[Drift] = []
    for key, drift in seen.items():
        old = before.get(key)
        if old is None:
            opened.append(drift)
        else:
            stay.append(Drift(key, old.first_seen, now, drift.change))
    for key, drift in before.items():
        if key in seen:
            continue
        gone = key.resource in judged or (report.complete and key.resource not in unjudged)
        (closed if gone else stay).append(drift)
    return StateChange(
        transition=_transition(previous, report.status, bool(opened or closed)),
        name=report.name,
        namespace=report.namespace,
        project=report.project,
        cluster=report.cluster,
        at=now,
        previous=previous,
        status=report.status,
        revisions=report.revisions,
        conditions=report.conditions,
        opened=_ordered(opened),
        closed=_ordered(closed),
        open=_ordered([*opened, *stay]),
    )


def _ordered(drifts: Iterable[Drift]) -> tuple[Drift, ...]:
    return tuple(sorted(drifts, key=lambda drift: drift.key))


def _key(resource: ResourceReport) -> ResourceKey:
    return ResourceKey(resource.group, resource.kind, resource.namespace, resource.name)


def _drifts(report: ApplicationReport, now: datetime) -> Iterator[tuple[DriftKey, Drift]]:
    for resource in report.resources:
        if resource.status in _WHOLE_OBJECT:
            if resource.is_drift:
                key = DriftKey(_key(resource), "", resource.status.value)
                yield key, Drift(key, now, now)
            continue
        for change in resource.changes:
            if change.is_drift:
                # Pointers count list positions, which move when somebody adds an item before.
                place = change.path if change.ssa_path is UNSET else change.ssa_path
                key = DriftKey(_key(resource), str(place), change.kind.value)
                yield key, Drift(key, now, now, change)


def _judged(report: ApplicationReport) -> tuple[set[ResourceKey], set[ResourceKey]]:
    judged: set[ResourceKey] = set()
    unjudged: set[ResourceKey] = set()
    for resource in report.resources:
        # An object that is being deleted is OutOfSync as a whole: its fields are not looked at.
        unseen = resource.status is ResourceStatus.OUT_OF_SYNC and not resource.changes
        hidden = unseen or resource.status in _NOT_JUDGED
        (unjudged if hidden else judged).add(_key(resource))
    return judged, unjudged


def _transition(
    previous: ApplicationStatus | None, status: ApplicationStatus, moved: bool
) -> Transition:
    if status is previous:
        out_of_sync = status is ApplicationStatus.OUT_OF_SYNC
        return Transition.CHANGED if out_of_sync and moved else Transition.NONE
    if status is ApplicationStatus.OUT_OF_SYNC:
        return Transition.DRIFTED
    if status is ApplicationStatus.UNKNOWN:
        return Transition.UNKNOWN
    return Transition.NONE if previous is None else Transition.RECOVERED
