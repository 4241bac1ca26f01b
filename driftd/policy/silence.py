"""Silences: drifts that are recorded and shown, but not told until a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from driftd.model.condition import Condition, Severity
from driftd.model.resource import ResourceKey
from driftd.model.silence import Silence

ANNOTATION: Final = "driftd.io/silence"
"""On an Application, Kustomization or HelmRelease as it is declared. On managed objects it means
nothing, whoever writes it there."""
GIT: Final = "annotation"
"""The id of a silence that an annotation asks for."""
_FIELDS: Final = frozenset({"until", "reason", "owner", "ticket", "object", "path"})
_NEEDED: Final = ("until", "reason", "owner")


class Annotated(NamedTuple):
    """What an annotation asks for; a silence, or why there is none."""

    silence: Silence | None
    conditions: tuple[Condition, ...] = ()


def annotated(annotations: Mapping[str, str]) -> Annotated:
    """The silence that the declaration of an application asks for, if it does."""
    text = annotations.get(ANNOTATION)
    if text is None:
        return Annotated(None)
    parts = [part.partition("=") for part in text.split(";") if part.strip()]
    found = {name.strip(): value.strip() for name, _, value in parts}
    unknown = sorted(set(found) - _FIELDS)
    missing = [name for name in _NEEDED if not found.get(name)]
    if unknown or missing:
        what = f"does not know {unknown[0]!r}" if unknown else f"needs {missing[0]}"
        return Annotated(None, (_wrong(f"{what}: until=TIME; reason=WHY; owner=WHO"),))
    try:
        until = datetime.fromisoformat(found["until"])
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        return Annotated(
            None, (_wrong(f"until={found['until'][:40]} is no time like 2026-01-31T18:00:00Z"),)
        )
    silence = Silence(
        id=GIT,
        until=until,
        owner=found["owner"],
        reason=found["reason"],
        ticket=found.get("ticket", ""),
        object=found.get("object", ""),
        path=found.get("path", ""),
    )
    text = f"messages are {silence.told}; until {until.isoformat()}"
    return Annotated(silence, (Condition("Silenced", text, Severity.INFO),))


def in_force(
    silences: Iterable[Silence], application: str, cluster: str, now: datetime, maximum: timedelta
) -> tuple[Silence, ...]:
    """The silences that count now for an application, those that end last first.

    One that ends later than `maximum` from now does not: nothing is silenced for good.
    """
    found = [
        one
        for one in silences
        if now < one.until <= now + maximum and one.about(application, cluster)
    ]
    return tuple(sorted(found, key=lambda one: one.until, reverse=True))


def covering(silences: Iterable[Silence], key: ResourceKey, path: str) -> Silence | None:
    """The first of silences that covers a field, or with an empty path a whole object."""
    return next((one for one in silences if one.covers(key, path)), None)


def _wrong(text: str) -> Condition:
    return Condition("SilenceNotValid", f"{ANNOTATION} {text}", Severity.WARNING)
