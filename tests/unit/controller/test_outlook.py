"""What `driftd explain` and `driftd check` say of a daemon's healing and silences."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftd.cli.commands.explain import sentences
from driftd.clock import rfc3339
from driftd.controller.check import check
from driftd.controller.explain import Explanation, explain
from driftd.controller.explain_question import Question
from driftd.controller.guarding import Guarding
from driftd.controller.healing import Healing
from driftd.controller.options import CheckOptions
from driftd.model.silence import Silence
from driftd.settings.healing import Rung
from driftd.store.audit import new_id
from driftd.store.chain import AuditRecord
from driftd.store.guards import GuardStore
from driftd.store.ledger import Ledger
from driftd.store.silences import change
from driftd.store.sql import SqlStore
from driftd.sync.orders import FREEZE, Order
from driftd.sync.standing_orders import StandingOrders
from driftd.telemetry.metrics import Metrics
from tests.unit.controller.conftest import World
from tests.unit.controller.test_reconciler import SELF_HEAL, Bench
from tests.unit.reports import VirtualClock

pytestmark = pytest.mark.slow


class Asked(Bench):
    """A daemon, and a person beside it who asks."""

    config: Path

    def build(self, **settings: Any) -> Any:
        """With the guards that a daemon has."""
        built = Bench.build(self, **settings)
        guards = Guarding(
            policy=built.settings.healing, store=self.store, metrics=Metrics("0"), orders=None
        )
        built.healing = Healing(
            settings=built.settings.healing,
            open_writer=self._open,
            clock=self.clock,
            guards=guards,
        )
        return built

    def options(self) -> CheckOptions:
        """A look of one's own, with the daemon's settings."""
        return CheckOptions(repo=self.world.repo.path, config=self.config)

    async def explain(self) -> Explanation:
        """Why the object of `shop` drifted, and what becomes of it."""
        question = Question(application="shop", resource="configmap/shop")
        options = CheckOptions(
            repo=self.world.repo.path, applications=("shop",), config=self.config
        )
        progress = self.world.progress
        return await explain(
            self.world.workspace, options, question, progress=progress, clock=self.clock
        )

    def say(self, **fields: Any) -> None:
        """Write the settings."""
        self.config.write_text(json.dumps(fields))


@pytest.fixture
async def asked(world: World, tmp_path: Path) -> AsyncIterator[Asked]:
    """`shop`, opened for healing; its ConfigMap has drifted since the daemon's second look."""
    world.declare("shop", syncPolicy=SELF_HEAL)
    world.repo.commit()
    dsn = f"sqlite:///{tmp_path}/driftd.db"
    store = await SqlStore.open(dsn)
    bench = Asked(world, store)
    bench.config = tmp_path / "driftd.yaml"
    bench.say(store={"dsn": dsn}, healing={"rules": [{"applications": ["shop"], "rung": "fields"}]})
    bench.open(Rung.FIELDS)
    await bench.sweep()
    world.paint("shop", "red")
    await bench.sweep()
    yield bench
    await store.close()


async def test_heals_at_the_end_of_the_grace_period(asked: Asked) -> None:
    """Two minutes after the daemon saw the drift first, whenever one asks; then the next look."""
    at = rfc3339((asked.clock.now() + timedelta(minutes=2)).replace(microsecond=0))
    asked.clock.advance(30)
    found = await asked.explain()
    assert (found.outlook.heals_at, found.outlook.guard) == (at, "G-20")
    lines = list(sentences(found, asked=False))
    assert (
        f"Healing by the daemon, rung fields: heals at {at}, unless somebody snoozes it (G-20)"
        in lines
    )
    assert "  does then   apply the declared object (sync wave 0)" in lines
    asked.clock.advance(91)
    found = await asked.explain()
    assert (found.outlook.next_look, found.outlook.reason) == (True, "")
    told = list(sentences(found, asked=False))
    assert "Healing by the daemon, rung fields: heals with the next look" in told


async def test_asking_leaves_the_store_as_it_is(asked: Asked) -> None:
    """No write is counted, no guard learns anything, and the daemon heals as if nobody had."""
    before = await GuardStore(asked.store).states()
    for _ in range(3):
        asked.clock.advance(60)
        await asked.explain()
    assert await GuardStore(asked.store).states() == before
    assert (await asked.sweep())["argocd/shop"] is True
    assert (await asked.explain()).resource.is_drift is False


