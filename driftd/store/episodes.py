"""When drifts begin and end, and what a look changed. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Change,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import ResourceKey
from driftd.store.types import (
    FIGHT_RATE,
    HALF_LIFE,
    Drift,
    DriftKey,
    Ending,
    Fight,
    Held,
    Recovery,
    StateChange,
    Step,
    Transition,
    WholeObject,
)

JudgeEnding: TypeAlias = Callable[[Drift], Ending]
"""Says how a drift ended that the look no longer sees; pure, called inside the transaction."""

JudgeHold: TypeAlias = Callable[[Drift], Held | None]
"""Says of a drift that nobody was told of why it is not told now; pure, as `JudgeEnding`."""

_WHOLE_OBJECT = frozenset({ResourceStatus.MISSING, ResourceStatus.EXTRA})
_NOT_JUDGED = frozenset({ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED})
MOST_STEPS: Final = 16
"""Values that one episode keeps."""
FIRST_STEPS: Final = 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SEVERITIES: Final = ("", "info", "low", "medium", "high", "critical")


def put_back(_drift: Drift) -> Ending:
    """The ending of a drift about which nothing more is known."""
    return Ending(Recovery.REVERTED)


def told_at_once(_drift: Drift) -> Held | None:
    """Nothing is held."""
    return None


@dataclass(frozen=True, slots=True)
class Past:
    """The last episode of the same drift before."""

    first_seen: datetime
    rate: float
    ended_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the store knows of an application when a look at it ends."""

    status: ApplicationStatus | None = None
    told: ApplicationStatus | None = None
    """The status that the last message was about."""
    observed_at: datetime | None = None
    """When the look before began to read."""
    unjudged: frozenset[ResourceKey] = frozenset()
    """Objects that the look before could not judge."""
    judged: frozenset[ResourceKey] | None = None
    """Objects that it judged; None if it was complete, so that others were not there."""
    past: Mapping[DriftKey, Past] = field(default_factory=dict)
    """Former episodes of drifts that begin now."""
    fights: frozenset[DriftKey] = frozenset()
    """Drifts that were fights already, whether they are open now or not."""


def rate_at(rate: float, since: datetime, now: datetime) -> float:
    """What is left at `now` of a rate that was measured at `since`."""
    return float(rate * 0.5 ** (max(now - since, timedelta(0)) / HALF_LIFE))


def is_fight(rate: float, since: datetime, now: datetime) -> bool:
    """Whether a drift that began at `since` with this rate still counts as a fight."""
    return rate >= FIGHT_RATE and rate_at(rate, since, now) >= FIGHT_RATE / 2


def unjudged(report: ApplicationReport) -> frozenset[ResourceKey]:
    """The objects of a report that it has no verdict on."""
    return frozenset(_judged(report)[1])


def drift_keys(report: ApplicationReport) -> frozenset[DriftKey]:
    """The drifts that a report has."""
    return frozenset(key for key, _ in _drifts(report, datetime.min.replace(tzinfo=UTC)))


def judged(report: ApplicationReport) -> frozenset[ResourceKey] | None:
    """The objects of a report that it has a verdict on; None if it is complete."""
    return None if report.complete else frozenset(_judged(report)[0])


def begun(known: Iterable[Drift], report: ApplicationReport, now: datetime) -> list[DriftKey]:
    """The drifts of `report` that are not open yet."""
    open_now = {drift.key for drift in known}
    return [key for key, _ in _drifts(report, now) if key not in open_now]


def state_change(
    before: Before,
    known: Iterable[Drift],
    report: ApplicationReport,
    now: datetime,
    judge: JudgeEnding = put_back,
    hold: JudgeHold = told_at_once,
) -> StateChange:
    """What `report` changes for an application with the open drifts `known`.

    A drift closes when its object was judged without it, or when a complete look no longer
    has the object; never because something could not be seen. One that is held is told by the
    first look that sees it and holds it no longer; if it ends before, nobody hears of it.
    """
    open_before = {drift.key: drift for drift in known}
    seen = dict(_drifts(report, now))
    judged, unseen = _judged(report)
    opened = [_onset(one, before, now) for key, one in seen.items() if key not in open_before]
    stay = [_continued(open_before[key], one) for key, one in seen.items() if key in open_before]
    closed: list[Drift] = []
    fights = tuple(_fights(opened, before))
    fierce = {fight.key for fight in fights}
    opened = [one if one.key in fierce else _held(one, hold, now) for one in opened]
    stay = [one if one.held is None else _held(one, hold, now) for one in stay]
    released = [one for one in stay if one.held is None and open_before[one.key].held is not None]
    for key, drift in open_before.items():
        if key in seen:
            continue
        gone = key.resource in judged or (report.complete and key.resource not in unseen)
        gone = gone and not _is_hidden(key, report)
        (closed if gone else stay).append(drift)
    closed.sort(key=lambda drift: drift.key)
    shown = _shown(before, report.status, [*opened, *stay])
    news = [one for one in (*opened, *released, *closed) if one.held is None]
    endings = tuple(judge(drift) for drift in closed)
    told_before = worst(open_before.values())
    transition = _told(before, shown, fights, news)
    return StateChange(
        transition=_named(
            transition,
            before,
            fresh=any(one.held is None for one in (*opened, *released)),
            expired=_is_expired(opened, released, open_before),
            healed=_is_healed(closed, endings),
            rose=shown is ApplicationStatus.OUT_OF_SYNC
            and _rose(told_before, [*opened, *stay], before.fights),
        ),
        name=report.name,
        namespace=report.namespace,
        project=report.project,
        cluster=report.cluster,
        at=now,
        previous=before.status,
        status=report.status,
        revisions=report.revisions,
        conditions=report.conditions,
        opened=_ordered(opened),
        closed=tuple(closed),
        open=_ordered([*opened, *stay]),
        fights=fights,
        endings=endings,
        severity_before=told_before,
        released=_ordered(released),
        told=before.told or before.status,
    )


