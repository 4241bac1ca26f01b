"""Objects that the API server refuses or takes: one field of a right object is another."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_FILE = Path(__file__).with_name("cases.yaml")


class Case(NamedTuple):
    """One object, and what is to be said of it."""

    name: str
    body: dict[str, Any]
    told: str
    """A part of the reason; empty for an object that the API server takes."""


def cases() -> list[Case]:
    """The cases of the table."""
    table = yaml.safe_load(_FILE.read_text())
    found = []
    for number, case in enumerate(table["cases"], 1):
        body = deepcopy(table["objects"][case["object"]])
        for place, value in case.get("set", {}).items():
            _set(body, place.split("."), value)
        told = case.get("told", "")
        name = f"{number}-{case['object']}-{told or 'taken'}".replace(" ", "_")
        found.append(Case(name, body, told))
    return found


def _set(body: Any, steps: list[str], value: Any) -> None:
    """Set a place; `null` removes it."""
    for step in steps[:-1]:
        body = body[int(step)] if isinstance(body, list) else body.setdefault(step, {})
    last = steps[-1]
    if isinstance(body, list):
        index = int(last)
        body[index : index + 1] = [value]
    elif value is None:
        del body[last]
    else:
        body[last] = value
