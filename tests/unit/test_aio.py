"""Isolated gathering."""

from __future__ import annotations

import asyncio

import pytest

from driftd.aio import gather_isolated


async def test_one_failure_stops_no_other_and_order_is_kept() -> None:
    """Results stand in the order of the items, the failed one's exception in its place."""
    last_done = asyncio.Event()

    async def call(item: int) -> int:
        if item == 0:
            await last_done.wait()
        if item == 1:
            raise ValueError("one")
        if item == 2:
            last_done.set()
        return item * 10

    results = await gather_isolated(call, range(3), limit=3, isolate=ValueError)
    assert results[0] == 0
    assert isinstance(results[1], ValueError)
    assert results[2] == 20


async def test_limit_bounds_what_runs_at_once() -> None:
    """Never more than `limit` calls run at the same time, and as many as that do."""
    running = 0
    most = 0

    async def call(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await gather_isolated(call, range(10), limit=3)
    assert most == 3


async def test_other_exceptions_end_everything() -> None:
    """An exception that is not to be isolated cancels the other calls and is raised."""
    cancelled = asyncio.Event()

    async def call(item: int) -> None:
        if item:
            raise KeyError(item)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(ExceptionGroup) as caught:
        await gather_isolated(call, range(2), limit=2, isolate=ValueError)
    assert caught.group_contains(KeyError)
    assert cancelled.is_set()
