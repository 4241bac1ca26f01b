"""What was what before a change: objects and items of lists that it gives other names. Pure.

An item that only got another name is the same one, whatever its list is keyed by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from driftd.controller.preview_moves import Moves
from driftd.controller.preview_names import Body, Step, plain_name
from driftd.model.resource import Manifest, ResourceKey

_KEYS: Final = ("name", "mountPath", "devicePath", "host", "path", "port", "containerPort")
"""The fields that items of lists are known by, the first that an item has."""
_ALIKE: Final = 1 / 3
"""The share of equal fields from which two items of other names are taken for one."""
_ALIKE_OBJECTS: Final = 1 / 2

_MOST_RENAMED: Final = 2500
"""How many pairs of objects of one kind are held against one another."""

Alike = Callable[[int, int], float]
Leaf = tuple[str, str]
"""A field of a value, without positions, and what it says."""


def partners(new: Sequence[Any], old: Sequence[Any]) -> dict[int, int]:
    """The position at the base of each item of a list that was there; names may have changed.

    What is just the same counts first, then what differs in its name alone, then the name, then
    what is most alike.
    """
    found: dict[int, int] = {}

    def pair(alike: Alike, least: float) -> None:
        left = [at for at in range(len(old)) if at not in found.values()]
        rated = [
            (alike(here, there), -abs(here - there), here, there)
            for here in range(len(new))
            if here not in found
            for there in left
        ]
        for rate, _, here, there in sorted(rated, reverse=True):
            if rate >= least and here not in found and there not in found.values():
                found[here] = there

    pair(lambda here, there: new[here] == old[there], 1)
    pair(lambda here, there: _rest(new[here]) == _rest(old[there]), 1)
    pair(lambda here, there: _name(new[here]) == _name(old[there]), 1)
    if len(found) < min(len(new), len(old)):
        here_has = [frozenset(_leaves(_rest(item))) for item in new]
        there_has = [frozenset(_leaves(_rest(item))) for item in old]
        pair(lambda here, there: _likeness(here_has[here], there_has[there]), _ALIKE)
    return found


def _key(item: Any) -> str:
    return next((one for one in _KEYS if one in item), "") if isinstance(item, dict) else ""


def _name(item: Any) -> Any:
    key = _key(item)
    # Nothing is what an item without a name and another one have in common.
    return (key, item[key]) if key else object()


def _rest(item: Any) -> Any:
    """An item without what it is known by."""
    if not isinstance(item, dict):
        return item
    return {name: value for name, value in item.items() if name != _key(item)}


def _likeness(left: Collection[Leaf], right: Collection[Leaf]) -> float:
    """How many of their fields two values have in common, from 0 to 1."""
    left, right = frozenset(left), frozenset(right)
    return len(left & right) / len(left | right) if left or right else 0.0


def _leaves(value: Any, at: str = "") -> Iterator[Leaf]:
    """The fields of a value; an image counts twice, once without its tag."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "image" and isinstance(inner, str):
                yield f"{at}/image/name", inner.partition("@")[0].rpartition("/")[2].split(":")[0]
            yield from _leaves(inner, f"{at}/{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, f"{at}/-")
    else:
        yield at, plain_name(value) if isinstance(value, str) else repr(value)


def positions(steps: Sequence[Step], body: Body) -> tuple[Step, ...]:
    """Steps with the position of each item in its list, for the key that it is known by.

    Raises KeyError, IndexError or TypeError where they lead nowhere.
    """
    found: list[Step] = []
    value: Any = body
    for step in steps:
        at = _position(value, step)
        found.append(at)
        value = value[at]
    return tuple(found)


def _position(value: Any, step: Step) -> str | int:
    if not isinstance(step, tuple):
        return step
    for at, item in enumerate(value):
        if item.get(step[0]) == step[1]:
            return at
    raise KeyError(step)


class Renames:
    """An object on both sides of a change, whatever items of its lists are called."""

    def __init__(self, new: Body, old: Body) -> None:
        self.new, self.old = new, old
        self._partners: dict[tuple[Step, ...], dict[int, int]] = {}

    def before(self, steps: Sequence[Step]) -> tuple[Step, ...] | None:
        """The same place at the base, items by their position; None if it was not there."""
        found: list[Step] = []
        old: Any = self.old
        for at in self._walked(steps):
            if at is None:
                return None
            found.append(at)
            old = old[at]
        return tuple(found)

    def slot(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """The place without positions, its items called as they were at the base."""
        found: list[Step] = []
        old: Any = self.old
        for step, at in zip(steps, self._walked(steps), strict=True):
            if isinstance(step, str):
                found.append(step)
            elif isinstance(step, tuple):
                name = step[1] if at is None else old[at].get(step[0], step[1])
                found.append((step[0], name))
            old = None if at is None else old[at]
        return tuple(found)

    def _walked(self, steps: Sequence[Step]) -> list[str | int | None]:
        """Each step in the object of the base; None from where there is none."""
        found: list[str | int | None] = []
        new: Any = self.new
        old: Any = self.old
        for number, step in enumerate(steps):
            at = _position(new, step)
            was: str | int | None = None
            if isinstance(at, str):
                was = at if isinstance(old, dict) and at in old else None
            elif isinstance(old, list):
                was = self._of(tuple(steps[:number]), new, old).get(at)
            found.append(was)
            new, old = new[at], None if was is None else old[was]
        return found

    def _of(self, at: tuple[Step, ...], new: Any, old: Any) -> dict[int, int]:
        if at not in self._partners:
            self._partners[at] = partners(new, old)
        return self._partners[at]


def renamed(before: Mapping[ResourceKey, Manifest], after: Mapping[ResourceKey, Manifest]) -> Moves:
    """The key at the base of each object that a change probably gives another name."""
    gone: dict[tuple[str, str], list[ResourceKey]] = defaultdict(list)
    come: dict[tuple[str, str], list[ResourceKey]] = defaultdict(list)
    for side, other, found in ((before, after, gone), (after, before, come)):
        for key in sorted(side.keys() - other.keys()):
            found[key.group, key.kind].append(key)
    pairs: Moves = {}
    for kind, keys in come.items():
        lost = gone.get(kind, [])
        plain = {(was.namespace, plain_name(was.name)): was for was in lost}
        for key in keys:
            was = plain.pop((key.namespace, plain_name(key.name)), None)
            if was is not None:
                pairs[key] = was
        rest = [key for key in keys if key not in pairs]
        lost = [was for was in lost if was not in pairs.values()]
        if 0 < len(rest) * len(lost) <= _MOST_RENAMED:
            pairs |= _likest(rest, after, lost, before)
    return pairs


def _likest(
    keys: Sequence[ResourceKey],
    after: Mapping[ResourceKey, Manifest],
    lost: Sequence[ResourceKey],
    before: Mapping[ResourceKey, Manifest],
) -> dict[ResourceKey, ResourceKey]:
    """For each new object the one that is gone and most like it, if they have much in common."""
    new = {key: _content(after[key]) for key in keys}
    old = {key: _content(before[key]) for key in lost}
    rated = sorted(
        ((_likeness(new[key], old[was]), key, was) for key in keys for was in lost),
        key=lambda one: (-one[0], one[1].namespace != one[2].namespace, one[1], one[2]),
    )
    found: dict[ResourceKey, ResourceKey] = {}
    taken: set[ResourceKey] = set()
    for rate, key, was in rated:
        if rate >= _ALIKE_OBJECTS and key not in found and was not in taken:
            found[key] = was
            taken.add(was)
    return found


def _content(manifest: Manifest) -> frozenset[Leaf]:
    """The fields of an object but those that say its name."""
    body = orjson.loads(manifest.body)
    return frozenset(_leaves({name: body[name] for name in body if name != "metadata"}))
