"""Which notices are told now, and which stand. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from driftd.model.report import ApplicationStatus
from driftd.store.episodes import SEVERITIES, worst
from driftd.store.types import Notice, Notices, StateChange

_Standing = dict[str, list[str]]
_WORST: Final = "worst"


def standing_notices(stored: str | None, now: Notices) -> tuple[tuple[Notice, ...], str | None]:
    """What is told of a look's notices, and what the next look is to know of them.

    `stored` is what the look before left. The first look that judges a type tells of it only what
    is worth telling at first.
    """
    before: _Standing = msgspec.json.decode(stored, type=_Standing) if stored else {}
    judged = {one.value for one in now.judged}
    after: _Standing = {kind: keys for kind, keys in before.items() if kind not in judged}
    after |= {kind: [] for kind in judged}
    told: list[Notice] = []
    for one in now.standing:
        kind = one.type.value
        keys = after.setdefault(kind, [])
        if one.key in keys:
            continue
        keys.append(one.key)
        known = one.key in before.get(kind, ())
        if not known and (one.told_at_first or kind in before):
            told.append(one)
    return tuple(told), msgspec.json.encode(after).decode() if after else stored


def episode_severity(
    standing: str | None, change: StateChange, told: ApplicationStatus
) -> tuple[str, str | None]:
    """The highest severity since an application began to drift, and what is to be kept of it.

    `standing` is what is kept beside it; `told` is what receivers take the status to be now.
    """
    kept: _Standing = msgspec.json.decode(standing, type=_Standing) if standing else {}
    found = [*kept.pop(_WORST, ()), change.severity_before, worst(change.open)]
    if change.status is ApplicationStatus.SYNCED:
        found.append(worst(change.closed))
    highest = max(found, key=SEVERITIES.index)
    if highest and told is not ApplicationStatus.SYNCED:
        kept[_WORST] = [highest]
    return highest, msgspec.json.encode(kept).decode() if kept else None
