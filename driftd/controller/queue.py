"""The queue of applications to look at: names only, each at most once, one worker per name."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


class QueueClosed(Exception):
    """The queue was closed: there is nothing to take any more."""


class NameQueue:
    """A queue that holds each name at most once.

    A name that is added while it is being worked on is marked and comes back once its worker
    is done, so no wake-up is lost and no two workers look at one application at a time.
    """

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._active: set[str] = set()
        self._dirty: set[str] = set()
        self._changed = asyncio.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def active(self) -> frozenset[str]:
        """The names that workers have taken and not finished."""
        return frozenset(self._active)

    async def add(self, *names: str) -> None:
        """Ask for a look at each name; a name that already waits keeps its place."""
        await self.add_all(names)

    async def add_all(self, names: Iterable[str]) -> None:
        """Like `add`, for many names."""
        async with self._changed:
            for name in names:
                if name in self._active:
                    self._dirty.add(name)
                elif name not in self._queued:
                    self._push(name)
            self._changed.notify_all()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[str]:
        """The next name, for the time of the `async with` block; waits for one.

        Raises QueueClosed when the queue was closed.
        """
        name = await self._get()
        try:
            yield name
        finally:
            await self._done(name)

    async def join(self) -> None:
        """Wait until nothing waits and nothing is worked on."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting and not self._active)

    async def close(self) -> None:
        """Drop what waits and let every `take` raise QueueClosed; work in progress goes on."""
        async with self._changed:
            self._closed = True
            self._waiting.clear()
            self._queued.clear()
            self._dirty.clear()
            self._changed.notify_all()

    def _push(self, name: str) -> None:
        if not self._closed:
            self._waiting.append(name)
            self._queued.add(name)

    async def _get(self) -> str:
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                raise QueueClosed
            name = self._waiting.popleft()
            self._queued.discard(name)
            self._active.add(name)
            return name

    async def _done(self, name: str) -> None:
        async with self._changed:
            self._active.discard(name)
            if name in self._dirty:
                self._dirty.discard(name)
                self._push(name)
            self._changed.notify_all()
