"""Plan, guards, journal, writes: what one attempt to put an application back does and leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from driftd.cluster.destinations import ClusterTarget
from driftd.controller.declared import Declared
from driftd.controller.healing import Healed, Healing
from driftd.controller.shared import Claims
from driftd.controller.workspace import Workspace
from driftd.errors import ClusterError, Forbidden, StoreError
from driftd.model.application import Application
from driftd.settings.healing import Healing as HealingSettings
from driftd.settings.healing import HealingRule, Rung
from driftd.sync.plan import Skipped, SyncPlan
from tests.unit.controller.builders import (
    TARGET,
    application,
    config_map,
    desired,
    looked_at,
)
from tests.unit.controller.cluster import MemoryCluster, MemoryWriter
from tests.unit.reports import VirtualClock

SELF_HEAL = {"automated": {"selfHeal": True}}
NAMES = ("a", "b", "c")


class Guards:
    """Guards that hold some objects back, and keep what they were asked."""

    def __init__(self, *held: str, broken: bool = False) -> None:
        self.held = held
        self.broken = broken
        self.asked: list[tuple[list[str], Any]] = []
        self.told: list[str] = []
        """Why applications were left alone as a whole."""

    async def admit(self, plan: SyncPlan, facts: Any, now: Any) -> SyncPlan:
        """See `driftd.sync.seams.Guards`."""
        self.asked.append(([task.key.name for task in plan.tasks], facts))
        if self.broken:
            raise StoreError("what the guards remember cannot be read")
        kept = tuple(task for task in plan.tasks if task.key.name not in self.held)
        gone = [task.key for task in plan.tasks if task.key.name in self.held]
        skipped = (*plan.skipped, *(Skipped(key, "held", guard="G-19") for key in gone))
        return msgspec.structs.replace(plan, tasks=kept, skipped=skipped)

    async def refused(self, plan: SyncPlan, facts: Any, now: Any) -> None:
        """See `driftd.sync.seams.Guards`."""
        self.told.append(plan.refusal)

    def waking(self, wake: Any) -> None:
        """See `driftd.sync.seams.Guards`."""

    def due(self, now: Any) -> list[str]:
        """See `driftd.sync.seams.Guards`."""
        return []


class Journal:
    """A journal that keeps the order of what it is told; `broken` names what it cannot keep."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.told: list[str] = []

    async def intend(self, plan: Any, facts: Any) -> None:
        """See `driftd.sync.seams.Journal`."""
        self._tell(f"intend {' '.join(task.key.name for task in plan.tasks)}")

    async def before(self, task: Any, live: bytes | None) -> None:
        """See `driftd.sync.seams.Journal`."""
        self._tell(f"before {task.key.name}{'' if live else ' (missing)'}")

    async def after(self, task: Any, result: Any) -> None:
        """See `driftd.sync.seams.Journal`."""
        self._tell(f"after {task.key.name} {result.outcome}")

    def _tell(self, text: str) -> None:
        if self.broken and text.startswith(self.broken):
            raise StoreError("the disk is full")
        self.told.append(text)


class Writer(MemoryWriter):
    """A writer that runs into errors, or has something happen before a write."""

    def __init__(self, cluster: MemoryCluster) -> None:
        super().__init__(cluster)
        self.errors: dict[tuple[str, bool], ClusterError] = {}
        self.meanwhile: Callable[[str, bool], Any] = lambda _name, _dry_run: None
        self.blocked: dict[str, asyncio.Event] = {}
        """Objects whose real write never ends; the event says that it has begun."""

    async def apply(self, resource: Any, namespace: str, name: str, *given: Any, **named: Any):
        """See `ClusterWriter`."""
        self.meanwhile(name, named["dry_run"])
        if (name, named["dry_run"]) in self.errors:
            raise self.errors[name, named["dry_run"]]
        if name in self.blocked and not named["dry_run"]:
            self.blocked[name].set()
            await asyncio.Event().wait()
        return await MemoryWriter.apply(self, resource, namespace, name, *given, **named)


