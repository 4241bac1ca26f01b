"""One heal that a person asks for: preview, conflicts that are looked at anew, what it reports."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import UNSET

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.operations import FLUX
from driftd.controller.guarding import ByHand
from driftd.controller.heal_once import HealedObject, HealReport, heal_once
from driftd.controller.healing import Healing
from driftd.controller.options import CheckOptions
from driftd.errors import ConfigError, Unreachable
from driftd.settings.healing import Healing as HealingSettings
from driftd.settings.healing import HealingRule, Rung
from tests.unit.controller.cluster import MemoryWriter
from tests.unit.controller.conftest import CONTEXTS, World
from tests.unit.controller.test_flux import LIVE, roots
from tests.unit.reports import VirtualClock

pytestmark = pytest.mark.slow

SELF_HEAL = {"automated": {"selfHeal": True}}


class Bench:
    """`shop` and `kept`, which ask for self-healing, and one heal at a time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cluster = world.clusters.one
        self.writer = MemoryWriter(self.cluster)
        self.opened: list[str] = []

    async def heal(
        self,
        *names: str,
        opened: bool = True,
        rung: Rung = Rung.FIELDS,
        by_rule: bool = False,
        undeclared: bool = False,
        **settings: Any,
    ) -> HealReport:
        """One heal of the application that is named, by default `shop`."""
        rule = HealingRule(applications=("*",), rung=rung, undeclared=undeclared)
        chosen = HealingSettings(rules=(rule,), **settings)
        healing = Healing(
            settings=chosen,
            open_writer=self._open,
            clock=VirtualClock(),
            guards=ByHand(policy=chosen),
        )
        return await heal_once(
            self.world.workspace,
            CheckOptions(applications=names or ("shop",)),
            healing,
            opened=opened,
            progress=self.world.progress,
            clock=VirtualClock(),
            by_rule=by_rule,
        )

    def colour(self, name: str = "shop") -> str:
        """The colour that an object has."""
        return str(self.cluster.read("ConfigMap", "shop", name)["data"]["colour"])

    def _open(self, target: ClusterTarget) -> MemoryWriter:
        self.opened.append(target.name)
        return self.writer


@pytest.fixture
def bench(world: World) -> Bench:
    """Both applications ask for self-healing."""
    for name in ("shop", "kept"):
        world.declare(name, syncPolicy=SELF_HEAL)
    world.repo.commit()
    return Bench(world)


async def test_nothing_to_put_back_is_an_empty_report(bench: Bench) -> None:
    """All is as Git says: no object, nothing left, nothing broken, and no writer."""
    report = await bench.heal()
    assert (report.application, report.cluster, report.rung) == ("argocd/shop", "one", "fields")
    assert (report.objects, report.left, report.broken) == ((), False, False)
    assert (report.resources, bench.opened) == ({"Synced": 1}, [])


async def test_an_application_without_drift_needs_no_consent(bench: Bench) -> None:
    """Nobody may write to it, and nothing is to be written: nothing is left."""
    bench.world.declare("shop")
    bench.world.repo.commit()
    report = await bench.heal()
    assert "selfHeal" in str(report.refusal)
    assert (report.objects, report.left, report.broken) == ((), False, False)


async def test_a_preview_sends_nothing(bench: Bench) -> None:
    """The plan with fields, action and impact, without an outcome; the rung is `observe`."""
    bench.world.paint("shop", "red")
    report = await bench.heal(opened=False)
    (one,) = report.objects
    assert (report.rung, one.action, bool(one.outcome)) == ("observe", "apply", False)
    assert [(c.path, c.live, c.desired) for c in one.changes] == [("/data/colour", "red", "blue")]
    assert (report.left, report.broken, bench.opened, bench.colour()) == (True, False, [], "red")


async def test_only_the_one_that_was_named_is_put_back(bench: Bench) -> None:
    """A missing object is created, whatever else drifted in other applications."""
    bench.cluster.delete("ConfigMap", "shop", "shop")
    bench.world.paint("kept", "red")
    preview = await bench.heal(opened=False)
    assert preview.objects[0].impact == ("the object is created",)
    report = await bench.heal("argocd/shop")
    assert [(one.action, one.outcome) for one in report.objects] == [("create", "applied")]
    assert (bench.colour(), bench.colour("kept")) == ("blue", "red")
    assert (report.left, report.broken) == (False, False)


