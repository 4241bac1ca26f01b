"""Small YAML files of a tree that say how a rendering is put together: charts, kustomizations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_BYTES: Final = 1 << 18
"""Larger ones are no such files."""


def mapping_in(files: Mapping[str, bytes], path: str) -> Mapping[str, Any]:
    """The map in a file; an empty one where it cannot be read, which the rendering tells."""
    import yaml

    data = files.get(path, b"")
    if len(data) > _BYTES:
        return {}
    try:
        document = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
