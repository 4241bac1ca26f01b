"""Durations and byte sizes as people write them in settings: `90s`, `1h30m`, `256Mi`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_SIZES = {"": 1, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
_SIZE = re.compile(r"(\d+)(Ki|Mi|Gi)?")


class Duration:
    """A length of time, written with units (`500ms`, `90s`, `1h30m`, `7d`); `0s` means off."""

    __slots__ = ("seconds", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not _DURATION.fullmatch(text):
            raise ValueError(f"Expected a duration such as 90s, 5m or 1h30m, got {text!r}")
        self.text = text
        self.seconds = sum(float(n) * _UNITS[unit] for n, unit in _DURATION_PART.findall(text))

    @property
    def delta(self) -> timedelta:
        """The same length as a `timedelta`."""
        return timedelta(seconds=self.seconds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.seconds == other.seconds

    def __hash__(self) -> int:
        return hash(self.seconds)

    def __repr__(self) -> str:
        return f"Duration({self.text!r})"


class Size:
    """A number of bytes, written plain or with a binary unit (`65536`, `64Ki`, `256Mi`, `1Gi`)."""

    __slots__ = ("bytes", "text")

    def __init__(self, text: str | int) -> None:
        plain = isinstance(text, int) and not isinstance(text, bool)
        found = _SIZE.fullmatch(str(text)) if plain or isinstance(text, str) else None
        if found is None:
            raise ValueError(f"Expected a size such as 65536, 64Ki or 256Mi, got {text!r}")
        self.text = str(text)
        self.bytes = int(found[1]) * _SIZES[found[2] or ""]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.bytes == other.bytes

    def __hash__(self) -> int:
        return hash(self.bytes)

    def __repr__(self) -> str:
        return f"Size({self.text!r})"
