"""Healing on a cluster in memory: on the record, backed up, replayed after a crash, kept up."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.writer import ClusterWriter
from driftd.controller.afterwards import Afterwards
from driftd.controller.healing import Healing
from driftd.controller.journal import HealJournal, JournalByHand
from driftd.controller.looked_after import LookedAfter
from driftd.controller.reconciler import Reconciler
from driftd.errors import StoreError, Unreachable
from driftd.model.resource import LiveObject, ResourceKey
from driftd.settings.healing import Healing as HealingSettings
from driftd.settings.healing import HealingRule, Rung
from driftd.settings.quantity import Duration
from driftd.settings.types import Store as StoreSettings
from driftd.store import acts, backups
from driftd.store.chain import AuditRecord
from driftd.store.envelope import envelope_of
from driftd.store.heals import Heal, HealState
from driftd.store.ledger import Ledger
from driftd.store.sql import SqlStore
from tests.unit.controller.conftest import World
from tests.unit.controller.test_reconciler import SELF_HEAL, Bench

pytestmark = pytest.mark.slow
SHOP = "argocd/shop"
MAP = ResourceKey("", "ConfigMap", "shop", "shop")


class Killed(BaseException):
    """The end of the process, as the code sees it: nothing catches it."""


class Failing(HealJournal):
    """A journal that ends the process at one step."""

    __slots__ = ("step",)

    async def intend(self, *arguments: Any) -> None:
        await HealJournal.intend(self, *arguments)
        self._end("intended")

    async def before(self, *arguments: Any) -> None:
        await HealJournal.before(self, *arguments)
        self._end("kept")

    async def after(self, *arguments: Any) -> None:
        self._end("written")
        await HealJournal.after(self, *arguments)
        self._end("result")

    def _end(self, step: str) -> None:
        if getattr(self, "step", "") == step:
            raise Killed


class Ledgered(Bench):
    """A bench whose healing keeps a record."""

    step = ""

    def __init__(self, world: World, store: SqlStore, folder: Path) -> None:
        self.folder = folder
        self.worse: list[str] = []
        super().__init__(world, store)

    def build(self, **settings: Any) -> Reconciler:
        """As the daemon is built; each call is what a new process does."""
        built = Bench.build(self, **settings)
        self.ledger = Ledger(self.store)
        journal = Failing(ledger=self.ledger, envelope=self.envelope, clock=self.clock)
        journal.step = self.step
        built.healing = LookedAfter(
            settings=built.settings.healing,
            open_writer=self._open,
            clock=self.clock,
            journal=journal,
            ledger=self.ledger,
            afterwards=Afterwards(
                ledger=self.ledger,
                journal=journal,
                clock=self.clock,
                deadline=built.settings.healing.health_deadline,
                worse=self.worse.append,
            ),
            store=StoreSettings(),
            acts=self.folder / "acts",
        )
        return built

    def _open(self, target: ClusterTarget) -> ClusterWriter:
        self.world.clusters.one.time = self.clock.now().isoformat()
        return Bench._open(self, target)

    def envelope(self) -> Any:
        """With a key beside the store."""
        return envelope_of(self.folder / "key", make=True)

    async def told(self, *kinds: str) -> list[dict[str, Any]]:
        """The entries of the record of these kinds."""
        rows = await self.ledger.entries()
        assert (await self.ledger.verify()).broken is None
        return [json.loads(row.entry) for row in rows if row.kind in kinds or not kinds]


@pytest.fixture
async def bench(world: World, database: str, tmp_path: Path) -> AsyncIterator[Ledgered]:
    """The applications `shop`, which is opened, and `kept`."""
    for name in ("shop", "kept"):
        world.declare(name, syncPolicy=SELF_HEAL)
    world.repo.commit()
    store = await SqlStore.open(database)
    found = Ledgered(world, store, tmp_path)
    found.open()
    yield found
    await store.close()


async def test_a_heal_is_on_the_record_before_and_after(bench: Ledgered) -> None:
    """Intent with cause and fields, result with its outcome, and that the object is well."""
    bench.world.paint("shop", "red")
    await bench.sweep()
    intent, result = await bench.told("intent", "result")
    assert intent["object"] == {
        "group": "",
        "kind": "ConfigMap",
        "namespace": "shop",
        "name": "shop",
    }
    assert intent["application"] == SHOP
    assert intent["cause"] == "1 declared field differ, written by kubectl-edit"
    assert intent["changes"] == [{"path": "/data/colour", "before": "red", "after": "blue"}]
    assert (result["kind"], result["outcome"], result["who"]) == ("result", "applied", "driftd")
    assert len(intent["plan"]) == 64
    assert intent["plan"] == result["plan"]
    await bench.sweep()
    (health,) = await bench.told("health")
    assert health["outcome"] == "Healthy"
    assert await bench.ledger.open_heals() == []
    await bench.sweep()
    assert len(await bench.told()) == 3


async def test_what_is_written_over_is_kept_and_opens_with_the_key_alone(bench: Ledgered) -> None:
    """The whole live manifest, encrypted: nothing of it is in the database's files."""
    bench.world.paint("shop", "red-before-the-heal")
    before = bench.world.clusters.one.read("ConfigMap", "shop", "shop")
    await bench.sweep()
    find = lambda connection: backups.find(connection, application="shop", limit=9)  # noqa: E731
    (backup,) = await bench.store.ask("test", find)
    assert (backup.key, backup.application) == (MAP, SHOP)
    get = lambda connection: backups.get(connection, backup.id[:8])  # noqa: E731
    ((_, sealed),) = await bench.store.ask("test", get)
    assert json.loads(bench.envelope().open(backup.row, sealed)) == before
    for form in (b"red-before", base64.b64encode(b"red-before")):
        assert form not in sealed
    with pytest.raises(StoreError, match="was changed, or sealed with another key"):
        bench.envelope().open(b"another", sealed)


