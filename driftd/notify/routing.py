"""Which receivers a message goes to, and when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from driftd.notify.message import Message
from driftd.settings.notifications import Notifications, QuietHours, Route
from driftd.settings.rules import names_application


def routed(
    message: Message, told: Notifications, receivers: Collection[str], now: datetime
) -> dict[str, datetime | None]:
    """The receivers of a message, each with the moment until which it waits; None: at once.

    Where several routes lead to one receiver, the one that lets it hear soonest counts.
    """
    if not told.routes:
        return dict.fromkeys(receivers)
    found: dict[str, datetime | None] = {}
    matched = False
    for route in told.routes:
        if not matches(route, message):
            continue
        matched = True
        until = _held_until(route, message, now)
        for name in route.receivers:
            found[name] = _sooner(found[name], until) if name in found else until
        if told.route_match == "first":
            break
    if not matched:
        found = dict.fromkeys(receivers if told.otherwise is None else told.otherwise)
    return found


def matches(route: Route, message: Message) -> bool:
    """Whether everything that a route asks for holds of a message.

    By severity counts the highest since the application began to drift, so that whoever heard of
    a drift hears of its end, too.
    """
    severity = message.episode_severity or message.severity
    return (
        (not route.severities or severity in route.severities)
        and _is_any(route.projects, message.project)
        and _is_any(route.clusters, message.cluster)
        and _is_any(route.owners, message.owner)
        and (
            not route.applications
            or names_application(route.applications, message.namespace, message.application)
        )
        and (not route.kinds or message.type.value in route.kinds)
    )


def quiet_until(quiet: QuietHours, now: datetime) -> datetime | None:
    """The end of the quiet hours that `now` lies in; None if it lies in none.

    The clock of the zone decides, also in the nights in which it is changed.
    """
    zone = ZoneInfo(quiet.zone)
    begin, end = clock_time(quiet.begin), clock_time(quiet.end)
    for first, last in _nights(begin, end, now.astimezone(zone)):
        until = last.replace(tzinfo=zone).astimezone(UTC)
        if first.replace(tzinfo=zone).astimezone(UTC) <= now < until:
            return until
    return None


def clock_time(text: str) -> time:
    """`07:00` as a time of day. Raises ValueError."""
    hours, colon, minutes = text.partition(":")
    if not (colon and len(hours) == 2 and len(minutes) == 2 and text.isascii()):
        raise ValueError(f"Expected a time such as 07:00, got {text!r}")
    return time(int(hours), int(minutes))


def _nights(begin: time, end: time, local: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The quiet hours that begin yesterday and today, in local times without their zone."""
    for days in (-1, 0):
        day = local.date() + timedelta(days=days)
        last = day if begin < end else day + timedelta(days=1)
        yield datetime.combine(day, begin), datetime.combine(last, end)


def _held_until(route: Route, message: Message, now: datetime) -> datetime | None:
    critical = "critical" in (message.severity, message.episode_severity)
    return None if route.quiet is None or critical else quiet_until(route.quiet, now)


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else min(one, other)


def _is_any(globs: Iterable[str], value: str) -> bool:
    patterns = tuple(globs)
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
