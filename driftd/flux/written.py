"""Where a file has a field of a Flux object, found line by line: for messages alone. Pure."""

from __future__ import annotations

import re

from driftd.model.flux import FluxObject
from driftd.model.tree import Tree

_MARKER = re.compile(r"^---")
_LARGEST = 1 << 20


def place_of(found: FluxObject, tree: Tree | None, field: str, value: str = "") -> str:
    """`FILE:LINE` of a field with a value, or any value; the file alone where it is not found.

    A patch may have written the field elsewhere, and the YAML is not parsed: it is a good guess.
    """
    data = tree.files.get(found.origin, b"") if tree is not None else b""
    if not field or not data or len(data) > _LARGEST:
        return found.origin
    start = rf"(?:^|[\s{{,-]){re.escape(field)}:[ \t]*"
    end = rf"[\"']?{re.escape(value)}[\"']?(?:[\s,}}]|$)" if value else ""
    wanted = re.compile(start + end)
    name = re.compile(rf"name:[ \t]*[\"']?{re.escape(found.name)}[\"']?(?:[\s,}}]|$)")
    kind = re.compile(rf"kind:[ \t]*[\"']?{re.escape(found.kind)}(?:[\s\"',}}]|$)")
    lines: list[tuple[int, str]] = []
    for number, line in enumerate([*bytes(data).decode(errors="replace").splitlines(), "---"], 1):
        if not _MARKER.match(line):
            lines.append((number, line))
            continue
        text = "\n".join(one for _, one in lines)
        if name.search(text) and kind.search(text):
            at = [number for number, one in lines if wanted.search(one)]
            # Names stand in metadata too: of several lines the last is meant.
            return f"{found.origin}:{at[-1 if value else 0]}" if at else found.origin
        lines = []
    return found.origin
