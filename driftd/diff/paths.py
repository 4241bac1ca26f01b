"""Paths of field changes: one form inside, printed as JSON pointers and managedFields paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias


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
