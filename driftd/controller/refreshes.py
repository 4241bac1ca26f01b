"""Repositories that somebody says have moved: asked anew soon, and never too often.

It is names that are kept, not what was said of them: whoever looks asks the server.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from driftd.source.url import provider_key

_MOST: Final = 4096
"""Repositories that are remembered before it is known which ones there are."""


class Due(NamedTuple):
    """What may be asked now, and when there is more."""

    keys: frozenset[str]
    wait: float
    """Seconds until the next one may be asked; infinite if none waits."""


class Refreshes:
    """What was asked for and not done yet, by `provider_key`.

    A repository is done at once if it was not within the window, else at the end of it; however
    often it is asked for in between, that is once.
    """

    def __init__(self, window: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`window` is the least distance of two refreshes of a repository, in seconds."""
        self.window = window
        self._now = monotonic
        self._known: frozenset[str] | None = None
        self._asked: set[str] = set()
        self._done: dict[str, float] = {}
        self._news = asyncio.Event()

    def know(self, urls: Iterable[str]) -> None:
        """Only these repositories are read now; what is asked of others is dropped."""
        self._known = frozenset(key for key in map(provider_key, urls) if key)
        self._asked &= self._known

    def ask(self, urls: Iterable[str]) -> bool:
        """Somebody says that the repository with any of these URLs has moved; whether it is known.

        Before anything is known, that is assumed of all.
        """
        keys = {key for key in map(provider_key, urls) if key}
        if self._known is not None:
            keys &= self._known
        elif len(self._asked) + len(keys) > _MOST:
            keys = set()
        self._asked |= keys
        if keys:
            self._news.set()
        return bool(keys)

    def take(self) -> Due:
        """Take what may be asked now."""
        now = self._now()
        self._done = {key: at for key, at in self._done.items() if now - at < self.window}
        due = frozenset(key for key in self._asked if key not in self._done)
        self._asked -= due
        self._done.update(dict.fromkeys(due, now))
        soonest = min((self._done[key] for key in self._asked), default=math.inf)
        return Due(due, soonest + self.window - now)

    async def due(self) -> frozenset[str]:
        """Wait until a repository may be asked, and take all that may be."""
        while True:
            self._news.clear()
            found = self.take()
            if found.keys:
                return found.keys
            try:
                async with asyncio.timeout(None if math.isinf(found.wait) else found.wait):
                    await self._news.wait()
            except TimeoutError:
                continue
