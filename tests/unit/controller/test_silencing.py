"""Silences and pauses over a real reconciler and store: recorded, shown, told at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from driftd.clock import rfc3339
from driftd.controller.silencing import unfreeze
from driftd.errors import StoreError
from driftd.model.silence import Silence
from driftd.policy.silence import ANNOTATION
from driftd.settings.healing import Healing, HealingRule, Rung
from driftd.settings.silences import Silences
from driftd.store.sql import SqlStore
from driftd.store.types import EpisodeQuery, Transition
from driftd.sync.orders import Order
from tests.unit.controller.conftest import World
from tests.unit.controller.test_reconciler import Bench

pytestmark = pytest.mark.slow
SKIP = "argocd.argoproj.io/skip-reconcile"


@pytest.fixture
async def bench(world: World, database: str) -> AsyncIterator[Bench]:
    """The application `shop`."""
    world.repo.remove("argocd/kept.json")
    world.declare("shop")
    world.repo.commit()
    store = await SqlStore.open(database)
    bench = Bench(world, store)
    bench.known = ()
    bench.reconciler = build(bench)
    yield bench
    await store.close()


def build(bench: Bench):
    """A reconciler that knows the silences of the bench."""
    made = bench.build(silences=Silences())
    made.silences = lambda: bench.known
    made.silencing.current = lambda: bench.known
    return made


def silence(bench: Bench, **fields) -> Silence:
    """A silence of ten minutes from now."""
    until = bench.clock.now() + timedelta(minutes=10)
    given = {"id": "one", "until": until, "owner": "alice", "reason": "sale", "ticket": "OPS-1"}
    return Silence(**{**given, **fields})


def silenced(bench: Bench) -> float:
    """The drifts that the metric counts as silenced."""
    return bench.reconciler.metrics.registry.get_sample_value("driftd_drift_silenced")


async def test_what_is_silenced_is_recorded_and_told_at_the_end(bench: Bench) -> None:
    """Nobody is told of it, episodes show who silenced it, and what is left is told once."""
    await bench.sweep()
    bench.known = (silence(bench, application="shop", path="/data/*"),)
    bench.world.paint("shop", "red")
    for _ in range(3):
        await bench.sweep()
    assert bench.transitions() == []
    assert silenced(bench) == 1
    (episode,) = await bench.store.episodes(EpisodeQuery())
    assert episode.drift.held.why == "silenced by alice: sale (OPS-1)"
    assert episode.drift.held.until == bench.known[0].until
    (entry,) = [
        one for one in await bench.store.history("argocd/shop", 10) if one.data.get("opened")
    ]
    assert entry.data["opened"][0]["held"].startswith("silenced by alice")
    assert await bench.reconciler.no_longer_held() == []
    bench.clock.advance(600)
    assert set(await bench.reconciler.no_longer_held()) == {"argocd/shop"}
    for _ in range(2):
        await bench.sweep()
    assert bench.transitions() == [("shop", "silence-expired")]
    assert silenced(bench) == 0
    bench.world.paint("shop", "blue")
    await bench.sweep()
    assert bench.transitions()[1:] == [("shop", "recovered")]


async def test_what_ended_meanwhile_is_not_told(bench: Bench) -> None:
    """Drift that came and went under a silence is in the history alone."""
    await bench.sweep()
    bench.known = (silence(bench),)
    bench.world.paint("shop", "red")
    await bench.sweep()
    bench.world.paint("shop", "blue")
    await bench.sweep()
    bench.clock.advance(700)
    await bench.sweep()
    assert bench.transitions() == []


async def test_a_silence_that_is_taken_back_ends_at_once(bench: Bench) -> None:
    """What `driftd silence remove` uncovers is looked at, and told."""
    await bench.sweep()
    bench.known = (silence(bench),)
    bench.world.paint("shop", "red")
    await bench.sweep()
    bench.known = ()
    assert await bench.reconciler.no_longer_held() == ["argocd/shop"]
    await bench.sweep()
    assert bench.transitions() == [("shop", "silence-expired")]


async def test_what_a_silence_does_not_cover_is_told(bench: Bench) -> None:
    """Another field, cluster or object, and a silence that is too long, hide nothing."""
    await bench.sweep()
    month = bench.clock.now() + timedelta(days=30)
    bench.known = (
        silence(bench, path="/data/size"),
        silence(bench, cluster="elsewhere"),
        silence(bench, object="Secret/shop"),
        silence(bench, application="kept"),
        silence(bench, until=month),
    )
    bench.world.paint("shop", "red")
    await bench.sweep()
    assert bench.transitions() == [("shop", "drifted")]
    assert silenced(bench) == 0


async def test_a_restart_does_not_forget(bench: Bench) -> None:
    """The next process still tells nobody, and tells at the end."""
    await bench.sweep()
    bench.known = (silence(bench),)
    bench.world.paint("shop", "red")
    await bench.sweep()
    bench.reconciler = build(bench)
    await bench.sweep()
    assert bench.transitions() == []
    bench.clock.advance(700)
    await bench.sweep()
    assert bench.transitions() == [("shop", "silence-expired")]


async def test_an_annotation_in_git_silences(bench: Bench) -> None:
    """The declaration of the application says until when, and the verdict shows it."""
    until = (bench.clock.now() + timedelta(minutes=10)).isoformat()
    text = f"until={until}; reason=sale; owner=team-shop"
    bench.world.declare("shop", annotations={ANNOTATION: text})
    bench.world.repo.commit()
    await bench.sweep()
    bench.world.paint("shop", "red")
    await bench.sweep()
    assert bench.transitions() == []
    stored = await bench.store.application("argocd/shop")
    told = {one.type: one.message for one in stored.report.conditions}
    assert "silenced by team-shop: sale" in told["Silenced"]
    assert stored.report.status == "OutOfSync"
    bench.clock.advance(700)
    await bench.sweep()
    assert bench.transitions() == [("shop", "silence-expired")]


async def test_s81_an_annotation_on_a_live_object_hides_nothing(bench: Bench) -> None:
    """S-81: whoever writes it on a managed object is told of, the annotation included."""
    until = (bench.clock.now() + timedelta(minutes=10)).isoformat()
    await bench.sweep()
    annotations = {ANNOTATION: f"until={until}; reason=a; owner=b"}
    metadata = {"name": "shop", "namespace": "shop", "annotations": annotations}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    bench.world.clusters.one.put(
        {**body, "data": {"colour": "red"}}, manager="kubectl-edit", operation="Update"
    )
    await bench.sweep()
    assert bench.transitions() == [("shop", "drifted")]
    stored = await bench.store.application("argocd/shop")
    (resource,) = [one for one in stored.report.resources if one.name == "shop"]
    assert any("silence" in change.path for change in resource.changes)


async def test_a_forgotten_pause_speaks_up_once(bench: Bench) -> None:
    """A pause older than a day is told once, also over a restart, and again if it is new."""
    bench.world.declare("shop", annotations={SKIP: "true"})
    bench.world.repo.commit()

    def told() -> int:
        return sum(
            notice.type is Transition.PAUSE_FORGOTTEN
            for change in bench.changes
            for notice in change.notices
        )

    await bench.sweep()
    bench.clock.advance(23 * 3600)
    await bench.sweep()
    assert told() == 0
    bench.reconciler = build(bench)
    bench.clock.advance(3600)
    for _ in range(2):
        await bench.sweep()
    assert told() == 1
    (notice,) = [one for change in bench.changes for one in change.notices]
    assert "Argo CD does not reconcile it" in notice.text
    bench.world.declare("shop")
    bench.world.repo.commit()
    await bench.sweep()
    kinds = [one.kind for one in await bench.store.history("argocd/shop", 10)]
    assert kinds.count("paused") == kinds.count("resumed") == 1
    bench.world.declare("shop", annotations={SKIP: "true"})
    bench.world.repo.commit()
    await bench.sweep()
    bench.clock.advance(25 * 3600)
    await bench.sweep()
    assert told() == 2


def forgotten(bench: Bench) -> list[str]:
    """What was told of pauses that nobody ends."""
    return [
        notice.text
        for change in bench.changes
        for notice in change.notices
        if notice.type is Transition.PAUSE_FORGOTTEN
    ]


def frozen(bench: Bench, orders: tuple[Order, ...], *, rung: Rung = Rung.FIELDS) -> None:
    """A daemon that may heal `shop`, beside people who have given these orders."""
    rule = HealingRule(applications=("shop",), rung=rung)
    bench.reconciler = bench.build(silences=Silences(), healing=Healing(rules=(rule,)))
    bench.reconciler.silencing.orders = lambda: orders


async def test_a_forgotten_freeze_speaks_up_once_a_period(bench: Bench) -> None:
    """After a day, and after each further one, also over a restart: who froze what, and why."""
    start = bench.clock.now()
    order = Order(id="1", kind="freeze", at=start, by="ann@host", reason="INC-1")
    other = Order(id="2", kind="freeze", at=start, by="bob@host", application="argocd/kept")
    frozen(bench, (order, other))
    await bench.sweep()
    bench.clock.advance(23 * 3600)
    await bench.sweep()
    assert forgotten(bench) == []
    for _ in range(2):
        bench.clock.advance(3600)
        await bench.sweep()
        frozen(bench, (order, other))
    since = rfc3339(start.replace(microsecond=0))
    what = f"healing of every application is frozen since {since} by ann@host: INC-1"
    assert forgotten(bench) == [f"{what}; driftd unfreeze lets it go on"]
    bench.clock.advance(24 * 3600)
    for _ in range(2):
        await bench.sweep()
    assert len(forgotten(bench)) == 2
    frozen(bench, ())
    bench.clock.advance(48 * 3600)
    await bench.sweep()
    assert len(forgotten(bench)) == 2


async def test_a_freeze_is_no_matter_where_nothing_is_healed(bench: Bench) -> None:
    """Whose healing is not open is not told; a file that cannot be read ends no look."""
    start = bench.clock.now()
    order = Order(id="1", kind="freeze", at=start, by="ann@host")
    frozen(bench, (order,), rung=Rung.DRY_RUN)
    await bench.sweep()
    bench.clock.advance(48 * 3600)
    await bench.sweep()
    assert forgotten(bench) == []

    def unreadable() -> tuple[Order, ...]:
        raise StoreError("the orders cannot be read")

    frozen(bench, ())
    bench.reconciler.silencing.orders = unreadable
    assert await bench.sweep() == {"argocd/shop": False}


def test_the_command_that_ends_a_freeze_has_its_scope() -> None:
    """It can be pasted."""
    order = Order(id="1", kind="freeze", at=datetime(2026, 1, 1, tzinfo=UTC), by="ann@host")
    named = structs.replace(order, application="argocd/shop")
    cluster = structs.replace(order, cluster="prod")
    found = [unfreeze(one) for one in (order, named, cluster)]
    assert found == [
        "driftd unfreeze",
        "driftd unfreeze argocd/shop",
        "driftd unfreeze --cluster prod",
    ]