class Stage:
    """An application of three ConfigMaps, and the attempt to put it back."""

    def __init__(self, rung: Rung = Rung.FIELDS, **fields: Any) -> None:
        self.cluster = MemoryCluster()
        self.writer = Writer(self.cluster)
        self.opened: list[str] = []
        self.guards, self.journal = Guards(), Journal()
        self.claims = Claims()
        rule = HealingRule(applications=("shop",), rung=rung)
        self.fields = {"settings": HealingSettings(rules=(rule,)), **fields}
        for name in NAMES:
            self.cluster.put(config_map(name, colour="blue"))

    def paint(self, *names: str, colour: str = "red") -> None:
        """Somebody changes objects by hand."""
        for name in names:
            body = config_map(name, colour=colour)
            self.cluster.put(body, manager="kubectl-edit", operation="Update")

    def colour(self, name: str) -> str:
        """The colour that an object has."""
        return str(self.cluster.read("ConfigMap", "shop", name)["data"]["colour"])

    async def look(self, app: Application | None = None) -> Any:
        """The look that an attempt is made from."""
        wanted = desired(
            *(config_map(name, colour="blue") for name in NAMES),
            app=app or application(syncPolicy=SELF_HEAL),
        )
        return await looked_at(self.cluster, wanted)

    def healing(self) -> Healing:
        """What puts it back."""
        return Healing(
            open_writer=self._open,
            clock=VirtualClock(),
            guards=self.guards,
            journal=self.journal,
            **self.fields,
        )

    async def heal(self, looked: Any = None, **fields: Any) -> Healed:
        """One attempt, from a look that is made now unless another one is given."""
        looked = looked or await self.look()
        entry = looked.desired.entry
        # Nothing else is declared: no other application has to be rendered.
        declared = Declared(entries=(), conditions=(), urls=frozenset())
        workspace = Workspace(
            repositories=None,  # type: ignore[arg-type]
            sandbox=None,  # type: ignore[arg-type]
            clusters=None,  # type: ignore[arg-type]
            contexts=(),
        )
        return await self.healing().heal(
            entry, looked, workspace=workspace, declared=declared, claims=self.claims, **fields
        )

    def _open(self, target: ClusterTarget) -> Writer:
        self.opened.append(target.name)
        return self.writer


def outcomes(healed: Healed) -> dict[str, str]:
    """What became of each object."""
    assert healed.result is not None
    return {one.key.name: str(one.outcome) for one in healed.result.results}


async def test_what_drifted_is_put_back_and_nothing_else() -> None:
    """Two of three: intent of both first, then each one kept, written and told."""
    stage = Stage()
    stage.paint("a", "c")
    healed = await stage.heal()
    assert outcomes(healed) == {"a": "applied", "c": "applied"}
    assert [stage.colour(name) for name in NAMES] == ["blue"] * 3
    assert stage.journal.told == [
        *("intend a c", "before a", "after a applied", "before c", "after c applied"),
    ]
    assert stage.opened == ["one"]
    assert stage.guards.asked[0][1].declared == 3


async def test_nothing_to_do_asks_the_guards_and_opens_nothing() -> None:
    """Guards learn from every look; without a drift there is no writer and no record."""
    stage = Stage()
    healed = await stage.heal()
    assert (healed.plan.tasks, healed.plan.skipped, healed.result) == ((), (), None)
    assert [names for names, _ in stage.guards.asked] == [[]]
    assert (stage.opened, stage.journal.told) == ([], [])


@pytest.mark.parametrize(
    ("rung", "spec"),
    [(Rung.OBSERVE, {"syncPolicy": SELF_HEAL}), (Rung.FIELDS, {})],
    ids=["not opened", "not wanted"],
)
async def test_without_both_consents_not_even_guards_are_asked(rung: Rung, spec: Any) -> None:
    """The operator has opened nothing, or the Application does not ask for it."""
    stage = Stage(rung)
    stage.paint("a")
    healed = await stage.heal(await stage.look(application(**spec)))
    assert healed.plan.refusal
    assert healed.result is None
    assert (stage.guards.asked, stage.opened) == ([], [])
    assert stage.guards.told == [healed.plan.refusal]  # so that they forget what they held


async def test_an_engine_at_work_keeps_driftd_away() -> None:
    """Argo CD has written to an object that is as Git says: nothing at all is healed."""
    stage = Stage()
    stage.cluster.put(config_map("b", colour="blue"), manager="argocd-controller")
    stage.paint("a")
    healed = await stage.heal()
    assert "Argo CD is active" in healed.plan.refusal
    assert (stage.opened, stage.colour("a")) == ([], "red")


