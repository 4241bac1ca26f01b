"""Which field was meant by one that the kind does not have: misspelt, or at another depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from driftd.diff.paths import Item, Path
from driftd.diff.schema import Node, Shape
from driftd.model.resource import Json

_LIKENESS: Final = 0.7
_DEPTH: Final = 3
"""Levels below a misplaced field that are searched for one of its name."""
_LISTS: Final = frozenset({Shape.LIST_MAP, Shape.LIST})
_GIVEN_BY_SERVER: Final = frozenset({"metadata", "status"})


def meant(path: Path, value: Json, root: Node, body: Mapping[str, Any]) -> Path | None:
    """The field that was meant by the one at `path`, as it lies in Git's `body`; None if unknown.

    One of its name in another case comes first, then what a wrong indentation explains (the same
    name in what Git declares below, a map below that is empty, the same name above), then one of
    nearly its name beside it.
    """
    name, parent = str(path[-1]), path[:-1]
    nodes = [root]
    for step in parent:
        nodes.append(nodes[-1].child(step) if isinstance(step, str) else nodes[-1].item)
    by_case = {field.lower(): field for field in nodes[-1].fields}
    if name.lower() in by_case:
        return (*parent, by_case[name.lower()])
    here = value_at(body, parent)
    declared = _below(name, parent, nodes[-1], here, declared=True)
    if declared is not None:
        return declared
    for end in range(len(parent) - 1, -1, -1):
        if name in nodes[end].fields:
            return (*parent[:end], name)
    emptied = _emptied(parent, nodes[-1], here, value)
    if emptied is not None:
        return (*emptied, name)
    near = get_close_matches(name.lower(), by_case, n=1, cutoff=_LIKENESS)
    if near:
        return (*parent, by_case[near[0]])
    return _below(name, parent, nodes[-1], here, declared=False)


def is_moved(path: Path, other: Path) -> bool:
    """Whether what was meant is the same name elsewhere: the indentation is wrong, not the name."""
    return path[-1] == other[-1] and len(path) != len(other)


def value_at(value: Json, path: Path) -> Json:
    """The value at a place of Git's object; None without one."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            index = step.desired_index
            held = isinstance(value, list) and index is not None and index < len(value)
            value = value[index] if held else None
    return value


_Level = list[tuple[Path, Node, Json]]
"""Places with their schema and what Git has there."""


def _below(name: str, parent: Path, node: Node, here: Json, *, declared: bool) -> Path | None:
    """The one field of a name in what lies below, on the first level that has any.

    With `declared` only what Git has is searched, also what it names and leaves empty, and list
    items: there, the last one was meant.
    """
    level: _Level = [(parent, node, here)]
    for _ in range(_DEPTH):
        level = [one for above in level for one in _inner(above, declared=declared)]
        found = [(path, held) for path, child, held in level if name in child.fields]
        # Of two probes the one lacks its port that stands outside of it.
        lacking = [one for one in found if not (isinstance(one[1], dict) and name in one[1])]
        if found:
            meant = lacking or found
            return (*meant[0][0], name) if len(meant) == 1 else None
    return None


def _inner(above: tuple[Path, Node, Json], *, declared: bool) -> Iterator[tuple[Path, Node, Json]]:
    path, node, value = above
    for field in node.fields:
        inner = value.get(field) if isinstance(value, dict) else None
        if field in _GIVEN_BY_SERVER or (declared and not _names(value, field)):
            continue
        child = node.child(field)
        if child.shape is Shape.STRUCT:
            yield (*path, field), child, inner
        elif declared and child.shape in _LISTS and isinstance(inner, list) and inner:
            index = len(inner) - 1
            yield (*path, field, Item(f"i:{index}", index, None)), child.item, inner[index]


def _names(value: Json, field: str) -> bool:
    return isinstance(value, dict) and field in value


def _emptied(parent: Path, node: Node, here: Json, value: Json) -> Path | None:
    """The one map of texts below that Git names and leaves empty, as a wrong indentation does."""
    if not isinstance(value, str):
        return None
    level: Sequence[tuple[Path, Node, Json]] = [(parent, node, here)]
    found: list[Path] = []
    for _ in range(_DEPTH):
        deeper: _Level = []
        for path, above, held in level:
            for field, inner in held.items() if isinstance(held, dict) else ():
                if field not in above.fields:
                    continue
                child = above.child(field)
                if child.shape is Shape.MAP and not inner and child.item.type == "string":
                    found.append((*path, field))
                elif child.shape is Shape.STRUCT:
                    deeper.append(((*path, field), child, inner))
        if found:
            return found[0] if len(found) == 1 else None
        level = deeper
    return None


def words(path: Path) -> str:
    """The path as tables print it, list items by their position."""
    text = ""
    for step in path:
        text += f".{step}" if isinstance(step, str) else f"[{step.desired_index}]"
    return text.removeprefix(".")


def correction(path: Path, found: Path | None) -> str:
    """What to write for a field that the kind does not have at `path`."""
    if found is None:
        return "correct its name in Git or remove it"
    if found[:-1] == path[:-1]:
        return f"did you mean {found[-1]}?"
    if not is_moved(path, found):
        return f"did you mean {words(found)}?"
    above = found[:-1]
    if not above:
        return "it belongs to the top level: check the indentation"
    inside = above[: len(path) - 1] == path[:-1]
    shown = above[len(path) - 1 :] if inside else above
    return f"it belongs under {words(shown)}: check the indentation"
