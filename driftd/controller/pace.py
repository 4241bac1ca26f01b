"""How soon an application, or an object of it, may be looked at again because something changed.

The first change is looked at at once. Something that changes all the time (a fight of two
controllers, a counter in an annotation) is looked at less and less often, and at its own expense
alone. Pure: time is an argument of the constructor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

SHORTEST: Final = 0.05
"""Seconds between two looks at first."""
LONGEST: Final = 30.0
CALM: Final = 10.0
"""After so many times the pause without a change, an application counts as calm again."""


@dataclass(slots=True)
class _Turn:
    pause: float
    last: float
    """When a look was asked for last."""
    waiting: bool = False


class Pace:
    """Answers when a look that is asked for may begin."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        shortest: float = SHORTEST,
        longest: float = LONGEST,
    ) -> None:
        """`monotonic` gives the time in seconds."""
        self._now = monotonic
        self._shortest = shortest
        self._longest = longest
        self._turns: dict[str, dict[Hashable, _Turn]] = defaultdict(dict)
        """By application, and by object or None for the whole."""

    def ask(self, name: str, what: Hashable = None) -> float | None:
        """Seconds until the look may begin; None if one is waiting that will do.

        `what` is the one object of the application that is to be looked at.
        """
        now = self._now()
        turn = self._turns[name].get(what)
        if turn is None or now - turn.last >= CALM * turn.pause:
            self._turns[name][what] = _Turn(self._shortest, now)
            return 0.0
        if turn.waiting:
            return None
        turn.pause = min(2 * turn.pause, self._longest)
        wait = turn.last + turn.pause - now
        if wait <= 0:
            turn.last = now
            return 0.0
        turn.waiting = True
        return wait

    def due(self, name: str, what: Hashable = None) -> None:
        """The look that was waiting begins now."""
        turn = self._turns[name].get(what) if name in self._turns else None
        if turn is not None:
            turn.waiting = False
            turn.last = self._now()

    def forget(self, name: str) -> None:
        """The application is no longer of interest."""
        self._turns.pop(name, None)
