"""The guards over a real store: what they remember, whom they wake, and what they record."""

from __future__ import annotations

from datetime import timedelta

import pytest

from driftd.controller.guarding import ByHand, Guarding, held_in, ordered
from driftd.errors import SourceError
from driftd.settings.healing import Healing, Rung
from driftd.store.sql import SqlStore
from driftd.store.types import EpisodeQuery
from driftd.sync.orders import Orders
from driftd.sync.plan import SyncPlan
from driftd.sync.seams import Facts
from driftd.sync.standing_orders import StandingOrders
from driftd.telemetry.metrics import Metrics
from tests.unit.reports import change, report, resource
from tests.unit.sync.guarding import NOW, SOURCE_NAME, order, planned, situation

pytestmark = pytest.mark.slow

WEB = resource("web", change("/spec/replicas", desired=3, live=5, manager="hpa"))
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def looked(*resources, **fields) -> tuple:
    """A plan and the facts of a look at an application."""
    it = situation(*resources, **fields)
    return planned(it), it.facts


@pytest.fixture
async def store(tmp_path):
    """A store of its own."""
    opened = await SqlStore.open(f"sqlite:///{tmp_path}/d.db")
    opened.dsn = f"sqlite:///{tmp_path}/d.db"
    yield opened
    await opened.close()


def guards(store, tmp_path, **fields) -> Guarding:
    """The guards of a daemon that was started now."""
    given = {
        "policy": Healing(),
        "metrics": Metrics("0"),
        "orders": StandingOrders(tmp_path / "orders.json"),
        **fields,
    }
    return Guarding(store=store, **given)


async def drifted(store, at):
    """Record a look that found the drift."""
    await store.record(report(WEB), at, lambda _change: ())


async def test_the_first_look_holds_and_wakes_the_second_which_heals(store, tmp_path):
    """G-23 and G-20: at once for the first contact, at the end of the grace period for the heal."""
    woken = []
    at_work = guards(store, tmp_path)
    at_work.waking(lambda name, at: woken.append((name, at)))
    plan, facts = looked(WEB)
    first = await at_work.admit(plan, facts, NOW)
    assert [one.guard for one in first.skipped] == ["G-23"]
    await drifted(store, NOW)
    second = await at_work.admit(plan, facts, NOW + SECOND)
    assert [one.guard for one in second.skipped] == ["G-20"]
    assert woken == [("argocd/shop", NOW), ("argocd/shop", NOW + timedelta(minutes=2))]
    assert at_work.due(NOW + timedelta(minutes=1)) == []
    assert at_work.due(NOW + timedelta(minutes=2)) == ["argocd/shop"]
    third = await at_work.admit(plan, facts, NOW + timedelta(minutes=2))
    assert [task.key.name for task in third.tasks] == ["web"]
    events = await store.history("argocd/shop", 10)
    held = [one.data["guard"] for one in events if one.kind == "guard"]
    assert held == ["G-20", "G-23"]


async def test_what_was_intended_is_counted_after_a_crash(store, tmp_path):
    """Three writes by three processes, each of which dies at once; the fourth writes nothing."""
    await guards(store, tmp_path).admit(*looked(WEB), NOW - 3 * HOUR)
    await drifted(store, NOW - 2 * HOUR)
    written = []
    for second in range(4):
        fresh = guards(store, tmp_path)
        found = await fresh.admit(*looked(WEB), NOW + second * SECOND)
        written.append(len(found.tasks))
    assert written == [1, 1, 1, 0]
    assert [one.guard for one in found.skipped] == ["G-12"]


async def test_a_dry_run_and_a_look_without_news_write_nothing(store, tmp_path):
    """The store is left alone where nothing was learned."""
    at_work = guards(store, tmp_path)
    plan, facts = looked(resource("web"))
    await at_work.admit(plan, facts, NOW)
    await at_work.admit(plan, facts, NOW + SECOND)
    commits = store._writer.commits
    await at_work.admit(plan, facts, NOW + 2 * SECOND)
    assert store._writer.commits == commits


