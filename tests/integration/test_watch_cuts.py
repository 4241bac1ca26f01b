"""A connection cut at every byte of a list and of a watch: nothing is made up, nothing missed.

`make prove` cuts at every byte, `make test` at a sample of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator

import pytest

from driftd.cluster.kube import KubeCluster
from driftd.errors import ClusterError
from tests.integration.watching_faults import (
    CONFIG_MAPS,
    LISTED,
    MAPS,
    SPACE,
    STREAMED,
    change,
    opened,
    reflecting,
)
from tests.testbed.simulation import SimulatedCluster, Simulation

ALL = os.environ.get("WATCH_CUTS") == "all"
SAMPLE = 12
TRUTH = {"a": "one", "b": "two", "d": "schön: ü"}
REFUSED = {"verb": "watch", "query": STREAMED, "status": 422}
"""As a server answers that cannot begin a watch with the state."""
CHANGES = (("a", "three"), ("c", "böse"), ("b", None), ("c", "gut"))
AFTER = {"a": "three", "c": "gut", "d": "schön: ü"}


def cuts(length: int) -> list[int]:
    """Where to cut: everywhere, or at both ends and a seeded sample in between."""
    everywhere = range(length + 1)
    if ALL:
        return list(everywhere)
    chance = random.Random(7)  # noqa: S311 - reproducible, not secret
    return sorted({0, 1, length - 1, length, *chance.sample(everywhere, SAMPLE)})


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """One simulated cluster."""
    with Simulation() as running:
        yield running


@pytest.fixture
def one(simulation: Simulation) -> SimulatedCluster:
    """Its three ConfigMaps, one of them with letters of two bytes."""
    found = simulation.clusters[0]
    found.call("DELETE", MAPS)
    for name, content in TRUTH.items():
        change(found, name, content)
    return found


@pytest.fixture
async def cluster(simulation: Simulation) -> AsyncIterator[KubeCluster]:
    """As driftd reads it."""
    async with opened(simulation) as reader:
        yield reader


def body_of(simulation: Simulation, verb: str, query: str) -> int:
    """The bytes of the last answer of a kind."""
    found = [
        one["bytes"]
        for one in simulation.requests()
        if one["verb"] == verb and query.partition("=")[0] in one["query"]
    ]
    return int(found[-1])


async def test_a_list_cut_anywhere(
    simulation: Simulation, one: SimulatedCluster, cluster: KubeCluster
) -> None:
    """A look's list is whole, or it says that it is not; what it has got is true."""
    whole = await cluster.list(CONFIG_MAPS, [SPACE])
    assert {live.key.name for live in whole.objects} == TRUTH.keys()
    bodies = {live.key: live.body for live in whole.objects}
    length = body_of(simulation, "list", LISTED)
    for cut in cuts(length):
        with simulation.fault(verb="list", cut=cut, times=1, reset=cut % 2 == 1) as fault:
            listing = await cluster.list(CONFIG_MAPS, [SPACE])
            assert simulation.hits(fault) == 1
        if listing.complete:
            assert listing == whole, cut
        else:
            assert not listing.covers(SPACE), cut
            assert isinstance(listing.errors[SPACE], ClusterError)
            assert {live.key: live.body for live in listing.objects}.items() <= bodies.items()


@pytest.mark.parametrize("streamed", [False, True], ids=["listed", "streamed"])
async def test_the_state_cut_anywhere(
    simulation: Simulation, one: SimulatedCluster, cluster: KubeCluster, streamed: bool
) -> None:
    """No partial state is ever told: the first one that is told is whole."""
    async with reflecting(cluster) as known:
        await known.until(lambda known: known.values == TRUTH)
    verb, query = ("watch", STREAMED) if streamed else ("list", LISTED)
    if not streamed:
        with simulation.fault(**REFUSED):
            async with reflecting(cluster) as known:
                await known.until(lambda known: known.values == TRUTH)
    length = body_of(simulation, verb, query)
    assert length > 500
    for cut in cuts(length):
        rule = {"verb": verb, "query": query, "cut": cut, "times": 1, "reset": cut % 2 == 1}
        with simulation.fault(**rule) as fault, simulation.fault(**REFUSED) as refused:
            if streamed:
                simulation.control("/clear", refused)
            async with reflecting(cluster) as known:
                await known.until(lambda known: known.values == TRUTH)
            assert simulation.hits(fault) == 1
        assert known.states == [TRUTH], cut
        assert known.told == [], cut


async def test_a_watch_cut_anywhere(
    simulation: Simulation, one: SimulatedCluster, cluster: KubeCluster
) -> None:
    """Every change is told once and in order, wherever the watch breaks; nothing is listed anew."""
    length = await _watched(simulation, one, cluster, 1 << 30)
    assert length > 1000
    for cut in cuts(length):
        await _watched(simulation, one, cluster, cut)


async def _watched(
    simulation: Simulation, one: SimulatedCluster, cluster: KubeCluster, cut: int
) -> int:
    """Make the changes while a watch is cut after so many bytes of its own; how many there were."""
    for name, content in (*TRUTH.items(), ("c", "")):
        change(one, name, content)
    one.call("DELETE", f"{MAPS}/c")
    rule = {"verb": "watch", "query": "resourceVersion=", "cut": cut, "times": 1}
    with simulation.fault(**REFUSED), simulation.fault(**rule, reset=cut % 2 == 1):
        async with reflecting(cluster) as known:
            await known.until(lambda known: known.errors[-1:] == [""])
            for name, content in CHANGES:
                change(one, name, content)
            await known.until(lambda known: known.values == AFTER)
    assert known.lists == 1, cut
    assert known.told == [(name, content or "gone") for name, content in CHANGES], cut
    return body_of(simulation, "watch", "resourceVersion=")
