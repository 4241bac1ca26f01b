"""Whose request is next: a worker that has seen a project's content goes on with that project."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

PATIENCE = 2.0
"""Seconds after which the caller who waits longest is next, whatever its project."""


class _Waiting(msgspec.Struct, eq=False):
    project: str | None
    since: float
    turn: asyncio.Future[None]


class Turns:
    """At most `size` turns at a time.

    A turn that ends goes to the next caller of the same project, so that workers, which are
    replaced between projects, are not replaced for every request where many projects ask.
    """

    def __init__(self, size: int, patience: float = PATIENCE) -> None:
        self._free = size
        self._patience = patience
        self._waiting: deque[_Waiting] = deque()

    @asynccontextmanager
    async def turn(self, project: str | None) -> AsyncIterator[None]:
        """Wait for a turn, and end it."""
        await self._begin(project)
        try:
            yield
        finally:
            self._end(project)

    async def _begin(self, project: str | None) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(project, loop.time(), loop.create_future())
        self._waiting.append(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.done() and not waiting.turn.cancelled():
                # The turn was given at the same moment: it is passed on.
                self._end(project)
            else:
                self._waiting.remove(waiting)
            raise

    def _end(self, project: str | None) -> None:
        chosen = self._next(project)
        if chosen is None:
            self._free += 1
            return
        self._waiting.remove(chosen)
        chosen.turn.set_result(None)

    def _next(self, project: str | None) -> _Waiting | None:
        """Who waits for the same project, unless somebody has waited too long."""
        # A caller that is being cancelled still stands in the line.
        able = (one for one in self._waiting if not one.turn.done())
        oldest = next(able, None)
        if oldest is None or oldest.project == project:
            return oldest
        if asyncio.get_running_loop().time() - oldest.since > self._patience:
            return oldest
        return next((one for one in able if one.project == project), oldest)