async def test_none_or_several_of_that_name_are_an_error(bench: Bench) -> None:
    """Nothing is healed by a slip of the pen: the error names what there is."""
    with pytest.raises(ConfigError, match="shpo"):
        await bench.heal("shpo")
    with pytest.raises(ConfigError, match=r"heal takes one application, and \* names 2") as raised:
        await bench.heal("*")
    assert raised.value.hint == "choose one of: argocd/kept, argocd/shop"
    assert bench.opened == []


async def test_a_conflict_is_looked_at_anew_and_not_for_ever(bench: Bench) -> None:
    """Edits between look and write: the next look decides; after three it is a conflict."""
    apply, edits = MemoryWriter.apply, iter(["green", "yellow"])

    async def edited_first(self: MemoryWriter, *given: Any, **named: Any) -> Any:
        colour = next(edits, "") if not named["dry_run"] else ""
        if colour:
            bench.world.paint("shop", colour)
        return await apply(self, *given, **named)

    bench.writer.apply = edited_first.__get__(bench.writer)  # type: ignore[method-assign]
    bench.world.paint("shop", "red")
    report = await bench.heal()
    (one,) = report.objects
    assert (one.outcome, one.changes[0].live, bench.colour()) == ("applied", "yellow", "blue")
    edits = iter(["red", "green", "yellow", "pink"])
    bench.world.paint("shop", "black")
    report = await bench.heal()
    (one,) = report.objects
    assert (one.outcome, bench.colour(), next(edits)) == ("conflict", "yellow", "pink")
    assert (report.left, report.broken) == (True, False)