@pytest.mark.parametrize("reports", [[True], [False, True]], ids=["dry run", "write"])
async def test_a_status_written_between_look_and_write_leaves_one_record(
    bench: Ledgered, reports: list[bool]
) -> None:
    """Healed in the same look all the same: one intent, one result, one backup."""
    bench.world.paint("shop", "red")
    bench.writer.reports = reports
    await bench.sweep()
    assert bench.writer.reports == []
    assert bench.world.clusters.one.read("ConfigMap", "shop", "shop")["data"]["colour"] == "blue"
    intent, result = await bench.told("intent", "result")
    assert (intent["kind"], result["outcome"]) == ("intent", "applied")
    find = lambda connection: backups.find(connection, application="shop", limit=9)  # noqa: E731
    assert len(await bench.store.ask("test", find)) == 1
    await bench.sweep()
    assert [one["outcome"] for one in await bench.told("health")] == ["Healthy"]


async def test_without_a_key_nothing_is_written(bench: Ledgered) -> None:
    """What cannot be kept is not written over, and the record says why."""
    (bench.folder / "key").write_bytes(b"short")
    (bench.folder / "key").chmod(0o600)
    bench.world.paint("shop", "red")
    await bench.sweep()
    assert ("shop", False) not in bench.writer.applied
    (result,) = await bench.told("result")
    assert result["outcome"] == "failed"
    assert "has fewer than 32 bytes" in result["message"]


async def test_a_missing_object_is_created_without_a_backup(bench: Ledgered) -> None:
    """There is nothing to keep; the record says that it was not there."""
    bench.world.clusters.one.delete("ConfigMap", "shop", "shop")
    await bench.sweep()
    intent, result = await bench.told("intent", "result")
    assert intent["cause"] == "Git declares it, and it is not there"
    assert result["outcome"] == "applied"
    find = lambda connection: backups.find(connection, limit=9)  # noqa: E731
    assert await bench.store.ask("test", find) == []