def told_of(before: Before, change: StateChange) -> ApplicationStatus:
    """The status that receivers take the application to have once the change is told.

    While a fight goes on they are not told that it is over, so that they still have to be, and
    as long as every drift is held they are told of none.
    """
    fighting = before.fights or change.fights
    if fighting and change.status is ApplicationStatus.SYNCED:
        return ApplicationStatus.OUT_OF_SYNC
    return _shown(before, change.status, change.open)


def moved(change: StateChange) -> Transition:
    """What happened, whether it is told or not."""
    if change.transition is not Transition.NONE and not change.released:
        return change.transition
    return _transition(change.previous, change.status, bool(change.opened or change.closed))


def worst(drifts: Iterable[Drift]) -> str:
    """The highest severity of drifts that are told; empty where none is known."""
    found = (one.severity for one in drifts if one.held is None)
    return max(found, key=SEVERITIES.index, default="")


def _rose(told: str, drifts: Iterable[Drift], fights: frozenset[DriftKey]) -> bool:
    """Whether any drift is worse than what was told; one that goes and comes is told already."""
    now = worst(one for one in drifts if one.key not in fights)
    return bool(told) and SEVERITIES.index(now) > SEVERITIES.index(told)


def _is_expired(
    opened: Iterable[Drift], released: Iterable[Drift], before: Mapping[DriftKey, Drift]
) -> bool:
    """Whether what is told now is what silences kept back, and nothing else."""
    held = [before[one.key].held for one in released]
    silenced = [one is not None and bool(one.silence) for one in held]
    return bool(silenced) and all(silenced) and all(one.held is not None for one in opened)


def _is_healed(closed: Iterable[Drift], endings: Iterable[Ending]) -> bool:
    """Whether driftd put any drift back that receivers had been told of."""
    return any(
        one.held is None and ending.how is Recovery.HEALED
        for one, ending in zip(closed, endings, strict=True)
    )


def _named(
    transition: Transition,
    before: Before,
    *,
    fresh: bool,
    healed: bool,
    rose: bool,
    expired: bool,
) -> Transition:
    """The word for a change of state that says most of it.

    `fresh`: drifts are told for the first time; `healed`: driftd put some back; `rose`: the
    highest severity is higher than before; `expired`: a silence kept all of them back.
    """
    if expired and transition in (Transition.DRIFTED, Transition.CHANGED):
        return Transition.SILENCE_EXPIRED
    stays = (before.told or before.status) is ApplicationStatus.OUT_OF_SYNC
    if rose and stays and transition in (Transition.NONE, Transition.CHANGED):
        return Transition.WORSENED
    if healed and not fresh and transition in (Transition.RECOVERED, Transition.CHANGED):
        return Transition.HEALED
    return transition


def _onset(drift: Drift, before: Before, now: datetime) -> Drift:
    resource = drift.key.resource
    unseen = resource in before.unjudged or (
        before.judged is not None and resource not in before.judged
    )
    clean_at = None if unseen else before.observed_at
    past = before.past.get(drift.key)
    rate = 1.0 if past is None else 1.0 + rate_at(past.rate, past.first_seen, now)
    return replace(drift, clean_at=clean_at, rate=rate)


def _continued(old: Drift, seen: Drift) -> Drift:
    steps = old.steps
    if seen.change is not None and old.change is not None and _differs(old.change, seen.change):
        steps = (*steps, Step.of(old.change, seen.last_seen))
        # The first ones tell how it began, the last ones what goes on.
        steps = (*steps[:FIRST_STEPS], *steps[FIRST_STEPS:][-(MOST_STEPS - FIRST_STEPS) :])
    return replace(
        seen,
        steps=steps,
        first_seen=old.first_seen,
        clean_at=old.clean_at,
        rate=old.rate,
        held=old.held,
        severity=max(old.severity, seen.severity, key=SEVERITIES.index),
    )


