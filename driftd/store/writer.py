"""One writer for everybody, with group commit.

A commit that waits for the disk takes milliseconds, whatever it holds. So what callers want to
write while one commit is under way goes into the next one together. Each caller gets its answer
after the commit that holds its change, never before.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from driftd.errors import StoreError
from driftd.store.faults import ERRORS, Fault, cause, fault

Result = TypeVar("Result")
Call: TypeAlias = Callable[[AsyncConnection], Awaitable[Result]]

_MOST: Final = 64
"""Changes in one commit."""
_GATHERING: Final = 0.02
"""Seconds after which a transaction takes no more changes, so that the first is not kept long."""
PATIENCE: Final = 12.0
"""Seconds for which a transaction is tried again that a lock or a restart stands in the way of."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


@dataclass(eq=False, slots=True)
class _Job:
    what: str
    call: Call[Any]
    answer: asyncio.Future[Any]
    due: float
    """When patience ends."""
    outcome: Any = None
    error: Exception | None = field(default=None)


class _Undone(Exception):
    """The only change of a transaction has failed: nothing is to be committed."""


async def _nothing() -> None:
    """There is nothing to tidy."""


class Writer:
    """Runs changes in transactions, one after the other; a failed change fails no other."""

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        mend: Callable[[], Awaitable[None]],
        *,
        tidy: Callable[[], Awaitable[None]] = _nothing,
        patience: float = PATIENCE,
    ) -> None:
        """`begin` opens a transaction that commits at its end; `mend` a damaged database anew.

        `tidy` does what no change should wait for: it is called when none waits.

        Changes must be such that doing them twice does what doing them once does: whether a
        commit was done whose answer was lost, nobody can know.
        """
        self._begin = begin
        self._mend = mend
        self._tidy = tidy
        self._patience = patience
        self._waiting: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None
        self.commits = 0
        """Transactions that were committed."""

    async def run(self, what: str, call: Call[Result]) -> Result:
        """Do one change and wait for its commit. Raises StoreError, or what `call` raises."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        due = time.monotonic() + self._patience
        self._waiting.append(_Job(what, call, answer, due))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="store writer")
        return cast("Result", await answer)

    async def close(self) -> None:
        """Wait until what is under way is done."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        batch: list[_Job] = []
        try:
            while self._waiting:
                batch = [self._waiting.popleft()]
                await self._done(batch, gather=True)
                if not self._waiting:
                    await self._tidy()
        finally:
            for job in (*batch, *self._waiting):
                job.answer.cancel()
            self._waiting.clear()

    async def _done(self, batch: list[_Job], *, gather: bool) -> None:
        """Commit a batch; with `gather`, what waits by then goes with it."""
        pause = _FIRST_PAUSE
        while batch:
            try:
                await self._commit(batch, gather=gather)
            except ERRORS as error:
                found = fault(error)
                if found is Fault.DAMAGED:
                    await self._mended(batch, error)
                elif found is Fault.AGAIN:
                    _expire(batch, error)
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                    pause = min(2 * pause, _LONGEST_PAUSE)
                elif len(batch) > 1:
                    for job in batch:
                        await self._done([job], gather=False)
                    return
                else:
                    _fail(batch, error)
            except Exception as error:  # noqa: BLE001 - told to those who asked
                _fail(batch, error)
            else:
                _answer(batch)
                return

    async def _mended(self, batch: list[_Job], error: BaseException) -> None:
        """A damaged database is opened anew, and what waits goes into the new one."""
        _expire(batch, error)
        try:
            await self._mend()
        except (StoreError, *ERRORS):
            _fail(batch, error)

    async def _commit(self, batch: list[_Job], *, gather: bool) -> None:
        began = time.monotonic()
        try:
            await self._together(batch, began, gather=gather)
        except _Undone:
            return  # its only change failed, and has the error
        self.commits += 1

    async def _together(self, batch: list[_Job], began: float, *, gather: bool) -> None:
        """A batch and what joins it, in one transaction. Raises what ends it."""
        async with self._begin() as connection:
            for job in batch:
                await _try(connection, job, alone=len(batch) == 1)
            while gather and self._waiting and len(batch) < _MOST:
                if time.monotonic() - began > _GATHERING:
                    break
                job = self._waiting.popleft()
                # A caller that has gone wants no change any more.
                if not job.answer.cancelled():
                    batch.append(job)
                    await _try(connection, job, alone=False)


async def _try(connection: AsyncConnection, job: _Job, *, alone: bool) -> None:
    """One change in the transaction of others. Raises what ends the whole transaction.

    One that is `alone` as yet needs no savepoint: if it fails, there is nothing else to keep.
    """
    job.error = None
    try:
        async with nullcontext() if alone else connection.begin_nested():
            job.outcome = await job.call(connection)
    except ERRORS as error:
        if fault(error) is not Fault.OWN:
            raise
        job.error = error
    except Exception as error:  # noqa: BLE001 - told to the one who asked
        job.error = error
    if alone and job.error is not None:
        raise _Undone


def _answer(batch: list[_Job]) -> None:
    for job in batch:
        if job.error is not None:
            _fail([job], job.error)
        elif not job.answer.done():
            job.answer.set_result(job.outcome)


def _expire(batch: list[_Job], error: BaseException) -> None:
    """Fail what has waited long enough; the others stay."""
    now = time.monotonic()
    late = [job for job in batch if job.due <= now]
    batch[:] = [job for job in batch if job.due > now]
    _fail(late, error)


def _fail(batch: list[_Job], error: BaseException) -> None:
    for job in batch:
        if job.answer.done():
            continue
        if isinstance(error, ERRORS):
            told: BaseException = StoreError(f"the store cannot {job.what}: {cause(error)}")
            told.__cause__ = error
        else:
            told = error
        job.answer.set_exception(told)
    batch.clear()
