"""Stops asking a cluster that does not answer, so that nobody waits for it again and again.

Pure but for the clock: a look at a dark cluster fails at once with the words of the last attempt,
and one request after each pause tries whether the cluster is there again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from driftd.errors import Unreachable

THRESHOLD: Final = 3
"""Requests in a row without an answer after which the cluster counts as dark."""
SHORTEST: Final = 1.0
"""Seconds until the first try whether it is there again."""
LONGEST: Final = 60.0
CALM: Final = 10.0
"""After so many times the pause with answers, the next pause is the shortest again."""


class Breaker:
    """The state of one cluster: closed as long as it answers, open while it is dark.

    Any answer counts, a refusal too. One slow kind does not open it as long as others are
    answered in between.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        opened: Callable[[], None] = lambda: None,
        threshold: int = THRESHOLD,
        shortest: float = SHORTEST,
        longest: float = LONGEST,
    ) -> None:
        """`monotonic` gives the time in seconds; `opened` is called each time it opens."""
        self._now = monotonic
        self._opened = opened
        self._threshold = threshold
        self._shortest = shortest
        self._longest = longest
        self._failures = 0
        self._error: Unreachable | None = None
        """Why the cluster is dark; None while the breaker is closed."""
        self._pause = shortest
        self._until = 0.0
        self._closed_at: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the cluster counts as dark."""
        return self._error is not None

    @property
    def pause(self) -> float:
        """Seconds until a request may try again; 0 while the breaker is closed."""
        return max(0.0, self._until - self._now()) if self.is_open else 0.0

    def reset(self) -> None:
        """Ask at once again: the cluster is reached otherwise from now on."""
        self._failures = 0
        self._error = None
        self._pause = self._shortest
        self._until = 0.0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """One request. Raises Unreachable at once while the breaker is open.

        After the pause one request at a time is let through to try.
        """
        trying = self._enter()
        try:
            yield
        except Unreachable as error:
            self._fail(error, trying)
            raise
        else:
            self._succeed()
        finally:
            # Cancelled, or no fault of the connection: nothing is known, the next one tries.
            if trying:
                self._trying = False

    def _enter(self) -> bool:
        if self._error is None:
            return False
        if self._trying or self._now() < self._until:
            raise Unreachable(self._error.message, hint=self._error.hint)
        self._trying = True
        return True

    def _fail(self, error: Unreachable, trying: bool) -> None:
        if self._error is not None:
            # What began before it opened and ends now says nothing new.
            if trying:
                self._error = error
                self._pause = min(2 * self._pause, self._longest)
                self._until = self._now() + self._pause
            return
        self._failures += 1
        if self._failures < self._threshold:
            return
        if self._closed_at is None or self._now() - self._closed_at >= CALM * self._pause:
            self._pause = self._shortest
        else:
            self._pause = min(2 * self._pause, self._longest)
        self._error = error
        self._until = self._now() + self._pause
        self._opened()

    def _succeed(self) -> None:
        self._failures = 0
        if self._error is not None:
            self._error = None
            self._closed_at = self._now()
