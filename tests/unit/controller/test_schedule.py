"""The schedule, on the real scheduler with short intervals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

import driftd.controller.schedule as module
from driftd.controller.queue import NameQueue
from driftd.controller.schedule import Schedule
from driftd.errors import StoreError
from driftd.settings.quantity import Duration
from driftd.settings.types import Log
from driftd.telemetry.logs import configure
from tests.unit.reports import START, VirtualClock, after

DEADLINE = 10
SOON = Duration("20ms")
NEVER = Duration("1d")


@pytest.fixture
async def schedule() -> AsyncIterator[Schedule]:
    """A schedule that ends with the test."""
    schedule = Schedule()
    yield schedule
    schedule.stop()


class Counted:
    """A job that can be waited for."""

    def __init__(self, error: Exception | None = None):
        self.runs = 0
        self.error = error
        self._ran = asyncio.Condition()

    async def __call__(self):
        async with self._ran:
            self.runs += 1
            self._ran.notify_all()
        if self.error is not None:
            raise self.error

    async def ran(self, times):
        async with asyncio.timeout(DEADLINE), self._ran:
            await self._ran.wait_for(lambda: self.runs >= times)


async def test_a_sweep_puts_every_name_on_the_queue_at_the_start_and_again(schedule):
    """The first sweep is at once, the next after the interval, with the names of that time."""
    queue = NameQueue()
    names = [["argocd/a", "argocd/b"], ["argocd/c"]]

    async def current():
        return names.pop(0) if names else []

    schedule.sweep(current, queue, SOON, Duration("0s"))
    schedule.start()
    taken = []
    async with asyncio.timeout(DEADLINE):
        for _ in range(3):
            async with queue.take() as name:
                taken.append(name)
    assert taken == ["argocd/a", "argocd/b", "argocd/c"]


async def test_a_failing_job_is_logged_and_repeated(schedule, capsys, private_logging):
    """An error names the job and its remedy in the log, and the next run still comes."""
    configure(Log())
    job = Counted(StoreError("disk full", hint="make room"))
    schedule.every("poll", SOON, job)
    schedule.start()
    await job.ran(3)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    failed = [line for line in lines if line["message"] == "scheduled job failed"]
    assert failed[0]["job"] == "poll"
    assert failed[0]["error"] == "disk full; make room"


async def test_a_job_that_still_runs_is_not_started_again(schedule, capsys, private_logging):
    """A slow sweep is never overtaken by the next one; who made the job is told, not the log."""
    configure(Log())
    release, started, told = asyncio.Event(), [], []
    other = Counted()

    async def slow():
        started.append(1)
        await release.wait()

    schedule.every("slow", SOON, slow, overrun=lambda: told.append(1))
    schedule.every("other", SOON, other)
    schedule.start()
    await other.ran(5)
    assert started == [1]
    assert len(told) >= 2
    assert capsys.readouterr().err == ""
    release.set()


async def test_a_job_that_the_end_cuts_off_is_no_error(capsys, private_logging):
    """Stopping while a job runs leaves no error in the log."""
    configure(Log())
    schedule, started = Schedule(), asyncio.Event()
    ended = asyncio.get_running_loop().create_future()

    async def slow():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set_result(None)

    schedule.every("slow", SOON, slow)
    schedule.start()
    async with asyncio.timeout(DEADLINE):
        await started.wait()
        schedule.stop()
        await ended
    assert capsys.readouterr().err == ""


async def test_retention_asks_the_store_with_the_age_of_the_settings(schedule):
    """What is older than the retention is deleted, counted from the clock."""
    asked = asyncio.get_running_loop().create_future()

    class Store:
        async def retain(self, since):
            asked.set_result(since)
            return 0

    schedule.retention(Store(), Duration("1h"), VirtualClock())
    schedule.start()
    async with asyncio.timeout(DEADLINE):
        assert await asked == after(-3600) < START


async def test_jitter_may_have_fractions_and_stopping_twice_is_harmless(schedule):
    """Jitter of less than a second works; `stop` may be called again."""
    job = Counted()
    schedule.every("poll", SOON, job, jitter=Duration("5ms"))
    schedule.start()
    await job.ran(2)
    schedule.stop()
    schedule.stop()


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1), timedelta(days=365)])
async def test_jobs_keep_their_distance_when_the_clock_jumps(jump, monkeypatch):
    """Set back, nothing waits for the old time; set forward, nothing runs more often."""
    shift = timedelta(0)

    class Moved(datetime):
        """The machine's wall clock."""

        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + shift

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Moved)
    monkeypatch.setattr(module, "_ahead", lambda: shift)
    schedule, often, seldom = Schedule(check=0.01), Counted(), Counted()
    schedule.every("often", SOON, often)
    schedule.every("seldom", Duration("1d"), seldom)
    schedule.start()
    await often.ran(2)
    before = schedule._scheduler.get_job("seldom").next_run_time
    shift = jump
    moved = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, moved.set)
    await moved.wait()
    assert schedule._scheduler.get_job("seldom").next_run_time - before == jump
    await often.ran(often.runs + 2)
    assert seldom.runs == 0
    schedule.stop()


async def test_a_deadline_is_kept_once_and_replaced_by_one_of_the_same_name(schedule):
    """The end of a grace period that was put off wakes nobody at its first moment."""
    first, second, other = Counted(), Counted(), Counted()
    schedule.start()
    now = datetime.now(UTC)
    schedule.at("heal a", now + timedelta(seconds=0.2), first)
    schedule.at("heal a", now + timedelta(seconds=0.1), second)
    schedule.at("heal b", now - timedelta(hours=1), other)
    later = Counted()
    schedule.at("heal c", now + timedelta(seconds=0.3), later)
    for job in (other, second, later):
        await job.ran(1)
    assert (first.runs, second.runs, other.runs) == (0, 1, 1)
