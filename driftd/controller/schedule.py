"""Every deadline of the daemon, on one scheduler: sweeps, polls, deliveries, retention.

Jobs are short: they put names on the queue or call something that returns soon.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from driftd.clock import Clock
from driftd.controller.queue import NameQueue
from driftd.settings.quantity import Duration
from driftd.store.protocol import Store
from driftd.telemetry.logs import get_logger

if TYPE_CHECKING:
    from apscheduler.events import JobExecutionEvent

Job: TypeAlias = Callable[[], Awaitable[Any]]
Names: TypeAlias = Callable[[], Awaitable[Iterable[str]]]
"""The applications (`namespace/name`) that a sweep puts on the queue."""

CHECK: Final = 5.0
"""Seconds between two looks at the machine's clock."""
_JUMP: Final = timedelta(seconds=2)
"""Clocks that are slewed differ by less within that time."""
_RETENTION_INTERVAL = Duration("1h")


def _ahead() -> timedelta:
    """How far the wall clock is ahead of the one that never jumps."""
    return timedelta(seconds=time.time() - time.monotonic())


def _no_end(record: logging.LogRecord) -> bool:
    """Whether a record is no job that the end of the scheduler cancelled before it began."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not isinstance(error, asyncio.CancelledError)


class Schedule:
    """Repeats jobs; a job that is late runs once, one that still runs is not started again."""

    def __init__(self, *, check: float = CHECK) -> None:
        from apscheduler.events import EVENT_JOB_ERROR
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        self._log = get_logger("driftd.controller")
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={
                "coalesce": True,
                # The second one only finds out that the first still runs. With one, the
                # scheduler would warn of each run that is skipped.
                "max_instances": 2,
                # By default a run that is more than a second late would be dropped silently.
                "misfire_grace_time": None,
            },
        )
        self._check = check
        self._ahead = _ahead()
        self._timer: asyncio.TimerHandle | None = None
        self._scheduler.add_listener(self._failed, EVENT_JOB_ERROR)
        # The same function again is one filter still.
        logging.getLogger("apscheduler.executors.default").addFilter(_no_end)

    def every(
        self,
        name: str,
        interval: Duration,
        job: Job,
        *,
        jitter: Duration | None = None,
        at_once: bool = False,
        overrun: Callable[[], None] = lambda: None,
    ) -> None:
        """Repeat `job`; the first run is after one interval, or at the start if `at_once`.

        An error of the job is logged and does not end the repetition. A job of the same name
        is replaced. `overrun` is called instead of a run that is due while the last one still
        runs.
        """
        from datetime import UTC, datetime

        running = False

        async def run() -> None:
            # The scheduler sends whatever is not a coroutine function to a thread.
            nonlocal running
            if running:
                overrun()
                return
            running = True
            try:
                await job()
            except asyncio.CancelledError:
                return  # the scheduler was stopped: no error of the job
            finally:
                running = False

        first = {"next_run_time": datetime.now(UTC)} if at_once else {}
        self._scheduler.add_job(
            run,
            "interval",
            seconds=interval.seconds,
            jitter=jitter.seconds if jitter is not None else None,
            id=name,
            name=name,
            replace_existing=True,
            **first,
        )

    def at(self, name: str, moment: datetime, job: Job) -> None:
        """Run `job` once at a moment; a job of the same name that still waits is replaced."""

        async def run() -> None:
            await job()

        self._scheduler.add_job(
            run, "date", run_date=moment, id=name, name=name, replace_existing=True
        )

    def sweep(self, names: Names, queue: NameQueue, interval: Duration, jitter: Duration) -> None:
        """Put every application on the queue, at the start and then at each interval."""

        async def put_all() -> None:
            await queue.add_all(await names())

        self.every("sweep", interval, put_all, jitter=jitter, at_once=True)

    def retention(self, store: Store, age: Duration, clock: Clock) -> None:
        """Delete what is older than `age`, at the start and then hourly."""

        async def delete_old() -> None:
            deleted = await store.retain(clock.now() - timedelta(seconds=age.seconds))
            self._log.debug("retention", deleted=deleted)

        self.every("retention", _RETENTION_INTERVAL, delete_old, at_once=True)

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._scheduler.start()
        self._ahead = _ahead()
        self._follow_clock(asyncio.get_running_loop())

    def _follow_clock(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let jobs keep their distance where the machine's clock jumps.

        The scheduler counts in wall time: set back by an hour, nothing would run for an hour.
        """
        jump = _ahead() - self._ahead
        if abs(jump) > _JUMP:
            self._ahead += jump
            self._log.warning("the clock jumped", seconds=round(jump.total_seconds()))
            for job in self._scheduler.get_jobs():
                if job.next_run_time is not None:
                    job.modify(next_run_time=job.next_run_time + jump)
        self._timer = loop.call_later(self._check, self._follow_clock, loop)

    def stop(self) -> None:
        """End; jobs that run are not waited for."""
        if self._timer is not None:
            self._timer.cancel()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _failed(self, event: JobExecutionEvent) -> None:
        message = getattr(event.exception, "message", None) or repr(event.exception)
        self._log.error("scheduled job failed", job=event.job_id, error=message)
