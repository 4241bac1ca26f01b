"""What the API server refuses of schedules: texts that the cron library of its controller rejects.

Syntax: five fields, or one of the named schedules
(https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax).
"""

from __future__ import annotations

import re
from typing import Any, Final

_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMED: Final = frozenset(
    {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
)
_DURATION: Final = re.compile(r"[-+]?(0|([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|μs|ms|s|m|h))+\Z")
_FIELDS: Final[tuple[tuple[str, int, int, dict[str, int]], ...]] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: at for at, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: at for at, name in enumerate(_DAYS)}),
)
"""Name, least and most of each field, and its words."""


def schedule(text: Any) -> str:
    """What is wrong with a schedule; empty if nothing is, or where that is not for certain."""
    if not isinstance(text, str):
        return ""  # which the schema tells
    if "TZ" in text:
        return "a schedule has no time zone: write it as timeZone"
    if text.startswith("@"):
        return _named(text)
    parts = text.split()
    if len(parts) != len(_FIELDS):
        count = f"{len(parts)} field{'' if len(parts) == 1 else 's'}"
        return (
            f"a schedule has 5 fields (minute, hour, day of the month, month, day of the week), "
            f"this one has {count}"
        )
    for part, (name, least, most, words) in zip(parts, _FIELDS, strict=True):
        for piece in filter(None, part.split(",")):
            wrong = _piece(piece, least, most, words)
            if wrong:
                return f"{name}: {wrong}"
    return ""


def _named(text: str) -> str:
    if text.startswith("@every "):
        if _DURATION.match(text.removeprefix("@every ")):
            return ""
        return "@every takes a duration as 30m or 1h30m"
    if text in _NAMED:
        return ""
    return f"a schedule that begins with @ is one of {', '.join(sorted(_NAMED))}, or @every"


def _piece(piece: str, least: int, most: int, words: dict[str, int]) -> str:
    """What is wrong with one part of a field, as `*/5`, `1-5` or `mon`."""
    span, *steps = piece.split("/")
    if len(steps) > 1:
        return "it has more than one /"
    if steps and not (steps[0].isdecimal() and int(steps[0])):
        return "after / stands a number from 1"
    ends = span.split("-")
    if ends[0] in ("*", "?"):
        return ""
    if len(ends) > 2:
        return "it has more than one -"
    found = [_value(end, words) for end in ends]
    if any(one is None for one in found):
        return f"{'a word or ' if words else ''}a number from {least} to {most} is expected"
    low, high = found[0] or 0, found[-1] or 0
    if low < least or high > most:
        return f"a number from {least} to {most} is expected"
    if low > high:
        return "the range ends before it begins"
    return ""


def _value(text: str, words: dict[str, int]) -> int | None:
    if text.lower() in words:
        return words[text.lower()]
    return int(text) if text.isdecimal() and text.isascii() else None