def _held(drift: Drift, hold: JudgeHold, now: datetime) -> Drift:
    """The drift as `hold` has it; what is due is held no longer."""
    held = hold(drift)
    return replace(drift, held=held if held is not None and held.until > now else None)


def _shown(before: Before, status: ApplicationStatus, drifts: Iterable[Drift]) -> ApplicationStatus:
    """The status as far as it may be told: while every drift is held it stays what it was."""
    held = [drift.held is not None for drift in drifts]
    if status is ApplicationStatus.OUT_OF_SYNC and held and all(held):
        return before.told or before.status or ApplicationStatus.SYNCED
    return status


def _differs(old: Change, new: Change) -> bool:
    """Whether a field has another value than before, or Git declares another one."""
    then, now = (replace(Step.of(one, _EPOCH), manager="") for one in (old, new))
    # As JSON, because True is 1 to Python.
    return msgspec.json.encode(then) != msgspec.json.encode(now)


def _fights(opened: Iterable[Drift], before: Before) -> Iterator[Fight]:
    for drift in opened:
        past = before.past.get(drift.key)
        if past is not None and drift.rate >= FIGHT_RATE and drift.key not in before.fights:
            yield Fight(drift.key, drift.author, past.ended_by, drift.rate)


def _ordered(drifts: Iterable[Drift]) -> tuple[Drift, ...]:
    return tuple(sorted(drifts, key=lambda drift: drift.key))


def _drifts(report: ApplicationReport, now: datetime) -> Iterator[tuple[DriftKey, Drift]]:
    for resource in report.resources:
        if resource.status in _WHOLE_OBJECT:
            if resource.is_drift:
                key = DriftKey(resource.key, "", resource.status.value)
                yield key, _whole(key, resource, now)
            continue
        for change in resource.changes:
            if change.is_drift:
                # Pointers count list positions, which move when somebody adds an item before.
                key = DriftKey(resource.key, change.place, change.kind.value)
                yield key, Drift(key, now, now, change, severity=change.severity or "")


def _whole(key: DriftKey, resource: ResourceReport, now: datetime) -> Drift:
    whole = WholeObject(
        severity_reason=resource.severity_reason or "",
        manager=resource.manager or "",
        attribution=resource.attribution or None,
    )
    return Drift(key, now, now, whole=whole, severity=resource.severity or "")


def _is_hidden(key: DriftKey, report: ApplicationReport) -> bool:
    """Whether a look could not see if an object that Git dropped is still there."""
    if key.kind != ResourceStatus.EXTRA or report.not_searched is UNSET:
        return False
    group, kind = key.resource.group, key.resource.kind
    names = {f"{kind}.{group}", f"*.{group}"} if group else {kind, "*"}
    return not names.isdisjoint(report.not_searched)


def _judged(report: ApplicationReport) -> tuple[set[ResourceKey], set[ResourceKey]]:
    judged: set[ResourceKey] = set()
    unseen: set[ResourceKey] = set()
    for resource in report.resources:
        # An object that is being deleted is OutOfSync as a whole: its fields are not looked at.
        fieldless = resource.status is ResourceStatus.OUT_OF_SYNC and not resource.changes
        hidden = fieldless or resource.status in _NOT_JUDGED
        (unseen if hidden else judged).add(resource.key)
    return judged, unseen


def _told(
    before: Before,
    status: ApplicationStatus,
    fights: tuple[Fight, ...],
    changed: Iterable[Drift],
) -> Transition:
    """What receivers are told: a fight once, and nothing of it until it is over."""
    if fights:
        return Transition.FIGHTING
    if not before.fights:
        return _transition(before.told or before.status, status, any(True for _ in changed))
    others = any(drift.key not in before.fights for drift in changed)
    held = ApplicationStatus.OUT_OF_SYNC if status is ApplicationStatus.SYNCED else status
    return _transition(before.told or before.status, held, others)


def _transition(
    previous: ApplicationStatus | None, status: ApplicationStatus, has_moved: bool
) -> Transition:
    if status is previous:
        out_of_sync = status is ApplicationStatus.OUT_OF_SYNC
        return Transition.CHANGED if out_of_sync and has_moved else Transition.NONE
    if status is ApplicationStatus.OUT_OF_SYNC:
        return Transition.DRIFTED
    if status is ApplicationStatus.UNKNOWN:
        return Transition.UNKNOWN
    return Transition.NONE if previous is None else Transition.RECOVERED
