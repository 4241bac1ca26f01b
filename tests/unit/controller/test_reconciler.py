"""Looking, acting where it is open, recording and telling, on a cluster in memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.kube import KubeCluster
from driftd.cluster.writer import ClusterWriter
from driftd.controller import healing
from driftd.controller.options import CheckOptions
from driftd.controller.pace import Pace
from driftd.controller.reconciler import Reconciler
from driftd.controller.watching import Watching
from driftd.errors import ConfigError, SourceError, Unreachable
from driftd.model.report import ApplicationStatus
from driftd.settings.healing import Healing, HealingRule, Rung
from driftd.settings.types import ApplicationSelection, Settings
from driftd.settings.types import Tracing as TracingSettings
from driftd.store.sql import SqlStore
from driftd.store.types import (
    Ending,
    EpisodeQuery,
    OutboxMessage,
    Recovery,
    StateChange,
    Transition,
)
from driftd.telemetry.metrics import Metrics
from driftd.telemetry.tracing import Tracing
from tests.unit.controller.cluster import MemoryWriter
from tests.unit.controller.conftest import World
from tests.unit.reports import VirtualClock

pytestmark = pytest.mark.slow

SELF_HEAL = {"automated": {"selfHeal": True}}


class Bench:
    """A reconciler over a world, and what it told and wrote."""

    def __init__(self, world: World, store: SqlStore) -> None:
        self.world = world
        self.store = store
        self.clock = VirtualClock()
        self.changes: list[StateChange] = []
        self.heard = asyncio.Event()
        """Set with every look that is recorded."""
        self.opened: list[str] = []
        self.writer = MemoryWriter(world.clusters.one)
        self.reconciler = self.build()

    def build(self, **settings: Any) -> Reconciler:
        """A reconciler with these settings."""
        chosen = Settings(**settings)
        return Reconciler(
            workspace=self.world.workspace,
            options=CheckOptions(),
            settings=chosen,
            store=self.store,
            compose=lambda _subject: self._compose,
            healing=healing.Healing(
                settings=chosen.healing, open_writer=self._open, clock=self.clock
            ),
            metrics=Metrics("0"),
            clock=self.clock,
        )

    def open(self, rung: Rung = Rung.FIELDS, *names: str) -> None:
        """Let the operator open a rung for applications, by default `shop`."""
        rule = HealingRule(applications=names or ("shop",), rung=rung)
        self.reconciler = self.build(healing=Healing(rules=(rule,)))

    async def sweep(self) -> dict[str, bool]:
        """Reconcile every application once; whether each one was written to."""
        self.clock.advance(60)
        names = await self.reconciler.declared_names()
        return {name: await self.reconciler.reconcile(name) for name in names}

    def transitions(self) -> list[tuple[str, str]]:
        """What would have been told."""
        return [
            (one.name, str(one.transition))
            for one in self.changes
            if one.transition is not Transition.NONE
        ]

    def _compose(self, change: StateChange) -> Sequence[OutboxMessage]:
        self.changes.append(change)
        self.heard.set()
        return ()

    def _open(self, target: ClusterTarget) -> ClusterWriter:
        self.opened.append(target.name)
        return self.writer


@pytest.fixture
async def bench(world: World, database: str) -> AsyncIterator[Bench]:
    """The applications `shop` and `kept`; both ask for self-healing, none is opened."""
    for name in ("shop", "kept"):
        world.declare(name, syncPolicy=SELF_HEAL)
    world.repo.commit()
    store = await SqlStore.open(database)
    yield Bench(world, store)
    await store.close()


async def statuses(bench: Bench) -> dict[str, ApplicationStatus]:
    """What the store remembers."""
    return {one.report.name: one.report.status for one in await bench.store.applications()}


async def test_drift_is_recorded_once_and_recovers(bench: Bench) -> None:
    """A change is one transition, its end another, and looks between them none."""
    await bench.sweep()
    assert bench.transitions() == []
    bench.world.paint("shop", "red")
    for _ in range(3):
        assert await bench.sweep() == {"argocd/kept": False, "argocd/shop": False}
    assert bench.transitions() == [("shop", "drifted")]
    assert len(await bench.store.open_drifts()) == 1
    bench.world.paint("shop", "blue")
    await bench.sweep()
    assert bench.transitions() == [("shop", "drifted"), ("shop", "recovered")]
    assert await bench.store.open_drifts() == ()


async def test_no_writer_is_made_for_what_is_not_opened(bench: Bench) -> None:
    """Drift of applications that nobody opened leads to no writer at all."""
    bench.world.paint("shop", "red")
    bench.world.clusters.one.delete("ConfigMap", "shop", "kept")
    await bench.sweep()
    assert bench.opened == []
    bench.open(Rung.OBSERVE)
    await bench.sweep()
    assert bench.opened == []


async def test_an_opened_application_is_healed(bench: Bench) -> None:
    """One apply puts the field back; the next look proves it and writes nothing."""
    bench.open()
    bench.world.paint("shop", "red")
    bench.world.paint("kept", "red")
    assert await bench.sweep() == {"argocd/kept": False, "argocd/shop": True}
    assert bench.writer.applied == [("shop", True), ("shop", False)]
    assert await bench.sweep() == {"argocd/kept": False, "argocd/shop": False}
    assert len(bench.writer.applied) == 2
    assert await statuses(bench) == {"shop": "Synced", "kept": "OutOfSync"}
    live = bench.world.clusters.one.read("ConfigMap", "shop", "shop")
    assert live["data"] == {"colour": "blue"}
    assert ("shop", "healed") in bench.transitions()
    history = await bench.store.history("argocd/shop", 10)
    (event,) = [one for one in history if one.kind == "sync"]
    assert event.data["object"] == "ConfigMap shop/shop"
    assert event.data["outcome"] == "applied"
    (episode,) = await bench.store.episodes(EpisodeQuery(application="shop"))
    assert (episode.ending, episode.drift.author) == (
        Ending(Recovery.HEALED, "driftd"),
        "kubectl-edit",
    )


async def test_a_missing_object_is_created(bench: Bench) -> None:
    """An object that is gone comes back as Git declares it."""
    bench.open()
    bench.world.clusters.one.delete("ConfigMap", "shop", "shop")
    await bench.sweep()
    live = bench.world.clusters.one.read("ConfigMap", "shop", "shop")
    assert live["data"] == {"colour": "blue"}


async def test_a_dry_run_changes_nothing(bench: Bench) -> None:
    """On the rung `dry-run` the API server is asked, and nothing is written."""
    bench.open(Rung.DRY_RUN)
    bench.world.paint("shop", "red")
    assert (await bench.sweep())["argocd/shop"] is False
    assert bench.writer.applied == [("shop", True)]
    assert bench.world.clusters.one.read("ConfigMap", "shop", "shop")["data"]["colour"] == "red"


async def test_what_cannot_be_seen_is_not_written(bench: Bench) -> None:
    """With the list of its kind failing, an opened application is Unknown and left alone."""
    bench.open()
    bench.world.paint("shop", "red")
    bench.world.clusters.one.refused["ConfigMap", ""] = Unreachable("timed out")
    await bench.sweep()
    assert bench.opened == []
    assert await statuses(bench) == {"shop": "Unknown", "kept": "Unknown"}


async def test_blindness_closes_no_drift(bench: Bench) -> None:
    """A cluster that is down makes Unknown once; its open drift stays, and ends when seen so."""
    bench.world.paint("shop", "red")
    await bench.sweep()
    bench.world.clusters.one.down = Unreachable("cluster one: refused")
    await bench.sweep()
    await bench.sweep()
    assert len(await bench.store.open_drifts()) == 1
    bench.world.clusters.one.down = None
    bench.world.paint("shop", "blue")
    await bench.sweep()
    assert await bench.store.open_drifts() == ()
    assert [kind for name, kind in bench.transitions() if name == "shop"] == [
        "drifted",
        "unknown",
        "recovered",
    ]


async def test_a_removed_application_is_forgotten(bench: Bench) -> None:
    """An Application that Git declares no longer leaves the store, its drifts closed."""
    bench.world.paint("shop", "red")
    await bench.sweep()
    bench.world.repo.remove("argocd/shop.json")
    bench.world.repo.commit()
    assert await bench.sweep() == {"argocd/kept": False}
    assert set(await statuses(bench)) == {"kept"}
    assert await bench.store.open_drifts() == ()


async def test_a_repository_that_declares_nothing_any_more_forgets_nothing(bench: Bench) -> None:
    """Replaced by an empty one, before or after a restart: no application vanishes."""
    bench.world.paint("shop", "red")
    await bench.sweep()
    for name in ("shop", "kept"):
        bench.world.repo.remove(f"argocd/{name}.json")
    bench.world.repo.commit()
    for known in (["argocd/kept", "argocd/shop"], []):
        with pytest.raises(SourceError, match="no Argo CD Application is declared"):
            await bench.reconciler.declared_names()
        assert bench.reconciler.known_names() == known
        bench.reconciler = bench.build()
    assert set(await statuses(bench)) == {"kept", "shop"}
    assert len(await bench.store.open_drifts()) == 1


async def test_an_unreadable_document_forgets_nothing(bench: Bench) -> None:
    """An Application whose document does not parse is looked at as it was declared last."""
    bench.world.paint("shop", "red")
    await bench.sweep()
    bench.world.repo.write("argocd/shop.json", '{"apiVersion": "argoproj.io/v1alpha1", ')
    bench.world.repo.commit()
    assert await bench.sweep() == {"argocd/kept": False, "argocd/shop": False}
    assert len(await bench.store.open_drifts()) == 1
    bench.world.paint("shop", "blue")
    await bench.sweep()
    assert bench.transitions() == [("shop", "drifted"), ("shop", "recovered")]
    bench.world.repo.remove("argocd/shop.json")
    bench.world.repo.commit()
    assert await bench.sweep() == {"argocd/kept": False}
    assert set(await statuses(bench)) == {"kept"}


async def test_a_repository_that_cannot_be_read_forgets_nothing(bench: Bench) -> None:
    """When nothing can be read, everything stays as it was."""
    await bench.sweep()
    (bench.world.repo.path / ".git" / "HEAD").write_text("ref: refs/heads/nonesuch\n")
    with pytest.raises(SourceError):
        await bench.reconciler.declared_names()
    assert set(await statuses(bench)) == {"kept", "shop"}
    assert bench.reconciler.known_names() == ["argocd/kept", "argocd/shop"]


async def test_selected_applications(bench: Bench) -> None:
    """Applications that the settings exclude are neither looked at nor remembered."""
    await bench.sweep()
    selection = ApplicationSelection(exclude=("kept",))
    bench.reconciler = bench.build(applications=selection)
    assert await bench.sweep() == {"argocd/shop": False}
    assert set(await statuses(bench)) == {"shop"}


async def test_moved(bench: Bench) -> None:
    """A new commit moves the repository; asking again without one does not."""
    await bench.reconciler.declared_names()
    assert await bench.reconciler.moved() is False
    bench.world.repo.write("README.md", "new\n")
    bench.world.repo.commit()
    assert await bench.reconciler.moved() is True
    await bench.reconciler.declared_names()
    assert await bench.reconciler.moved() is False


async def test_an_unknown_name_is_nothing(bench: Bench) -> None:
    """A name that was queued before its Application went away is no work."""
    assert await bench.reconciler.reconcile("argocd/shop") is False
    await bench.reconciler.declared_names()
    assert await bench.reconciler.reconcile("argocd/nonesuch") is False
    assert await statuses(bench) == {}


async def test_schemas_are_remembered_between_looks(bench: Bench) -> None:
    """Many looks at many applications read each schema document once."""
    for _ in range(3):
        await bench.sweep()
    asked = bench.world.clusters.one.asked
    assert asked["openapi"] == 6
    assert asked["openapi body"] == 1


async def test_engines_are_left_to_do_their_work(bench: Bench) -> None:
    """Where Argo CD applies, driftd does not write, opened or not."""
    bench.open()
    cluster = bench.world.clusters.one
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "shop", "namespace": "shop"},
        "data": {"colour": "red"},
    }
    cluster.put(body, manager="argocd-controller")
    await bench.sweep()
    assert (await statuses(bench))["shop"] is ApplicationStatus.OUT_OF_SYNC
    assert bench.opened == []


async def test_an_engine_that_is_no_named_deployer_is_left_alone_too(bench: Bench) -> None:
    """Whoever counts as Git's hand: where Argo CD has written, driftd does not."""
    bench.world.declare("shop", annotations={"driftd.io/deployers": "robot"}, syncPolicy=SELF_HEAL)
    bench.world.repo.commit()
    bench.open()
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "shop", "namespace": "shop"},
        "data": {"colour": "red"},
    }
    bench.world.clusters.one.put(body, manager="argocd-controller")
    await bench.sweep()
    assert (await statuses(bench))["shop"] is ApplicationStatus.OUT_OF_SYNC
    assert bench.opened == []


