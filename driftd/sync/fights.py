"""Fields that somebody changes back whenever driftd has healed them. Pure.

A few writes within minutes, and the field is left alone for an hour; each time after that for
twice as long. What was written is counted when it is intended, so no restart forgets it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from driftd.model.report import Change, ResourceReport, ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.settings.healing import Quarantine as Limits

WHOLE: Final = ""
"""The place of an object that is missing as a whole."""
MOST: Final = 500
"""Quarantines that are remembered of an application; the oldest are forgotten first."""


class Heal(msgspec.Struct, frozen=True):
    """A write that was intended."""

    key: ResourceKey
    places: tuple[str, ...]
    """The fields that it was to put back (`Change.place`)."""
    at: datetime


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """A field that is left alone."""

    key: ResourceKey
    place: str
    since: datetime
    until: datetime
    count: int = 1
    """Which one it is in a row."""
    opponent: str = ""
    """Who changes the field, as far as it is known."""
    path: str = ""
    """The field as a pointer into the live object."""

    @property
    def reason(self) -> str:
        """What is told."""
        who = self.opponent or "somebody"
        what = f"{self.path} is changed" if self.place != WHOLE else "the object is deleted"
        return (
            f"fight: {what} by {who} each time that driftd has put it back; "
            f"left alone until {self.until:%Y-%m-%d %H:%M} UTC. {self.proposal}"
        )

    @property
    def proposal(self) -> str:
        """The rule with which Git would leave the field to the other side."""
        if self.place == WHOLE:
            return "If it is to stay away, remove it from Git"
        key = self.key
        group = f"group: {key.group}, " if key.group else ""
        return (
            f"If {self.opponent or 'the other side'} is right, add to the Application's "
            f"ignoreDifferences: {{{group}kind: {key.kind}, name: {key.name}, "
            f"jsonPointers: [{self.path}]}}"
        )


def places(resource: ResourceReport) -> Mapping[str, Change | None]:
    """The fields for which an object is to be written, with their changes."""
    if resource.status is ResourceStatus.MISSING:
        return {WHOLE: None}
    return {change.place: change for change in resource.changes if change.is_drift}


def held(
    known: Iterable[Quarantine],
    heals: Iterable[Heal],
    resource: ResourceReport,
    limits: Limits,
    now: datetime,
) -> tuple[tuple[Quarantine, ...], tuple[Quarantine, ...]]:
    """The quarantines that hold an object now, and those of them that begin now."""
    before = {one.place: one for one in known if one.key == resource.key}
    counts = Counter(
        place
        for heal in heals
        if heal.key == resource.key and now - heal.at < limits.within.delta
        for place in heal.places
    )
    active: list[Quarantine] = []
    begun: list[Quarantine] = []
    for place, change in places(resource).items():
        last = before.get(place)
        if last is not None and now < last.until:
            active.append(last)
        elif counts[place] >= limits.heals:
            begun.append(_begun(resource.key, place, change, last, limits, now))
    return (*active, *begun), tuple(begun)


def kept(
    known: Iterable[Quarantine], begun: Iterable[Quarantine], limits: Limits, now: datetime
) -> tuple[Quarantine, ...]:
    """What is remembered on: each field's last quarantine, until it was quiet for long enough."""
    table = {(one.key, one.place): one for one in known}
    table |= {(one.key, one.place): one for one in begun}
    alive = [one for one in table.values() if now < one.until + limits.at_most.delta]
    return tuple(sorted(alive, key=lambda one: one.since)[-MOST:])


def _begun(
    key: ResourceKey,
    place: str,
    change: Change | None,
    last: Quarantine | None,
    limits: Limits,
    now: datetime,
) -> Quarantine:
    count = last.count + 1 if last is not None else 1
    # No overflow, however often: the limit is reached long before.
    length = min(limits.lasts.delta * 2 ** min(count - 1, 20), limits.at_most.delta)
    return Quarantine(
        key=key,
        place=place,
        since=now,
        until=now + max(length, timedelta(seconds=1)),
        count=count,
        opponent=_opponent(change),
        path=change.path if change is not None else "",
    )


def _opponent(change: Change | None) -> str:
    """A person where an audit log names one, and the field manager."""
    if change is None:
        return ""
    user = (change.attribution or {}).get("user", "")
    manager = change.manager or ""
    return f"{user} (as {manager})" if user and manager else user or manager
