"""Reading a live object whose shape nobody vouches for: what is not there counts as empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

Body: TypeAlias = Mapping[str, Any]
"""A decoded object."""


class Condition(msgspec.Struct, frozen=True):
    """One of `status.conditions`."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""

    @property
    def is_true(self) -> bool:
        """Whether the status is `True`."""
        return self.status == "True"

    @property
    def is_false(self) -> bool:
        """Whether the status is `False`."""
        return self.status == "False"


def at(body: Any, *path: str) -> Any:
    """The value at a path; None if there is none."""
    for name in path:
        if not isinstance(body, Mapping):
            return None
        body = body.get(name)
    return body


def number(body: Body, *path: str, default: int = 0) -> int:
    """The whole number at a path."""
    found = at(body, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def text(body: Body, *path: str) -> str:
    """The text at a path; empty if there is none."""
    found = at(body, *path)
    return found if isinstance(found, str) else ""


def entries(body: Body, *path: str) -> list[Body]:
    """The mappings of the list at a path."""
    found = at(body, *path)
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    return [one for one in found if isinstance(one, Mapping)]


def conditions(body: Body) -> dict[str, Condition]:
    """`status.conditions` by type, in their order; of one that is there twice the last one."""
    found: dict[str, Condition] = {}
    for one in entries(body, "status", "conditions"):
        name = text(one, "type")
        found[name] = Condition(
            name, text(one, "status"), text(one, "reason"), text(one, "message")
        )
    return found


def unobserved(body: Body) -> bool:
    """Whether the controller has not seen the last change of the object yet."""
    return number(body, "metadata", "generation") > number(body, "status", "observedGeneration")
