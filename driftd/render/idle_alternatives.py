"""Alternatives of a patch's target that match nothing while others do. Pure.

The name and kind of a target are anchored regular expressions: of `name: gatway|processor` one
half may be misspelt, and the patch changes the other's object without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from driftd.model.tree import Tree
from driftd.render.idle_entries import Entry

_WORD: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_TOP: Final = re.compile(rf"\^?({_WORD}(?:\|{_WORD})+)\$?")
_GROUP: Final = re.compile(
    rf"\^?([A-Za-z0-9-]*)\((?:\?:)?({_WORD}(?:\|{_WORD})+)\)([A-Za-z0-9-]*)\$?"
)
_MOST: Final = 20
_YAML: Final = (".yaml", ".yml", ".json")


class Alternative(Entry, frozen=True, kw_only=True):
    """An entry of `patches` whose target is narrowed to one alternative of a field."""

    field: str
    """`name` or `kind`."""
    text: str
    """What the alternative matches."""
    target: dict[str, Any]
    """The target as it is written."""


def alternatives_of(entries: Sequence[Entry]) -> list[Alternative]:
    """The alternatives of the targets of some entries, where it is certain what they match.

    Those of Components are left out: others use them too, and each need match in one of them only.
    """
    return [
        one for entry in entries if not entry.component for one in _alternatives(entry)
    ][:_MOST]  # fmt: skip


def _alternatives(entry: Entry) -> Iterator[Alternative]:
    target = entry.value.get("target")
    if entry.is_image or not isinstance(target, dict):
        return
    for field in ("name", "kind"):
        for text in split(target.get(field)):
            value = {**entry.value, "target": {**target, field: text}}
            yield Alternative(
                entry.file, entry.line, entry.section, entry.index, value, False, entry.at,
                field=field, text=text, target=target,
            )  # fmt: skip


def split(pattern: Any) -> list[str]:
    """The texts that a pattern of plain alternatives matches (`a|b`, `(a|b)-x`); else none.

    >>> split("(web|api)-[0-9]")
    []
    >>> split("(web|api)-x")
    ['web-x', 'api-x']
    """
    if not isinstance(pattern, str):
        return []
    # Of `^a|b$` Kustomize's own anchors go round all of it, so that the inner ones change nothing.
    top = _TOP.fullmatch(pattern)
    if top is not None:
        return list(dict.fromkeys(top[1].split("|")))
    group = _GROUP.fullmatch(pattern)
    if group is None:
        return []
    return list(dict.fromkeys(f"{group[1]}{one}{group[3]}" for one in group[2].split("|")))


def dead(found: Sequence[Entry], tree: Tree, kinds: Sequence[str]) -> list[Entry]:
    """Those of the idle entries that are mistakes; all but alternatives are.

    Where the whole entry matches nothing, that alone is told. A name that another file gives to
    an object, and a kind that is no slip of one that is rendered, may be meant: a list of names
    or kinds is often copied as a whole.
    """
    whole = {_place(one) for one in found if not isinstance(one, Alternative)}
    return [
        one
        for one in found
        if not isinstance(one, Alternative)
        or (_place(one) not in whole and _is_mistake(one, tree, kinds))
    ]


def _place(one: Entry) -> tuple[str, str, int]:
    return one.file, one.section, one.index


def _is_mistake(one: Alternative, tree: Tree, kinds: Sequence[str]) -> bool:
    if one.field == "kind":
        return slip_of(one.text, kinds) != ""
    named = re.compile(
        rb"""\bname["']?:[ \t]*["']?%b["']?[ \t]*(?:[,}#\r\n]|\Z)""" % re.escape(one.text.encode())
    )
    return not any(
        named.search(data)
        for file, data in tree.files.items()
        if file != one.file and file.endswith(_YAML)
    )


def slip_of(kind: str, kinds: Sequence[str]) -> str:
    """The kind that one is a slip of; empty if it is none, as of one that exists.

    >>> slip_of("Deploymnet", ["Deployment"])
    'Deployment'
    """
    letters = sorted(kind.lower())
    near = [one for one in kinds if one != kind and sorted(one.lower()) == letters]
    near += [one for one in kinds if one != kind and _one_letter(kind, one)]
    return near[0] if near else ""


def _one_letter(left: str, right: str) -> bool:
    """Whether a letter more, less or other, or its case, makes the one of the other."""
    if left.lower() == right.lower():
        return True
    start = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b),
                 min(len(left), len(right)))  # fmt: skip
    return any(left[start + a :] == right[start + b :] for a, b in ((1, 0), (0, 1), (1, 1)))
