"""Secret values leave the comparison masked, and nowhere else are they touched (invariant 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

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
