"""Runs `driftd run --once` again and again, and kills it with SIGKILL at a step of a heal.

`python -m tests.e2e.failpoints` reads lines `SETTINGS|STEP|SEED` and answers each with `killed` or
the exit code. Each run is a fork of this process: everything is imported only once.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from driftd.cli import calls
from driftd.cluster.writer import KubeWriter
from driftd.controller.healing import Healing
from driftd.store.backlog import Backlog

STEPS = (
    "decided",
    "intent written",
    "dry run sent",
    "dry run read",
    "request sent",
    "reply read",
    "result written",
    "recording",
    "recorded",
)
"""Where it ends; the requests in flight at a random moment within `IN_FLIGHT` seconds."""
IN_FLIGHT = 0.006
_TIMES = {"dry run sent": 3, "dry run read": 3, "request sent": 4, "reply read": 4}
_TIMES["result written"] = 3
"""How often a heal comes to a step: it ends at one of them."""


class Failpoint:
    """Ends the process the n-th time that a step is reached."""

    def __init__(self, step: str, seed: int) -> None:
        self.step = step
        self._chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._left = self._chance.randrange(_TIMES.get(step, 1))
        self.wrote = False

    def reached(self, step: str) -> None:
        """Die here, if it is time."""
        if step != self.step:
            return
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def in_flight(self, step: str) -> None:
        """Die while the request that is sent now is under way."""
        if step == self.step:
            pause = self._chance.uniform(0, IN_FLIGHT)
            asyncio.get_running_loop().call_later(pause, self.reached, step)


class DyingJournal:
    """A journal around which the process may end."""

    def __init__(self, inner: Any, point: Failpoint) -> None:
        self._inner = inner
        self._point = point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def intend(self, *args: Any) -> None:
        """See `Journal`."""
        self._point.reached("decided")
        await self._inner.intend(*args)
        self._point.reached("intent written")

    async def after(self, *args: Any) -> None:
        """See `Journal`."""
        await self._inner.after(*args)
        self._point.wrote = True
        self._point.reached("result written")


def armed(point: Failpoint) -> None:
    """Put the failpoint into this process."""
    heal, send, record = Healing.heal, KubeWriter._send, Backlog.record

    async def healing(self: Healing, *args: Any, **named: Any) -> Any:
        if not isinstance(self.journal, DyingJournal):
            self.journal = DyingJournal(self.journal, point)
        return await heal(self, *args, **named)

    async def sending(self: KubeWriter, *args: Any, dry_run: bool) -> Any:
        point.in_flight("dry run sent" if dry_run else "request sent")
        answer = await send(self, *args, dry_run=dry_run)
        point.reached("dry run read" if dry_run else "reply read")
        return answer

    async def recording(self: Backlog, *args: Any, **named: Any) -> Any:
        if point.wrote:
            point.reached("recording")
        made = await record(self, *args, **named)
        if point.wrote:
            point.reached("recorded")
        return made

    Healing.heal = healing  # type: ignore[method-assign]
    KubeWriter._send = sending  # type: ignore[method-assign, assignment]
    Backlog.record = recording  # type: ignore[method-assign]


def main() -> None:
    """Answer each line."""
    for line in sys.stdin:
        settings, step, seed = line.strip().split("|")
        pid = os.fork()
        if pid == 0:
            armed(Failpoint(step, int(seed)))
            summary = calls.run_daemon(Path(settings), once=True, files={})
            os._exit(0 if summary is not None and summary.complete else 2)
        _, status = os.waitpid(pid, 0)
        dead = os.WIFSIGNALED(status)
        print("killed" if dead else os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
