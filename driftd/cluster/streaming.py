"""The body of an answer that goes on for hours, in pieces, each as cheap as it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


async def pieces(answer: aiohttp.ClientResponse, idle: float) -> AsyncIterator[bytes]:
    """What arrives of an answer, until it ends.

    Raises TimeoutError after `idle` seconds without a byte. The client library would do that too
    (`sock_read`), but takes a new timer for each piece, which is a twentieth of what a piece costs;
    here one timer looks whether anything has come since.
    """
    silence = _Silence(answer, idle)
    try:
        async for piece in answer.content.iter_any():
            silence.heard = silence.clock.time()
            yield piece
    finally:
        silence.timer.cancel()


class _Silence:
    """Ends the reading of an answer when nothing has come for long."""

    def __init__(self, answer: aiohttp.ClientResponse, idle: float) -> None:
        self.clock = asyncio.get_running_loop()
        self.heard = self.clock.time()
        """When a piece came last."""
        self._answer = answer
        self._idle = idle
        if answer.connection is not None and answer.connection.protocol is not None:
            answer.connection.protocol.read_timeout = None
            # Takes the timer that waits for the next piece away, too.
            answer.connection.protocol.start_timeout()
        self.timer = self.clock.call_later(idle, self._check)

    def _check(self) -> None:
        left = self.heard + self._idle - self.clock.time()
        if left > 0:
            self.timer = self.clock.call_later(left, self._check)
        else:
            self._answer.content.set_exception(TimeoutError())
