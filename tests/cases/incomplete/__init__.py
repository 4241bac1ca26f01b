"""Objects that lack a required field, or have an item twice, and what an API server says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def table() -> dict[str, Any]:
    """The definition of a custom kind, and cases for it and for built-in kinds."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text())
    return found
