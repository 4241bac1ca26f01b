"""Glances at single objects: what they come to is what a whole look comes to."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from driftd.cluster.destinations import ClusterTarget
from driftd.controller.glance import Standings
from driftd.controller.pace import Pace
from driftd.controller.watching import MOST_TOUCHED, Watching
from driftd.errors import Unreachable
from driftd.model.report import ApplicationReport, ApplicationStatus, ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.settings.healing import Rung
from driftd.store.sql import SqlStore
from driftd.telemetry.metrics import Metrics
from tests.unit.controller.cluster import CONFIG_MAPS, NAMESPACES
from tests.unit.controller.conftest import World
from tests.unit.controller.test_reconciler import SELF_HEAL, Bench, NoClusters, ignored

pytestmark = pytest.mark.slow

SHOP = "argocd/shop"
NAMES = ("shop", "api", "web", "jobs")
"""The objects of the application `shop`."""


class Glances:
    """A bench whose application `shop` has several objects, all seen by a whole look."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.time = 0.0
        self.watch()

    def watch(self) -> None:
        """Have the reconciler told by a watch what has changed."""
        self.watching = Watching(NoClusters(), ignored, Metrics("0"), pace=Pace(self._calm))
        self.bench.reconciler.watching = self.watching

    def _calm(self) -> float:
        self.time += 1000
        return self.time

    async def touch(self, *names: str) -> None:
        """Let a watch have seen that these ConfigMaps changed."""
        for name in names:
            key = ResourceKey("", "ConfigMap", "shop", name)
            await self.watching.wake([SHOP], (CONFIG_MAPS, key))

    async def glance(self, *names: str) -> ApplicationReport:
        """Look at some objects, and give what is stored then."""
        await self.touch(*names)
        self.bench.clock.advance(1)
        await self.bench.reconciler.reconcile(SHOP, whole=False)
        return await self.stored()

    async def whole(self) -> ApplicationReport:
        """Look at everything, and give what is stored then."""
        await self.bench.reconciler.reconcile(SHOP)
        return await self.stored()

    async def stored(self) -> ApplicationReport:
        """The last verdict."""
        found = await self.bench.store.application(SHOP)
        assert found is not None
        return found.report

    @property
    def count(self) -> float:
        """How many looks were glances."""
        found = self.bench.reconciler.metrics.registry.get_sample_value("driftd_glances_total")
        assert found is not None
        return found

    @property
    def lists(self) -> int:
        """How many lists the cluster was asked for."""
        return self.bench.world.clusters.one.asked["list"]

    def put(self, name: str, data: dict[str, str], **metadata: Any) -> None:
        """Leave a ConfigMap as somebody does by hand."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
        self.bench.world.clusters.one.put(
            {**body, "metadata": {"name": name, "namespace": "shop", **metadata}},
            manager="kubectl-edit",
            operation="Update",
        )

    def delete(self, name: str) -> None:
        """Delete a ConfigMap."""
        self.bench.world.clusters.one.delete("ConfigMap", "shop", name)


@pytest.fixture
async def glances(world: World, database: str) -> AsyncIterator[Glances]:
    """The application `shop` with four ConfigMaps that are as Git says, looked at once."""
    world.declare("shop", syncPolicy=SELF_HEAL)
    for name in NAMES[1:]:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        text = json.dumps({**body, "data": {"colour": "blue"}})
        world.repo.write(f"apps/shop/{name}.json", text)
    world.repo.commit()
    for name in NAMES:
        world.paint(name, "blue")
    store = await SqlStore.open(database)
    made = Glances(Bench(world, store))
    await made.bench.sweep()
    yield made
    await store.close()


def told(report: ApplicationReport) -> Any:
    """A report without the moments at which it was made.

    Nor with the deployers: of those that no object names any more only a whole look can tell.
    """
    found = json.loads(msgspec.json.encode(report))
    del found["deployers"]
    for resource in found["resources"]:
        resource["evidence"].pop("observedAt", None)
    return found


def changes(glances: Glances, chance: random.Random) -> dict[str, Callable[[str], None]]:
    """What somebody may do to an object."""
    colour = chance.choice(["red", "green", "blue"])
    label = {chance.choice(["team", "tier"]): chance.choice(["a", "b"])}
    return {
        "edit": lambda name: glances.put(name, {"colour": colour}),
        "add": lambda name: glances.put(name, {"colour": "blue", "extra": colour}),
        "drop": lambda name: glances.put(name, {}),
        "label": lambda name: glances.put(name, {"colour": "blue"}, labels=label),
        "delete": glances.delete,
        "restore": lambda name: glances.bench.world.paint(name, "blue"),
    }


@pytest.mark.parametrize("seed", range(6))
async def test_a_glance_comes_to_what_a_whole_look_comes_to(glances: Glances, seed: int) -> None:
    """After any changes the stored verdict is the one that a look at everything stores."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    for _ in range(8):
        touched = chance.sample(NAMES, chance.randint(1, 3))
        for name in touched:
            chance.choice(list(changes(glances, chance).values()))(name)
        before = glances.count
        seen = told(await glances.glance(*touched))
        assert glances.count == before + 1
        assert seen == told(await glances.whole())


