"""Each guard: what it holds, until when, and with whose word it lets it pass."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from driftd.model.project import AppProject, AppProjectSpec, SyncWindow
from driftd.model.report import ChangeClass, ResourceStatus
from driftd.settings.healing import Budget, Grace, Healing, Rung
from driftd.settings.quantity import Duration
from driftd.sync.fights import Heal, Quarantine
from driftd.sync.guards import OVERRIDABLE
from driftd.sync.plan import SyncPlan
from driftd.sync.removal import Removal
from driftd.sync.situation import Buckets, Canary
from tests.unit.reports import change, report, resource
from tests.unit.sync.guarding import (
    LONG_AGO,
    NOW,
    REVISION,
    SOURCE_NAME,
    application,
    guarded,
    holds,
    order,
    situation,
    task,
    written,
)

REPLICAS = change("/spec/replicas", desired=3, live=5, manager="kubectl-edit")
WEB = resource("web", REPLICAS)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def many(count, **fields):
    """So many drifted objects."""
    return [resource(f"web-{n:02}", change("/spec/replicas", **fields)) for n in range(count)]


def named(found, name="web"):
    """The guard that holds an object; empty if none does."""
    return holds(found).get(name, ("", "", None))[0]


def test_what_nothing_speaks_against_is_written_and_counted():
    """The task passes, and object and fields are in the log of intended writes."""
    found = guarded(situation(WEB))
    assert (written(found), holds(found)) == (["web"], {})
    assert found.heals == (Heal(WEB.key, ("/spec/replicas",), NOW),)
    assert found.buckets == Buckets(NOW + HOUR / 30, NOW + HOUR / 200)


def test_a_dry_run_counts_nothing():
    """It passes the same guards and leaves budgets and log alone."""
    found = guarded(situation(WEB), rung=Rung.DRY_RUN)
    assert written(found) == ["web"]
    assert (found.heals, found.buckets) == ((), Buckets())


def test_g05_nothing_is_written_unless_the_operator_opened_it():
    """Even if a plan had tasks."""
    found = guarded(situation(WEB), rung=Rung.OBSERVE, tasks=(task(WEB),))
    assert (written(found), named(found)) == ([], "G-05")


@pytest.mark.parametrize(
    "fields",
    [
        {"stopped": "the file /run/freeze exists"},
        {"orders": (order("freeze"),)},
        {"orders": (order("freeze", application="shop"),)},
        {"orders": (order("freeze", application="argocd/shop"),)},
        {"orders": (order("freeze", cluster="production", until=NOW + HOUR),)},
        {"facts": {"application": application(annotations={"driftd.io/freeze": "true"})}},
        {"facts": {"application": application(annotations={"driftd.io/freeze": "yes, please"})}},
    ],
)
def test_g19_a_freeze_holds_everything(fields):
    """Settings, file, command or annotation; an annotation that is not false freezes."""
    found = guarded(situation(WEB, **fields))
    assert (written(found), named(found)) == ([], "G-19")


@pytest.mark.parametrize(
    "fields",
    [
        {"orders": (order("freeze", until=NOW),)},
        {"orders": (order("freeze", application="other/shop"),)},
        {"orders": (order("freeze", cluster="staging"),)},
        {"facts": {"application": application(annotations={"driftd.io/freeze": "false"})}},
    ],
)
def test_g19_a_freeze_of_others_or_that_is_over_holds_nothing(fields):
    """Its scope and its end count; nobody can override one: it is taken back."""
    assert written(guarded(situation(WEB, **fields))) == ["web"]


def test_g23_the_first_complete_look_heals_nothing():
    """The next one does; what was seen first is remembered, so a restart asks no second time."""
    first = guarded(situation(WEB, state={"first_look": None, "identity": ""}))
    assert (written(first), named(first)) == ([], "G-23")
    assert first.state.first_look == NOW
    again = msgspec.structs.replace(situation(WEB), state=first.state)
    assert written(guarded(again, now=NOW + MINUTE)) == ["web"]


def test_g23_a_look_that_is_not_complete_is_no_first_look():
    """Nothing is healed before everything could be judged once."""
    looked = report(WEB, complete=False)
    fresh = {"first_look": None, "identity": ""}
    found = guarded(situation(WEB, looked=looked, state=fresh))
    assert (written(found), found.state.first_look) == ([], None)


def test_g23_another_cluster_is_met_anew():
    """A changed uid, accepted or not, is a first contact."""
    found = guarded(situation(WEB, state={"identity": "production|uid-0"}))
    assert named(found) == "G-23"
    assert "another cluster than before" in holds(found)["web"][1]
    assert found.state.identity == "production|uid-1"


def test_g01_an_empty_render_heals_nothing():
    """S-82: Git that declares nothing is no reason to write."""
    found = guarded(situation(WEB, declared=0))
    assert (written(found), named(found)) == ([], "G-01")


def test_g01_a_shrunken_render_waits_until_it_has_settled():
    """Less than half is left: an hour later that is meant, and a person may say so before."""
    shrunk = situation(WEB, declared=9, state={"declared": 20})
    found = guarded(shrunk)
    assert named(found) == "G-01"
    assert holds(found)["web"][2] == NOW + HOUR
    later = msgspec.structs.replace(shrunk, state=found.state)
    assert named(guarded(later, now=NOW + 59 * MINUTE)) == "G-01"
    settled = guarded(later, now=NOW + HOUR)
    assert (written(settled), settled.state.declared) == (["web"], 9)
    assert written(guarded(situation(WEB, declared=10, state={"declared": 20}))) == ["web"]


def test_g01_what_was_no_complete_look_is_not_learned():
    """Half of the objects unread is no smaller rendering."""
    looked = report(WEB, complete=False)
    found = guarded(situation(WEB, declared=12, looked=looked, state={"declared": 20}))
    assert found.state.declared == 20


def test_g15_an_older_revision_is_not_applied():
    """S-86: one that was seen before the newest, or that Git says is its ancestor."""
    newer = {"revisions": {SOURCE_NAME: (REVISION, "f" * 40)}}
    found = guarded(situation(WEB, state=newer))
    assert (written(found), named(found)) == ([], "G-15")
    assert "0123456789 is older than ffffffffff" in holds(found)["web"][1]
    assert found.state.revisions == newer["revisions"]
    unseen = {"revisions": {SOURCE_NAME: ("f" * 40,)}}
    ancestors = {"f" * 40: frozenset({REVISION})}
    assert named(guarded(situation(WEB, state=unseen, ancestors=ancestors))) == "G-15"
    assert written(guarded(situation(WEB, state=unseen))) == ["web"]


def test_g15_a_rewritten_history_is_not_applied():
    """F-17: what was not made from the newest that was seen waits for a person's order."""
    seen = {"revisions": {SOURCE_NAME: ("f" * 40,)}}
    at = {"state": seen, "rewritten": frozenset({SOURCE_NAME})}
    found = guarded(situation(WEB, **at))
    assert (written(found), named(found)) == ([], "G-15")
    assert "0123456789 does not come from ffffffffff" in holds(found)["web"][1]
    assert found.state.revisions == seen["revisions"]
    orders = (order("override", application="shop", guard="G-15"),)
    ordered = guarded(situation(WEB, orders=orders, **at))
    assert written(ordered) == ["web"]
    assert ordered.state.revisions[SOURCE_NAME] == ("f" * 40, REVISION)


