"""Objects that are JSON and still cannot be parsed: nested too deeply, or text that is none.

A tenant may store such an object where the kind allows anything. It must not take the list that it
stands in along, nor the watch: its metadata is read all the same, and whoever compares it says that
it cannot be compared. Pure.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import orjson

from driftd.cluster import jsonstream

DEPTH: Final = 32
"""Brackets that metadata may lie within."""
UNPARSABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What parsers raise for JSON that they cannot read."""

_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_WRITER: Final = ("manager", "operation", "apiVersion", "time", "subresource")
_KEY: Final = re.compile(rb'"items"\s*:\s*\[')


def readable(document: bytes) -> bytes:
    """The same document without what lies deep, and without text that is none: for its head alone.

    What is cut off becomes null. A document that is no JSON stays none.
    """
    pieces: list[bytes] = []
    depth = kept = 0
    for token in _TOKEN.finditer(document):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
            if depth == DEPTH + 1:
                pieces += (document[kept : token.start()], b"null")
        elif mark in (b"}", b"]"):
            if depth == DEPTH + 1:
                kept = token.end()
            depth -= 1
    if depth > DEPTH:
        return document
    pieces.append(document[kept:])
    text = _SURROGATE.sub(rb"\\ufffd", b"".join(pieces))
    return text.decode(errors="replace").encode()


def items_of(page: bytes) -> tuple[bytes, list[msgspec.Raw]] | None:
    """A list that cannot be parsed: what is left without its items, and these; None if it is none.

    Nothing is said of what the items hold.
    """
    found = [value for _, value in jsonstream.values(iter([page]), longest=len(page) + 1)]
    begin = _KEY.search(page)
    if begin is None or not found:
        return None
    first = page.find(found[0], begin.end())
    last = page.rfind(found[-1]) + len(found[-1])
    if first < 0 or page[begin.end() : first].strip():
        return None
    return readable(page[:first] + page[last:]), [msgspec.Raw(one) for one in found]


def metadata_of(body: bytes) -> dict[str, Any]:
    """The metadata of a served object, whatever else it holds; empty if there is none to be had.

    Marks and writers that are no text are left out: no API server keeps such ones.
    """
    try:
        document = orjson.loads(body)
    except ValueError:
        try:
            document = orjson.loads(readable(body))
        except ValueError:
            return {}
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict):
        return {}
    entries = metadata.get("managedFields")
    return {
        **metadata,
        **{name: _texts(metadata[name]) for name in ("labels", "annotations") if name in metadata},
        "managedFields": [
            {**one, **{name: _text(one.get(name)) for name in _WRITER}}
            for one in (entries if isinstance(entries, list) else ())
            if isinstance(one, dict)
        ],
    }


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
