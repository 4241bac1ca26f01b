"""Patterns of places inside objects: what severity rules are written with. Pure.

A place is a sequence of steps: a field or map key as a string, a list item as `Item`. Where the
keys of an item are not known it is the string `*`, which then fits every item pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

ANY_ITEM: Final = "*"
"""A list item of which nothing is known."""
_DEEP: Final = "**"
_METADATA: Final = "metadata"
_END: Final = "\x1f"
"""Ends each name of a place as one text; no field or key of Kubernetes has it."""
_GLOBS: Final = {"*": f"[^{_END}]*", "?": f"[^{_END}]"}
_PART = re.compile(
    r"""(?:^|\.)(?P<name>[^.\[\]"'\s]+)"""
    r"""|\["(?P<quoted>(?:[^"\\]|\\.)*)"\]"""
    r"""|\[(?P<item>[^\[\]"]+)\]"""
)


class Item(NamedTuple):
    """A step into a list: the keys of the item, or its value in a set."""

    keys: Mapping[str, str] = {}
    value: str = ""


Step: TypeAlias = "str | Item"


class Name(NamedTuple):
    """Fits a field or map key, by glob; `*` alone fits a list item too."""

    glob: str


class Deep(NamedTuple):
    """Fits any number of steps, none of them `metadata`."""


class Keys(NamedTuple):
    """Fits a list item with these keys, by glob; any item without keys, a set's by value."""

    keys: tuple[tuple[str, str], ...] = ()
    value: str = "*"


Part: TypeAlias = "Name | Deep | Keys"


class Pattern(NamedTuple):
    """A pattern in parts, with the text that it was written as."""

    text: str
    parts: tuple[Part, ...]

    @property
    def keyed(self) -> bool:
        """Whether it asks for keys or values of list items, which names alone cannot tell."""
        return any(isinstance(part, Keys) and part != Keys() for part in self.parts)

    @property
    def expression(self) -> str:
        """A regular expression for names that `_END` ends, in which list items are unknown."""
        return "".join(map(_expression, self.parts))

    @property
    def literal(self) -> str:
        """A name that every place has that the pattern fits; empty if it asks for none."""
        names = [part.glob for part in self.parts if isinstance(part, Name)]
        return next((one for one in reversed(names) if not set(one) & _GLOBS.keys()), "")

    def matches(self, place: Sequence[Step]) -> bool:
        """Whether the pattern fits a place exactly; `x.**` fits `x` and all below."""
        last = self.parts[-1]
        # Most places end otherwise; then nothing before the end needs to be looked at.
        if not isinstance(last, Deep) and not (place and _fits(last, place[-1])):
            return False
        return _matches(self.parts, place, 0, 0)


class Hot(NamedTuple):
    """Names without which no pattern of a set fits: large values are searched by them."""

    last: frozenset[str]
    """A place that ends so may fit."""
    anywhere: frozenset[str]
    """A place with one of these may fit, and all below."""
    always: bool
    """Whether a pattern fits places of any name."""

    @classmethod
    def of(cls, patterns: Iterable[Pattern | None]) -> Hot:
        """The names that some patterns need; None fits every place."""
        last, anywhere, always = set[str](), set[str](), False
        for pattern in patterns:
            if pattern is None or not pattern.literal:
                always = True
            elif isinstance(pattern.parts[-1], Name) and pattern.parts[-1].glob == pattern.literal:
                last.add(pattern.literal)
            else:
                anywhere.add(pattern.literal)
        return cls(frozenset(last), frozenset(anywhere), always)

    def reaches(self, name: str) -> bool:
        """Whether a step of this name makes its place and all below worth a look."""
        return self.always or name in self.anywhere


class Index:
    """Many patterns, each with a number, asked together for the names of a place."""

    def __init__(self, patterns: Iterable[tuple[int, Pattern | None]]) -> None:
        """Sort the patterns by a name that they need; None fits every place."""
        self._always: list[int] = []
        needing: dict[str, dict[int, list[str]]] = {}
        for number, pattern in patterns:
            if pattern is None:
                self._always.append(number)
            else:
                by_number = needing.setdefault(pattern.literal, {})
                by_number.setdefault(number, []).append(pattern.expression)
        self._needing = {
            name: [(number, re.compile("|".join(texts))) for number, texts in by_number.items()]
            for name, by_number in needing.items()
        }

    def fitting(self, names: Sequence[str]) -> list[int]:
        """The numbers of the patterns that fit, in ascending order."""
        text = "".join(name.replace(_END, "") + _END for name in names)
        found = set(self._always)
        for name in {"", *names}:
            for number, expression in self._needing.get(name, ()):
                if number not in found and expression.fullmatch(text):
                    found.add(number)
        return sorted(found)


def _expression(part: Part) -> str:
    if isinstance(part, Deep):
        return f"(?:(?!{_METADATA}{_END})[^{_END}]*{_END})*"
    if isinstance(part, Keys):
        return re.escape(ANY_ITEM) + _END
    glob = "".join(_GLOBS.get(char) or re.escape(char) for char in part.glob)
    return glob + _END


def parse(text: str) -> Pattern:
    """Read `spec.**.containers[name=app*].image`, `metadata.labels["team.example.com/*"]`.

    Raises ValueError that says where it stops making sense.
    """
    parts: list[Part] = []
    position = 0
    while position < len(text):
        found = _PART.match(text, position)
        if found is None:
            raise ValueError(f"{text!r} is no path from position {position + 1} on")
        position = found.end()
        parts.append(_part(found["name"], found["quoted"], found["item"], text))
    if not parts:
        raise ValueError("an empty path names no field")
    return Pattern(text, tuple(parts))


def _part(name: str | None, quoted: str | None, item: str | None, text: str) -> Part:
    if name is not None:
        if "**" in name and name != _DEEP:
            raise ValueError(f"{text!r}: ** stands alone between dots")
        return Deep() if name == _DEEP else Name(name)
    if quoted is not None:
        return Name(str(msgspec.json.decode(f'"{quoted}"')))
    inside = item or ""
    if inside == "*":
        return Keys()
    if "=" not in inside:
        if inside.isdigit():
            raise ValueError(f"{text!r}: name a list item by its keys, not by its position")
        return Keys(value=inside)
    pairs = [one.partition("=") for one in inside.split(",")]
    if not all(key and equals for key, equals, _ in pairs):
        raise ValueError(f"{text!r}: [{inside}] is no list of KEY=VALUE")
    return Keys(tuple((key.strip(), value.strip()) for key, _, value in pairs))


def _matches(parts: Sequence[Part], place: Sequence[Step], at: int, step: int) -> bool:
    while at < len(parts):
        part = parts[at]
        if isinstance(part, Deep):
            return _matches_deep(parts, place, at, step)
        if step == len(place) or not _fits(part, place[step]):
            return False
        at, step = at + 1, step + 1
    return step == len(place)


def _matches_deep(parts: Sequence[Part], place: Sequence[Step], at: int, step: int) -> bool:
    for end in range(step, len(place) + 1):
        if _matches(parts, place, at + 1, end):
            return True
        # What a label or an annotation is called says nothing about power.
        if end < len(place) and place[end] == _METADATA:
            return False
    return False


def _fits(part: Name | Keys, step: Step) -> bool:
    if isinstance(part, Name):
        return part.glob == "*" or (isinstance(step, str) and _is_like(step, part.glob))
    if isinstance(step, str):
        return step == ANY_ITEM
    if part.keys:
        return all(_is_like(step.keys.get(key, ""), glob) for key, glob in part.keys)
    return part.value == "*" or (not step.keys and _is_like(step.value, part.value))


def fits(part: Name | Keys, steps: Sequence[Step]) -> bool:
    """Whether there is a step and a part of a pattern fits it."""
    return bool(steps) and _fits(part, steps[0])


@lru_cache(maxsize=8192)
def _is_like(text: str, glob: str) -> bool:
    return fnmatchcase(text, glob.replace("[", "[[]"))


def place_of(ssa_path: str) -> tuple[Step, ...]:
    """The steps of a path in `managedFields` notation (`ssaPath` of a change)."""
    return tuple(_step(_unescaped(one)) for one in ssa_path.split("/")) if ssa_path else ()


def _step(segment: str) -> Step:
    tag, _, rest = segment.partition(":")
    if tag == "f":
        return rest
    if tag == "i":
        return ANY_ITEM
    value = msgspec.json.decode(rest)
    if isinstance(value, dict):
        return Item({key: _plain(one) for key, one in value.items()})
    return Item(value=_plain(value))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _unescaped(text: str) -> str:
    return text.replace("~1", "/").replace("~0", "~")


def names_of(place: Sequence[Step]) -> tuple[str, ...]:
    """The place with every list step as `*`."""
    return tuple(step if isinstance(step, str) else ANY_ITEM for step in place)
