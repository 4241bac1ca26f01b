"""What the looks of one sweep share of a cluster, and what they never share."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.reader import ApiResource, ObjectMeta
from driftd.controller.sweep import SweepClusters
from driftd.errors import ConfigError, Unreachable
from driftd.store.sql import SqlStore
from tests.unit.controller.builders import config_map
from tests.unit.controller.cluster import CONFIG_MAPS
from tests.unit.controller.conftest import Clusters, World
from tests.unit.controller.test_reconciler import Bench

ONE = ClusterTarget("context", "one")
TWO = ClusterTarget("context", "two")


async def test_looks_of_one_sweep_discover_once() -> None:
    """Discovery and version are asked for once per sweep and cluster, at the same time or not."""
    clusters = Clusters()
    shared = SweepClusters(clusters)
    await asyncio.gather(*(shared.open(ONE).discover() for _ in range(3)))
    assert await shared.open(ONE).version() == await shared.open(ONE).version()
    await shared.open(TWO).discover()
    assert (clusters.one.asked["discover"], clusters.one.asked["version"]) == (1, 1)
    assert clusters.two.asked["discover"] == 1
    shared.forget(ONE)
    await shared.open(ONE).discover()
    await shared.open(TWO).discover()
    assert (clusters.one.asked["discover"], clusters.two.asked["discover"]) == (2, 1)
    shared.forget()
    await shared.open(TWO).discover()
    assert clusters.two.asked["discover"] == 2


async def test_a_failed_discovery_is_asked_for_again() -> None:
    """A failure is the answer of those who waited for it, and of nobody after them."""
    clusters = Clusters()
    reader = SweepClusters(clusters).open(ONE)
    clusters.one.down = Unreachable("one cannot be reached")
    failures: list[Any] = await asyncio.gather(
        reader.discover(), reader.discover(), return_exceptions=True
    )
    assert [type(one) for one in failures] == [Unreachable, Unreachable]
    clusters.one.down = None
    assert (await reader.discover()).served("", "v1", "ConfigMap") is not None


async def test_objects_are_read_anew() -> None:
    """Lists, single objects and schemas go past the memory of the sweep."""
    clusters = Clusters()
    reader = SweepClusters(clusters).open(ONE)
    for _ in range(2):
        await reader.list(CONFIG_MAPS)
        await reader.get(CONFIG_MAPS, "shop", "kept")
        await reader.openapi("v1")
    asked = {name: clusters.one.asked[name] for name in ("list", "get", "openapi")}
    assert asked == {"list": 2, "get": 2, "openapi": 2}


async def test_a_wrong_description_is_told_each_time() -> None:
    """A cluster that cannot be opened raises, and can be opened once it is corrected."""
    clusters = Clusters()
    clusters.broken.add("one")
    shared = SweepClusters(clusters)
    with pytest.raises(ConfigError):
        shared.open(ONE)
    clusters.broken.clear()
    assert await shared.open(ONE).version()


async def test_a_cluster_that_goes_away_in_a_sweep_is_told_as_such(
    world: World, database: str
) -> None:
    """Discovery of the sweep's start does not hide that the cluster is gone: the reason is told."""
    store = await SqlStore.open(database)
    bench = Bench(world, store)
    first, second = await bench.reconciler.declared_names()
    await bench.reconciler.reconcile(first)
    world.clusters.one.down = Unreachable("cluster one: refused")
    await bench.reconciler.reconcile(second)
    await store.close()
    seen, blind = bench.changes
    assert (str(seen.status), seen.conditions) == ("Synced", ())
    assert str(blind.status) == "Unknown"
    assert [one.message for one in blind.conditions] == ["cluster one: refused"]


async def test_what_a_scan_keeps_is_kept_for_the_sweep() -> None:
    """The looks of one sweep scan a kind once; another sweep, or another question, asks anew."""
    clusters = Clusters()
    shared = SweepClusters(clusters)
    clusters.one.put(config_map("kept"))

    def name(_: ApiResource, meta: ObjectMeta) -> str:
        return meta.name

    async def scan(selector: str = "") -> tuple[str, ...]:
        reader = shared.open(ONE)
        return (await reader.scan(CONFIG_MAPS, name, label_selector=selector)).noted

    assert await asyncio.gather(scan(), scan()) == [("kept",), ("kept",)]
    clusters.one.put(config_map("later"))
    assert await scan() == ("kept",)
    assert clusters.one.asked["scan"] == 1
    assert await scan("app") == ()
    shared.forget()
    assert await scan() == ("kept", "later")
    assert clusters.one.asked["scan"] == 3
