"""What really changed: a leaf difference of two live objects that knows nothing of driftd.

No schema, no ownership, no defaults: two objects as served, place by place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Json = Any
_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")
_TOOL = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.daemonset.template.generation",  # counted by the API server
)


class Leaf(NamedTuple):
    """One place that differs; `before` and `after` say on which side it exists."""

    pointer: str
    before: bool
    after: bool


def view(body: Json) -> Json:
    """An object without status and system metadata. Sets have no order."""
    kept = {k: v for k, v in body.items() if k not in ("status", "metadata", "apiVersion", "kind")}
    kept["metadata"] = {k: v for k, v in body["metadata"].items() if k in _METADATA}
    if kept["metadata"].get("finalizers"):
        kept["metadata"]["finalizers"] = " ".join(sorted(set(kept["metadata"]["finalizers"])))
    notes = kept["metadata"].get("annotations")
    if notes:
        kept["metadata"]["annotations"] = {k: v for k, v in notes.items() if k not in _TOOL}
    return kept


def leaves(before: Json, after: Json, pointer: str = "") -> Iterator[Leaf]:
    """The places where two values differ.

    Lists are aligned by cutting off equal heads and tails: what remains on one side only was
    added or removed; what remains on both sides is compared place by place if it is equally
    long and no reordering, else the list is one place.
    """
    if _text(before) == _text(after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(n for n in after if n not in before)]:
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in after:
                yield Leaf(place, True, False)
            elif name not in before:
                yield Leaf(place, False, True)
            else:
                yield from leaves(before[name], after[name], place)
        return
    if isinstance(before, list) and isinstance(after, list):
        yield from _list_leaves(before, after, pointer)
        return
    yield Leaf(pointer, True, True)


def _list_leaves(before: list[Json], after: list[Json], pointer: str) -> Iterator[Leaf]:
    head = 0
    while head < min(len(before), len(after)) and _text(before[head]) == _text(after[head]):
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and _text(before[-1 - tail]) == _text(
        after[-1 - tail]
    ):
        tail += 1
    left, right = before[head : len(before) - tail], after[head : len(after) - tail]
    if not right:
        yield from (Leaf(f"{pointer}/{head + i}", True, False) for i in range(len(left)))
    elif not left:
        yield from (Leaf(f"{pointer}/{head + i}", False, True) for i in range(len(right)))
    elif len(left) != len(right) or sorted(map(_text, left)) == sorted(map(_text, right)):
        yield Leaf(pointer, True, True)
    else:
        for index, (old, new) in enumerate(zip(left, right, strict=True)):
            yield from leaves(old, new, f"{pointer}/{head + index}")


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


def related(one: str, other: str) -> bool:
    """Whether one pointer is the other or lies above or below it."""
    return (one + "/").startswith(other + "/") or (other + "/").startswith(one + "/")


def value_at(document: Json, pointer: str) -> Json:
    """The value at an RFC 6901 pointer; None where there is none."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document
