"""What the rules of refused objects share: places, and the syntax of names and labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

Place: TypeAlias = "tuple[str | int, ...]"
"""Fields and positions that lead to a place of the declared object."""

NAME_HINT: Final = "write it with a-z, 0-9, -"
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_QUALIFIED: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_PORT: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253
_LONGEST_PORT: Final = 15
_LAST_PORT: Final = 65535


class Refusal(NamedTuple):
    """One reason for which the API server refuses a declared object."""

    place: Place
    """Where Git is to be corrected, if nothing tells better."""
    text: str
    """What is wrong and what to write; never a value that may be secret."""
    others: tuple[Place, ...] = ()
    """Further places that take part: whichever differs from the other side has caused it."""


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping as it is; empty for anything else, which the schema calls wrong."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list, by position; anything else is an empty one."""
    return [mapping(one) for one in value] if isinstance(value, list) else []


def is_name(value: Any, *, dots: bool) -> bool:
    """Whether a text is a DNS name of RFC 1123; without `dots` one label of it."""
    if not isinstance(value, str) or not value:
        return True  # what is lacking or of another type, other rules tell
    if not dots:
        return len(value) <= _LONGEST_LABEL and _LABEL.match(value) is not None
    return len(value) <= _LONGEST_NAME and all(_LABEL.match(part) for part in value.split("."))


def port_name(value: str) -> str:
    """What is wrong with the name of a port; empty if nothing is."""
    if len(value) > _LONGEST_PORT:
        return f"the name of a port has at most {_LONGEST_PORT} characters"
    if not _PORT.match(value) or "--" in value or not re.search("[a-z]", value):
        return "the name of a port has a-z, 0-9 and single -, and at least one letter"
    return ""


def is_port(value: Any) -> bool:
    """Whether a number is one of a port; other types are left to the schema."""
    return not isinstance(value, int) or isinstance(value, bool) or 1 <= value <= _LAST_PORT


def metadata(values: Mapping[str, Any], place: Place) -> Iterator[Refusal]:
    """Labels and annotations of other than the allowed syntax."""
    for name, value in mapping(values.get("labels")).items():
        here = (*place, "labels", name)
        if not _is_key(name):
            yield Refusal(
                here, f"{name} is no name of a label: [PREFIX/]NAME, of a-z A-Z 0-9 - _ ."
            )
        elif isinstance(value, str) and value and not _is_value(value):
            yield Refusal(
                here,
                f"the value of label {name} is none for a label: at most 63 characters of "
                "a-z A-Z 0-9 - _ ., letters or digits first and last",
            )
    for name in mapping(values.get("annotations")):
        if not _is_key(name.lower()):
            text = f"{name} is no name of an annotation: [PREFIX/]NAME, of a-z A-Z 0-9 - _ ."
            yield Refusal((*place, "annotations", name), text)


def _is_key(name: str) -> bool:
    prefix, slash, last = name.rpartition("/")
    if slash and (not prefix or not is_name(prefix, dots=True)):
        return False
    return _is_value(last)


def _is_value(text: str) -> bool:
    return len(text) <= _LONGEST_LABEL and _QUALIFIED.match(text) is not None
