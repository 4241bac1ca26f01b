"""Which notices are told now, and which stand. Pure."""

from __future__ import annotations

import msgspec

from driftd.store.types import Notice, Notices

_Standing = dict[str, list[str]]


def standing_notices(stored: str | None, now: Notices) -> tuple[tuple[Notice, ...], str | None]:
    """What is told of a look's notices, and what the next look is to know of them.

    `stored` is what the look before left; None if there was none, or from an older driftd: then
    only what is worth telling at first is told.
    """
    before: _Standing = msgspec.json.decode(stored, type=_Standing) if stored else {}
    judged = {one.value for one in now.judged}
    after: _Standing = {kind: keys for kind, keys in before.items() if kind not in judged}
    told: list[Notice] = []
    for one in now.standing:
        keys = after.setdefault(one.type.value, [])
        if one.key in keys:
            continue
        keys.append(one.key)
        known = one.key in before.get(one.type.value, ())
        if not known and (one.told_at_first or stored is not None):
            told.append(one)
    if stored is None and not judged and not after:
        return (), None
    return tuple(told), msgspec.json.encode(after).decode()
