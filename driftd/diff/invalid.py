"""What is wrong with Git's side itself: fields that a kind does not have, values it cannot hold.

Such a difference was made by nobody and is ended by no sync: the API server drops the field or
refuses the object. What the schema does not say is taken as right: without a schema, and below
fields that keep whatever they are given, nothing is called wrong.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import orjson
from msgspec import UNSET

from driftd.diff import mask, scalars
from driftd.diff.finding import ABSENT, Finding
from driftd.diff.meant import correction, meant, value_at, words
from driftd.diff.owners import item_key
from driftd.diff.paths import Item, Path, pointer, ssa_path
from driftd.diff.prepare import SYSTEM_METADATA
from driftd.diff.schema import Node, Scalar, Shape
from driftd.model.report import ChangeClass, ChangeKind, Invalid
from driftd.model.resource import Json, ResourceKey

DROPPED: Final = "the API server drops it or refuses the object"
"""What comes of an unknown field: that depends on who applies it, and how."""
_JUDGED: Final = frozenset({ChangeKind.MISSING, ChangeKind.MODIFIED, ChangeKind.RENAMED})
_EXTRA: Final = frozenset({ChangeKind.ADDED, ChangeKind.FORMERLY_DECLARED})
_GIVEN_BY_KIND: Final = frozenset({"apiVersion", "kind", "status"})
_LIKENESS: Final = 0.7
_WANTED: Final = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "a string",
    "object": "a mapping",
    "array": "a list",
}
_GIVEN: Final = {**_WANTED, "boolean": "a boolean"}
_BITS: Final = {"int32": 31, "int64": 63}
_INTEGER: Final = re.compile(r"[+-]?\d+\Z", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d", re.ASCII)

Cause: TypeAlias = Literal["UnknownField", "WrongType", "WrongFormat", "UnsupportedValue"]


class _Slip(NamedTuple):
    """A mistake at one place of the declared object."""

    cause: Cause
    path: Path
    text: str = ""
    remedy: str = ""
    meant: Path | None = None
    expected: str = ""
    given: str = ""


def mark(findings: list[Finding], root: Node, key: ResourceKey, wanted: Mapping[str, Any]) -> None:
    """Say of differences that Git itself is wrong, and hide what may be a misnamed secret.

    `wanted` is the whole of what Git declares, as it is compared.

    Such a finding stays a declared one, whatever explains other differences at its place.
    """
    for finding in findings:
        path = finding.renamed_from or finding.path
        finding.concealed = conceals(key, path, root, finding.desired, finding.live)
        if finding.kind not in _JUDGED or finding.desired is ABSENT:
            continue
        slip = next(_slips(finding.desired, path, root), None)
        if slip is None:
            continue
        finding.invalid = _published(_with_meant(slip, root, wanted), len(path))
        finding.reason = finding.invalid.message
        finding.writer = finding.between = None
        if finding.change_class is ChangeClass.REVIEW:
            finding.change_class = ChangeClass.DECLARED
    _pair(findings)


def _pair(findings: list[Finding]) -> None:
    """Make one difference of an item whose key is of the wrong type and the live item it means.

    Git's `containerPort: "80"` is no second port beside the live one.
    """
    for finding in [one for one in findings if one.invalid and one.kind is ChangeKind.MISSING]:
        wanted = _keys_of(finding.path)
        twin = next(
            (
                one
                for one in findings
                if one.kind in _EXTRA
                and wanted
                and ssa_path(one.path[:-1]) == ssa_path(finding.path[:-1])
                and _keys_of(one.path) == wanted
            ),
            None,
        )
        if twin is None:
            continue
        before, after = finding.path[-1], twin.path[-1]
        if isinstance(before, Item) and isinstance(after, Item):
            step = Item(after.key, before.desired_index, after.live_index)
            finding.kind, finding.path = ChangeKind.MODIFIED, (*finding.path[:-1], step)
            finding.live, finding.owners = twin.live, twin.owners
            findings[:] = [one for one in findings if one is not twin]


def _keys_of(path: Path) -> dict[str, str]:
    """The keys of the list item that a path ends with, as text; empty if it ends with none."""
    last = path[-1]
    if isinstance(last, str) or not last.key.startswith("k:"):
        return {}
    return {name: str(value) for name, value in orjson.loads(last.key[2:]).items()}


def conceals(key: ResourceKey, path: Path, root: Node, *values: Json) -> bool:
    """Whether a value at `path` is or holds what may be sensitive under a wrong name.

    A slip in the name of a field must not publish a password.
    """
    if not mask.may_hold_sensitive(key):
        return False
    return any(
        slip.cause == "UnknownField" and _is_beside_sensitive(key, slip.path, root)
        for value in values
        if value is not ABSENT
        for slip in _slips(value, path, root)
    )


def _is_beside_sensitive(key: ResourceKey, path: Path, root: Node) -> bool:
    """Whether an unknown field lies where the kind has a sensitive one."""
    node, _ = _reached(path[:-1], root)
    return any(mask.is_sensitive(key, (*path[:-1], name)) for name in node.fields)


def first(body: Mapping[str, Any], root: Node) -> Invalid | None:
    """The first mistake anywhere in a declared object; its status is no part of what is applied."""
    desired = {name: value for name, value in body.items() if name not in _GIVEN_BY_KIND}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        desired["metadata"] = {k: v for k, v in metadata.items() if k not in SYSTEM_METADATA}
    slip = next(_slips(desired, (), root), None)
    return None if slip is None else _published(_with_meant(slip, root, desired), 0)


def _with_meant(slip: _Slip, root: Node, body: Mapping[str, Any]) -> _Slip:
    """An unknown field with the one that was probably meant."""
    if slip.cause != "UnknownField":
        return slip
    found = meant(slip.path, value_at(body, slip.path), root, body)
    return slip._replace(meant=found)


def _slips(value: Json, path: Path, root: Node) -> Iterator[_Slip]:
    """The mistakes at a place of the declared object, or inside its value."""
    node, lacking = _reached(path, root)
    if lacking is not None:
        yield _Slip("UnknownField", path[:lacking])
    else:
        yield from _inside(value, node, path, native=root.native)


def _reached(path: Path, root: Node) -> tuple[Node, int | None]:
    """The node at a place, and how many steps lead to a field that does not exist, if any does."""
    node = root
    for number, step in enumerate(path, 1):
        if not isinstance(step, str):
            node = node.item
        elif node.lacks(step):
            return node, number
        else:
            node = node.child(step)
    return node, None


def _inside(value: Json, node: Node, path: Path, *, native: bool) -> Iterator[_Slip]:
    """The mistakes of a value; what `null` leaves open is none."""
    if value is None:
        return
    slip = _refused(value, node, path, native=native)
    if slip is not None:
        yield slip
    elif isinstance(value, dict):
        for name, inner in value.items():
            if inner is None:
                continue
            if node.lacks(name):
                yield _Slip("UnknownField", (*path, name))
            else:
                yield from _inside(inner, node.child(name), (*path, name), native=native)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            step = _item(inner, index, node)
            yield from _inside(inner, node.item, (*path, step), native=native)


def _item(value: Json, index: int, node: Node) -> Item:
    found = None
    if node.shape is Shape.LIST_MAP and isinstance(value, dict):
        found = item_key(value, node.keys, node.key_defaults)
    return Item(found or f"i:{index}", index, None)


# Values that the kind cannot hold.


def _refused(value: Json, node: Node, path: Path, *, native: bool) -> _Slip | None:
    if node.scalar is Scalar.QUANTITY:
        return _quantity(value, path)
    if node.scalar is Scalar.INT_OR_STRING:
        fits = isinstance(value, str) or _is_integer(value)
        return None if fits else _wrong_type("an integer or a string", "integer", value, path)
    wanted = _WANTED.get(node.type)
    if wanted is None:
        return None
    if node.scalar is Scalar.BYTE and isinstance(value, list):
        return None  # a Go server reads numbers as bytes
    if not _is_of(value, node.type):
        return _wrong_type(wanted, node.type, value, path)
    if isinstance(value, str):
        return _text(value, node, path)
    bits = _BITS.get(node.format) if native and node.type == "integer" else None
    if bits is not None and not -(2**bits) <= value < 2**bits:
        return _wrong_format(f"a number of {bits + 1} bits", node.format, value, path)
    return None


def _is_of(value: Json, wanted: str) -> bool:
    if wanted == "integer":
        return _is_integer(value)
    if wanted == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    types = {"boolean": bool, "string": str, "object": dict, "array": list}
    return isinstance(value, types[wanted])


def _is_integer(value: Json) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _quantity(value: Json, path: Path) -> _Slip | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number or (isinstance(value, str) and scalars.quantity(value) is not None):
        return None
    wanted = "a quantity as 500m or 1Gi"
    if isinstance(value, str):
        return _wrong_format(wanted, "quantity", value, path)
    return _wrong_type(wanted, "quantity", value, path)


def _text(value: str, node: Node, path: Path) -> _Slip | None:
    if node.enum and value not in node.enum:
        return _unsupported(value, node.enum, path)
    if node.scalar is Scalar.BYTE and not _is_base64(value):
        return _wrong_format("base64", "byte", value, path)
    if node.scalar is Scalar.DATE_TIME and _TIME.match(value) is None:
        return _wrong_format("a time as 2026-03-04T12:00:00Z", "date-time", value, path)
    return None


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _wrong_type(wanted: str, expected: str, value: Json, path: Path) -> _Slip:
    given = _given(value)
    remedy = ""
    if expected == "string" and not isinstance(value, dict | list):
        remedy = ": write it in quotes"
    elif expected == "integer" and isinstance(value, str) and _INTEGER.match(value):
        remedy = ": write it without quotes"
    remedy = f", Git has {_GIVEN[given]}{remedy}"
    return _Slip("WrongType", path, wanted, remedy, expected=expected, given=given)


def _wrong_format(wanted: str, expected: str, value: Json, path: Path) -> _Slip:
    return _Slip("WrongFormat", path, wanted, expected=expected, given=_given(value))


def _unsupported(value: str, allowed: Sequence[str], path: Path) -> _Slip:
    listed = [one or '""' for one in allowed]
    expected = ", ".join(listed)
    names = f"one of {', '.join(listed[:-1])} and {listed[-1]}" if len(listed) > 1 else expected
    by_case = {one.lower(): one for one in allowed}
    near = get_close_matches(value.lower(), by_case, n=1, cutoff=_LIKENESS)
    hint = f": did you mean {by_case[near[0]]}?" if near else ""
    return _Slip("UnsupportedValue", path, names, hint, expected=expected, given="string")


def _given(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "string"


# Words.


def _published(slip: _Slip, depth: int) -> Invalid:
    """The mistake as it is published; a change at its first `depth` steps tells of it."""
    below = slip.path[depth:]
    if slip.cause == "UnknownField":
        above = words(below[:-1]) or ("it" if below and depth else "")
        place = f" in {above}" if above else " here" if depth else ""
        text = f"the kind has no field {slip.path[-1]}{place}: {DROPPED}; "
        text += correction(slip.path, slip.meant)
    else:
        place = f" at {words(below)}" if below else " here"
        text = f"the API server refuses the object: {slip.text} is expected{place}{slip.remedy}"
    return Invalid(
        cause=slip.cause,
        path=pointer(slip.path, live=False) or "",
        message=text,
        meant=UNSET if slip.meant is None else pointer(slip.meant, live=False) or UNSET,
        expected=slip.expected or UNSET,
        given=slip.given or UNSET,
    )
