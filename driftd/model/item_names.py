"""The items of lists by their keys, as a person names them."""

from __future__ import annotations

import json
from typing import Any


def in_order(value: Any) -> Any:
    """The items of a list that is only in another order, named by their keys, for people.

    An item of one key is its value (`web`), of several their names too (`port=80,protocol=TCP`).
    Other lists, such as those of plain values, stay as they are.
    """
    if not isinstance(value, list | tuple):
        return value
    return [_item_name(item) if isinstance(item, str) else item for item in value]


def _item_name(item: str) -> str:
    form, colon, rest = item.partition(":")
    if form not in ("k", "v") or not colon:
        return item
    try:
        keys = json.loads(rest)
    except ValueError:
        return item
    if not isinstance(keys, dict):
        return item if isinstance(keys, list) else str(keys)
    if len(keys) == 1:
        return str(next(iter(keys.values())))
    return ",".join(f"{name}={value}" for name, value in keys.items())