async def test_what_cannot_be_recorded_is_not_done() -> None:
    """While the store takes nothing, the plan is made and nobody is asked."""
    stage = Stage(can_record=lambda: False)
    stage.paint("a")
    healed = await stage.heal()
    assert [task.key.name for task in healed.plan.tasks] == ["a"]
    assert (healed.result, stage.guards.asked, stage.opened) == (None, [], [])


async def test_a_guard_holds_everything() -> None:
    """Nothing is intended where nothing is left; the reason stands in the plan."""
    stage = Stage()
    stage.guards = Guards(*NAMES)
    stage.paint("a", "b")
    healed = await stage.heal()
    assert [one.guard for one in healed.plan.skipped] == ["G-19", "G-19"]
    assert (healed.result, stage.journal.told, stage.opened) == (None, [], [])


async def test_a_guard_holds_a_part() -> None:
    """The others are written, and they alone are intended."""
    stage = Stage()
    stage.guards = Guards("b")
    stage.paint(*NAMES)
    healed = await stage.heal()
    assert outcomes(healed) == {"a": "applied", "c": "applied"}
    assert [one.key.name for one in healed.plan.skipped] == ["b"]
    assert stage.journal.told[0] == "intend a c"
    assert [stage.colour(name) for name in NAMES] == ["blue", "red", "blue"]


async def test_guards_without_a_memory_let_nothing_pass() -> None:
    """Where what they remember cannot be read nothing is written, and nothing raises."""
    stage = Stage()
    stage.guards = Guards(broken=True)
    stage.paint("a")
    healed = await stage.heal()
    assert (healed.result, stage.journal.told, stage.opened) == (None, [], [])


@pytest.mark.parametrize(
    ("broken", "written"), [("intend", []), ("before b", ["a"]), ("after a", ["a"])]
)
async def test_a_journal_that_fails_ends_the_writes(broken: str, written: list[str]) -> None:
    """No write without its intent and what it writes over; after a result is lost, no other."""
    stage = Stage()
    stage.journal = Journal(broken)
    stage.paint(*NAMES)
    healed = await stage.heal()
    assert [name for name in NAMES if stage.colour(name) == "blue"] == written
    if broken != "intend":
        assert outcomes(healed)["c"] == "not-tried"


async def test_one_object_that_is_refused_does_not_stop_the_others() -> None:
    """A part is refused: by the dry run for good, by the write for now; the rest is healed."""
    stage = Stage()
    stage.writer.errors = {
        ("a", True): Forbidden("one: may not patch"),
        ("b", False): ClusterError("b has changed", reason="Conflict"),
    }
    stage.paint(*NAMES)
    healed = await stage.heal()
    assert outcomes(healed) == {"a": "not-healable", "b": "conflict", "c": "applied"}
    assert [stage.colour(name) for name in NAMES] == ["red", "red", "blue"]
    kept = [text for text in stage.journal.told if text.startswith("before")]
    # Nothing has changed in `b` that the look did not know: it is tried three times.
    assert kept == [*["before b"] * 3, "before c"]


async def test_what_admission_undoes_is_not_written() -> None:
    """The dry run is compared as the look compares: a write in vain is none."""
    stage = Stage()
    stage.paint("a")

    def repainted(document: Any, **named: Any) -> Any:
        body = {**document, "data": {"colour": "green"}}
        return MemoryCluster.made(stage.cluster, body, **named)

    stage.cluster.made = repainted  # type: ignore[method-assign]
    looked = await stage.look()
    healed = await stage.heal(looked)
    assert outcomes(healed) == {"a": "not-healable"}
    assert healed.result is not None
    assert "still not hold what Git says at /data/colour" in healed.result.results[0].message
    assert stage.writer.applied == [("a", True)]


async def test_without_sending_only_the_guards_are_asked() -> None:
    """A preview: the plan after the guards, no journal and no writer."""
    stage = Stage()
    stage.paint("a")
    healed = await stage.heal(send=False)
    assert [task.key.name for task in healed.plan.tasks] == ["a"]
    assert healed.result is None
    assert [names for names, _ in stage.guards.asked] == [["a"]]
    assert (stage.journal.told, stage.opened, stage.colour("a")) == ([], [], "red")


