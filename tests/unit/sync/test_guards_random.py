"""Random applications over random hours: no guard is ever violated, as told by another count.

`GUARD_PLANS` says how many plans; a sample of them is the default.
"""

from __future__ import annotations

import os
import random
from collections import Counter, deque
from datetime import datetime, timedelta

import msgspec

from driftd.model.project import AppProject, AppProjectSpec, SyncWindow
from driftd.model.report import Change, ChangeClass, ChangeKind, ResourceStatus
from driftd.settings.healing import Budget, Healing, Rung
from driftd.store.types import DriftKey
from driftd.sync.fights import places
from driftd.sync.guards import admit
from driftd.sync.plan import SyncPlan
from driftd.sync.situation import Buckets, GuardState
from tests.unit.reports import change, report, resource
from tests.unit.sync.guarding import NOW, application, order, situation, task

PLANS = int(os.environ.get("GUARD_PLANS", "600"))
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SHAS = [f"{n:040x}" for n in range(6)]
DENY = SyncWindow(kind="deny", schedule="0 */2 * * *", duration="40m", applications=("*",))
PROJECT = AppProject(name="shop", spec=AppProjectSpec(sync_windows=(DENY,)))


def some_change(chance: random.Random) -> Change:
    """A difference of any kind, class and severity."""
    found = change(
        f"/spec/field{chance.randrange(4)}",
        change_class=chance.choices(list(ChangeClass), [8, 4, 1, 1, 1, 1])[0],
        kind=chance.choice([ChangeKind.MODIFIED, ChangeKind.ADDED, ChangeKind.MISSING]),
        severity=chance.choice(["critical", "high", "medium", "low"]),
        manager=chance.choice(["hpa", "kubectl-edit"]),
    )
    accepted = chance.random() < 0.15
    return msgspec.structs.replace(found, ignored_by="baseline b#1") if accepted else found


