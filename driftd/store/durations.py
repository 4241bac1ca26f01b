"""How long drifts took to be noticed and to end. Pure: episodes in, percentiles out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from driftd.store.types import Drift, Episode

_PROVEN: Final = frozenset({"exact", "audit"})
"""Confidences with which the time of a change is the time of this change."""
_RESOLUTION: Final = timedelta(seconds=1)
"""Of times in `managedFields`: they are cut to the second."""


class Percentiles(msgspec.Struct, frozen=True):
    """Of some durations, in seconds; all zero if there are none."""

    count: int = 0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    longest: float = 0.0


def percentiles(seconds: Iterable[float]) -> Percentiles:
    """The nearest-rank percentiles: each one is a duration that did occur."""
    ordered = sorted(seconds)
    if not ordered:
        return Percentiles()
    return Percentiles(
        count=len(ordered),
        p50=_rank(ordered, 0.5),
        p90=_rank(ordered, 0.9),
        p99=_rank(ordered, 0.99),
        longest=ordered[-1],
    )


def onset(drift: Drift) -> datetime | None:
    """When the drift began, where the object or an audit log tells; None where it does not.

    A drift that was there at the first look, or whose time is before the last look that did not
    see it (another clock), has none.
    """
    moment = _time(drift)
    if moment is None or drift.clean_at is None:
        return None
    return moment if moment > drift.clean_at - _RESOLUTION else None


def time_to_detect(episodes: Iterable[Episode]) -> Percentiles:
    """From onset to the first look that saw it, over drifts whose onset is known.

    Times in `managedFields` are cut to the second, so a duration is up to a second too long.
    """
    found: list[float] = []
    for episode in episodes:
        began = onset(episode.drift)
        if began is not None:
            found.append(max(0.0, (episode.drift.first_seen - began).total_seconds()))
    return percentiles(found)


def time_to_recover(episodes: Iterable[Episode]) -> Percentiles:
    """From the first look that saw a drift to the one that no longer did, over those that ended."""
    return percentiles(
        (episode.closed_at - episode.drift.first_seen).total_seconds()
        for episode in episodes
        if episode.closed_at is not None
    )


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _time(drift: Drift) -> datetime | None:
    text: str | None = None
    if drift.change is not None:
        attributed = drift.change.attribution or {}
        text = attributed.get("time")
        if text is None and (drift.change.confidence or "") in _PROVEN:
            text = drift.change.time or None
    elif drift.whole is not None:
        text = (drift.whole.attribution or {}).get("time")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
