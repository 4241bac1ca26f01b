"""Names to choose from, as a message lists them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 8


def listed(names: Iterable[str], wanted: str = "") -> str:
    """The names, those like `wanted` first, and a number in place of those beyond eight."""
    known = list(dict.fromkeys(names))
    near = difflib.get_close_matches(wanted, known[:20_000], n=3) if wanted else []
    ordered = [*near, *(name for name in known if name not in near)]
    rest = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + rest


def nearest(names: Iterable[str], wanted: str) -> str:
    """`did you mean prod-eu1? `, if one of the names is nearly the wanted one; else nothing."""
    near = difflib.get_close_matches(wanted, list(names), n=1)
    return f"did you mean {near[0]}? " if near else ""