@pytest.mark.parametrize(
    ("step", "wrote", "outcome"),
    [
        ("intended", False, "found-not-written"),
        ("kept", False, "found-not-written"),
        ("written", True, "found-applied"),
    ],
)
async def test_an_intent_without_a_result_is_closed_after_the_next_start(
    bench: Ledgered, step: str, wrote: bool, outcome: str
) -> None:
    """The live object says whether it was written; the same look decides again."""
    bench.world.paint("shop", "red")
    bench.step = step
    bench.open()
    with pytest.raises(Killed):
        await bench.sweep()
    (left,) = await bench.ledger.open_heals()
    assert left.state is HealState.INTENDED
    assert (("shop", False) in bench.writer.applied) == wrote
    bench.step = ""
    bench.open()
    await bench.sweep()
    await bench.sweep()
    results = [one["outcome"] for one in await bench.told("result")]
    assert results == [outcome] + ([] if wrote else ["applied"])
    assert bench.writer.applied.count(("shop", False)) == 1
    assert await bench.ledger.open_heals() == []
    live = bench.world.clusters.one.read("ConfigMap", "shop", "shop")
    assert live["data"] == {"colour": "blue"}


async def test_an_intent_stays_open_while_its_object_cannot_be_seen(bench: Ledgered) -> None:
    """An unreachable cluster says nothing about what was written."""
    bench.world.paint("shop", "red")
    bench.step = "written"
    bench.open()
    with pytest.raises(Killed):
        await bench.sweep()
    bench.step = ""
    bench.open()
    bench.world.clusters.one.refused["ConfigMap", ""] = Unreachable("away")
    await bench.sweep()
    assert len(await bench.ledger.open_heals()) == 1
    assert await bench.told("result") == []
    bench.world.clusters.one.refused.clear()
    await bench.sweep()
    assert [one["outcome"] for one in await bench.told("result")] == ["found-applied"]


async def test_a_write_that_was_cut_off_is_closed_by_the_next_look(bench: Ledgered) -> None:
    """Without a new start: a look that was cancelled half-way leaves no intent open for ever."""
    bench.world.paint("shop", "red")
    bench.step = "written"
    bench.open()
    with pytest.raises(Killed):
        await bench.sweep()
    await bench.sweep()
    assert [one["outcome"] for one in await bench.told("result")] == ["found-applied"]


async def test_a_refusal_is_on_the_record_when_it_changes(bench: Ledgered) -> None:
    """Once as long as it is the same, and again when it is over."""
    bench.world.paint("shop", "red")
    (bench.folder / "acts").mkdir()
    healing = bench.reconciler.healing
    assert isinstance(healing, LookedAfter)
    await healing.afterwards.halt(SHOP, "ConfigMap shop/shop was Healthy and is Degraded")
    for _ in range(3):
        await bench.sweep()
    (refusal,) = await bench.told("refusal")
    assert "was Healthy and is Degraded; `driftd resume` lets" in refusal["cause"]
    notices = [one for change in bench.changes for one in change.notices]
    assert [(one.type, one.text) for one in notices] == [("heal-refused", refusal["cause"])]
    assert bench.writer.applied == []
    person = AuditRecord(
        id="p1", at=bench.clock.now(), kind="resume", who="ann@host", application=SHOP
    )
    acts.leave(bench.folder / "acts", person)
    assert await healing.upkeep() == [SHOP]
    await bench.sweep()
    assert ("shop", False) in bench.writer.applied
    refused = [one["outcome"] for one in await bench.told("refusal")]
    assert refused == ["refused", "no longer refused"]
    (resumed,) = await bench.told("resume")
    assert resumed["who"] == "ann@host"


async def test_a_halt_outlives_the_process(bench: Ledgered) -> None:
    """Who starts anew heals no more than before."""
    healing = bench.reconciler.healing
    assert isinstance(healing, LookedAfter)
    await healing.afterwards.load()
    await healing.afterwards.halt(SHOP, "made worse")
    bench.open()
    bench.world.paint("shop", "red")
    await bench.sweep()
    assert bench.writer.applied == []


