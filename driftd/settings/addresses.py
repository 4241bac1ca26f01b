"""What addresses in settings must be."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit


def is_address(url: str, schemes: Sequence[str]) -> bool:
    """Whether it is a URL of one of `schemes` that names a host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def has_password(url: str) -> bool:
    """Whether a URL holds a password."""
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return False
