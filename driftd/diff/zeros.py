"""What the API server makes of an empty value that Git declares for a native field.

A field whose Go type is a pointer keeps its zero: `replicas: 0` is something to say, and its
absence is a difference. Another one cannot tell zero from absent: `hostNetwork: false` is dropped,
`timeoutSeconds: 0` becomes the default. OpenAPI does not say which is which, so the table
(`data/empties.json`) was made by trying them on a real API server with
`python -m tests.defaults.empties`; `tests/property/test_zero_values.py` holds it to one.
"""

from __future__ import annotations

from typing import Any, Final

from driftd.diff import defaults
from driftd.diff.defaults import short
from driftd.diff.paths import Path
from driftd.diff.schema import Node, Shape
from driftd.diff.tables import empties
from driftd.model.resource import Json

_KEPT_BESIDE: Final = frozenset({("v1.Toleration", "tolerationSeconds")})
"""Kept fields that are valid only beside others, so that trying them alone shows nothing."""


def is_kept(node: Node, field: str) -> bool:
    """Whether a declared empty value at `field` of a struct of `node` must be found live.

    Custom resources keep every value.
    """
    if not node.native:
        return True
    name = (short(node.ref), field)
    return name in empties()["kept"] or name in _KEPT_BESIDE


def tells(node: Node, field: str) -> bool:
    """Whether an empty value at `field` is there only because somebody wrote it.

    A kept one that the server does not print of itself.
    """
    return (
        node.shape is Shape.STRUCT
        and is_kept(node, field)
        and (short(node.ref), field) not in empties()["printed"]
    )


def is_hollow(live: dict[str, Any], node: Node, path: Path) -> bool:
    """Whether a struct at `path` holds nothing but what the server itself puts into such a one.

    That it is there says nothing less: the server fills in what somebody made.
    """
    parents = (live, live) if node.native else ({}, live)
    for name, value in live.items():
        made = defaults.explain(node, name, value, *parents, path)
        if made is defaults.Explained.WHOLE or defaults.is_empty(value):
            continue
        if not isinstance(value, dict) or not is_hollow(value, node.child(name), (*path, name)):
            return False
    return True


def says_nothing(node: Node, field: str, value: Json) -> bool:
    """Whether the value that Git declares at `field` of a struct leaves it to the server."""
    if not node.native or (value not in ("", 0) and value != []) or isinstance(value, bool):
        return False
    return (short(node.ref), field) in empties()["unset"]