async def test_a_freeze_counts_at_once(asked: Asked) -> None:
    """The order is read from its file, before the daemon has looked again."""
    now = asked.clock.now()
    order = Order(id="1", kind=FREEZE, at=now, by="ann@host", reason="INC-1")
    file = StandingOrders(asked.config.with_name("driftd.db-orders.json"))
    file.change(lambda known: (*known, order))
    outlook = (await asked.explain()).outlook
    assert outlook.guard == "G-19"
    assert "ann@host" in outlook.reason
    assert outlook.heals_at == ""


async def test_an_application_that_waits_for_a_person(asked: Asked) -> None:
    """Why healing was stopped, and the command that lets it go on."""
    record = AuditRecord(id=new_id(), at=asked.clock.now(), kind="halt", application="argocd/shop")
    await Ledger(asked.store).halt("argocd/shop", "Deployment web is Degraded", record)
    reason = (await asked.explain()).outlook.reason
    assert reason == "Deployment web is Degraded; `driftd resume` lets it be healed again"


async def test_what_is_not_open_says_so(asked: Asked) -> None:
    """Without a rule the daemon only reports; what a rule would do is told beside it."""
    asked.say(store={"dsn": f"sqlite:///{asked.config.parent}/driftd.db"})
    found = await asked.explain()
    assert (found.outlook.rung, found.outlook.heals_at) == ("observe", "")
    text = "\n".join(sentences(found, asked=False))
    assert "rung observe: not healed: no rule of healing.rules opens the application\n" in text
    assert "  would do    apply the declared object (sync wave 0)" in text


async def test_a_store_that_is_not_there_is_not_made(asked: Asked) -> None:
    """The explanation goes on without it, says why it does not know, and makes no file."""
    away = asked.config.parent / "away"
    rules = [{"applications": ["shop"], "rung": "fields"}]
    asked.say(store={"dsn": f"sqlite:///{away}/driftd.db"}, healing={"rules": rules})
    outlook = (await asked.explain()).outlook
    assert outlook.reason.startswith("not known: ")
    assert not away.exists()
    assert any(text.startswith("note: what guards remember") for text in asked.world.told)


async def test_silences_of_the_file_are_told(asked: Asked) -> None:
    """Check has a condition, explain the covered place; what covers nothing is not mentioned."""
    now = asked.clock.now()
    silence = Silence(
        id="b0c1d2e3", until=now + timedelta(hours=2), owner="ann", reason="load test",
        application="shop", path="/data/*", ticket="OPS-1",
    )  # fmt: skip
    other = Silence(id="ffff", until=now + timedelta(hours=2), owner="bob", reason="x", path="/no")
    file = asked.config.with_name("driftd.db-silences.json")
    change(file, now, lambda _: (silence, other))
    found = await asked.explain()
    (told,) = found.silences
    assert (told.id, told.paths) == ("b0c1d2e3", ("/data/colour",))
    lines = list(sentences(found, asked=False))
    until = rfc3339(silence.until)
    assert f"Silenced by ann: load test (OPS-1); not told before {until}" in lines
    assert "  covers      data.colour" in lines
    progress = asked.world.progress
    report = await check(
        asked.world.workspace, asked.options(), progress=progress, clock=asked.clock
    )
    conditions = {one.name: [c.message for c in one.conditions] for one in report.applications}
    assert conditions["kept"] == []
    what = "messages about /data/* of shop are silenced by ann: load test (OPS-1)"
    assert conditions["shop"] == [f"{what}; until {silence.until.isoformat()}"]
    asked.clock.advance(7200)
    assert (await asked.explain()).silences == ()


async def test_a_file_of_silences_that_is_none_is_noted(asked: Asked) -> None:
    """The look goes on, and says that it does not know them."""
    asked.config.with_name("driftd.db-silences.json").write_text("{")
    assert (await asked.explain()).silences == ()
    assert any("silences are not known" in text for text in asked.world.told)


async def test_the_annotation_is_told_without_settings(world: World) -> None:
    """Explain names the silence of Git by itself."""
    until = "2026-03-02T00:00:00Z"
    note = f"until={until}; reason=sale; owner=team-shop; path=/data/colour"
    world.declare("shop", annotations={"driftd.io/silence": note})
    world.repo.commit()
    world.paint("shop", "red")

    found = await explain(
        world.workspace,
        CheckOptions(repo=world.repo.path, applications=("shop",)),
        Question(application="shop", resource="configmap/shop"),
        progress=world.progress,
        clock=VirtualClock(),
    )
    ((told, paths),) = [(one.told, one.paths) for one in found.silences]
    assert (told, paths) == ("silenced by team-shop: sale", ("/data/colour",))
