"""Fields that an apply leaves behind, as data: each is removed by an explicit patch."""

from __future__ import annotations

from typing import Any

import msgspec


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of a JSON patch (RFC 6902) on the live object of the verdict."""

    op: str
    """`test`, `remove`, `add` or `replace`."""
    path: str
    """RFC 6901 pointer, right for the resourceVersion that a `test` before it demands."""
    value: Any = None
    """What `test` compares with and `add` and `replace` write."""