async def test_an_order_holds_at_once_and_its_end_wakes(store, tmp_path):
    """G-19: the file is read with each decision, and a change of it asks for new looks."""
    at_work = guards(store, tmp_path)
    file = StandingOrders(tmp_path / "orders.json")
    await at_work.admit(*looked(WEB), NOW - 3 * HOUR)
    await drifted(store, NOW - 2 * HOUR)
    file.change(lambda _before: (order("freeze", application="shop"),))
    found = await at_work.admit(*looked(WEB), NOW)
    assert [one.guard for one in found.skipped] == ["G-19"]
    at_work.due(NOW)
    file.change(lambda _before: ())
    assert at_work.due(NOW) == ["argocd/shop"]
    assert len((await at_work.admit(*looked(WEB), NOW)).tasks) == 1


async def test_an_override_is_in_the_history(store, tmp_path):
    """What was healed although a guard would have held it."""
    at_work = guards(store, tmp_path)
    await at_work.admit(*looked(WEB), NOW - 3 * HOUR)
    await drifted(store, NOW)
    one = order("override", application="shop", guard="G-20", until=NOW + HOUR)
    StandingOrders(tmp_path / "orders.json").change(lambda _before: (one,))
    assert len((await at_work.admit(*looked(WEB), NOW + SECOND)).tasks) == 1
    newest = (await store.history("argocd/shop", 1))[0]
    assert (newest.kind, newest.data["guard"], newest.data["overridden"]) == ("guard", "G-20", True)


async def test_git_says_which_revision_is_older(store, tmp_path):
    """Ancestors are asked for where another revision comes; who cannot be asked knows none."""
    asked = []

    async def ancestors(url, revision, _limit):
        asked.append((url, revision))
        return [revision, "0123456789abcdef0123456789abcdef01234567"]

    at_work = guards(store, tmp_path, ancestors=ancestors)
    plan, facts = looked(WEB)
    newer = report(WEB)
    newer = type(newer)(**{
        **{name: getattr(newer, name) for name in newer.__struct_fields__},
        "revisions": ("f" * 40,),
    })  # fmt: skip
    await at_work.admit(*looked(WEB, looked=newer), NOW - 3 * HOUR)
    await drifted(store, NOW - 2 * HOUR)
    found = await at_work.admit(plan, facts, NOW)
    assert asked == [(SOURCE_NAME.partition("|")[0], "f" * 40)]
    assert [one.guard for one in found.skipped] == ["G-15"]

    async def unknown(_url, _revision, _limit):
        raise SourceError("no such repository")

    other = guards(store, tmp_path, ancestors=unknown)
    assert len((await other.admit(plan, facts, NOW)).tasks) == 1


async def test_git_says_which_history_was_rewritten(store, tmp_path):
    """Asked where a revision comes that was not seen; a repository that is away holds nothing."""
    asked = []

    async def rewritten(move):
        asked.append((move.old, move.new, move.project))
        if len(asked) > 1:
            raise SourceError("no such repository")
        return True

    at_work = guards(store, tmp_path, is_rewritten=rewritten)
    plan, facts = looked(WEB)
    other = report(WEB)
    other = type(other)(**{
        **{name: getattr(other, name) for name in other.__struct_fields__},
        "revisions": ("f" * 40,),
    })  # fmt: skip
    await at_work.admit(*looked(WEB, looked=other), NOW - 3 * HOUR)
    await drifted(store, NOW - 2 * HOUR)
    found = await at_work.admit(plan, facts, NOW)
    assert [one.guard for one in found.skipped] == ["G-15"]
    assert len((await at_work.admit(plan, facts, NOW)).tasks) == 1
    assert {one[:2] for one in asked} == {("f" * 40, facts.report.revisions[0])}


async def test_a_pinned_identity_that_changes_is_a_first_contact(store, tmp_path):
    """G-23 once more, though name and address are the same."""
    at_work = guards(store, tmp_path)
    plan, facts = looked(WEB)
    facts = Facts(
        **{
            **{n: getattr(facts, n) for n in facts.__struct_fields__},
            "target_server": "https://one",
        }
    )
    await store.pin("production", "https://one", "uid-1", NOW)
    await at_work.admit(plan, facts, NOW - 3 * HOUR)
    await drifted(store, NOW - 2 * HOUR)
    await store.pin("production", "https://one", "uid-2", NOW)
    found = await at_work.admit(plan, facts, NOW)
    assert [one.guard for one in found.skipped] == ["G-23"]
    open_now = await store.episodes(EpisodeQuery(is_open=True))
    assert len(open_now) == 1