def test_g15_an_order_lets_an_older_revision_be_the_newest():
    """From then on it is what counts."""
    newer = {"revisions": {SOURCE_NAME: (REVISION, "f" * 40)}}
    orders = (order("override", application="shop", guard="G-15"),)
    found = guarded(situation(WEB, state=newer, orders=orders))
    assert written(found) == ["web"]
    assert found.state.revisions[SOURCE_NAME] == ("f" * 40, REVISION)


def test_g21_a_window_holds_until_its_edge():
    """Deny windows of the project, with their end."""
    deny = SyncWindow(kind="deny", schedule="0 12 * * *", duration="1h", applications=("*",))
    project = AppProject(name="shop", spec=AppProjectSpec(sync_windows=(deny,)))
    found = guarded(situation(WEB, facts={"project": project}))
    assert holds(found)["web"] == ("G-21", "deny window 1 of project shop is open", NOW + HOUR)


def test_g04_a_storm_stops_everything_until_it_is_over():
    """More than 30 % within five minutes; it holds on while so much drifts, and then no longer."""
    drifted = many(7)
    found = guarded(situation(*drifted, onset=NOW - MINUTE))
    assert (written(found), found.state.storm_at) == ([], NOW)
    assert {held[0] for held in holds(found).values()} == {"G-04"}
    old = guarded(situation(*drifted, state={"storm_at": NOW - HOUR}))
    assert (written(old), old.state.storm_at) == ([], NOW - HOUR)
    fewer = guarded(situation(*drifted[:6], state={"storm_at": NOW - HOUR}))
    assert (len(written(fewer)), fewer.state.storm_at) == (6, None)