async def test_acts_are_taken_in_once_and_in_order(bench: Ledgered) -> None:
    """Files of people; what is none is dropped and hurts nothing."""
    folder = bench.folder / "acts"
    healing = bench.reconciler.healing
    for number, kind in enumerate(("silence", "freeze")):
        moment = bench.clock.now() + timedelta(seconds=number)
        acts.leave(folder, AuditRecord(id=f"a{number}", at=moment, kind=kind, who="ann@host"))
    (folder / "0.json").write_text("{")
    assert await healing.upkeep() == []
    assert [one["kind"] for one in await bench.told()] == ["silence", "freeze"]
    assert list(folder.iterdir()) == []
    assert await healing.upkeep() == []


async def test_what_a_person_restored_is_not_healed_at_once(bench: Ledgered) -> None:
    """It differs from Git on purpose: the application waits until somebody resumes it."""
    healing = bench.reconciler.healing
    record = AuditRecord(
        id="r", at=bench.clock.now(), kind="restore", who="ann@host", application=SHOP, object=MAP
    )
    acts.leave(bench.folder / "acts", record)
    assert await healing.upkeep() == [SHOP]
    bench.world.paint("shop", "red")
    await bench.sweep()
    assert bench.writer.applied == []
    (refusal,) = await bench.told("refusal")
    assert refusal["cause"].startswith("ann@host restored ConfigMap shop/shop")


async def test_old_entries_and_backups_go_hourly(bench: Ledgered) -> None:
    """After 30 days no backup, after a year no entry is left but a checkpoint's."""
    healing = bench.reconciler.healing
    bench.world.paint("shop", "red")
    await bench.sweep()
    await bench.sweep()
    await healing.upkeep()
    find = lambda connection: backups.find(connection, limit=9)  # noqa: E731
    assert len(await bench.store.ask("test", find)) == 1
    bench.clock.advance(31 * 86_400)
    await healing.upkeep()
    assert await bench.store.ask("test", find) == []
    bench.clock.advance(366 * 86_400)
    await healing.upkeep()
    kinds = [one["kind"] for one in await bench.told()]
    assert kinds == ["health", "checkpoint"]


async def test_a_dry_run_leaves_nothing_on_the_record(bench: Ledgered) -> None:
    """Nothing was decided to be written."""
    bench.open(Rung.DRY_RUN)
    bench.world.paint("shop", "red")
    await bench.sweep()
    assert await bench.told() == []


async def test_a_heal_by_hand_is_on_record_once_the_daemon_takes_it_in(bench: Ledgered) -> None:
    """Intent, backup and result wait in files beside the store, with the person's name."""
    dsn = f"sqlite:///{bench.folder}/hand.db"
    looked_after = bench.reconciler.healing
    assert isinstance(looked_after, LookedAfter)
    bench.reconciler.healing = Healing(
        settings=looked_after.settings,
        open_writer=bench._open,
        clock=bench.clock,
        journal=JournalByHand(dsn=dsn, envelope=bench.envelope, clock=bench.clock, who="ann@host"),
    )
    bench.world.paint("shop", "red")
    await bench.sweep()
    assert bench.world.clusters.one.read("ConfigMap", "shop", "shop")["data"] == {"colour": "blue"}
    assert await bench.told() == []
    looked_after.acts = acts.folder_of(dsn)
    await looked_after.upkeep()
    intent, result = await bench.told()
    assert (intent["kind"], intent["who"]) == ("intent", "ann@host")
    assert (result["kind"], result["outcome"], result["who"]) == ("result", "applied", "ann@host")
    find = lambda connection: backups.find(connection, limit=9)  # noqa: E731
    (backup,) = await bench.store.ask("test", find)
    assert backup.key == MAP
    assert list((bench.folder / "hand.db-acts").iterdir()) == []


