"""Where the documents of a manifest file begin. Pure."""

from __future__ import annotations

import re

_BOM = b"\xef\xbb\xbf"
_MARKER = re.compile(rb"^---.*(?:\n|\Z)", re.MULTILINE)
_CONTENT = re.compile(rb"^[^\S\n]*([^\s#])", re.MULTILINE)


def document_lines(data: bytes) -> tuple[int, ...]:
    """The line (from 1) on which the content of each document of a YAML or JSON file begins.

    Documents are counted as the sandbox counts them: what holds only comments and blank lines is
    none. Of a file that begins as JSON only the first document is told.
    """
    content = data.removeprefix(_BOM)
    if content[:1].isalpha() and b"\n---" not in content:
        return (1,)  # one document that begins at once, as most files are
    if content.lstrip()[:1] == b"{":
        return (content[: content.index(b"{")].count(b"\n") + 1,)
    found: list[int] = []
    start, line = 0, 1
    for marker in _MARKER.finditer(content):
        _add_start(found, content[start : marker.start()], line)
        line += content.count(b"\n", start, marker.start())
        start = marker.end()
        words = content[marker.start() + 3 : start].strip()
        if words and not words.startswith(b"#"):
            start = marker.start() + 3  # no document for Kubernetes, and yet one that counts
        else:
            line += content.count(b"\n", marker.start(), start)
    _add_start(found, content[start:], line)
    return tuple(found)


def _add_start(found: list[int], text: bytes, line: int) -> None:
    match = _CONTENT.search(text)
    if match is not None:
        found.append(line + text.count(b"\n", 0, match.start(1)))
