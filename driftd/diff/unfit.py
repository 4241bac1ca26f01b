"""Whether a rule's path can ever name something of a kind: its schema decides. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from driftd.diff.meant import meant
from driftd.diff.paths import Item, Path
from driftd.diff.schema import Node, Shape

EACH: Final = "[]"
"""The step of a path into every item of a list."""
_LISTS: Final = frozenset({Shape.LIST, Shape.LIST_MAP, Shape.SET})
_STEP: Final = re.compile(
    r"""\.?\[\s*"(?P<quoted>[^"\\]+)"\s*\]\??|\."(?P<text>[^"\\]+)"\??"""
    r"""|\.(?P<name>[A-Za-z_]\w*)\??|\.?\[\s*(?P<index>\d*)\s*\]\??"""
)
_SELECT: Final = re.compile(r"select\s*\([^()]*\)")


class Unfit(NamedTuple):
    """A path that names no field of a kind."""

    upto: tuple[str, ...]
    """The steps as far as the field that does not exist."""
    meant: tuple[str, ...]
    """The whole path that was probably meant; empty if that is not certain."""


def steps_of(expression: str) -> tuple[str, ...] | None:
    """The steps of a jq expression that is a path, and may select items; None for all else.

    >>> steps_of('.spec.containers[] | select(.name == "a") | .image')
    ('spec', 'containers', '[]', 'image')
    >>> steps_of(".spec | keys") is None
    True
    """
    found: list[str] = []
    for part in expression.split("|"):
        part = part.strip()
        if _SELECT.fullmatch(part):
            continue
        at = 0
        while at < len(part):
            step = _STEP.match(part, at)
            if step is None:
                return None
            name = step["quoted"] or step["text"] or step["name"]
            found.append(name or step["index"] or EACH)
            at = step.end()
        if not part:
            return None
    return tuple(found)


def unfit(steps: Sequence[str], root: Node, body: Mapping[str, Any]) -> Unfit | None:
    """Where a path leaves what objects of a kind can have; None where it may name something.

    `body` is what Git declares of the object.
    """
    node: Node = root
    path: Path = ()
    for at, step in enumerate(steps):
        if node.shape in _LISTS:
            if step != EACH and not step.isdigit():
                return None
            number = 0 if step == EACH else int(step)
            path = (*path, Item(f"i:{number}", number, number))
            node = node.item
            continue
        if not node.lacks(step):
            path = (*path, step)
            node = node.child(step)
            continue
        guess = meant((*path, step), None, root, body)
        if guess is None:
            return Unfit(tuple(steps[: at + 1]), ())
        rest = steps[at + 1 :]
        whole = (*_as_written(guess, steps), *rest)
        # What was meant has no such mistake of its own; looked at anew, it cannot go on for ever.
        fits = _reaches(whole, root)
        return Unfit(tuple(steps[: at + 1]), whole if fits else ())
    return None


def _reaches(steps: Sequence[str], root: Node) -> bool:
    """Whether every step of a path is one that a kind has."""
    node = root
    for step in steps:
        if node.shape in _LISTS:
            node = node.item
        elif node.lacks(step):
            return False
        else:
            node = node.child(step)
    return True


def _as_written(path: Path, steps: Sequence[str]) -> tuple[str, ...]:
    """The steps of a path, those into lists as the rule has them."""
    return tuple(
        step
        if isinstance(step, str)
        else steps[at]
        if at < len(steps) and (steps[at] == EACH or steps[at].isdigit())
        else str(step.desired_index)
        for at, step in enumerate(path)
    )