async def test_by_hand_needs_no_memory_but_a_freeze_holds(tmp_path):
    """A person's heal waits for no grace period; who froze the application is asked first."""
    file = StandingOrders(tmp_path / "orders.json")
    plan, facts = looked(WEB, onsets={})
    by_hand = ByHand(policy=Healing(), orders=file)
    assert len((await by_hand.admit(plan, facts, NOW)).tasks) == 1
    assert by_hand.due(NOW) == []
    file.change(lambda _before: (order("freeze"),))
    found = await by_hand.admit(plan, facts, NOW)
    assert [one.guard for one in found.skipped] == ["G-19"]
    assert plan.rung is Rung.FIELDS


def test_what_freezes_everything(tmp_path):
    """The settings, the file with its reason, and orders that nobody can read."""
    freeze, orders = tmp_path / "freeze", tmp_path / "orders.json"
    file = StandingOrders(orders)
    assert ordered(Healing(frozen=True), file)[1] == "healing.frozen is set"
    policy = Healing(freeze_file=str(freeze))
    assert ordered(policy, file) == ((), "")
    freeze.write_text("INC-7, until Monday\nmore\n")
    assert ordered(policy, file)[1] == f"the file {freeze} exists: INC-7, until Monday"
    orders.write_text("{")
    assert "orders.json cannot be read" in ordered(Healing(), file)[1]
    orders.write_text('{"orders":[],"version":2}')
    assert "orders.json cannot be read" in ordered(Healing(), file)[1]
    assert ordered(Healing(), None) == ((), "")
    assert Orders().orders == ()


async def test_a_rung_that_is_closed_leaves_nothing_held(store, tmp_path):
    """Metric, episodes and the next wake go with it, also after a restart; the rest stays."""
    metrics = Metrics("0")
    at_work = guards(store, tmp_path, metrics=metrics)
    plan, facts = looked(WEB)
    await at_work.admit(plan, facts, NOW)
    await drifted(store, NOW)
    await at_work.admit(plan, facts, NOW + SECOND)
    assert [one.guard for one in (await held_in(store.dsn))["argocd/shop"]] == ["G-20"]
    closed = SyncPlan(application="argocd/shop", rung=Rung.OBSERVE, refusal="not open")
    for fresh in (at_work, guards(store, tmp_path, metrics=metrics)):
        await fresh.refused(closed, facts, NOW + 2 * SECOND)
        assert (await held_in(store.dsn))["argocd/shop"] == ()
        assert 'driftd_heals_held{guard="G-20"} 0.0' in metrics.exposition().decode()
        assert fresh.due(NOW + HOUR) == []
        await fresh.admit(plan, facts, NOW + 3 * SECOND)  # it was known before: no first contact
        assert [one.guard for one in (await held_in(store.dsn))["argocd/shop"]] == ["G-20"]


async def test_an_open_application_that_is_refused_says_why(store, tmp_path):
    """Episodes have the reason of the whole plan in place of the guard's, which is over."""
    metrics = Metrics("0")
    at_work = guards(store, tmp_path, metrics=metrics)
    plan, facts = looked(WEB)
    await at_work.admit(plan, facts, NOW)
    halted = SyncPlan(application="argocd/shop", rung=Rung.FIELDS, refusal="web is Degraded")
    await at_work.refused(halted, facts, NOW + SECOND)
    (held,) = (await held_in(store.dsn))["argocd/shop"]
    assert (held.key, held.guard, held.reason) == (WEB.key, "", "web is Degraded")
    assert 'driftd_heals_held{guard="G-23"} 0.0' in metrics.exposition().decode()


async def test_what_was_never_open_writes_nothing(store, tmp_path):
    """Most applications are only looked at: their guards have no state."""
    facts = looked(WEB)[1]
    closed = SyncPlan(application="argocd/shop", rung=Rung.OBSERVE, refusal="not open")
    await guards(store, tmp_path).refused(closed, facts, NOW)
    assert await held_in(store.dsn) == {}