async def test_what_an_earlier_look_wrote_stays_in_the_report(bench: Bench) -> None:
    """One object in conflict costs the report nothing of the others."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "also"}}
    bench.world.repo.write("apps/shop/also.json", json.dumps({**body, "data": {"colour": "blue"}}))
    bench.world.repo.commit()
    bench.world.paint("shop", "red")
    bench.world.paint("also", "red")
    apply, edits = MemoryWriter.apply, iter(["green"])

    async def edited_first(self: MemoryWriter, *given: Any, **named: Any) -> Any:
        colour = next(edits, "") if given[2] == "shop" and not named["dry_run"] else ""
        if colour:
            bench.world.paint("shop", colour)
        return await apply(self, *given, **named)

    bench.writer.apply = edited_first.__get__(bench.writer)  # type: ignore[method-assign]
    report = await bench.heal()
    assert {one.name: one.outcome for one in report.objects} == {
        "also": "applied",
        "shop": "applied",
    }
    writes = [name for name, dry_run in bench.writer.applied if not dry_run]
    assert writes == ["also", "shop", "shop"]  # the second of `shop` is the next look's


async def test_a_guard_holds_everything(bench: Bench) -> None:
    """Frozen by the settings: each object with the guard and its fields, and no writer."""
    bench.world.paint("shop", "red")
    report = await bench.heal(frozen=True)
    (one,) = report.objects
    assert (one.action, one.guard, [c.path for c in one.changes]) == (
        "none", "G-19", ["/data/colour"],
    )  # fmt: skip
    assert "healing.frozen" in str(one.reason)
    assert (report.left, report.broken, bench.opened) == (True, False, [])


async def test_without_the_applications_consent_the_refusal_is_told(bench: Bench) -> None:
    """An Application that asks for no self-healing is left alone, whoever asks: what it would take
    is shown, and nothing asked of the cluster.
    """
    bench.world.declare("shop")
    bench.world.repo.commit()
    bench.world.paint("shop", "red")
    report = await bench.heal()
    assert "selfHeal" in str(report.refusal)
    (one,) = report.objects
    assert ([change.path for change in one.changes], one.outcome) == (["/data/colour"], UNSET)
    assert (report.left, report.broken) == (True, False)
    assert (bench.opened, bench.colour()) == ([], "red")


async def test_what_was_added_stays_until_somebody_asks(bench: Bench) -> None:
    """Beside a field that is put back, and alone: each with the way to have it removed."""
    for name, colour in (("shop", "red"), ("kept", "blue")):
        body = {"apiVersion": "v1", "kind": "ConfigMap"}
        body["metadata"] = {"name": name, "namespace": "shop"}
        bench.cluster.put({**body, "data": {"colour": colour, "extra": "1"}}, manager="alice")
    for name, action in (("shop", "apply"), ("kept", "none")):
        for by_rule, way in ((False, "--undeclared"), (True, "undeclared: true")):
            (one,) = (await bench.heal(name, opened=False, by_rule=by_rule)).objects
            assert (one.action, one.remains) == (action, ("/data/extra",))
            assert [c.path for c in one.staying] == ["/data/extra"] * (action == "apply")
            assert way in str(one.reason)
    (one,) = (await bench.heal(opened=False, undeclared=True)).objects
    assert (one.action, one.staying, one.reason) == ("patch", (), UNSET)


async def test_what_was_added_where_no_flag_helps(bench: Bench) -> None:
    """Nothing may be written to it: then `--undeclared` removes nothing, and is not told."""
    bench.world.declare("shop")
    bench.world.repo.commit()
    body = {"apiVersion": "v1", "kind": "ConfigMap"}
    body["metadata"] = {"name": "shop", "namespace": "shop"}
    bench.cluster.put({**body, "data": {"colour": "blue", "extra": "1"}}, manager="alice")
    (one,) = (await bench.heal(opened=False)).objects
    assert "an apply leaves that: edit the live object" in str(one.reason)


async def test_flux_that_is_suspended_is_resumed_first(bench: Bench) -> None:
    """A refusal names the command; an application without drift needs none."""
    roots(bench.world, "east")
    kind = FLUX["Kustomization"][0]
    bench.cluster.resources.append(kind)
    bench.cluster.put({**LIVE, "apiVersion": f"{kind.group}/v1", "spec": {"suspend": True}})
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap"}
    body["metadata"] = {"name": "map", "namespace": "shop"}
    bench.world.workspace = replace(bench.world.workspace, contexts=CONTEXTS[:1])
    for colour, left in (("red", True), ("blue", False)):
        bench.cluster.put({**body, "data": {"colour": colour}}, manager="alice")
        report = await bench.heal("sync")
        told = "is suspended live; flux resume kustomization sync -n flux-system comes first"
        assert (report.left, str(report.refusal).endswith(told)) == (left, left)


async def test_a_dry_run_is_told_as_one(bench: Bench) -> None:
    """The API server would take it: that is an outcome, and something is left."""
    bench.world.paint("shop", "red")
    report = await bench.heal(rung=Rung.DRY_RUN)
    assert [one.outcome for one in report.objects] == ["dry-run"]
    assert (report.left, report.broken, bench.colour()) == (True, False, "red")


async def test_what_cannot_be_seen_is_broken_and_not_written(bench: Bench) -> None:
    """A cluster that does not answer: incomplete, with the reason, and no writer."""
    bench.world.paint("shop", "red")
    bench.cluster.down = Unreachable("cluster one: timed out")
    report = await bench.heal()
    assert (report.complete, report.broken, bench.opened) == (False, True, [])
    assert "timed out" in " ".join(one.message for one in report.conditions)


@pytest.mark.parametrize(
    ("outcome", "remains", "left", "broken"),
    [
        ("applied", (), False, False),
        ("unchanged", (), False, False),
        ("applied", ("/data/extra",), True, False),
        ("dry-run", (), True, False),
        ("conflict", (), True, False),
        ("not-healable", (), True, False),
        ("failed", (), True, True),
        ("not-tried", (), True, True),
    ],
)
def test_what_outcomes_mean(
    outcome: str, remains: tuple[str, ...], left: bool, broken: bool
) -> None:
    """Only what is as Git says is over; only what could not be sent is broken."""
    one = HealedObject(
        group="", kind="ConfigMap", namespace="shop", name="shop", action="apply",
        remains=remains, outcome=outcome,
    )  # fmt: skip
    report = HealReport(
        application="argocd/shop", cluster="one", rung="fields", complete=True, objects=(one,)
    )
    assert (report.left, report.broken) == (left, broken)
