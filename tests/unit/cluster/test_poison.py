"""Heads of objects that no parser takes."""

from __future__ import annotations

import json

import pytest

from driftd.cluster.poison import DEPTH, items_of, metadata_of, readable

DEEP = '{"a":[' * 2000 + "1" + "]}" * 2000


def test_what_lies_deep_is_cut_off() -> None:
    """Brackets in text do not count, what is not deep stays as it is."""
    text = '{"metadata":{"name":"a[{"},"deep":' + DEEP + ',"last":"}\\"]"}'
    found = json.loads(readable(text.encode()))
    assert found["metadata"] == {"name": "a[{"}
    assert found["last"] == '}"]'
    level, depth = found["deep"], 0
    while level is not None:
        level = level["a"] if isinstance(level, dict) else level[0]
        depth += 1
    assert depth == DEPTH - 1
    plain = b'{"metadata": {"name": "a"}}'
    assert readable(plain) == plain


@pytest.mark.parametrize("text", ["\\ud800", "\\uDFff", "x\\udc00y"])
def test_text_that_is_none_is_replaced(text: str) -> None:
    """Half a pair of surrogates stands for a character that there is not."""
    assert "\ufffd" in json.loads(readable(f'{{"a":"{text}"}}'.encode()))["a"]


def test_no_json_stays_none() -> None:
    """What is cut off by the connection is not mended."""
    for document in (b"", b"[" * 200, b'{"a":', b"<html>"):
        with pytest.raises(ValueError, match=r"Expecting|property"):
            json.loads(readable(document))


def test_items_are_found_in_lists_alone() -> None:
    """Each item is given as it is; a list in another field is none."""
    page = f'{{"metadata":{{"continue":"c"}},"items":[{{"a":{DEEP}}},{{"b":1}}]}}'.encode()
    found = items_of(page)
    assert found is not None
    head, items = found
    assert json.loads(head)["metadata"] == {"continue": "c"}
    assert [bytes(one) for one in items] == [f'{{"a":{DEEP}}}'.encode(), b'{"b":1}']
    assert items_of(b'{"other":[{"a":1}]}') is None
    assert items_of(b"<html>") is None


def test_metadata_is_read_whatever_else_there_is() -> None:
    """Of marks and writers what is text; nothing of what is no object."""
    meta = {
        "name": "a",
        "labels": {"x": "y", "n": None},
        "annotations": ["no"],
        "managedFields": [None, {"manager": 1, "operation": "Apply", "fieldsV1": {}}],
    }
    body = json.dumps({"metadata": meta, "spec": "HERE"}).replace('"HERE"', DEEP).encode()
    found = metadata_of(body)
    assert (found["name"], found["labels"], found["annotations"]) == ("a", {"x": "y"}, {})
    (entry,) = found["managedFields"]
    assert (entry["manager"], entry["operation"], entry["fieldsV1"]) == ("", "Apply", {})
    for nothing in (b"", b"[]", b"{", b'{"metadata":[]}'):
        assert metadata_of(nothing) == {}