async def test_the_rung_dry_run_leaves_no_record() -> None:
    """Only dry runs are sent, and nothing is intended."""
    stage = Stage(Rung.DRY_RUN)
    stage.paint("a", "b")
    healed = await stage.heal()
    assert outcomes(healed) == {"a": "dry-run", "b": "dry-run"}
    assert stage.writer.applied == [("a", True), ("b", True)]
    assert stage.journal.told == []


async def test_an_object_that_another_application_declares_is_left_alone() -> None:
    """By what Git says at this moment, whatever the look knew; the report says so."""
    stage = Stage()
    stage.paint("a", "b")
    other = desired(config_map("a", colour="pink"), app=application(name="rival"))
    looked = await stage.look()
    stage.claims.declare(TARGET, looked.desired)
    stage.claims.declare(TARGET, other)
    healed = await stage.heal(looked)
    assert outcomes(healed) == {"b": "applied"}
    (skipped,) = healed.plan.skipped
    assert "rival" in skipped.reason
    assert "SharedResourceWarning" in [one.type for one in healed.looked.report.conditions]


async def test_a_cluster_that_cannot_be_reached_opens_no_writer() -> None:
    """Without a target, a view or its kinds there is nothing to write through."""
    stage = Stage()
    stage.paint("a")
    looked = await stage.look()
    entry = replace(looked.desired.entry, target=None)
    nowhere = replace(looked, desired=replace(looked.desired, entry=entry))
    blind = replace(looked, view=replace(looked.view, discovery=None))
    for one in (nowhere, replace(looked, view=None), blind):
        healed = await stage.heal(one)
        assert [task.key.name for task in healed.plan.tasks] == ["a"]
        assert healed.result is None
    assert (stage.opened, stage.colour("a")) == ([], "red")


async def test_an_object_whose_status_alone_moved_is_written_all_the_same() -> None:
    """Its version is read anew: nothing that the verdict depends on has changed."""
    stage = Stage()
    stage.paint("a")
    looked = await stage.look()
    body = stage.cluster.read("ConfigMap", "shop", "a")
    stage.cluster.put({**body, "status": {"seen": True}})
    healed = await stage.heal(looked)
    assert outcomes(healed) == {"a": "applied"}
    assert stage.colour("a") == "blue"


async def test_an_object_that_changes_between_plan_and_write_is_not_written() -> None:
    """Once before the dry run, once after it: a conflict, and what came later stands."""
    for dry_run in (True, False):
        stage = Stage()
        stage.paint("a", "b")
        looked = await stage.look()

        def edit(name: str, dry: bool, stage: Stage = stage, when: bool = dry_run) -> None:
            if (name, dry) == ("a", when) and stage.colour("a") == "red":
                stage.paint("a", colour="green")

        stage.writer.meanwhile = edit
        healed = await stage.heal(looked)
        assert outcomes(healed) == {"a": "conflict", "b": "applied"}
        assert (stage.colour("a"), stage.colour("b")) == ("green", "blue")


async def test_an_object_that_is_gone_meanwhile_is_not_made() -> None:
    """Drift was to be put back: that the object is missing is the next look's business."""
    stage = Stage()
    stage.paint("a")
    looked = await stage.look()
    stage.writer.errors = {("a", True): ClusterError("a: the uid differs", reason="Conflict")}
    stage.cluster.delete("ConfigMap", "shop", "a")
    healed = await stage.heal(looked)
    assert outcomes(healed) == {"a": "conflict"}


async def test_a_heal_that_is_cancelled_ends_at_its_write() -> None:
    """What was written is told; the one under way stays intended, and no other is begun."""
    stage = Stage()
    stage.paint(*NAMES)
    stage.writer.blocked["b"] = asyncio.Event()
    work = asyncio.create_task(stage.heal())
    await stage.writer.blocked["b"].wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert stage.journal.told == ["intend a b c", "before a", "after a applied", "before b"]
    assert [stage.colour(name) for name in NAMES] == ["blue", "red", "red"]
    assert stage.writer.applied == [("a", True), ("a", False), ("b", True)]


async def test_the_plain_one_looks_after_nothing() -> None:
    """Without a record there is no heal to follow and no upkeep."""
    stage = Stage()
    healing = stage.healing()
    live = stage.cluster.made(config_map("a", colour="red"))
    assert healing.concerns(live) is False
    assert await healing.upkeep() == []
