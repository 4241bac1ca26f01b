"""Secret values leave the comparison masked, and nowhere else are they touched (invariant 3)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from driftd.diff.finding import ABSENT
from driftd.diff.paths import Item, Step, ssa_path
from driftd.model import patterns, sensitive
from driftd.model.resource import Json, ResourceKey
from driftd.model.sensitive import Place

MASKED: Final[dict[str, Any]] = {"masked": True}


def is_sensitive(key: ResourceKey, path: Sequence[Step]) -> bool:
    """Whether values at `path` of this object must not be shown.

    A list step may be `*`, where only names are known: then it counts as any item.
    """
    return sensitive.in_force().covers(key.group, key.kind, _place(path))


def shown(key: ResourceKey, path: Sequence[Step], value: Json) -> Json:
    """`value` as it may be published: itself, or a copy with a mask for all that is sensitive."""
    return shown_at(key, _place(path), value)


def shown_at(key: ResourceKey, place: Place, value: Json) -> Json:
    """As `shown`, of a place as patterns read it."""
    return value if value is ABSENT else replaced(key, place, value, _masked)


def holds_sensitive(key: ResourceKey, path: Sequence[Step], *values: Json) -> bool:
    """Whether a part of one of the values is published masked."""
    return any(one is not ABSENT and shown(key, path, one) != one for one in values)


def told_path(key: ResourceKey, path: Sequence[Step]) -> tuple[Step, ...]:
    """The path as it may be published: the item of a sensitive set is its own name."""
    told = [
        Item('v:"masked"', step.desired_index, step.live_index)
        if not isinstance(step, str)
        and step.key.startswith("v:")
        and is_sensitive(key, path[:number])
        else step
        for number, step in enumerate(path)
    ]
    return tuple(told)


def replaced(
    key: ResourceKey, place: Place, value: Json, instead: Callable[[Place, Json], Json]
) -> Json:
    """A copy of a value at `place` with something else for all that is sensitive in it."""
    return sensitive.in_force().replaced(key.group, key.kind, place, value, instead)


def may_hold_sensitive(key: ResourceKey) -> bool:
    """Whether objects of this kind can have a sensitive value."""
    return sensitive.in_force().touches(key.group, key.kind)


def is_sensitive_place(key: ResourceKey, ssa_path: str) -> bool:
    """As `is_sensitive`, of a place in managedFields notation."""
    return sensitive.in_force().covers_written(key.group, key.kind, ssa_path)


def sensitive_names(key: ResourceKey) -> Callable[[tuple[str, ...]], bool]:
    """`is_sensitive` of objects of a kind, for places whose names alone are known, items as `*`."""
    return sensitive.in_force().names_of(key.group, key.kind)


def may_be_in(key: ResourceKey, text: bytes) -> bool:
    """Whether an object, as canonical JSON, may have anything sensitive in it."""
    return sensitive.in_force().may_be_in(key.group, key.kind, text)


def _masked(_place: Place, value: Json) -> Json:
    return dict.fromkeys(value, MASKED) if isinstance(value, dict) else MASKED


def _place(path: Sequence[Step]) -> Place:
    """The path as patterns read it."""
    if all(isinstance(step, str) for step in path):
        return tuple(step for step in path if isinstance(step, str))
    return patterns.place_of(ssa_path(path))


class Sealer:
    """Makes keyed hashes of values that are published masked, so that a baseline can tell them.

    A hash says nothing to whoever lacks the key: it covers the place, so that equal values at two
    places have two hashes. No method gives the key away, nor does `repr`.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, key: ResourceKey, ssa_path: str, kind: str, desired: Json, live: Json) -> str:
        """`hmac-sha256:…` of the real values of a change of `kind`; `ABSENT` is no value."""
        sides = {"desired": desired, "live": live}
        told = {
            "object": [key.group, key.kind, key.namespace, key.name],
            "path": ssa_path,
            "kind": kind,
            **{side: value for side, value in sides.items() if value is not ABSENT},
        }
        text = b"masked\n" + orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
        return f"hmac-sha256:{hmac.new(self._key, text, hashlib.sha256).hexdigest()}"
