"""Who is next at the workers."""

from __future__ import annotations

import asyncio

import pytest

from driftd.sandbox.turns import Turns


class Line:
    """Callers at one place; each notes its name when its turn has come."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.served: list[str] = []
        self.go_on = asyncio.Event()

    async def call(self, name: str) -> None:
        """A caller of the project that its name begins with."""
        async with self.turns.turn(name[0]):
            self.served.append(name)
            await self.go_on.wait()

    async def serve(self, *names: str) -> list[str]:
        """The order in which callers who come in this order are served."""
        callers = []
        for name in names:
            callers.append(asyncio.create_task(self.call(name)))
            await asyncio.sleep(0)
        self.go_on.set()
        await asyncio.gather(*callers)
        return self.served


async def test_a_project_goes_on() -> None:
    """Requests of the worker's project come first, each project's in their order."""
    served = await Line(Turns(1)).serve("a1", "b1", "c1", "a2", "b2", "a3")
    assert served == ["a1", "a2", "a3", "b1", "b2", "c1"]


async def test_nobody_waits_for_ever() -> None:
    """When a project's time is over, the longest waiting caller of another one is next."""
    served = await Line(Turns(1, patience=-1)).serve("a1", "a2", "b1", "c1", "b2")
    assert served == ["a1", "b1", "a2", "c1", "b2"]


async def test_as_many_as_there_are_places() -> None:
    """Two places serve two callers at once and no third."""
    line = Line(Turns(2))
    callers = [asyncio.create_task(line.call(name)) for name in ("a1", "b1", "c1")]
    await asyncio.sleep(0)
    assert line.served == ["a1", "b1"]
    line.go_on.set()
    await asyncio.gather(*callers)
    assert line.served == ["a1", "b1", "c1"]


async def test_a_caller_that_goes_away_takes_no_place() -> None:
    """Cancelled while it waits, it blocks nobody."""
    line = Line(Turns(1))
    first, gone, last = (asyncio.create_task(line.call(name)) for name in ("a1", "b1", "c1"))
    await asyncio.sleep(0)
    gone.cancel()
    line.go_on.set()
    await asyncio.gather(first, last)
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert line.served == ["a1", "c1"]
    assert line.turns._free == 1


async def test_a_turn_that_comes_too_late_is_passed_on() -> None:
    """Cancelled in the moment in which its turn comes, a caller gives it to the next."""
    turns = Turns(1)
    await turns._begin("a")
    gone = asyncio.create_task(turns._begin("b"))
    last = asyncio.create_task(turns._begin("c"))
    await asyncio.sleep(0)
    turns._end("a", 0)
    gone.cancel()
    await last
    with pytest.raises(asyncio.CancelledError):
        await gone
    turns._end("c", 0)
    assert turns._free == 1
