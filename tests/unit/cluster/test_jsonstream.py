"""Documents cut into their values as they come, however they come."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.cluster.jsonstream import TooLong, values

TRICKY: list[Any] = [
    {"a": 'quote " brace } bracket ]', "b": "\\", "c": '\\\\" {['},
    {"nested": {"items": [{"x": [1, {"y": 2}]}]}, "request": [{"op": "add"}]},
    {"empty": {}, "list": [], "ü": "\u2028{"},
]


def cut(data: bytes, size: int, longest: int = 1 << 20) -> list[tuple[int, Any]]:
    """The values of `data` when it comes in pieces of `size` bytes, with their lines."""
    pieces = iter([data[at : at + size] for at in range(0, len(data), size)])
    return [(line, json.loads(value)) for line, value in values(pieces, longest=longest)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("around", ["list", "items", "records", "one by one"])
def test_values_of_a_document(size: int, indent: int | None, around: str) -> None:
    """Lists at the top, lists in a member, and documents in a row give the same values."""
    document: Any = TRICKY if around == "list" else {"first": [{"no": 1}], around: TRICKY, "z": {}}
    if around == "one by one":
        data = "\n".join(json.dumps(one, indent=indent) for one in TRICKY).encode()
    else:
        data = json.dumps(document, indent=indent).encode()
    assert [value for _, value in cut(data, size)] == TRICKY


def test_lines_are_counted() -> None:
    """Each value comes with the line on which it begins."""
    data = b'{\n "items": [\n  {"a": 1},\n  {"b":\n   2}\n ]\n}\n'
    assert cut(data, 4) == [(3, {"a": 1}), (4, {"b": 2})]


def test_nothing_that_is_done_is_held() -> None:
    """A document far longer than the limit passes; a value longer than it does not."""
    many = json.dumps({"items": [{"n": number} for number in range(5_000)]}).encode()
    assert len(cut(many, 100, longest=200)) == 5_000
    with pytest.raises(TooLong) as told:
        cut(b'[\n{"a": 1},\n{"b": "' + b"x" * 500 + b'"}]', 50, longest=200)
    assert told.value.line == 3


def test_an_empty_list_has_no_values() -> None:
    """An empty list of events is no event itself, wherever the pieces end."""
    for size in (1, 5, 100):
        assert cut(b'{"kind": "EventList", "items": [  ], "metadata": {}}', size) == []
