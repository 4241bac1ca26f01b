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
        self.turned: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self.supervisor = Supervisor(self, self._turned, wait=self._wait)

    async def _turned(self, target: ClusterTarget) -> None:
        await self.turned.put((target.name, self.supervisor.dark(target)))

    async def next(self) -> tuple[str, bool]:
        """The next cluster that turned, and whether it is dark now."""
        return await asyncio.wait_for(self.turned.get(), DEADLINE)

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
        await asyncio.sleep(0)

    async def darken(self, target: ClusterTarget) -> None:
        """Let a cluster stop answering, and looks find it out."""
        self.clusters[target].down = Unreachable("no answer")
        for _ in range(3):
            with pytest.raises(Unreachable):
                await self.clusters[target].version()


@pytest.fixture
async def bench():
    """A supervisor at work."""
    bench = Bench()
    task = asyncio.create_task(bench.supervisor.run())
    yield bench
    task.cancel()


async def test_a_dark_cluster_is_tried_until_it_answers(bench):
    """Each pause is twice the last one; both turns are told, each once."""
    await bench.darken(ONE)
    assert await bench.next() == ("one", True)
    assert not bench.supervisor.dark(TWO)
    assert await bench.next() == ("one", False)
    assert bench.pauses == [1.01, 2.01, 4.01]
    assert bench.turned.empty()


async def test_a_refusal_is_an_answer(bench):
    """A cluster that says 403 is there; what is wrong with it the looks say."""

    class Refusing(Guarded):
        async def version(self) -> str:
            with self.breaker.attempt():
                pass
            raise Forbidden("may not")

    await bench.darken(TWO)
    bench.clusters[TWO] = Refusing(bench.clusters[TWO].breaker)
    assert await bench.next() == ("two", True)
    assert await bench.next() == ("two", False)


async def test_a_cluster_may_darken_again(bench):
    """After a recovery the next darkness is found like the first."""
    for _ in range(2):
        bench.pauses.clear()
        await bench.darken(ONE)
        assert await bench.next() == ("one", True)
        assert await bench.next() == ("one", False)


async def test_a_suspected_cluster_is_asked(bench):
    """A watch that breaks off finds a dark cluster between looks; one that answers is left."""
    bench.supervisor.suspect(TWO)
    bench.clusters[ONE].down = Unreachable("no answer")
    bench.supervisor.suspect(ONE)
    assert await bench.next() == ("one", True)
    assert await bench.next() == ("one", False)
    assert bench.clusters[TWO].asked["version"] == 1
    assert bench.turned.empty()
