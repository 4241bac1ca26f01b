"""Whether the daemon's loops get on: what liveness means.

A cluster, a repository or a receiver that hangs is no reason for a restart: every call to them is
bounded, and what takes too long is ended. Only what a restart can mend counts here: a schedule
that no longer fires, and work that outlives even its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

BEAT: Final = 5.0
"""Seconds between two signs of life of the schedule."""
SILENCE: Final = 60.0
"""Seconds without one after which the schedule counts as dead; also what ended work may take."""


class Progress:
    """Signs of life of the loops. Pure: time is an argument of the constructor."""

    def __init__(self, monotonic: Callable[[], float], *, limit: float) -> None:
        """`limit`: seconds after which work under way is ended, and the start given up."""
        self._now = monotonic
        self.limit = limit
        """May be set anew when nothing is under way."""
        self._busy: dict[object, tuple[str, float]] = {}
        self._began = monotonic()
        self._beaten: float | None = None

    def beat(self) -> None:
        """The schedule fires."""
        self._beaten = self._now()

    @contextmanager
    def at_work(self, what: str) -> Iterator[None]:
        """Something is under way that is ended after the limit."""
        token = object()
        self._busy[token] = (what, self._now())
        try:
            yield
        finally:
            del self._busy[token]

    def stuck(self) -> str:
        """What does not get on, for a person; empty if everything does."""
        now = self._now()
        if self._beaten is None:
            waited = now - self._began
            return f"not started after {waited:.0f} s" if waited > self.limit + SILENCE else ""
        if now - self._beaten > SILENCE:
            return f"the schedule has not fired for {now - self._beaten:.0f} s"
        for what, began in self._busy.values():
            if now - began > self.limit + SILENCE:
                return f"{what} has not ended for {now - began:.0f} s"
        return ""