class World:
    """One application for some hours; what is written to it is kept."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = NOW
        self.size = chance.choice([2, 8, 15, 60])
        self.wild = chance.random() < 0.5
        self.policy = Healing(
            budget=Budget(application=chance.choice([3, 30]), cluster=chance.choice([5, 200]))
        )
        self.state, self.buckets = GuardState(), Buckets()
        self.heals: deque = deque()
        self.onsets: dict[DriftKey, datetime] = {}
        self.newest = 0
        self.complete_looks = 0
        self.identity = "production|1"
        self.declared_before = 0

    def resources(self) -> list:
        """Objects, most of them Synced but for a wild moment."""
        share = self.chance.choice([0.05, 0.2, 0.8]) if self.wild else 0.08
        found = []
        for number in range(self.size):
            name = f"o{number}"
            if self.chance.random() > share:
                found.append(resource(name))
            elif self.chance.random() < 0.2:
                found.append(resource(name, status=ResourceStatus.MISSING))
            else:
                changes = {
                    one.path: one
                    for one in (some_change(self.chance) for _ in range(self.chance.randint(1, 3)))
                }
                odd = self.chance.random() < 0.1
                status = ResourceStatus.UNKNOWN if odd else ResourceStatus.OUT_OF_SYNC
                found.append(resource(name, *changes.values(), status=status))
        return found

    def look(self) -> None:
        """One look: a plan without any sense, what the guards make of it, and what is checked."""
        chance = self.chance
        self.now += timedelta(seconds=chance.choice([1, 20, 60, 130, 600, 3000]))
        if chance.random() < 0.02:
            self.identity = f"production|{chance.randrange(3)}"
        self.newest = min(self.newest + (chance.random() < 0.1), len(SHAS) - 1)
        rendered = self.newest if chance.random() < 0.9 else chance.randrange(self.newest + 1)
        resources = self.resources()
        declared = chance.choices([self.size, self.size // 3, 0], [20, 1, 1])[0]
        complete = chance.random() < 0.9
        looked = msgspec.structs.replace(
            report(*resources, complete=complete), revisions=(SHAS[rendered],)
        )
        onsets = {}
        for one in resources:
            for place, it in places(one).items():
                key = DriftKey(one.key, place, str(it.kind) if it else str(one.status))
                onsets[key] = self.onsets.get(key, self.now)
        frozen = chance.random() < 0.05
        orders = (order("freeze", at=self.now, application="shop"),) if frozen else ()
        it = situation(
            declared=declared,
            looked=looked,
            onsets=dict(self.onsets),
            heals=tuple(self.heals),
            buckets=self.buckets,
            orders=orders,
            ancestors={sha: frozenset(SHAS[:n]) for n, sha in enumerate(SHAS)},
            facts={"project": PROJECT, "application": application()},
        )
        it = msgspec.structs.replace(it, state=self.state, identity=self.identity)
        rung = chance.choices([Rung.FIELDS, Rung.DRY_RUN, Rung.OBSERVE], [20, 1, 1])[0]
        made = [task(one) for one in resources if chance.random() < 0.95]
        for index in range(len(made)):
            if chance.random() < 0.03:
                body = {"metadata": {"annotations": {"driftd.io/heal": "never"}}}
                body = chance.choice([body, {"data": {"x": {"masked": True}}}])
                made[index] = task(resources[index], **body)
        planned = SyncPlan(application=it.name, rung=rung, tasks=tuple(made))
        found = admit(planned, it, self.policy, self.now)
        self.check(planned, found, it, onsets, frozen=frozen, rendered=rendered)
        self.onsets = onsets
        self.state = found.state
        self.buckets = found.buckets
        self.heals += found.heals
        self.complete_looks += complete
        if complete:
            self.declared_before = self.state.declared

    def check(self, planned, found, it, onsets, *, frozen, rendered) -> None:
        """Every guard's promise, counted anew from the whole past."""
        tasks, now = found.plan.tasks, self.now
        keys = [one.key for one in tasks]
        held = [one.key for one in found.plan.skipped]
        # Nothing is added, changed, lost or put into another order.
        assert [one for one in planned.tasks if one in tasks] == list(tasks)
        assert Counter(keys + held) == Counter(one.key for one in planned.tasks)
        assert all(one.guard and one.reason for one in found.plan.skipped)
        assert all(one.until is None or one.until >= now for one in found.plan.skipped)
        if found.plan.rung is Rung.DRY_RUN:
            assert (found.heals, found.buckets) == ((), it.buckets)
            return
        assert [heal.key for heal in found.heals] == keys
        if not tasks:
            return
        by_key = {one.key: one for one in it.facts.report.resources}
        assert found.plan.rung is Rung.FIELDS
        assert not frozen
        assert not (now.hour % 2 == 0 and now.minute < 40)
        assert self.state.identity == self.identity
        assert self.complete_looks > 0
        assert it.facts.declared > 0
        assert rendered == self.newest or SHAS[self.newest] not in str(self.state.revisions)
        for one in tasks:
            self.check_object(one, by_key[one.key], onsets)
        self.check_counts(tasks, planned, by_key, it)

    def check_object(self, one, seen, onsets) -> None:
        """What may be written at all, and not too soon or too often."""
        assert b'"masked"' not in one.body
        assert b"driftd.io/heal" not in one.body
        drift = [c for c in seen.changes if c.is_drift]
        assert seen.status is ResourceStatus.MISSING or drift
        assert all(c.change_class is not ChangeClass.PENDING for c in seen.changes)
        assert seen.status in (ResourceStatus.MISSING, ResourceStatus.OUT_OF_SYNC)
        grace = {"critical": timedelta(0)}
        due = [
            onset + grace.get((place_change(seen, key.path) or {}).get("severity"), 2 * MINUTE)
            for key, onset in onsets.items()
            if key.resource == seen.key
        ]
        has_critical = any(c.severity == "critical" for c in drift)
        assert (min(due) if has_critical else max(due)) <= self.now
        for place in places(seen):
            recent = [
                heal
                for heal in self.heals
                if heal.key == seen.key
                and place in heal.places
                and self.now - heal.at < 10 * MINUTE
            ]
            assert len(recent) < 3

    def check_counts(self, tasks, planned, by_key, it) -> None:
        """Budgets, canaries and storms."""
        every = [*(heal.at for heal in self.heals), *[self.now] * len(tasks)]
        for limit in (self.policy.budget.application, self.policy.budget.cluster):
            for index, begin in enumerate(every):
                span = (self.now - begin) / HOUR
                assert len(every) - index <= limit * (1 + span) + 1e-6
        if len(tasks) > 10:
            assert self.state.canary is not None
            assert self.state.canary.stage == 2
        drifted = [key for key, one in by_key.items() if one.is_drift]
        fresh = {
            key
            for key in drifted
            if any(
                key == one.resource and onset > self.now - 5 * MINUTE
                for one, onset in self.fresh_onsets(by_key).items()
            )
        }
        total = it.facts.declared
        assert len(fresh) < 4 or len(fresh) * 100 <= 30 * total

    def fresh_onsets(self, by_key) -> dict[DriftKey, datetime]:
        """When each drift of now was seen first."""
        found = {}
        for one in by_key.values():
            for place, it in places(one).items():
                key = DriftKey(one.key, place, str(it.kind) if it else str(one.status))
                found[key] = self.onsets.get(key, self.now)
        return found


def place_change(seen, place):
    """The severity of the change at a place."""
    for one in seen.changes:
        if one.is_drift and one.place == place:
            return {"severity": one.severity}
    return None


def test_no_guard_is_violated_by_random_plans():
    """Twenty looks at each random application; some of all plans do write."""
    chance = random.Random(20261126)  # noqa: S311
    looks = writes = 0
    while looks < PLANS:
        world = World(random.Random(chance.random()))  # noqa: S311
        for _ in range(20):
            world.look()
            looks += 1
        writes += len(world.heals)
    assert writes > PLANS / 20
