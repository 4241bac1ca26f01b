"""The body of an answer that goes on for hours, in pieces, each as cheap as it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, Self

from driftd.cluster.gathering import StreamLoop

if TYPE_CHECKING:
    import aiohttp


NOISE: Final = 3
"""Events of no interest within a second after which a stream may wait for others."""


class Stream:
    """The body of an answer, once, in pieces as they arrive.

    One that tells what nobody cares about, several times a second, is read together with others
    like it (`gathering`), until something matters.
    """

    def __init__(self, answer: aiohttp.ClientResponse, idle: float) -> None:
        self._answer = answer
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._noise = 0
        self._since = 0.0
        self._gathered: int | None = None
        """The socket, while it is read together with others."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._at_once()  # the connection may be used for something else

    def __aiter__(self) -> AsyncIterator[bytes]:
        return pieces(self._answer, self._idle)

    def told(self, *, mattered: bool) -> None:
        """Note whether an event mattered to anybody."""
        now = self._loop.time()
        if mattered:
            self._noise = 0
        elif now - self._since > 1:
            self._noise, self._since = 1, now
        else:
            self._noise += 1
        if self._noise >= NOISE:
            self._gather()
        elif mattered:
            self._at_once()

    def _gather(self) -> None:
        """Read it together with others, where the event loop can do that."""
        connection = self._answer.connection
        if self._gathered is not None or connection is None or connection.transport is None:
            return
        socket = connection.transport.get_extra_info("socket")
        if isinstance(self._loop, StreamLoop) and socket is not None and socket.fileno() >= 0:
            self._gathered = socket.fileno()
            self._loop.streams.gather(self._gathered)

    def _at_once(self) -> None:
        """Read it as soon as there is something."""
        if self._gathered is not None and isinstance(self._loop, StreamLoop):
            self._loop.streams.at_once(self._gathered)
            self._gathered = None


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
