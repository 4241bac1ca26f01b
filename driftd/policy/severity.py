"""How much a change matters, and why."""

from __future__ import annotations

from driftd.model import places
from driftd.model.patterns import ANY_ITEM, Step, place_of
from driftd.model.report import Change
from driftd.model.severities import ORDER, Difference, Level, SeverityRules, shipped

__all__ = ["ORDER", "Level", "is_image", "severity"]


def severity(
    kind: str, change: Change, group: str | None = None, rules: SeverityRules | None = None
) -> tuple[Level, str]:
    """The level of a change to an object of `kind`, and why, in short words.

    `rules` are an operator's with the shipped ones below, or None for the shipped ones alone.
    """
    rated = (rules or shipped()).rate(
        Difference(
            kind=kind,
            group=group,
            place=_place(change),
            change=change.kind,
            change_class=change.change_class,
            desired=change.desired,
            live=change.live,
        )
    )
    return rated.level, rated.reason


def is_image(place: tuple[str, ...]) -> bool:
    """Whether a place (names, list steps as `*`) is the image of a container."""
    return len(place) > 2 and place[-3] in places.CONTAINER_LISTS and place[-2:] == ("*", "image")


def _place(change: Change) -> tuple[Step, ...]:
    """The keyed steps of a change; of its pointer, where a number may be a position, without."""
    if isinstance(change.ssa_path, str):
        return place_of(change.ssa_path)
    tokens = (token.replace("~1", "/").replace("~0", "~") for token in change.path.split("/")[1:])
    return tuple(ANY_ITEM if token.isdigit() else token for token in tokens)
