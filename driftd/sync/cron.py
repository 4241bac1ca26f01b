"""Schedules in five fields of cron, on the clocks of a time zone, right at their changes. Pure.

Fields mean what they mean to Argo CD: minute, hour, day of month, month and day of week, with
lists, ranges, steps and English names; where both days are restricted, one that matches is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_HORIZON: Final = timedelta(days=5 * 366)
"""How far a time is looked for: 29 February comes within it, but for 1900 and 2100."""
_SHIFT: Final = timedelta(hours=25)
"""More than any clock was ever put forward or back."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """A number or a name. Raises ValueError."""
        if text.lower() in self.names:
            return self.names.index(text.lower()) + self.first
        if not re.fullmatch(r"[0-9]{1,4}", text):
            raise ValueError(f"{self.name}: {text!r} is no number")
        return int(text)

    def values(self, text: str) -> frozenset[int]:
        """What a field allows. Raises ValueError."""
        found = [self._range(part) for part in text.split(",") if part]
        if not found:
            raise ValueError(f"{self.name} is empty")
        return frozenset(value for values in found for value in values)

    def _range(self, text: str) -> range:
        span, *steps = text.split("/")
        low, *high = span.split("-")
        if len(steps) > 1 or len(high) > 1:
            raise ValueError(f"{self.name}: {text!r} is no range")
        if low in ("*", "?"):
            first, last = self.first, self.last
        else:
            first = self.number(low)
            last = self.number(high[0]) if high else self.last if steps else first
        step = self.number(steps[0]) if steps else 1
        if step < 1:
            raise ValueError(f"{self.name}: the step of {text!r} must be at least 1")
        if not self.first <= first <= last <= self.last:
            raise ValueError(
                f"{self.name}: {text!r} is not within {self.first}-{self.last}, in that order"
            )
        return range(first, last + 1, step)


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """The minutes at which something begins, as clocks on a wall show them."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Day of month and day of week are both restricted: one that matches is enough."""

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read a schedule. Raises ValueError."""
        return _parsed(text)

    def matches(self, wall: datetime) -> bool:
        """Whether something begins when clocks show this minute."""
        return wall.minute in self.minutes and wall.hour in self.hours and self._day(wall.date())

    def _day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (of_month or of_week) if self.either_day else (of_month and of_week)

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first instant (UTC) later than `moment` at which something begins.

        A time that clocks skip begins with the next instant that exists, one that they show twice
        begins the first time. None if there is none within five years.
        """
        local = _wall(moment, zone)
        for wall in self._onwards(local.replace(second=0, microsecond=0), local + _HORIZON):
            found = instant(wall, zone)
            if found > moment:
                return found
        return None

    def latest(self, moment: datetime, zone: ZoneInfo, since: datetime) -> datetime | None:
        """The last instant (UTC) up to `moment`, and later than `since`, as `after` says."""
        local = moment.astimezone(zone)
        # Where clocks show an hour for the second time, later times have been shown already.
        other = local.replace(fold=0)
        shown = (other.utcoffset() or timedelta(0)) - (local.utcoffset() or timedelta(0))
        top = local.replace(tzinfo=None, fold=0) + max(shown, timedelta(0))
        for wall in self._back(top, _wall(since, zone) - _SHIFT):
            found = instant(wall, zone)
            if found <= moment:
                return found if found > since else None
        return None

    def _onwards(self, start: datetime, end: datetime) -> Iterator[datetime]:
        day = start.date()
        while day <= end.date():
            if self._day(day):
                for hour in self.hours:
                    for minute in self.minutes:
                        wall = datetime.combine(day, time(hour, minute))
                        if wall >= start:
                            yield wall
            day += timedelta(days=1)

    def _back(self, start: datetime, end: datetime) -> Iterator[datetime]:
        day = start.date()
        while day >= end.date():
            if self._day(day):
                for hour in reversed(self.hours):
                    for minute in reversed(self.minutes):
                        wall = datetime.combine(day, time(hour, minute))
                        if wall <= start:
                            yield wall
            day -= timedelta(days=1)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Cron:
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"needs five fields, not {len(parts)}")
    values = [field.values(part) for field, part in zip(_FIELDS, parts, strict=True)]
    minutes, hours, days, months, weekdays = values
    return Cron(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=weekdays,
        either_day=not (_is_open(parts[2]) or _is_open(parts[4])),
    )


def _is_open(text: str) -> bool:
    """Whether a field of days restricts nothing: it has a star without a step."""
    return any(re.fullmatch(r"[*?](-[^/]*)?(/1)?", part) for part in text.split(","))


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When (UTC) the clocks of a zone show a time first, or have just skipped it."""
    before = wall.replace(tzinfo=zone, fold=0)
    found = before.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return found
    # The clocks were put forward between the instants that the two offsets give.
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = early.astimezone(zone).utcoffset()
    low, high = 0, round((found - early).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        at = early + timedelta(seconds=middle)
        if at.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return early + timedelta(seconds=high)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)
