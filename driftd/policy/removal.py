"""Taking parts out of values, as `del` of jq does: what is left without ignored places. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from msgspec import UNSET

Pointer: TypeAlias = "tuple[str, ...]"
"""Decoded RFC 6901 tokens."""

_MASK: Final = {"masked": True}


def without(value: Any, places: Iterable[Pointer]) -> Any:
    """A value without the places that it has; positions are those before anything is removed."""
    wanted = [one for one in places if one]
    if not wanted:
        return value
    if isinstance(value, dict):
        return {
            name: without(inner, _below(wanted, name))
            for name, inner in value.items()
            if (name,) not in wanted
        }
    if isinstance(value, list):
        return [
            without(inner, _below(wanted, str(position)))
            for position, inner in enumerate(value)
            if (str(position),) not in wanted
        ]
    return value


def _below(places: Iterable[Pointer], name: str) -> list[Pointer]:
    return [one[1:] for one in places if one[0] == name and len(one) > 1]


def has(value: Any, place: Sequence[str]) -> bool:
    """Whether a value has something at a place."""
    for token in place:
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdigit() and int(token) < len(value):
            value = value[int(token)]
        else:
            return False
    return True


def consists_of(value: Any, places: Iterable[Pointer]) -> bool:
    """Whether nothing of a value is left without the places: no other field, item or scalar."""
    wanted = [one for one in places if one]
    if isinstance(value, dict):
        members: Iterable[tuple[str, Any]] = value.items()
    elif isinstance(value, list):
        members = ((str(position), inner) for position, inner in enumerate(value))
    else:
        return False
    found = list(members)
    # An empty struct says something of its own: of a selector, for example, that it fits all.
    return bool(found) and all(
        (name,) in wanted or consists_of(inner, _below(wanted, name)) for name, inner in found
    )


def is_masked(value: Any) -> bool:
    """Whether a published value is masked or has a masked part."""
    if isinstance(value, dict):
        return value == _MASK or any(map(is_masked, value.values()))
    return isinstance(value, list) and any(map(is_masked, value))


def absent(value: Any) -> bool:
    """Whether a side has no value."""
    return value is UNSET


def positions(path: Iterable[Any], value: Any) -> list[Pointer]:
    """A path of jq in tokens: negative positions and slices become the positions that they mean."""
    reached: list[tuple[Pointer, Any]] = [((), value)]
    for step in path:
        reached = [
            ((*place, token), inner) for place, at in reached for token, inner in _members(step, at)
        ]
    return [place for place, _ in reached]


def _members(step: Any, at: Any) -> Iterable[tuple[str, Any]]:
    items = at if isinstance(at, list) else []
    if isinstance(step, dict):
        chosen = range(len(items))[slice(step.get("start"), step.get("end"))]
        return [(str(one), items[one]) for one in chosen]
    if isinstance(step, int):
        position = step + len(items) if step < 0 else step
        return [(str(position), items[position] if 0 <= position < len(items) else None)]
    return [(str(step), at.get(step) if isinstance(at, dict) else None)]
