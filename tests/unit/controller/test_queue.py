"""The de-duplicating queue."""

from __future__ import annotations

import asyncio

import pytest

from driftd.controller.queue import NameQueue, QueueClosed

DEADLINE = 10


async def drain(queue, taken):
    """Take names until the queue is closed."""
    while True:
        try:
            async with queue.take() as name:
                taken.append(name)
        except QueueClosed:
            return


async def test_a_name_waits_only_once_and_keeps_its_place():
    """Many wake-ups of one application are one look, in order of the first wake-up."""
    queue = NameQueue()
    await queue.add("a", "b", "a", "c", "b")
    assert len(queue) == 3
    taken = []
    for _ in range(3):
        async with queue.take() as name:
            taken.append(name)
    assert taken == ["a", "b", "c"]


async def test_a_wake_up_during_the_work_is_done_once_more_after_it():
    """Three wake-ups while a look runs are one further look, never at the same time."""
    queue = NameQueue()
    await queue.add("a")
    async with queue.take() as name:
        await queue.add("a")
        await queue.add("a", "a")
        assert (name, len(queue), queue.active) == ("a", 0, {"a"})
    assert len(queue) == 1
    async with queue.take() as name:
        assert name == "a"
    assert len(queue) == 0


async def test_no_two_workers_have_one_name():
    """Under many workers and wake-ups, the work on one name never overlaps."""
    queue = NameQueue()
    running, overlaps, looks = set(), [], []

    async def worker():
        while True:
            try:
                async with queue.take() as name:
                    if name in running:
                        overlaps.append(name)
                    running.add(name)
                    for _ in range(3):
                        await asyncio.sleep(0)
                    running.discard(name)
                    looks.append(name)
            except QueueClosed:
                return

    workers = [asyncio.create_task(worker()) for _ in range(5)]
    for _ in range(50):
        await queue.add("a", "b", "c")
        await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE):
        await queue.join()
        await queue.close()
        await asyncio.gather(*workers)
    assert overlaps == []
    assert set(looks) == {"a", "b", "c"}
    assert len(looks) < 150


async def test_a_failing_worker_gives_the_name_back():
    """An exception inside the work does not lock the application for ever."""
    queue = NameQueue()
    await queue.add("a")
    with pytest.raises(ZeroDivisionError):
        async with queue.take():
            raise ZeroDivisionError
    assert queue.active == frozenset()
    await queue.add("a")
    assert len(queue) == 1


async def test_a_waiting_worker_is_woken_by_a_name_and_by_the_end():
    """`take` waits for a name; closing ends every waiter and drops what waits."""
    queue = NameQueue()
    taken = []
    worker = asyncio.create_task(drain(queue, taken))
    async with asyncio.timeout(DEADLINE):
        await queue.add("a")
        await queue.join()
        await queue.close()
        await worker
    await queue.add("b")
    assert (taken, len(queue)) == (["a"], 0)
    with pytest.raises(QueueClosed):
        async with queue.take():
            pass


async def test_a_cancelled_wait_loses_no_name():
    """A worker that is cancelled while waiting takes nothing with it."""
    queue = NameQueue()
    waiting = asyncio.create_task(drain(queue, []))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await queue.add("a")
    async with queue.take() as name:
        assert name == "a"


async def test_a_lane_takes_no_more_workers_than_it_is_wide():
    """Who waits for a dark cluster leaves the other workers to the other clusters."""
    queue = NameQueue(lane=lambda name: name[0], width={"a": 2, "b": 1}.__getitem__)
    await queue.add("a1", "a2", "a3", "a4", "b1", "b2")
    release, taken = asyncio.Event(), []

    async def worker():
        try:
            async with queue.take() as name:
                taken.append(name)
                await release.wait()
        except QueueClosed:
            return

    workers = [asyncio.create_task(worker()) for _ in range(6)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sorted(taken) == ["a1", "a2", "b1"]
    release.set()
    await asyncio.wait_for(asyncio.gather(*workers), DEADLINE)
    assert sorted(taken) == ["a1", "a2", "a3", "a4", "b1", "b2"]


async def test_lanes_take_turns():
    """A lane with many names does not make those of another one wait behind them all."""
    queue = NameQueue(lane=lambda name: name[0])
    await queue.add("a1", "a2", "a3", "b1", "c1")
    taken = []
    while len(queue):
        async with queue.take() as name:
            taken.append(name)
    assert taken == ["a1", "b1", "c1", "a2", "a3"]


async def test_a_lane_may_become_narrower_while_names_wait():
    """The width counts when a name is taken."""
    width = {"a": 2}
    queue = NameQueue(lane=lambda name: name[0], width=width.__getitem__)
    await queue.add("a1", "a2", "a3")
    async with queue.take() as first:
        width["a"] = 1
        second = asyncio.create_task(anext(aiter_names(queue)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert (first, second.done()) == ("a1", False)
    assert await asyncio.wait_for(second, DEADLINE) == "a2"


async def aiter_names(queue):
    """The names of a queue, each done before the next."""
    while True:
        async with queue.take() as name:
            yield name


async def test_a_look_is_whole_if_anything_asked_for_the_whole():
    """A glance that is asked for beside a whole look is a whole look; alone it is a glance."""
    queue = NameQueue()
    await queue.glance("a")
    await queue.glance("b")
    await queue.add("a")
    found = {}
    for _ in range(2):
        async with queue.take() as name:
            found[name] = queue.is_whole(name)
    assert found == {"a": True, "b": False}


async def test_a_whole_look_that_is_asked_for_during_a_glance_comes_after_it():
    """What is asked for while a name is worked on is done as it was asked for."""
    queue = NameQueue()
    await queue.glance("a")
    async with queue.take() as name:
        assert not queue.is_whole(name)
        await queue.add(name)
        assert not queue.is_whole(name)
    async with queue.take() as name:
        assert queue.is_whole(name)
        await queue.glance(name)
    async with queue.take() as name:
        assert not queue.is_whole(name)
