"""Tells of an event loop that something blocks, while it is blocked, and by what."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Self

from driftd.telemetry.logs import get_logger

LIMIT: Final = 1.0
"""Seconds after which the loop counts as blocked."""
LONG: Final = 30.0
"""Seconds after which liveness gives up, as no probe is answered meanwhile (deploy/base)."""
_TICK: Final = 0.25
_DEEPEST: Final = 12
"""Calls of the stack that are told, the innermost ones."""


class Watchdog:
    """Watches the running loop from a thread of its own while it is entered (`with`)."""

    def __init__(
        self,
        blocked: Callable[[], None] = lambda: None,
        *,
        limit: float = LIMIT,
        long: float = LONG,
    ) -> None:
        """`blocked` is called once for each time that the loop is blocked, from the thread.

        The log has a warning after `limit` seconds, and an error after `long` ones.
        """
        self._blocked = blocked
        self._limits = (limit, long)
        self._ticked = time.monotonic()
        self._ended = threading.Event()
        self._watched = 0
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Begin; needs a running event loop, in this thread."""
        self._watched = threading.get_ident()
        self._tick(asyncio.get_running_loop())
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.join()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticked = time.monotonic()
        self._timer = loop.call_later(_TICK, self._tick, loop)

    def _watch(self) -> None:
        log: Any = get_logger("driftd.telemetry")
        began, told = -1.0, 0
        while not self._ended.wait(_TICK):
            since = self._ticked
            late = time.monotonic() - since
            if since != began:
                began, told = since, 0
            if told == len(self._limits) or late < self._limits[told]:
                continue
            told += 1
            if told == 1:
                self._blocked()
            frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - there is no other way
            tell = log.warning if told == 1 else log.error
            tell("event loop blocked", seconds=round(late, 2), stack=_stack(frame))


def _stack(frame: FrameType | None) -> list[str]:
    """Files, lines and functions, never values."""
    if frame is None:
        return []
    calls = traceback.extract_stack(frame)[-_DEEPEST:]
    return [f"{one.filename.rpartition('/')[2]}:{one.lineno} {one.name}" for one in calls]
