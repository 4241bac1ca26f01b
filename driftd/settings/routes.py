"""What cannot work in the settings of routes, storms and networks of receivers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from ipaddress import ip_network
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from driftd.settings.notifications import Notifications, QuietHours

KINDS: Final = (
    "drifted",
    "worsened",
    "changed",
    "recovered",
    "healed",
    "unknown",
    "fighting",
    "rule-trouble",
    "heal-refused",
    "silence-expired",
    "pause-forgotten",
    "history-rewritten",
)
"""Kinds of messages."""
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def problems(told: Notifications, receivers: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Key, what is wrong there, and the remedy; `receivers` are the names that there are."""
    for index, route in enumerate(told.routes):
        at = f"notifications.routes[{index}]"
        for name in route.receivers:
            if name not in receivers:
                yield f"{at}.receivers", *_unknown(name, receivers)
        for kind in route.kinds:
            if kind not in KINDS:
                hint = f"kinds are: {', '.join(KINDS)}"
                yield f"{at}.kinds", f"there is no kind of message {kind!r}", hint
        if route.quiet is not None:
            yield from _quiet(f"{at}.quiet", route.quiet)
    for name in told.otherwise or ():
        if name not in receivers:
            yield "notifications.otherwise", *_unknown(name, receivers)
    for network in told.allow_networks:
        try:
            ip_network(network)
        except ValueError as error:
            yield "notifications.allowNetworks", str(error), "write networks such as 10.0.0.0/8"
    if told.storm.messages < 0:
        yield "notifications.storm.messages", "must not be below 0", ""


def _unknown(name: str, receivers: Collection[str]) -> tuple[str, str]:
    there = f"there are: {', '.join(sorted(receivers))}" if receivers else "there are none"
    return f"there is no receiver {name!r}", there


def _quiet(at: str, quiet: QuietHours) -> Iterator[tuple[str, str, str]]:
    for key, text in (("begin", quiet.begin), ("end", quiet.end)):
        if not _CLOCK.fullmatch(text):
            yield f"{at}.{key}", f"must be a time such as 07:00, not {text!r}", ""
    if quiet.begin == quiet.end:
        yield at, "begins and ends at the same time", "give each its own"
    try:
        ZoneInfo(quiet.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"{at}.zone", f"there is no zone {quiet.zone!r}", "write one such as Europe/Berlin"
