"""How a process that runs until it is told to stop learns of that, and ends for sure."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, TypeVar

from driftd.telemetry.logs import get_logger

Result = TypeVar("Result")

HARD_STOP: Final = 8.5
"""Seconds after the signal in which the process ends, whatever hangs."""
_THREADS: Final = 1.0


class Ending:
    """SIGTERM and SIGINT: unready first, then the end, for sure within `HARD_STOP` seconds."""

    def __init__(self, *, once: bool) -> None:
        self.asked = asyncio.Event()
        self.unready: Callable[[], None] = lambda: None
        self.has_loops = False
        """Whether loops run that end by themselves once it is asked for."""
        self._armed = False
        code = 130 if once else 0
        self._last = threading.Timer(HARD_STOP, _end_hard, (code,))
        self._last.daemon = True

    def listen(self) -> None:
        """Begin to listen for signals, for the task that calls."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end() -> None:
            if self.asked.is_set():
                return
            self.unready()
            self.asked.set()
            if not self.has_loops and task is not None:
                task.cancel()

        def arm(_number: int, _frame: FrameType | None) -> None:
            if not self._armed:
                self._armed = True
                self._last.start()

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, end)
            # The loop learns of signals through its pipe whoever handles them; this handler runs
            # even while something blocks the loop.
            signal.signal(name, arm)

    async def unless_asked(
        self, call: Coroutine[Any, Any, Result], other: asyncio.Task[None]
    ) -> Result | None:
        """What a call returns; None if the end was asked for, or `other` ended, before that."""
        work, asked = asyncio.create_task(call), asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait({work, asked, other}, return_when=asyncio.FIRST_COMPLETED)
            return await work if work.done() and not asked.done() else None
        finally:
            work.cancel()
            asked.cancel()
            await asyncio.gather(work, asked, return_exceptions=True)

    def reached(self) -> None:
        """Nothing is left that could hang but threads: give these a second more."""
        self._last.cancel()
        if self.asked.is_set():
            soon = threading.Timer(_THREADS, _end_hard, self._last.args)
            soon.daemon = True
            soon.start()


def _end_hard(code: int) -> None:
    """Leave without waiting for whatever hangs: a name server, a disk. What counts is stored."""
    text = "ended while something hung"
    # What hangs may be the log.
    telling = threading.Thread(target=lambda: get_logger("driftd").warning(text), daemon=True)
    telling.start()
    telling.join(0.2)
    os._exit(code)
