"""Paths that a server has asked not to be asked for a while (`Retry-After`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LONGEST: Final = 300.0
"""Seconds for which such a wish is obeyed at most."""


class Busy:
    """Which paths have to wait; what one of them is refused concerns no other."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` gives the time in seconds."""
        self._now = monotonic
        self._until: dict[str, float] = {}

    def note(self, path: str, seconds: float) -> None:
        """Keep a wish of the server."""
        now = self._now()
        self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[path] = now + min(seconds, LONGEST)

    def left(self, path: str) -> float:
        """Seconds until a path may be asked; 0 if it may be now."""
        return max(0.0, self._until.get(path, 0.0) - self._now())
