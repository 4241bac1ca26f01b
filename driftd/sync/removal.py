"""The patch that puts back what an apply leaves behind, as data. Pure: no input or output.

An apply removes nothing that somebody else owns. So the object as it should be is made from the
live one: what is to go is taken out, what Git declares is laid over the rest, list items by their
merge keys. The patch leads from the one to the other, in one write, and begins with tests of uid
and resourceVersion: it fits the object that was looked at, and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

import msgspec

from driftd.diff import defaults, scalars
from driftd.diff.owners import item_key
from driftd.diff.paths import escape
from driftd.diff.schema import ANY_NODE, Node, Shape
from driftd.model.resource import Json

_KEPT_BY_SERVER = ("apiVersion", "kind", "status")
_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")
_ABSENT = object()
_ALIASES = {"serviceAccountName": "serviceAccount"}
"""Fields that the API server fills in again from their older names, which it keeps equal."""


class Removal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation of a JSON patch (RFC 6902) on the live object of the verdict."""

    op: str
    """`test`, `remove`, `add` or `replace`."""
    path: str
    """RFC 6901 pointer, right for the resourceVersion that a `test` before it demands."""
    value: Any = None
    """What `test` compares with and `add` and `replace` write; may be a secret: never shown."""


class Unaddressable(ValueError):
    """An object has a place that cannot be told from others; the message says which."""


def removals(
    live: dict[str, Any], desired: dict[str, Any], gone: Iterable[str], node: Node | None
) -> tuple[Removal, ...]:
    """The patch that takes `gone` (pointers into `live`) away and puts `desired` in place.

    `desired` is a desired view: what is not in it and not in `gone` stays as it is. Raises
    Unaddressable for a pointer without its place, and for list items that share their keys.
    """
    target = deepcopy(live)
    for pointer in sorted(gone, key=_position, reverse=True):
        _take_out(target, pointer)
    target = _over(target, desired, node or ANY_NODE, "")
    metadata = live["metadata"]
    return (
        Removal(op="test", path="/metadata/uid", value=metadata["uid"]),
        Removal(op="test", path="/metadata/resourceVersion", value=metadata["resourceVersion"]),
        *_between(live, target),
    )


def place_of(pointer: str) -> list[str]:
    """The reference tokens of an RFC 6901 pointer."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def value_at(document: Json, pointer: str) -> Json:
    """The value at a pointer. Raises Unaddressable where there is none."""
    value = document
    for token in place_of(pointer):
        try:
            value = value[int(token)] if isinstance(value, list) else value[token]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Unaddressable(f"the object has no {pointer}") from None
    return value


def _position(pointer: str) -> list[tuple[int, str]]:
    """Orders pointers so that taking them out from the last on moves none of the others."""
    return [(int(t) if t.isdigit() else -1, t) for t in place_of(pointer)]


def _take_out(document: dict[str, Any], pointer: str) -> None:
    value_at(document, pointer)
    above, _, _ = pointer.rpartition("/")
    parent, last = value_at(document, above), place_of(pointer)[-1]
    if isinstance(parent, list):
        del parent[int(last)]
        return
    value = parent.pop(last)
    alias = _ALIASES.get(last)
    if alias is not None and parent.get(alias) == value:
        del parent[alias]


def _over(live: Json, desired: Json, node: Node, place: str) -> Json:
    """`live` with what `desired` declares, as an apply would merge it."""
    if isinstance(desired, dict) and isinstance(live, dict):
        if node.atomic:
            return live if scalars.identical(desired, live) else desired
        merged = dict(live)
        for name, value in desired.items():
            if value is None:
                continue
            below = f"{place}/{escape(name)}"
            if name not in live:
                if not defaults.is_empty(value) or node.shape is Shape.MAP:
                    merged[name] = value
                continue
            merged[name] = _over(live[name], value, node.child(name), below)
        return merged
    if isinstance(desired, list) and isinstance(live, list):
        return _over_list(live, desired, node, place)
    if scalars.same(desired, live, node.scalar):
        return live
    return desired


def _over_list(live: list[Json], desired: list[Json], node: Node, place: str) -> list[Json]:
    if scalars.identical(desired, live):
        return live
    if node.shape not in (Shape.LIST_MAP, Shape.SET):
        return desired
    wanted, present = _keyed(desired, node, place), _keyed(live, node, place)
    both = {
        key: _over(present[key], value, node.item, f"{place}/{key}") if key in present else value
        for key, value in wanted.items()
    }
    common = [key for key in present if key in wanted]
    if common == list(wanted)[: len(common)]:
        # Where the order is right without moving any, items of others stay where they are.
        kept = [both.get(key, value) for key, value in present.items()]
        return kept + [value for key, value in both.items() if key not in present]
    return [*both.values(), *(value for key, value in present.items() if key not in wanted)]


def _keyed(items: list[Json], node: Node, place: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for item in items:
        key: str | None
        if node.shape is Shape.SET:
            key = scalars.canonical(item).decode()
        else:
            key = item_key(item, node.keys, node.key_defaults) if isinstance(item, dict) else None
        if key is None or key in found:
            raise Unaddressable(f"two items of {place} cannot be told apart")
        found[key] = item
    return found


def _between(live: dict[str, Any], target: dict[str, Any]) -> Iterator[Removal]:
    """What changes the one into the other; lists as a whole, system fields never."""
    for name in sorted({*live, *target} - {*_KEPT_BY_SERVER, "metadata"}):
        yield from _member(live, target, name, "")
    for name in _METADATA:
        yield from _member(live["metadata"], target["metadata"], name, "/metadata")


def _member(
    live: dict[str, Any], target: dict[str, Any], name: str, above: str
) -> Iterator[Removal]:
    path = f"{above}/{escape(name)}"
    old, new = live.get(name, _ABSENT), target.get(name, _ABSENT)
    if new is _ABSENT:
        if old is not _ABSENT:
            yield Removal(op="remove", path=path)
    elif old is _ABSENT:
        yield Removal(op="add", path=path, value=new)
    elif isinstance(old, dict) and isinstance(new, dict):
        for inner in sorted({*old, *new}):
            yield from _member(old, new, inner, path)
    elif not scalars.identical(old, new):
        yield Removal(op="replace", path=path, value=new)
