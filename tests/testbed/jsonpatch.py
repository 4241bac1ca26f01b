"""RFC 6902 add, replace and remove, for changes that a test makes to what Git declares."""

from __future__ import annotations

from copy import deepcopy
from typing import Any


def patched(document: Any, operations: list[dict[str, Any]]) -> Any:
    """A copy of `document` with the operations applied in order."""
    result = deepcopy(document)
    for operation in operations:
        tokens = [t.replace("~1", "/").replace("~0", "~") for t in operation["path"].split("/")[1:]]
        parent = result
        for token in tokens[:-1]:
            parent = parent[int(token)] if isinstance(parent, list) else parent[token]
        _apply(parent, tokens[-1], operation)
    return result


def _apply(parent: Any, last: str, operation: dict[str, Any]) -> None:
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if operation["op"] == "remove":
            parent.pop(index)
        elif operation["op"] == "add":
            parent.insert(index, operation["value"])
        else:
            parent[index] = operation["value"]
    elif operation["op"] == "remove":
        del parent[last]
    else:
        parent[last] = operation["value"]
