"""Dark clusters are tried, and looked at as soon as they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from driftd.cluster.breaker import Breaker
from driftd.cluster.destinations import ClusterTarget
from driftd.controller.supervisor import Supervisor
from driftd.errors import Forbidden, Unreachable
from tests.unit.controller.cluster import MemoryCluster

ONE, TWO = ClusterTarget("context", "one"), ClusterTarget("context", "two")
DEADLINE = 10


class Guarded(MemoryCluster):
    """A cluster behind a breaker."""

    def __init__(self, breaker: Breaker) -> None:
        super().__init__()
        self.breaker = breaker

    async def version(self) -> str:
        """See `ClusterReader`."""
        with self.breaker.attempt():
            return await super().version()


class Bench:
    """Two clusters, virtual time, and who was told to be back."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.dark: Callable[[ClusterTarget], None] = lambda _target: None
        self.clusters = {target: Guarded(self._breaker(target)) for target in (ONE, TWO)}
        self.back: asyncio.Queue[ClusterTarget] = asyncio.Queue()
        self.waits = asyncio.Event()
        self.supervisor = Supervisor(self, self.back.put, wait=self._wait)

    def _breaker(self, target: ClusterTarget) -> Breaker:
        return Breaker(lambda: self.now, opened=lambda: self.dark(target))

    def open(self, target: ClusterTarget) -> Guarded:
        """See `Breakers`."""
        return self.clusters[target]

    def breaker(self, target: ClusterTarget) -> Breaker:
        """See `Breakers`."""
        return self.clusters[target].breaker

    async def _wait(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 2))
        self.now += seconds
        if len(self.pauses) == 3:
            # It is back before the fourth try.
            self.clusters[ONE].down = None
        self.waits.set()
        await asyncio.sleep(0)

    async def darken(self, target: ClusterTarget) -> None:
        """Let a cluster stop answering, and looks find it out."""
        self.clusters[target].down = Unreachable("no answer")
        for _ in range(3):
            with pytest.raises(Unreachable):
                await self.clusters[target].version()


async def test_a_dark_cluster_is_tried_until_it_answers():
    """Each pause is twice the last one; whoever asked for looks is told once."""
    bench = Bench()
    task = asyncio.create_task(bench.supervisor.run())
    await bench.darken(ONE)
    assert bench.supervisor.dark(ONE)
    assert not bench.supervisor.dark(TWO)
    assert await asyncio.wait_for(bench.back.get(), DEADLINE) == ONE
    assert bench.pauses == [1.01, 2.01, 4.01]
    assert not bench.supervisor.dark(ONE)
    assert bench.back.empty()
    task.cancel()


async def test_a_refusal_is_an_answer():
    """A cluster that says 403 is there; what is wrong with it the looks say."""
    bench = Bench()
    task = asyncio.create_task(bench.supervisor.run())
    await bench.darken(TWO)

    class Refusing(Guarded):
        async def version(self) -> str:
            with self.breaker.attempt():
                pass
            raise Forbidden("may not")

    bench.clusters[TWO] = Refusing(bench.clusters[TWO].breaker)
    assert await asyncio.wait_for(bench.back.get(), DEADLINE) == TWO
    task.cancel()


async def test_a_cluster_may_darken_again():
    """After a recovery the next darkness is found like the first."""
    bench = Bench()
    task = asyncio.create_task(bench.supervisor.run())
    for _ in range(2):
        bench.pauses.clear()
        await bench.darken(ONE)
        assert await asyncio.wait_for(bench.back.get(), DEADLINE) == ONE
    task.cancel()