def test_g04_objects_that_were_healed_just_now_count():
    """Six were put back, the seventh is one too many."""
    heals = tuple(Heal(one.key, ("/spec/replicas",), NOW - MINUTE) for one in many(6))
    fresh = NOW - 3 * MINUTE
    assert named(guarded(situation(WEB, onset=fresh, heals=heals))) == "G-04"
    assert written(guarded(situation(WEB, onset=fresh, heals=heals[1:]))) == ["web"]


def test_g04_few_objects_are_no_storm():
    """Three of five is what one person does to a small application."""
    assert len(written(guarded(situation(*many(3), onset=NOW - 3 * MINUTE, declared=5)))) == 3


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (resource("web"), "is Synced, which is not healed"),
        (resource("web", REPLICAS, status=ResourceStatus.PENDING), "is Pending"),
        (resource("web", REPLICAS, status=ResourceStatus.UNKNOWN), "is Unknown"),
        (
            resource(
                "web",
                change("/spec/replicas", ignored_by="baseline b.yaml#1"),
                status=ResourceStatus.OUT_OF_SYNC,
            ),
            "none of its differences is drift",
        ),
        (
            resource(
                "web",
                change("/spec/x", change_class=ChangeClass.REWRITTEN),
                status=ResourceStatus.OUT_OF_SYNC,
            ),
            "none of its differences is drift",
        ),
        (
            resource("web", REPLICAS, change("/spec/y", change_class=ChangeClass.PENDING)),
            "Git is ahead",
        ),
    ],
)
def test_g17_what_is_no_drift_is_never_written(found, said):
    """Rewritten, pending and accepted differences, whatever a plan says and whoever overrides."""
    orders = tuple(order("override", guard=guard) for guard in ("G-17", *OVERRIDABLE))
    decided = guarded(situation(found, orders=orders), tasks=(task(found),))
    assert (written(decided), named(decided)) == ([], "G-17")
    assert said in holds(decided)["web"][1]


def test_g17_an_accepted_missing_object_and_an_unknown_one_stay():
    """A baseline accepts that it is missing; a verdict without the object permits nothing."""
    missing = resource("web", status=ResourceStatus.MISSING)
    accepted = msgspec.structs.replace(missing, ignored_by="baseline b.yaml#1")
    assert named(guarded(situation(accepted), tasks=(task(missing),))) == "G-17"
    assert named(guarded(situation(), tasks=(task(WEB),))) == "G-17"


@pytest.mark.parametrize("value", [{"masked": True}, [{"a": {"masked": True}}]])
def test_g17_a_masked_value_is_never_written(value):
    """Neither applied nor added by a patch."""
    masked = task(WEB, data={"password": value})
    assert named(guarded(situation(WEB), tasks=(masked,))) == "G-17"
    patch = (Removal(op="replace", path="/data/password", value=value),)
    patched = msgspec.structs.replace(task(WEB), removals=patch)
    assert named(guarded(situation(WEB), tasks=(patched,))) == "G-17"


def test_g07_what_git_protects_stays_as_it_is():
    """The manifest's annotation, beside the plan that reads it too."""
    protected = task(WEB, metadata={"annotations": {"driftd.io/heal": "never"}})
    assert named(guarded(situation(WEB), tasks=(protected,))) == "G-07"


def test_g20_a_drift_is_left_alone_for_its_grace_period():
    """Two minutes from when it was seen first, with the moment; then it is healed."""
    fresh = situation(WEB, onset=NOW - MINUTE)
    found = guarded(fresh)
    assert holds(found)["web"] == (
        "G-20",
        "grace period: heals at 2026-03-01 12:01:00 UTC, unless snoozed",
        NOW + MINUTE,
    )
    assert written(guarded(fresh, now=NOW + MINUTE)) == ["web"]
    unseen = situation(WEB, onsets={})
    assert holds(guarded(unseen))["web"][2] == NOW + 2 * MINUTE


def test_g20_critical_drift_is_healed_at_once():
    """And takes the object's other drifts along; a later one of the same weight waits."""
    critical = change("/spec/hostNetwork", severity="critical", live=True)
    both = resource("web", REPLICAS, critical)
    assert written(guarded(situation(both, onset=NOW))) == ["web"]
    policy = Healing(grace=Grace(critical=Duration("5m")))
    assert named(guarded(situation(both, onset=NOW), policy)) == "G-20"
    missing = msgspec.structs.replace(
        resource("web", status=ResourceStatus.MISSING), severity="critical"
    )
    assert written(guarded(situation(missing, onset=NOW))) == ["web"]


