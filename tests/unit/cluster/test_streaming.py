"""Answers that go on for hours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from driftd.cluster.streaming import pieces

IDLE = 60.0


class Body:
    """The body of an answer; `ended` is what its end is made of."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def iter_any(self) -> AsyncIterator[bytes]:
        """What was said, as it comes."""
        while True:
            piece = await self.said.get()
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def set_exception(self, error: Exception) -> None:
        """It breaks off."""
        self.said.put_nowait(error)


class Answer:
    """An answer without a connection."""

    connection = None

    def __init__(self) -> None:
        self.content = Body()


async def test_a_body_ends_when_nothing_came_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time counts from the last piece, not from the first one."""
    loop = asyncio.get_running_loop()
    real, passed = loop.time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: real() + passed[0])
    answer: Any = Answer()
    body = pieces(answer, IDLE)
    for number in range(4):
        answer.content.said.put_nowait(b"%d" % number)
        assert await anext(body) == b"%d" % number
        passed[0] += 0.8 * IDLE
        await asyncio.sleep(0)  # timers that are due run
    passed[0] += IDLE
    with pytest.raises(TimeoutError):
        await anext(body)
