"""The fields of an object as `managedFields` names them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from driftd.model.resource import Json

_ITEM_KEYS = ("name", "containerPort", "port", "key", "mountPath", "ip")
"""What items of lists are told apart by, the first that every item has."""


def field_paths(value: Json, prefix: str = "") -> Iterator[str]:
    """Every field of an object in `managedFields` notation, from the outside in.

    Items of lists that have a name or a port are entered, other lists are one field.
    """
    if isinstance(value, dict) and value:
        steps: list[tuple[str, Json]] = [
            (f"f:{_escaped(name)}", one) for name, one in value.items()
        ]
    elif key := _item_key(value):
        steps = [(f"k:{_escaped(orjson.dumps({key: one[key]}).decode())}", one) for one in value]
    else:
        if prefix:
            yield prefix
        return
    for step, one in steps:
        yield from field_paths(one, f"{prefix}/{step}" if prefix else step)


def _item_key(value: Json) -> str:
    """The field that tells all items of a list apart; empty where there is none."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        return ""
    for key in _ITEM_KEYS:
        names = [one.get(key) for one in value]
        if names and all(isinstance(one, str | int) for one in names):
            return key if len(set(names)) == len(names) else ""
    return ""


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