async def test_episodes_of_glances_begin_and_end_once(glances: Glances) -> None:
    """A drift that a glance saw is one episode, told once, and ended by the glance at its end."""
    glances.put("api", {"colour": "red"})
    await glances.glance("api")
    await glances.whole()
    assert glances.bench.transitions() == [("shop", "drifted")]
    glances.bench.world.paint("api", "blue")
    assert (await glances.glance("api")).status is ApplicationStatus.SYNCED
    await glances.whole()
    assert glances.bench.transitions() == [("shop", "drifted"), ("shop", "recovered")]


async def test_a_glance_lists_nothing_that_is_declared(glances: Glances) -> None:
    """A glance reads the objects that changed and lists none."""
    lists = glances.lists
    glances.put("api", {"colour": "red"})
    await glances.glance("api")
    assert glances.lists == lists


async def test_a_drift_elsewhere_stays_while_other_objects_are_glanced_at(
    glances: Glances,
) -> None:
    """What a glance does not look at keeps its verdict, and its episode stays open."""
    glances.put("web", {"colour": "red"})
    await glances.glance("web")
    glances.put("api", {"colour": "red"})
    await glances.glance("api")
    glances.bench.world.paint("api", "blue")
    assert (await glances.glance("api")).status is ApplicationStatus.OUT_OF_SYNC
    (drift,) = await glances.bench.store.open_drifts()
    assert drift.drift.key.resource.name == "web"


async def test_the_clean_bound_of_a_drift_is_the_last_whole_look(glances: Glances) -> None:
    """A glance at one object says nothing of when others were clean."""
    began = glances.bench.clock.now()
    glances.put("api", {"colour": "red"})
    await glances.glance("api")
    glances.put("web", {"colour": "red"})
    await glances.glance("web")
    drifts = {
        one.drift.key.resource.name: one.drift for one in await glances.bench.store.open_drifts()
    }
    assert drifts["web"].clean_at == drifts["api"].clean_at == began


async def test_what_cannot_be_read_is_left_to_a_whole_look(glances: Glances) -> None:
    """A glance that fails becomes a whole look, whose verdict says what is wrong."""
    cluster = glances.bench.world.clusters.one
    cluster.ungettable = Unreachable("one: cannot get", reason="Unreachable")
    lists = glances.lists
    glances.put("api", {"colour": "red"})
    assert (await glances.glance("api")).status is ApplicationStatus.OUT_OF_SYNC
    assert glances.count == 0
    assert glances.lists > lists


async def test_what_reaches_further_is_left_to_a_whole_look(glances: Glances) -> None:
    """Objects that Git does not declare, and namespaces, are no matter of a glance."""
    for touch in (
        (CONFIG_MAPS, ResourceKey("", "ConfigMap", "shop", "stranger")),
        (NAMESPACES, ResourceKey("", "Namespace", "", "shop")),
    ):
        lists = glances.lists
        await glances.watching.wake([SHOP], touch)
        await glances.bench.reconciler.reconcile(SHOP, whole=False)
        assert glances.lists > lists
    assert glances.count == 0


async def test_nothing_is_looked_at_twice(glances: Glances) -> None:
    """What a whole look has taken in is not glanced at once more."""
    await glances.touch("api")
    await glances.whole()
    asked = dict(glances.bench.world.clusters.one.asked)
    assert await glances.bench.reconciler.reconcile(SHOP, whole=False) is False
    assert dict(glances.bench.world.clusters.one.asked) == asked


async def test_many_changes_at_once_ask_for_a_whole_look(glances: Glances) -> None:
    """Where more objects changed than a glance reads, everything is listed."""
    await glances.touch(*(f"number-{i}" for i in range(MOST_TOUCHED + 1)))
    assert glances.watching.touched(SHOP) is None


async def test_what_may_be_healed_is_looked_at_as_a_whole(glances: Glances) -> None:
    """An application that is opened for healing is never judged by some of its objects."""
    glances.bench.open(Rung.FIELDS)
    glances.watch()
    await glances.bench.sweep()
    glances.put("api", {"colour": "red"})
    await glances.glance("api")
    assert glances.count == 0
    assert glances.bench.opened == ["one"]