async def test_a_heal_whose_deadline_is_over_asks_for_a_look_once_a_minute(
    bench: Ledgered,
) -> None:
    """While its cluster cannot be seen it stays due, and nobody looks every second."""
    bench.world.paint("shop", "red")
    await bench.sweep()
    healing = bench.reconciler.healing
    assert await healing.upkeep() == []
    bench.clock.advance(600)
    assert await healing.upkeep() == [SHOP]
    for _ in range(59):
        bench.clock.advance(1)
        assert await healing.upkeep() == []
    bench.clock.advance(1)
    assert await healing.upkeep() == [SHOP]
    await bench.sweep()
    assert await healing.upkeep() == []


async def test_heals_of_an_application_that_is_gone_end(bench: Ledgered) -> None:
    """The record says that nobody knows; the table is empty, and others' heals stay open."""
    bench.step = "intended"
    bench.open()
    bench.world.paint("shop", "red")
    with pytest.raises(Killed):
        await bench.sweep()
    bench.step = ""
    bench.open()  # the next process
    bench.world.repo.remove("argocd/shop.json")
    bench.world.repo.commit()
    assert [one.application for one in await bench.ledger.open_heals()] == [SHOP]
    await bench.reconciler.healing.only(["argocd/kept", SHOP])
    assert len(await bench.ledger.open_heals()) == 1
    for _ in range(2):
        await bench.sweep()
    assert await bench.ledger.open_heals() == []
    (result,) = await bench.told("result")
    assert (result["outcome"], result["application"]) == ("not-known", SHOP)
    assert "looks at the application no longer" in result["message"]


async def test_a_written_object_of_an_application_that_is_gone(bench: Ledgered) -> None:
    """Nobody looks after it any more, and its health is not claimed."""
    healing = bench.reconciler.healing
    heal = Heal(
        id="1", application=SHOP, cluster="one", key=MAP, version="v1", plan="p",
        at=bench.clock.now(), resource_version="1", state=HealState.WRITTEN, health="Healthy",
    )  # fmt: skip
    await bench.ledger.intended([heal])
    await healing.only([])
    (told,) = await bench.told("health")
    assert (told["outcome"], told["object"]["name"]) == ("not-known", "shop")
    assert await bench.ledger.open_heals() == []


@pytest.mark.parametrize(
    ("phase", "after", "why"),
    [
        ("Failed", 1, "is Degraded"),
        ("Pending", 119, ""),
        ("Pending", 120, "is still Progressing after 2m"),
        ("Running", 600, ""),
    ],
)
async def test_the_deadline_of_health_is_a_setting(
    bench: Ledgered, phase: str, after: int, why: str
) -> None:
    """What is not well by then stops healing, and is counted by how it is worse."""
    rule = HealingRule(applications=("shop",), rung=Rung.FIELDS)
    settings = HealingSettings(rules=(rule,), health_deadline=Duration("2m"))
    afterwards = bench.build(healing=settings).healing.afterwards
    pod = ResourceKey("", "Pod", "shop", "web")
    heal = Heal(
        id="1", application=SHOP, cluster="one", key=pod, version="v1", plan="p",
        at=bench.clock.now(), resource_version="1", state=HealState.WRITTEN, health="Healthy",
    )  # fmt: skip
    await bench.ledger.intended([heal])
    afterwards.take(heal)
    bench.clock.advance(after)
    ready = [{"type": "Ready", "status": "True"}] if phase == "Running" else []
    status = {"phase": phase, "conditions": ready}
    metadata = {"name": "web", "namespace": "shop"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}
    live = LiveObject(pod, "v1", "u", "2", msgspec.json.encode(body))
    await afterwards._assessed(heal, live)
    said = f"{pod} was Healthy before it was healed and {why}" if why else ""
    assert afterwards.halted(SHOP) == said
    counts = {"is Degraded": ["degraded"], "": []}
    assert bench.worse == counts.get(why, ["late"])
