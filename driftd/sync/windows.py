"""The sync windows of an AppProject, decided as Argo CD decides them. Pure.

Where Argo CD errs, driftd does not write: its windows are off by an hour across a change of
clocks, an unknown time zone silently becomes UTC, and an invalid schedule switches automated syncs
off without a word. Here an hour that is skipped begins with the next instant that exists, one that
is repeated begins the first time, and a window lasts its duration in real time. Nothing is written
to the applications of an invalid window, and a condition names its field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from driftd.model.condition import Condition, Severity
from driftd.model.project import AppProject, SyncWindow
from driftd.policy.project import glob_match, is_glob
from driftd.sync.cron import Cron

INVALID: Final = "InvalidSyncWindow"
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,  # Go takes both letters
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_EDGES: Final = 400
"""Edges that are looked at for the next moment that permits writing."""


@dataclass(frozen=True, slots=True)
class Place:
    """What windows choose applications by."""

    name: str
    namespace: str
    """The destination's."""
    clusters: tuple[str, ...]
    """Names and servers of the destination, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window that can be computed with."""

    spec: SyncWindow
    label: str
    """`deny window 2 of project shop`, and its description."""
    cron: Cron
    length: timedelta
    zone: ZoneInfo

    def opened(self, now: datetime) -> datetime | None:
        """Since when it is open; None if it is not. It opens with its first instant."""
        return self.cron.latest(now, self.zone, now - self.length)

    def next_edge(self, now: datetime) -> datetime | None:
        """When it opens or closes next, as far as can be said now."""
        begin = self.opened(now)
        return begin + self.length if begin is not None else self.cron.after(now, self.zone)


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether the windows let driftd write now."""

    allowed: bool
    reason: str = ""
    """Why not."""
    until: datetime | None = None
    """When they do; None if that is not known."""


ALLOWED: Final = Permission(allowed=True)


def permission(
    project: AppProject | None, place: Place, now: datetime, *, manual: bool = False
) -> Permission:
    """What the windows of `project` say about an application now; `manual` if a person asks.

    An active deny beats every allow. With allows of which none is active nothing is written.
    """
    if project is None or not project.spec.sync_windows:
        return ALLOWED
    windows: list[Window] = []
    for index, spec in enumerate(project.spec.sync_windows):
        problems = _problems(spec, index)
        # A glob that cannot be read may have been meant for every application.
        if (_has_broken_glob(spec) or _matches(spec, place)) and problems:
            field, text = problems[0]
            return Permission(False, f"{_named(project)}: {field} {text}")
        if _matches(spec, place):
            windows.append(_window(project, spec, index))
    if (found := _decided(windows, now, manual=manual)) is None:
        return ALLOWED
    return Permission(False, found, _next_allowed(windows, now, manual=manual))


def conditions(project: AppProject, place: Place | None = None) -> tuple[Condition, ...]:
    """What is wrong with the windows of a project, each with the field's name.

    With a `place` only of those windows that are, or may be, about that application.
    """
    return tuple(
        Condition(
            INVALID,
            f"{_named(project)}: {field} {text}; "
            "nothing is written to the applications of this window",
            Severity.WARNING,
        )
        for index, spec in enumerate(project.spec.sync_windows)
        if place is None or _matches(spec, place) or _has_broken_glob(spec)
        for field, text in _problems(spec, index)
    )


def duration(text: str) -> timedelta:
    """A length as Go writes it (`1h30m`, `90m`, `1.5h`). Raises ValueError."""
    if text in ("0", "+0", "-0"):
        return timedelta(0)
    body = text[1:] if text[:1] in ("+", "-") else text
    if not body or not re.fullmatch(f"(?:{_PART.pattern})+", body):
        raise ValueError("is no duration such as 90m or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(body))
    if seconds > 10 * 366 * 86400:
        raise ValueError("is longer than ten years")
    return timedelta(seconds=-seconds if text.startswith("-") else seconds)


def _named(project: AppProject) -> str:
    return f"project {project.name}{f' ({project.origin})' if project.origin else ''}"


def _window(project: AppProject, spec: SyncWindow, index: int) -> Window:
    told = f" ({spec.description})" if spec.description else ""
    return Window(
        spec,
        f"{spec.kind} window {index + 1} of project {project.name}{told}",
        Cron.parse(spec.schedule),
        duration(spec.duration),
        ZoneInfo(spec.time_zone or "UTC"),
    )


def _problems(spec: SyncWindow, index: int) -> list[tuple[str, str]]:
    """Each field that is wrong, and what is wrong with it."""
    at = f"spec.syncWindows[{index}]"
    found: list[tuple[str, str]] = []
    if spec.kind not in ("allow", "deny"):
        found.append((f"{at}.kind", f"is {spec.kind!r}, neither allow nor deny"))
    try:
        Cron.parse(spec.schedule)
    except ValueError as error:
        found.append((f"{at}.schedule", f"is {spec.schedule!r}, no schedule: {error}"))
    try:
        if duration(spec.duration) <= timedelta(0):
            found.append((f"{at}.duration", f"is {spec.duration!r}, so it never opens"))
    except ValueError as error:
        found.append((f"{at}.duration", f"is {spec.duration!r}, which {error}"))
    if spec.time_zone and not _is_zone(spec.time_zone):
        found.append((f"{at}.timeZone", f"is {spec.time_zone!r}, which is no known time zone"))
    for field, globs in _lists(spec):
        found += [
            (f"{at}.{field}", f"has {glob!r}, which is no glob")
            for glob in globs
            if not is_glob(glob)
        ]
    return found


def _is_zone(name: str) -> bool:
    """Whether there are rules for a time zone, here and now."""
    if name in ("Local", "localtime"):  # another one on each machine
        return False
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True


def _lists(spec: SyncWindow) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("applications", spec.applications),
        ("namespaces", spec.namespaces),
        ("clusters", spec.clusters),
    )


def _has_broken_glob(spec: SyncWindow) -> bool:
    return any(not is_glob(glob) for _, globs in _lists(spec) for glob in globs)


def _matches(spec: SyncWindow, place: Place) -> bool:
    """Whether a window is about an application; one without any list is about none."""
    found = [
        any(glob_match(glob, value) for glob in globs for value in values if value)
        for globs, values in (
            (spec.applications, (place.name,)),
            (spec.clusters, place.clusters),
            (spec.namespaces, (place.namespace,)),
        )
        if globs
    ]
    return bool(found) and (all(found) if spec.and_operator else any(found))


def _decided(windows: Iterable[Window], now: datetime, *, manual: bool) -> str | None:
    """Why nothing may be written; None if it may."""
    active: list[Window] = []
    closed: list[Window] = []
    for window in windows:
        (active if window.opened(now) is not None else closed).append(window)
    denies = [window for window in active if window.spec.kind == "deny"]
    if denies:
        if manual and all(window.spec.manual_sync for window in denies):
            return None
        return f"{denies[0].label} is open"
    if active:
        return None
    if closed := [window for window in closed if window.spec.kind == "allow"]:
        if manual and all(window.spec.manual_sync for window in closed):
            return None
        return f"{closed[0].label} is closed"
    return None


def _next_allowed(windows: list[Window], now: datetime, *, manual: bool) -> datetime | None:
    """The first edge from which on writing is allowed; None if none is found."""
    at = now
    for _ in range(_EDGES):
        edges = [edge for window in windows if (edge := window.next_edge(at)) is not None]
        if not edges:
            return None
        at = min(edges)
        if _decided(windows, at, manual=manual) is None:
            return at
    return None