def test_g20_a_snooze_holds_an_object_or_an_application():
    """Until it is over, critical or not."""
    both = [WEB, resource("db", REPLICAS)]
    one = order("snooze", application="shop", object="deployment/web", until=NOW + HOUR)
    found = guarded(situation(*both, orders=(one,)))
    assert written(found) == ["db"]
    assert holds(found)["web"] == ("G-20", "snoozed by ann: INC-7", NOW + HOUR)
    every = order("snooze", application="shop", until=NOW + HOUR)
    assert written(guarded(situation(*both, orders=(every,)))) == []
    assert len(written(guarded(situation(*both, orders=(every,)), now=NOW + HOUR))) == 2


def healed(count, minutes=1):
    """So many writes of one field, a minute apart."""
    ages = [timedelta(minutes=minutes * (n + 1)) for n in range(count)]
    return tuple(Heal(WEB.key, ("/spec/replicas",), NOW - age) for age in reversed(ages))


def test_g12_a_field_that_comes_back_is_left_alone_and_its_opponent_named():
    """S-85: three writes in ten minutes, then an hour of quiet and a rule for Git."""
    assert written(guarded(situation(WEB, heals=healed(2)))) == ["web"]
    found = guarded(situation(WEB, heals=healed(3)))
    guard, reason, until = holds(found)["web"]
    assert (guard, until) == ("G-12", NOW + HOUR)
    assert "/spec/replicas is changed by kubectl-edit each time" in reason
    assert (
        "ignoreDifferences: {group: apps, kind: Deployment, name: web, "
        "jsonPointers: [/spec/replicas]}" in reason
    )
    assert [one.count for one in found.state.quarantines] == [1]


def test_g12_a_quarantine_lasts_and_the_next_one_is_twice_as_long():
    """It needs no new writes to hold, and is remembered for a day after it has ended."""
    first = guarded(situation(WEB, heals=healed(3))).state
    later = situation(WEB, state={"quarantines": first.quarantines})
    assert named(guarded(later, now=NOW + 59 * MINUTE)) == "G-12"
    assert written(guarded(later, now=NOW + HOUR)) == ["web"]
    shifted = tuple(
        msgspec.structs.replace(one, since=one.since - 2 * HOUR, until=one.until - 2 * HOUR)
        for one in first.quarantines
    )
    again = guarded(situation(WEB, state={"quarantines": shifted}, heals=healed(3)))
    assert holds(again)["web"][2] == NOW + 2 * HOUR
    old = tuple(
        msgspec.structs.replace(one, since=LONG_AGO - HOUR, until=LONG_AGO)
        for one in first.quarantines
    )
    calm = guarded(situation(WEB, state={"quarantines": old}))
    assert calm.state.quarantines == ()


def test_g12_other_fields_and_slow_changes_are_no_fight():
    """What is counted is one field of one object within ten minutes."""
    other = tuple(Heal(WEB.key, ("/spec/paused",), NOW - MINUTE) for _ in range(5))
    assert written(guarded(situation(WEB, heals=other))) == ["web"]
    assert written(guarded(situation(WEB, heals=healed(3, minutes=4)))) == ["web"]


def test_g12_an_object_that_is_deleted_again_and_again_is_a_fight_too():
    """Nobody is named, and Git is where it would end."""
    missing = resource("web", status=ResourceStatus.MISSING)
    heals = tuple(Heal(WEB.key, ("",), NOW - n * MINUTE) for n in (3, 2, 1))
    found = guarded(situation(missing, heals=heals))
    assert named(found) == "G-12"
    assert "the object is deleted by somebody" in holds(found)["web"][1]


def test_g12_the_table_of_quarantines_is_bounded():
    """The oldest of an application are forgotten first."""
    known = tuple(
        Quarantine(
            key=resource(f"n{n}").key, place="/x", since=NOW - HOUR + n * MINUTE / 100, until=NOW
        )
        for n in range(600)
    )
    found = guarded(situation(WEB, state={"quarantines": known}))
    assert len(found.state.quarantines) == 500
    assert found.state.quarantines[-1].key.name == "n599"


def test_g16_of_many_objects_one_is_written_first_then_a_tenth_then_the_rest():
    """Each part once the last one is Synced."""
    drifted = many(11)
    first = guarded(situation(*drifted, declared=50))
    assert written(first) == ["web-00"]
    assert first.state.canary == Canary(1, (drifted[0].key,), NOW)
    rest = [resource("web-00"), *many(31)[1:]]
    second = guarded(situation(*rest, declared=200, state={"canary": first.state.canary}))
    assert written(second) == ["web-01", "web-02", "web-03"]
    third = guarded(situation(*many(31)[4:], declared=200, state={"canary": second.state.canary}))
    assert (len(written(third)), third.state.canary) == (27, None)


