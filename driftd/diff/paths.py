"""Paths of field changes: one form inside, printed as JSON pointers and managedFields paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson


class Item(NamedTuple):
    """A step into a list: the managedFields key (`k:{...}`, `v:...`, `i:n`) and both positions."""

    key: str
    desired_index: int | None
    live_index: int | None


Step: TypeAlias = "str | Item"
"""A field name or map key, or a step into a list."""

Path: TypeAlias = "tuple[Step, ...]"


def escape(text: str) -> str:
    """One RFC 6901 reference token."""
    if "/" not in text and "~" not in text:  # as nearly all names
        return text
    return text.replace("~", "~0").replace("/", "~1")


def pointer(path: Sequence[Step], *, live: bool) -> str | None:
    """The RFC 6901 pointer into the live (or desired) object; None where it has no such place."""
    tokens = []
    for step in path:
        if isinstance(step, str):
            tokens.append(escape(step))
            continue
        index = step.live_index if live else step.desired_index
        if index is None:
            return None
        tokens.append(str(index))
    return "".join("/" + token for token in tokens)


def ssa_segments(path: Sequence[Step]) -> list[str]:
    """The path in managedFields notation, one segment a step."""
    return ["f:" + step if isinstance(step, str) else step.key for step in path]


def ssa_path(path: Sequence[Step]) -> str:
    """`ssa_segments` as one string; `~` and `/` inside a segment are escaped as in RFC 6901."""
    return "/".join(escape(segment) for segment in ssa_segments(path))


def names(path: Sequence[Step]) -> tuple[str, ...]:
    """The path with every list step as `*`: what rules about kinds of places match on."""
    return tuple(step if isinstance(step, str) else "*" for step in path)


ABSENT: Final = object()
"""What `at_ssa_path` gives where an object has no such place."""


def at_ssa_path(value: Any, path: str) -> Any:
    """The value at a path in managedFields notation (`ssa_path`); `ABSENT` without such a place.

    An item matches by the keys that it has: Git may leave out what the server fills in.
    """
    for segment in path.split("/"):
        form, _, name = segment.replace("~1", "/").replace("~0", "~").partition(":")
        if form == "f" and isinstance(value, dict):
            value = value.get(name, ABSENT)
        elif form == "i" and isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif form in ("k", "v") and isinstance(value, list):
            value = _item(value, orjson.loads(name), keyed=form == "k")
        else:
            return ABSENT
    return value


def _item(items: list[Any], wanted: Any, *, keyed: bool) -> Any:
    matches = _matches if keyed else _same
    return next((item for item in items if matches(item, wanted)), ABSENT)


def _same(item: Any, wanted: Any) -> bool:
    # True == 1 == 1.0 for Python, not for Kubernetes.
    return type(item) is type(wanted) and bool(item == wanted)


def _matches(item: Any, wanted: dict[str, Any]) -> bool:
    if not isinstance(item, dict) or not any(name in item for name in wanted):
        return False
    return all(item[name] == value for name, value in wanted.items() if name in item)
