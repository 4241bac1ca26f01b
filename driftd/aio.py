"""Concurrency that every layer may use: waiting as a dependency, and isolated gathering."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits the given number of seconds; tests pass one that only records."""


async def sleep(seconds: float) -> None:
    """Wait `seconds` on the event loop's clock: the `Sleep` of production."""
    await asyncio.sleep(seconds)


async def gather_isolated(
    call: Callable[[Item], Awaitable[Result]],
    items: Iterable[Item],
    *,
    limit: int,
    isolate: type[Exception] = Exception,
) -> list[Result | Exception]:
    """Call `call` for every item, at most `limit` at a time; one failure stops no other.

    The results stand in the order of `items`; an exception of type `isolate` takes the
    place of the result. Any other exception, and cancellation, ends all calls.
    """
    slots = asyncio.Semaphore(limit)

    async def one(item: Item) -> Result | Exception:
        async with slots:
            try:
                return await call(item)
            except isolate as error:
                return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]