def test_g16_a_first_object_that_drifts_still_stops_the_rest():
    """For an hour; then it begins anew with one."""
    canary = Canary(1, (many(1)[0].key,), NOW - MINUTE)
    drifted = situation(*many(12), declared=50, state={"canary": canary})
    found = guarded(drifted)
    assert written(found) == []
    assert "web-00 was written first and drifts still" in holds(found)["web-05"][1]
    assert holds(found)["web-05"][2] == NOW + HOUR
    later = msgspec.structs.replace(drifted, state=found.state)
    assert len(written(guarded(later, now=NOW + HOUR))) == 1


def test_g16_what_cannot_be_judged_is_no_proof():
    """The rest waits for a look that sees the first object."""
    canary = Canary(1, (WEB.key,), NOW - MINUTE)
    unseen = resource("web", status=ResourceStatus.UNKNOWN)
    found = guarded(situation(unseen, *many(12), declared=50, state={"canary": canary}))
    assert written(found) == []
    assert "cannot be judged yet" in holds(found)["web-05"][1]


def test_g03_no_more_is_written_than_the_budget_has():
    """The rest waits for the moment at which there is a token again."""
    used = Buckets(application=NOW + HOUR - 2 * HOUR / 30)
    found = guarded(situation(*many(5), declared=50, buckets=used))
    assert written(found) == ["web-00", "web-01"]
    guard, reason, until = holds(found)["web-02"]
    assert (guard, until) == ("G-03", NOW + HOUR / 30)
    assert "30 writes an hour for this application" in reason
    assert found.buckets.application == NOW + HOUR


def test_g03_a_cluster_has_a_budget_of_its_own():
    """Whatever its applications have left."""
    policy = Healing(budget=Budget(application=30, cluster=3))
    found = guarded(situation(*many(5), declared=50), policy)
    assert len(written(found)) == 3
    assert "for cluster production" in holds(found)["web-04"][1]


ORDERED = {
    "G-01": {"declared": 9, "state": {"declared": 20}},
    "G-03": {"buckets": Buckets(application=NOW + HOUR)},
    "G-04": {"state": {"storm_at": NOW}, "declared": 1},
    "G-12": {"heals": healed(3)},
    "G-15": {"state": {"revisions": {SOURCE_NAME: (REVISION, "f" * 40)}}},
    "G-16": {"state": {"canary": Canary(1, (WEB.key,), NOW, NOW + HOUR)}},
    "G-20": {"onset": NOW},
    "G-21": {
        "facts": {
            "project": AppProject(
                name="shop",
                spec=AppProjectSpec(sync_windows=(SyncWindow(kind="x", applications=("*",)),)),
            )
        }
    },
    "G-23": {"state": {"first_look": None}},
}


@pytest.mark.parametrize("guard", sorted(OVERRIDABLE))
def test_an_override_lets_one_guard_pass_and_is_told(guard):
    """For its application and its time; the admission names the guard that was overridden."""
    drifted = [WEB, *many(4)] if guard == "G-04" else [WEB]
    fields = ORDERED[guard]
    assert named(guarded(situation(*drifted, **fields))) == guard
    order_ = order("override", application="shop", guard=guard, until=NOW + HOUR)
    found = guarded(situation(*drifted, orders=(order_,), **fields))
    assert "web" in written(found)
    assert found.overridden == {guard}
    for other in ({"application": "other"}, {"guard": "G-99"}, {"until": NOW}):
        wrong = msgspec.structs.replace(order_, **other)
        assert named(guarded(situation(*drifted, orders=(wrong,), **fields))) == guard


def test_what_is_held_is_remembered_for_those_who_ask():
    """Guard, reason and moment of each object, the plan's own reasons too."""
    found = guarded(situation(WEB, resource("x", status=ResourceStatus.EXTRA), onset=NOW))
    assert [(one.key.name, one.guard) for one in found.state.held] == [("x", ""), ("web", "G-20")]


def test_a_look_without_drift_teaches_the_guards():
    """Revisions, sizes and first looks are learned where there is nothing to heal."""
    found = guarded(
        situation(resource("web"), declared=7, state={"revisions": {}, "declared": 0}),
        tasks=(),
    )
    assert found.state.revisions == {SOURCE_NAME: (REVISION,)}
    assert found.state.declared == 7
    assert found.plan == SyncPlan(application="argocd/shop", rung=Rung.FIELDS)
