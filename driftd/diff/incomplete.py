"""What a whole declared object lacks or says twice: required fields, and items of one key.

Unlike a value that a field cannot hold, both concern the object and no single difference. The
schema's `required` counts for custom resources alone: an API server holds them to it after its
defaults (Kubernetes' structural schemas), its own kinds are judged by their Go code. Two items of
one key no custom resource has; of a built-in kind server-side apply refuses them
(structured-merge-diff), and others store both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from msgspec import UNSET

from driftd.diff.invalid import DROPPED
from driftd.diff.meant import words
from driftd.diff.owners import item_key, value_key
from driftd.diff.paths import Item, Path, pointer
from driftd.diff.schema import Node, Shape
from driftd.model.report import Invalid
from driftd.model.resource import Json

STORED: Final = "the API server may store both"
"""What comes of two items of one key in a built-in kind where it is not applied server-side."""
ALWAYS_REFUSED: Final = "the API server refuses the object"
_OF_SERVER: Final = frozenset({"apiVersion", "kind", "metadata", "status"})


def lacking(body: Mapping[str, Any], root: Node) -> Invalid | None:
    """The first required field that a custom resource does not have; None for built-in kinds."""
    if root.native:
        return None
    declared = {name: value for name, value in body.items() if name not in _OF_SERVER}
    path = next(_lacking(declared, root, ()), None)
    return None if path is None else missing(path)


def missing(path: Path) -> Invalid:
    """The lack of a required field, which keeps the object out."""
    return Invalid(
        cause="MissingField",
        path=pointer(path, live=False) or "",
        message=f"{ALWAYS_REFUSED}: {words(path)} is required: write it",
        meant=UNSET,
    )


def _lacking(value: Json, node: Node, path: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for name in node.required:
            if name not in value and (path or name not in _OF_SERVER):
                yield (*path, name)
        for name, inner in value.items():
            if not node.lacks(name):
                yield from _lacking(inner, node.child(name), (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _lacking(inner, node.item, (*path, Item(f"i:{index}", index, None)))


def doubled(body: Mapping[str, Any], root: Node) -> Invalid | None:
    """The first item of a list that an earlier one has the key of."""
    declared = {name: value for name, value in body.items() if name != "status"}
    found = next(_doubled(declared, root, ()), None)
    if found is None:
        return None
    path, what = found
    fate = STORED if root.native else ALWAYS_REFUSED
    return Invalid(
        cause="DuplicateItem",
        path=pointer(path, live=False) or "",
        message=f"{words(path[:-1])} has {what} twice: {fate}; remove one, or correct its key",
        meant=UNSET,
    )


def _doubled(value: Json, node: Node, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if not node.lacks(name):
                yield from _doubled(inner, node.child(name), (*path, name))
    elif isinstance(value, list):
        seen: set[str] = set()
        for index, inner in enumerate(value):
            key, place = _key(inner, node), (*path, Item(f"i:{index}", index, None))
            if key is not None and key in seen:
                yield place, _shown(key)
            seen.add(key or "")
            yield from _doubled(inner, node.item, place)


def _key(item: Json, node: Node) -> str | None:
    if node.shape is Shape.LIST_MAP and isinstance(item, dict):
        return item_key(item, node.keys, node.key_defaults)
    if node.shape is Shape.SET and not isinstance(item, dict | list):
        return value_key(item)
    return None


def _shown(key: str) -> str:
    """`[name=BROKER]` of an item; of a value, which may be secret, only that it is one."""
    found = orjson.loads(key[2:])
    if not isinstance(found, dict):
        return "one value"
    return f"[{','.join(f'{name}={value}' for name, value in found.items())}]"


def with_lacking(slip: Invalid, required: Invalid) -> Invalid:
    """A required field that is not there, told with the slip in Git that probably is why."""
    why = slip.message.replace(DROPPED, "it is dropped")
    return Invalid(
        cause="MissingField",
        path=slip.path,
        message=f"{required.message.removesuffix(': write it')}; {why}",
        meant=slip.meant,
    )