async def test_only_what_is_recorded_was_seen(glances: Glances) -> None:
    """After a glance the object's event is nothing new; before it, it asks for a glance."""
    cluster = glances.bench.world.clusters.one
    await glances.whole()
    sink = glances.watching.sink(
        ClusterTarget("context", "one", "https://one.example.com"), CONFIG_MAPS, ""
    )
    glances.put("api", {"colour": "red"})
    live = await cluster.get(CONFIG_MAPS, "shop", "api")
    assert live is not None
    await sink.changed(live)
    await glances.glance()
    assert glances.count == 1
    await sink.changed(live)
    assert glances.watching.touched(SHOP) == frozenset()


class Watched(Glances):
    """Glances that watches of the cluster ask for."""

    @classmethod
    def of(cls, glances: Glances) -> Watched:
        """The same, watched."""
        glances.__class__ = cls
        assert isinstance(glances, cls)
        return glances

    async def event(self, name: str) -> None:
        """Let the watch tell of an object as it is now."""
        cluster = self.bench.world.clusters.one
        live = await cluster.get(CONFIG_MAPS, "shop", name)
        target = ClusterTarget("context", "one", "https://one.example.com")
        sink = self.watching.sink(target, CONFIG_MAPS, "")
        if live is None:
            await sink.gone(ResourceKey("", "ConfigMap", "shop", name))
        else:
            await sink.changed(live)

    async def look(self) -> ApplicationReport:
        """A look at what events have asked for; what is stored then."""
        self.bench.clock.advance(1)
        await self.bench.reconciler.reconcile(SHOP, whole=False)
        return await self.stored()

    @property
    def reads(self) -> int:
        """How many objects were read one by one."""
        return self.bench.world.clusters.one.asked["get"]


@pytest.fixture
async def watched(glances: Glances) -> Watched:
    """What a whole look has seen, so that events can tell what differs."""
    await glances.whole()
    return Watched.of(glances)


async def test_a_glance_judges_what_the_event_had(watched: Watched) -> None:
    """The object of the event is not read again, and its verdict is that of a read."""
    watched.put("api", {"colour": "red"})
    await watched.event("api")
    reads = watched.reads
    seen = told(await watched.look())
    assert (watched.count, watched.reads) == (1, reads)
    assert seen == told(await watched.whole())


async def test_a_glance_judges_the_last_event(watched: Watched) -> None:
    """What was put back, or deleted, before the glance began is judged as it is then."""
    watched.put("api", {"colour": "red"})
    await watched.event("api")
    watched.bench.world.paint("api", "blue")
    await watched.event("api")
    assert (await watched.look()).status is ApplicationStatus.SYNCED
    watched.put("web", {"colour": "red"})
    await watched.event("web")
    watched.delete("web")
    await watched.event("web")
    found = {one.name: one.status for one in (await watched.look()).resources}
    assert found["web"] is ResourceStatus.MISSING


async def test_an_event_during_a_glance_asks_for_another_one(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is put back while the drift is being recorded is not left as drift."""
    asked: list[str] = []

    async def wake(name: str) -> None:
        asked.append(name)

    watched.put("api", {"colour": "red"})
    await watched.event("api")
    record = watched.bench.reconciler.store.record

    async def late(*arguments: Any, **named: Any) -> Any:
        watched.bench.world.paint("api", "blue")
        await watched.event("api")
        return await record(*arguments, **named)

    monkeypatch.setattr(watched.bench.store, "record", late)
    monkeypatch.setattr(watched.watching, "_wake", wake)
    monkeypatch.setattr(watched.watching, "_later", lambda name, what, _: asked.append(name))
    assert (await watched.look()).status is ApplicationStatus.OUT_OF_SYNC
    assert asked == [SHOP]


async def test_a_glance_after_a_failed_one_reads(watched: Watched) -> None:
    """An event's object is used once; what has to be judged again is read again."""
    watched.put("api", {"colour": "red"})
    await watched.event("api")
    await watched.look()
    reads = watched.reads
    await watched.glance("api")
    assert watched.reads == reads + 1


async def test_standings_are_bounded(glances: Glances) -> None:
    """Of more objects than are kept, those that were looked at longest ago go first."""
    standing = glances.bench.reconciler.standings.of(SHOP)
    assert standing is not None
    kept = Standings(limit=2 * standing.size)
    for name in ("a", "b", "c"):
        kept.keep(name, standing)
    assert kept.of("a") is None
    assert kept.of("b") is standing


async def test_what_is_declared_no_longer_is_dropped(glances: Glances) -> None:
    """A sweep drops what stood of applications that Git declares no longer, and of them alone."""
    kept = glances.bench.reconciler.standings
    assert None not in (kept.of(SHOP), kept.of("argocd/kept"))
    glances.bench.world.repo.remove("argocd/shop.json")
    glances.bench.world.repo.commit()
    await glances.bench.reconciler.declared_names()
    assert kept.of(SHOP) is None
    assert kept.of("argocd/kept") is not None
