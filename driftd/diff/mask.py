"""Secret values leave the comparison masked, and nowhere else are they touched (invariant 3)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

import orjson

from driftd.diff.finding import ABSENT
from driftd.diff.prepare import LAST_APPLIED
from driftd.model.resource import Json, ResourceKey

MASKED: Final[dict[str, Any]] = {"masked": True}


def is_sensitive(key: ResourceKey, path: Sequence[str]) -> bool:
    """Whether values at `path` (names, list steps as `*`) of this object must not be shown."""
    if LAST_APPLIED in path:
        return True
    return key.group == "" and key.kind == "Secret" and path[:1] in (("data",), ("stringData",))


def shown(key: ResourceKey, path: Sequence[str], value: Json) -> Json:
    """`value` as it may be published: itself, or a mask of the same presence."""
    if value is ABSENT or not is_sensitive(key, path):
        return value
    if isinstance(value, dict):
        return dict.fromkeys(value, MASKED)
    return MASKED


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
