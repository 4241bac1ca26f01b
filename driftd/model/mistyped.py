"""What does not fit a type, in the words of somebody who writes YAML and not Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from driftd.model.choices import listed, nearest

_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}
_LACKS = re.compile(r"Object missing required field `(.+)`")
_WRONG = re.compile(r"Expected `(.+)`, got `(.+)`")
_PLACED = re.compile(r"(?P<text>.*?)(?: - at `\$\.?(?P<at>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")
_CHOICE = re.compile(r"Invalid enum value (.+)")
_LENGTH = re.compile(r"Expected `str` of length (>=|<=) (\d+)")
_STEP = re.compile(r"\[[^]]*\]|[^.\[\]]+")
_PATTERNS = {
    "Expected `str` matching regex '^[a-z0-9][a-z0-9-]*$'": (
        "must be small letters, digits and hyphens, such as my-rule"
    ),
}
FILES = {"Severity": "--severity", "Baseline": "--baseline", "Suppressions": "--suppressions"}
"""The kinds of files of driftd's own, each with the flag that takes it."""
_VERSION = "driftd.io/v1"


def headless(document: Any, kind: str, *, optional: bool = False) -> str:
    """What is wrong with the head of a file of driftd's own kind; empty if nothing is.

    `optional` is whether a map may lack it.
    """
    head = f"it begins with apiVersion: {_VERSION} and kind: {kind}"
    if document is None:
        return f"the file is empty; {head}"
    if not isinstance(document, Mapping):
        what = "a list" if isinstance(document, list) else "text"
        return f"the file must hold a map, not {what}; {head}"
    for field, right in (("kind", kind), ("apiVersion", _VERSION)):
        value = document.get(field)
        if value == right or (optional and field not in document):
            continue
        if value is None:
            return f"{field} is missing: write {field}: {right}"
        wrong = f"{field} must be {right}, not {str(value)[:100]!r}"
        if field == "kind" and str(value) in FILES:
            wrong += f"; a file of kind {value} is given with {FILES[str(value)]}"
        return wrong
    return ""


def fault(error: str, kind: Any) -> tuple[str, str]:
    """Where in a value of type `kind` msgspec's `error` is, and what is wrong, as a sentence.

    The place is as `entries[0].paths`, empty for the value itself.
    """
    match = _PLACED.fullmatch(error)
    text, at = (match["text"], match["at"] or "") if match else (error, "")
    return at, _sentence(text, _inner(kind, at))


def _sentence(text: str, kind: Any) -> str:
    if match := _UNKNOWN.fullmatch(text):
        names = [one.encode_name for one in getattr(kind, "fields", ())]
        near = nearest(names, match[1]).strip()
        return f"unknown field {match[1]}; {near or f'known are: {listed(names)}'}"
    if match := _LACKS.fullmatch(text):
        return f"{match[1]} is missing"
    if match := _WRONG.fullmatch(text):
        return f"must be {_words(match[1])}, not {_words(match[2])}"
    if match := _LENGTH.fullmatch(text):
        if match[0].endswith(">= 1"):
            return "must not be empty"
        return f"must have at {'least' if match[1] == '>=' else 'most'} {match[2]} characters"
    if (match := _CHOICE.fullmatch(text)) and (names := _choices(kind)):
        return f"must be one of {', '.join(names)}, not {match[1]}"
    return _PATTERNS.get(text, text)


def _inner(kind: Any, path: str) -> Any:
    """The type of what is at a path inside a value of another one; None where it is not clear."""
    found: Any = msgspec.inspect.type_info(kind)
    for step in _STEP.findall(path):
        found = next((one for one in _parts(found) if not _is_scalar(one)), found)
        if step.startswith("["):
            items = getattr(found, "item_type", None)
            found = items if items is not None else getattr(found, "value_type", None)
            continue
        fields = getattr(found, "fields", ())
        found = next((one.type for one in fields if one.encode_name == step), None)
    return next((one for one in _parts(found) if not _is_scalar(one)), found)


def _parts(kind: Any) -> tuple[Any, ...]:
    return tuple(getattr(kind, "types", (kind,)))


def _is_scalar(kind: Any) -> bool:
    return isinstance(kind, msgspec.inspect.NoneType | msgspec.inspect.UnionType) or (
        type(kind).__name__ in {"UnsetType", "StrType", "BoolType", "IntType", "FloatType"}
    )


def _choices(kind: Any) -> list[str]:
    if isinstance(kind, msgspec.inspect.LiteralType):
        return [str(one) for one in kind.values]
    if isinstance(kind, msgspec.inspect.EnumType):
        return [str(one.value) for one in kind.cls]
    return []


def plain(path: str, text: str) -> str:
    """What msgspec says of a field (`text`), as a sentence; empty where it says something else."""
    if match := _LACKS.fullmatch(text):
        return f"{path}.{match[1]} is missing"
    if match := _WRONG.fullmatch(text):
        return f"{path} must be {_words(match[1])}, not {_words(match[2])}"
    return ""


def _words(types: str) -> str:
    words = [_TYPES.get(name.strip(), name.strip()) for name in types.split("|")]
    return " or ".join(word for word in words if word != "nothing" or len(words) == 1)
