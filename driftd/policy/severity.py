"""How much a change matters, and why."""

from __future__ import annotations

from typing import Final, Literal

from driftd.model import places
from driftd.model.report import Change, ChangeClass, ChangeKind

Level = Literal["critical", "high", "medium", "low", "info"]

ORDER: Final[tuple[Level, ...]] = ("critical", "high", "medium", "low", "info")
"""Worst first."""

_HIGH_FIELDS: Final = frozenset(
    {"image", "command", "args", "replicas", "selector", "data", "ports", "rules", "env"}
)


def severity(kind: str, change: Change) -> Level:
    """The level of a change to an object of `kind`.

    Critical places give power or traffic away; a reorder or a label seldom hurts.
    """
    place = tuple(_name(token) for token in _tokens(change.path))
    if change.change_class in (ChangeClass.INJECTED, ChangeClass.PENDING):
        return "info"
    if places.is_critical(kind, place) or places.holds_critical(kind, place, change.live):
        return "critical"
    if change.change_class in (ChangeClass.REVIEW, ChangeClass.REWRITTEN):
        return "info"
    if change.kind is ChangeKind.REORDERED:
        return "low"
    if place[:1] == ("metadata",):
        return "low"
    return "high" if _HIGH_FIELDS.intersection(place) else "medium"


def _tokens(pointer: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _name(token: str) -> str:
    return "*" if token.isdigit() else token