async def test_half_a_render_is_not_written(bench: Bench) -> None:
    """A source that fails may be the one that counts, so the others' objects are not applied."""
    bench.world.repo.write("apps/shop/broken.yaml", "kind: ConfigMap\n")
    bench.world.repo.commit()
    bench.open()
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "shop", "namespace": "shop"},
        "data": {"colour": "red"},
    }
    bench.world.clusters.one.put(body)
    await bench.sweep()
    assert (await statuses(bench))["shop"] is ApplicationStatus.OUT_OF_SYNC
    assert bench.opened == []


def share(bench: Bench, name: str = "kept") -> None:
    """Let an application declare the ConfigMap `shop` too, in green."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}}
    text = json.dumps({**body, "data": {"colour": "green"}})
    bench.world.repo.write(f"apps/{name}/too.json", text)
    bench.world.repo.commit()


async def test_what_two_applications_declare_is_not_written(bench: Bench) -> None:
    """Neither puts back the object of both; each is told, also the one that was looked at first."""
    share(bench)
    bench.open(Rung.FIELDS, "shop", "kept")
    bench.world.paint("kept", "red")
    bench.world.paint("shop", "red")
    assert await bench.sweep() == {"argocd/kept": True, "argocd/shop": False}
    assert {name for name, _ in bench.writer.applied} == {"kept"}
    told = {
        one.report.name: [c.message for c in one.report.conditions]
        for one in await bench.store.applications()
    }
    text = (
        "the applications argocd/kept and argocd/shop declare the same object, which driftd "
        "heals for none of them: ConfigMap shop/shop (apps/kept/too.json and apps/shop/map.json)"
    )
    assert told == {"kept": [text], "shop": [text]}
    assert bench.reconciler.outdated() == []


async def test_applications_that_nobody_has_looked_at_count_too(bench: Bench) -> None:
    """Before anything is written, Git is asked what the others declare by now."""
    bench.open(Rung.FIELDS, "kept")
    await bench.sweep()
    share(bench, "shop")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}}
    bench.world.repo.write("apps/shop/kept.json", json.dumps(body))
    bench.world.repo.commit()
    bench.world.paint("kept", "red")
    await bench.reconciler.declared_names()
    assert await bench.reconciler.reconcile("argocd/kept") is False
    assert bench.opened == []
    bench.reconciler = bench.build(
        healing=Healing(rules=(HealingRule(applications=("kept",), rung=Rung.FIELDS),)),
        applications=ApplicationSelection(exclude=("shop",)),
    )
    assert await bench.sweep() == {"argocd/kept": False}
    bench.world.repo.remove("apps/shop/kept.json")
    bench.world.repo.commit()
    assert await bench.sweep() == {"argocd/kept": True}


async def test_without_a_target_there_is_nothing_to_write(bench: Bench) -> None:
    """An application without cluster is Unknown, and no writer is asked for."""
    bench.open()
    bench.world.workspace = replace(bench.world.workspace, contexts=())
    bench.reconciler.workspace = bench.world.workspace
    await bench.sweep()
    assert await statuses(bench) == {"shop": "Unknown", "kept": "Unknown"}
    assert bench.opened == []


async def test_the_time_from_an_event_to_the_stored_verdict_is_measured(bench: Bench) -> None:
    """Of looks that an event asked for, those count that open a drift; each event counts once."""
    watching = Watching(NoClusters(), ignored, bench.reconciler.metrics, pace=Pace(time.monotonic))
    bench.reconciler.watching = watching
    await bench.sweep()
    await watching.wake(["argocd/shop"])
    await bench.reconciler.reconcile("argocd/shop")
    assert detections(bench) == 0
    bench.world.paint("shop", "red")
    await watching.wake(["argocd/shop", "argocd/shop"])
    await bench.reconciler.reconcile("argocd/shop")
    assert detections(bench) == 1
    bench.world.paint("shop", "blue")
    await bench.reconciler.reconcile("argocd/shop")
    bench.world.paint("shop", "red")
    await bench.reconciler.reconcile("argocd/shop")
    assert detections(bench) == 1


def detections(bench: Bench) -> float | None:
    """How many times from event to verdict were measured."""
    registry = bench.reconciler.metrics.registry
    return registry.get_sample_value("driftd_drift_detection_seconds_count")


async def ignored(_name: str) -> None:
    """Nobody asks for looks but the test."""


class NoClusters:
    """Clusters that nobody watches."""

    def watched(self, target: ClusterTarget) -> KubeCluster:
        """No reflector is ever begun."""
        raise ConfigError(f"{target.name} is not watched")


async def test_a_look_has_spans(bench: Bench) -> None:
    """Reconcile, with look and record inside, and in the look render, list and compare."""
    exporter = InMemorySpanExporter()
    names = await bench.reconciler.declared_names()
    with Tracing(TracingSettings(endpoint="http://x"), exporter):
        await bench.reconciler.reconcile(names[0])
    found = {one.name: one for one in exporter.get_finished_spans()}
    assert set(found) == {"reconcile", "look", "render", "list", "compare", "record"}
    ids = {one.context.span_id: one.name for one in found.values() if one.context}
    parents = {one.name: ids.get(one.parent.span_id) for one in found.values() if one.parent}
    steps = {"render": "look", "list": "look", "compare": "look"}
    assert parents == {"look": "reconcile", "record": "reconcile", **steps}
    for name, one in found.items():
        told = dict(one.attributes or {})
        assert told["driftd.cluster"] == "one", name
        assert told.get("driftd.application", names[0]) == names[0], name
    assert (found["reconcile"].attributes or {})["driftd.status"] == "Synced"


async def test_a_rewritten_history_is_told_and_not_healed_to(bench: Bench) -> None:
    """F-17: after a push with force each application says so, once, until the branch goes on."""
    await bench.sweep()
    bench.world.repo.git("commit", "--quiet", "--amend", "--allow-empty", "--message=Other")
    await bench.sweep()
    for name in ("argocd/shop", "argocd/kept"):
        found = await bench.store.application(name)
        assert found is not None
        assert [one.type for one in found.report.conditions] == ["HistoryRewrittenWarning"]
    await bench.sweep()
    told = [(one.name, notice.type) for one in bench.changes for notice in one.notices]
    assert sorted(told) == [
        ("kept", Transition.HISTORY_REWRITTEN),
        ("shop", Transition.HISTORY_REWRITTEN),
    ]
    bench.world.repo.commit("Next")
    await bench.sweep()
    found = await bench.store.application("argocd/shop")
    assert found is not None
    assert found.report.conditions == ()
