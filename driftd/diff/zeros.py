"""What the API server makes of an empty value that Git declares for a native field.

A field whose Go type is a pointer keeps its zero: `replicas: 0` is something to say, and its
absence is a difference. Another one cannot tell zero from absent: `hostNetwork: false` is dropped,
`timeoutSeconds: 0` becomes the default. OpenAPI does not say which is which, so the table
(`data/empties.json`) was made by trying them on a real API server with
`python -m tests.defaults.empties`; `tests/property/test_zero_values.py` holds it to one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Final

from driftd.diff.defaults import short
from driftd.diff.schema import Node, Shape
from driftd.model.resource import Json

_KEPT_BESIDE: Final = frozenset({("v1.Toleration", "tolerationSeconds")})
"""Kept fields that are valid only beside others, so that trying them alone shows nothing."""


@lru_cache(maxsize=1)
def table() -> Mapping[str, frozenset[tuple[str, str]]]:
    """`kept`, `printed` and `unset`: pairs of schema component and field."""
    text = resources.files("driftd.diff").joinpath("data/empties.json").read_text("utf-8")
    loaded: dict[str, dict[str, list[str]]] = json.loads(text)
    return {
        what: frozenset(
            (component, field) for component, fields in found.items() for field in fields
        )
        for what, found in loaded.items()
    }


def is_kept(node: Node, field: str) -> bool:
    """Whether a declared empty value at `field` of a struct of `node` must be found live.

    Custom resources keep every value.
    """
    if not node.native:
        return True
    name = (short(node.ref), field)
    return name in table()["kept"] or name in _KEPT_BESIDE


def tells(node: Node, field: str) -> bool:
    """Whether an empty value at `field` is there only because somebody wrote it.

    A kept one that the server does not print of itself.
    """
    return (
        node.shape is Shape.STRUCT
        and is_kept(node, field)
        and (short(node.ref), field) not in table()["printed"]
    )


def says_nothing(node: Node, field: str, value: Json) -> bool:
    """Whether the value that Git declares at `field` of a struct leaves it to the server."""
    if not node.native or (value not in ("", 0) and value != []) or isinstance(value, bool):
        return False
    return (short(node.ref), field) in table()["unset"]
