"""Whose request is next: a worker that has seen a project's content goes on with that project."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

PATIENCE = 2.0
"""Seconds that a project may go on while callers of others wait."""


class _Waiting(msgspec.Struct, eq=False):
    project: str | None
    turn: asyncio.Future[float]
    """Gives the time at which the project's row of turns began."""


class Turns:
    """At most `size` turns at a time.

    A turn that ends goes to the next caller of the same project, so that workers, which are
    replaced between projects, are not replaced for every request where many projects ask. After
    `patience` seconds of one project the caller who waits longest is next.
    """

    def __init__(self, size: int, patience: float = PATIENCE) -> None:
        self._free = size
        self._patience = patience
        self._waiting: deque[_Waiting] = deque()

    @asynccontextmanager
    async def turn(self, project: str | None) -> AsyncIterator[None]:
        """Wait for a turn, and end it."""
        since = await self._begin(project)
        try:
            yield
        finally:
            self._end(project, since)

    async def _begin(self, project: str | None) -> float:
        loop = asyncio.get_running_loop()
        if self._free and not self._waiting:
            self._free -= 1
            return loop.time()
        waiting = _Waiting(project, loop.create_future())
        self._waiting.append(waiting)
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.done() and not waiting.turn.cancelled():
                # The turn was given at the same moment: it is passed on.
                self._end(project, waiting.turn.result())
            else:
                self._waiting.remove(waiting)
            raise

    def _end(self, project: str | None, since: float) -> None:
        now = asyncio.get_running_loop().time()
        chosen = self._next(project, patient=now - since <= self._patience)
        if chosen is None:
            self._free += 1
            return
        self._waiting.remove(chosen)
        chosen.turn.set_result(since if chosen.project == project else now)

    def _next(self, project: str | None, *, patient: bool) -> _Waiting | None:
        """Who waits longest: of the same project, or after its time of another one."""
        # A caller that is being cancelled still stands in the line.
        able = [one for one in self._waiting if not one.turn.done()]
        if not able:
            return None
        wanted = (one for one in able if (one.project == project) is patient)
        return next(wanted, able[0])
