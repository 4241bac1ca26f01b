"""The queue of applications to look at: names only, each at most once, one worker per name."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

Lane: TypeAlias = Hashable


def _one_lane(_name: str) -> Lane:
    return None


def _unbounded(_lane: Lane) -> int | None:
    return None


class QueueClosed(Exception):
    """The queue was closed: there is nothing to take any more."""


class NameQueue:
    """A queue that holds each name at most once.

    A name that is added while it is being worked on is marked and comes back once its worker
    is done, so no wake-up is lost and no two workers look at one application at a time. A name
    may be added for a glance alone; if anything else adds it too, the look is to be whole.

    Names have lanes, one for each cluster: in a lane no more are worked on at a time than it is
    wide, so that those who wait for one cluster leave workers to the others.
    """

    def __init__(
        self,
        lane: Callable[[str], Lane] = _one_lane,
        width: Callable[[Any], int | None] = _unbounded,
    ) -> None:
        """`lane` gives a name's lane, `width` how many of a lane may be worked on, None for all."""
        self._lane = lane
        self._width = width
        self._lanes: dict[Lane, deque[str]] = {}
        """Waiting names by lane; lanes take turns, and in each the first comes first."""
        self._queued: set[str] = set()
        self._active: dict[str, Lane] = {}
        """The lane that each name was taken from."""
        self._whole: set[str] = set()
        """Waiting or marked names that more than a glance was asked for."""
        self._taken_whole: set[str] = set()
        """Names that workers have taken and that are to be looked at as a whole."""
        self._busy: Counter[Lane] = Counter()
        self._dirty: set[str] = set()
        self._changed = asyncio.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queued)

    @property
    def active(self) -> frozenset[str]:
        """The names that workers have taken and not finished."""
        return frozenset(self._active)

    async def add(self, *names: str) -> None:
        """Ask for a look at each name; a name that already waits keeps its place."""
        await self.add_all(names)

    async def add_all(self, names: Iterable[str]) -> None:
        """Like `add`, for many names."""
        await self._ask(names, whole=True)

    async def glance(self, name: str) -> None:
        """Ask for a look at those objects of an application that are known to have changed."""
        await self._ask((name,), whole=False)

    def is_whole(self, name: str) -> bool:
        """Whether a name that was taken is to be looked at as a whole."""
        return name in self._taken_whole

    async def _ask(self, names: Iterable[str], *, whole: bool) -> None:
        async with self._changed:
            for name in names:
                if whole and not self._closed:
                    self._whole.add(name)
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
            await self._changed.wait_for(lambda: not self._queued and not self._active)

    async def close(self) -> None:
        """Drop what waits and let every `take` raise QueueClosed; work in progress goes on."""
        async with self._changed:
            self._closed = True
            self._lanes.clear()
            self._queued.clear()
            self._dirty.clear()
            self._whole.clear()
            self._changed.notify_all()

    def _push(self, name: str) -> None:
        if not self._closed:
            self._lanes.setdefault(self._lane(name), deque()).append(name)
            self._queued.add(name)

    def _open_lanes(self) -> Iterator[Lane]:
        """The lanes that have names and room, in the order of their turns."""
        for lane in self._lanes:
            width = self._width(lane)
            if width is None or self._busy[lane] < width:
                yield lane

    def _takeable(self) -> bool:
        return self._closed or any(True for _ in self._open_lanes())

    async def _get(self) -> str:
        async with self._changed:
            await self._changed.wait_for(self._takeable)
            if self._closed:
                raise QueueClosed
            lane = next(self._open_lanes())
            waiting = self._lanes.pop(lane)
            name = waiting.popleft()
            if waiting:
                self._lanes[lane] = waiting  # at the end: the other lanes come first
            self._queued.discard(name)
            self._active[name] = lane
            if name in self._whole:
                self._whole.discard(name)
                self._taken_whole.add(name)
            self._busy[lane] += 1
            return name

    async def _done(self, name: str) -> None:
        async with self._changed:
            lane = self._active.pop(name)
            self._taken_whole.discard(name)
            self._busy[lane] -= 1
            if not self._busy[lane]:
                del self._busy[lane]
            if name in self._dirty:
                self._dirty.discard(name)
                self._push(name)
            self._changed.notify_all()
