"""When an engine is asked for a sync, and whether that helped. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

WAIT: Final = timedelta(minutes=10)
"""How long an engine gets for what it was asked for."""
BACK_OFF: Final = timedelta(minutes=10)
"""From one time to the next; doubles with each time of the last day."""
STUCK: Final = timedelta(minutes=5)
"""Age of a drift at which an engine that heals by itself is taken not to."""
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MOST_DOUBLINGS: Final = 8


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One time that an engine was asked."""

    at: datetime
    drifts: tuple[str, ...]
    helped: bool | None = None
    """None while it is not known."""


class Wish(NamedTuple):
    """What is to be asked for now, or when that may be."""

    drifts: tuple[str, ...] = ()
    why_not: str = ""
    at: datetime | None = None
    """When it is worth another look."""


def settled(asked: Sequence[Asked], drifts: Mapping[str, datetime], now: datetime) -> Asked | None:
    """What has become known of the last time: helped, or not in time; None if nothing has."""
    if not asked or asked[-1].helped is not None:
        return None
    last = asked[-1]
    left = [drift for drift in last.drifts if drift in drifts]
    if not left:
        return msgspec.structs.replace(last, helped=True)
    return msgspec.structs.replace(last, helped=False) if now - last.at >= WAIT else None


def wish(
    asked: Sequence[Asked],
    drifts: Mapping[str, datetime],
    now: datetime,
    *,
    budget: int,
) -> Wish:
    """What is to be asked for; `drifts` are those that may be put back, each with its time.

    `budget` is how often an application is asked for in an hour. A drift that an engine was asked
    for in vain is not asked for again while it stands.
    """
    if asked and asked[-1].helped is None:
        return Wish(at=asked[-1].at + WAIT)
    vain = {drift for one in asked if one.helped is False for drift in one.drifts}
    left = {drift: at for drift, at in drifts.items() if drift not in vain}
    if not left:
        return Wish()
    lately = [one for one in asked if now - one.at < _DAY]
    if lately:
        pause = BACK_OFF * 2 ** min(len(lately) - 1, _MOST_DOUBLINGS)
        if now < lately[-1].at + pause:
            return Wish(why_not="it was asked lately", at=lately[-1].at + pause)
    if sum(now - one.at < _HOUR for one in asked) >= budget:
        return Wish(why_not="the budget of the hour is used up", at=now + _HOUR)
    ripe = tuple(sorted(drift for drift, at in left.items() if at <= now))
    if not ripe:
        return Wish(why_not="the grace period goes on", at=min(left.values()))
    return Wish(drifts=ripe)
