"""The guards: which of the planned writes may be made now. Pure, and they only take away.

Each has the number under which docs/healing.md describes it. What one holds back is `skipped` with
its number, the reason, and the moment from which on it would let it pass, where that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from driftd.model.report import ResourceReport
from driftd.model.resource import ResourceKey
from driftd.settings.healing import Healing, Rung
from driftd.store.types import DriftKey
from driftd.sync import budget, canaries, fights, fitness, revisions
from driftd.sync.orders import FREEZE, OVERRIDE, SNOOZE, in_force, told
from driftd.sync.plan import Skipped, SyncPlan, SyncTask
from driftd.sync.situation import Buckets, GuardState, Held, Situation
from driftd.sync.windows import Place, permission

FREEZE_ANNOTATION: Final = "driftd.io/freeze"

RENDER: Final = "G-01"
BUDGET: Final = "G-03"
STORM: Final = "G-04"
DETECT_ONLY: Final = "G-05"
PROTECTED: Final = "G-07"
FIGHT: Final = "G-12"
REVISION: Final = "G-15"
CANARY: Final = "G-16"
UNFIT: Final = "G-17"
FROZEN: Final = "G-19"
GRACE: Final = "G-20"
WINDOW: Final = "G-21"
CONTACT: Final = "G-23"

OVERRIDABLE: Final = frozenset(
    {RENDER, BUDGET, STORM, FIGHT, REVISION, CANARY, GRACE, WINDOW, CONTACT}
)
"""Guards that a person can let pass. For the others something has to be changed: the settings,
Git, or the freeze has to be taken back."""

BY_HAND: Final = frozenset({RENDER, DETECT_ONLY, PROTECTED, UNFIT, FROZEN, WINDOW})
"""Guards that hold also what a person heals by hand."""


class Hold(NamedTuple):
    """Why a guard holds something back."""

    reason: str
    until: datetime | None = None


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What the guards decided, and what they remember from now on."""

    plan: SyncPlan
    state: GuardState
    buckets: Buckets
    heals: tuple[fights.Heal, ...] = ()
    """What is counted as written."""
    overridden: frozenset[str] = frozenset()
    """Guards that would have held something, had a person not said otherwise."""


def admit(plan: SyncPlan, situation: Situation, policy: Healing, now: datetime) -> Admission:
    """Move every task that may not run now to `skipped`; the rest is counted as written.

    A dry run passes the same guards, and counts nothing.
    """
    return _Decision(plan, situation, policy, now).taken()


def heals_at(
    resource: ResourceReport,
    onsets: Mapping[DriftKey, datetime],
    policy: Healing,
    now: datetime,
) -> datetime:
    """When the grace period of an object ends.

    Each drift has its own, from its onset on. The whole object is written at once: as soon as the
    last one is over, or the first critical one.
    """
    ends: list[tuple[bool, datetime]] = []
    for place, change in fights.places(resource).items():
        kind = str(change.kind) if change is not None else str(resource.status)
        severity = (change.severity if change is not None else resource.severity) or ""
        onset = onsets.get(DriftKey(resource.key, place, kind), now)
        ends.append((severity == "critical", onset + policy.grace.of(severity)))
    critical = [end for is_critical, end in ends if is_critical]
    return min(critical) if critical else max((end for _, end in ends), default=now)


class _Decision:
    """One decision; the steps narrow the tasks down."""

    def __init__(
        self, plan: SyncPlan, situation: Situation, policy: Healing, now: datetime
    ) -> None:
        self._plan = plan
        self._it = situation
        self._policy = policy
        self._now = now
        self._state = situation.state
        self._skipped: list[Skipped] = []
        self._overridden: set[str] = set()
        self._resources = {one.key: one for one in situation.facts.report.resources}
        cluster = situation.facts.cluster
        self._snoozes = tuple(in_force(situation.orders, SNOOZE, situation.name, cluster, now))
        self._lets = frozenset(
            one.guard for one in in_force(situation.orders, OVERRIDE, situation.name, cluster, now)
        )

    def taken(self) -> Admission:
        """All guards in order: what holds everything, what holds an object, what is too many."""
        tasks = list(self._plan.tasks)
        whole: tuple[tuple[str, Callable[[], Hold | None]], ...] = (
            (DETECT_ONLY, self._detect_only),
            (FROZEN, self._frozen),
            (CONTACT, self._contact),
            (RENDER, self._render),
            (REVISION, self._revision),
            (WINDOW, self._window),
            (STORM, self._storm),
        )
        # Each of them has to see each look: some learn from it.
        for guard, ask in whole:
            if self._it.by_hand and guard not in BY_HAND:
                continue
            hold = ask()
            if hold is not None and tasks and self._counts(guard):
                self._skip(tasks, guard, hold)
                tasks = []
        each: tuple[tuple[str, Callable[[SyncTask], Hold | None]], ...] = (
            (UNFIT, self._unfit),
            (PROTECTED, self._protected),
            (GRACE, self._grace),
            (FIGHT, self._fight),
        )
        for guard, judge in each:
            if self._it.by_hand and guard not in BY_HAND:
                continue
            tasks = self._sorted_out(tasks, guard, judge)
        if not self._it.by_hand:
            tasks = self._limited(tasks, CANARY, self._canary(tasks))
            tasks = self._limited(tasks, BUDGET, self._budget(tasks))
        return self._admission(tasks)

    def _admission(self, tasks: list[SyncTask]) -> Admission:
        writes = tasks if self._plan.rung is not Rung.DRY_RUN else []
        buckets, limits = self._it.buckets, self._policy.budget
        heals = tuple(
            fights.Heal(task.key, tuple(fights.places(self._resources[task.key])), self._now)
            for task in writes
        )
        if self._plan.rung is not Rung.DRY_RUN:
            progress = canaries.after(
                self._state.canary, [t.key for t in tasks], self._rest(CANARY), self._now
            )
            self._remember(canary=progress)
        every = [*self._plan.skipped, *self._skipped]
        self._remember(held=tuple(Held(s.key, s.guard, s.reason, s.until) for s in every))
        return Admission(
            plan=msgspec.structs.replace(self._plan, tasks=tuple(tasks), skipped=tuple(every)),
            state=self._state,
            buckets=Buckets(
                budget.spent(buckets.application, limits.application, self._now, len(writes)),
                budget.spent(buckets.cluster, limits.cluster, self._now, len(writes)),
            ),
            heals=heals,
            overridden=frozenset(self._overridden),
        )

    def _counts(self, guard: str) -> bool:
        """Whether a guard that would hold something does."""
        if guard in self._lets and guard in OVERRIDABLE:
            self._overridden.add(guard)
            return False
        return True

    def _skip(self, tasks: list[SyncTask], guard: str, hold: Hold) -> None:
        self._skipped += [
            Skipped(task.key, hold.reason, task.remains, guard, hold.until) for task in tasks
        ]

    def _sorted_out(
        self, tasks: list[SyncTask], guard: str, judge: Callable[[SyncTask], Hold | None]
    ) -> list[SyncTask]:
        """The tasks that a guard of single objects lets pass."""
        kept: list[SyncTask] = []
        for task in tasks:
            hold = judge(task)
            if hold is not None and self._counts(guard):
                self._skip([task], guard, hold)
            else:
                kept.append(task)
        return kept

    def _limited(
        self, tasks: list[SyncTask], guard: str, limit: tuple[int, Hold] | None
    ) -> list[SyncTask]:
        """The first tasks, as many as a guard permits."""
        if limit is None or len(tasks) <= limit[0] or not self._counts(guard):
            return tasks
        self._skip(tasks[limit[0] :], guard, limit[1])
        return tasks[: limit[0]]

    def _rest(self, guard: str) -> int:
        return sum(one.guard == guard for one in self._skipped)

    def _remember(self, **fields: object) -> None:
        self._state = msgspec.structs.replace(self._state, **fields)

    def _detect_only(self) -> Hold | None:
        if self._plan.rung is Rung.OBSERVE:
            return Hold("the operator has not opened healing for this application")
        return None

    def _frozen(self) -> Hold | None:
        if self._it.stopped:
            return Hold(f"frozen: {self._it.stopped}")
        annotation = self._it.facts.application.annotations.get(FREEZE_ANNOTATION, "false")
        if annotation.strip().lower() not in ("false", ""):
            return Hold(f"frozen: the Application says {FREEZE_ANNOTATION}: {annotation!r}")
        orders = self._it.orders
        for one in in_force(orders, FREEZE, self._it.name, self._it.facts.cluster, self._now):
            return Hold(f"frozen {told(one)}", one.until)
        return None

    def _contact(self) -> Hold | None:
        """Nothing is healed by the first complete look at an application on a cluster."""
        state, it = self._state, self._it
        known = state.identity == it.identity and state.first_look is not None
        if known and state.first_look is not None and state.first_look < self._now:
            return None
        again = state.identity not in ("", it.identity)
        why = "another cluster than before" if again else "its cluster"
        if not it.facts.report.complete:
            if again:
                self._remember(first_look=None)
            return Hold(f"nothing is healed before the first complete look at it on {why}")
        if not known:
            self._remember(identity=it.identity, first_look=self._now, declared=0, canary=None)
        return Hold(f"this is the first complete look at it on {why}", self._now)

    def _render(self) -> Hold | None:
        """Nothing at all is declared, or so much less than before that it may be a mistake."""
        now, declared, state = self._now, self._it.facts.declared, self._state
        limits = self._policy.shrinking
        if declared == 0:
            return Hold("Git declares nothing at all")
        gone = state.declared - declared
        if gone < limits.objects or declared * 100 >= state.declared * limits.percent:
            if self._it.facts.report.complete:
                self._remember(declared=declared, shrunk_at=None)
            return None
        since = state.shrunk_at or now
        until = since + limits.settles.delta
        if now >= until or RENDER in self._lets:
            self._remember(declared=declared, shrunk_at=None)
            if now >= until:
                return None
        else:
            self._remember(shrunk_at=since)
        return Hold(
            f"Git declares {declared} objects and declared {state.declared} before: "
            "that may be a mistake",
            until,
        )

    def _revision(self) -> Hold | None:
        facts = self._it.facts
        found = revisions.sources(facts.application, facts.report.revisions)
        its = self._it
        why = revisions.older(self._state.revisions, found, its.ancestors, its.rewritten)
        if not why or REVISION in self._lets:
            self._remember(revisions=revisions.seen_with(self._state.revisions, found))
        return Hold(why) if why else None

    def _window(self) -> Hold | None:
        facts = self._it.facts
        destination = facts.application.spec.destination
        clusters = (destination.name, destination.server, facts.cluster, facts.server)
        place = Place(facts.application.name, destination.namespace, clusters)
        found = permission(facts.project, place, self._now, manual=self._it.by_hand)
        return None if found.allowed else Hold(found.reason, found.until)

    def _storm(self) -> Hold | None:
        """So much drifts at once that it may be driftd that is wrong."""
        limits, total = self._policy.storm, max(self._it.facts.declared, 1)

        def many(keys: set[ResourceKey]) -> bool:
            return len(keys) >= limits.objects and len(keys) * 100 > total * limits.percent

        drifted = {key for key, one in self._resources.items() if one.is_drift}
        since = self._now - limits.within.delta
        fresh = {key for key in drifted if self._onset(self._resources[key]) > since}
        fresh |= {heal.key for heal in self._it.heals if heal.at > since}
        if not many(fresh) and (self._state.storm_at is None or not many(drifted)):
            self._remember(storm_at=None)
            return None
        self._remember(storm_at=self._state.storm_at or self._now)
        return Hold(
            f"{len(fresh | drifted)} of {total} objects drifted at about the same time: is it the "
            f"right revision, the right cluster? If so: driftd override {self._it.name} {STORM}"
        )

    def _onset(self, resource: ResourceReport) -> datetime:
        """When the latest drift of an object was seen first."""
        found = [self._now]
        for place, change in fights.places(resource).items():
            kind = str(change.kind) if change is not None else str(resource.status)
            found.append(self._it.onsets.get(DriftKey(resource.key, place, kind), self._now))
        return max(found[1:], default=self._now)

    def _unfit(self, task: SyncTask) -> Hold | None:
        reason = fitness.problem(task, self._resources.get(task.key))
        return Hold(reason) if reason else None

    def _protected(self, task: SyncTask) -> Hold | None:
        return Hold(fitness.PROTECTED) if fitness.is_protected(task) else None

    def _grace(self, task: SyncTask) -> Hold | None:
        for one in self._snoozes:
            if one.names(task.key):
                return Hold(f"snoozed {told(one)}", one.until)
        at = heals_at(self._resources[task.key], self._it.onsets, self._policy, self._now)
        if at <= self._now:
            return None
        return Hold(f"grace period: heals at {at:%Y-%m-%d %H:%M:%S} UTC, unless snoozed", at)

    def _fight(self, task: SyncTask) -> Hold | None:
        limits, known = self._policy.quarantine, self._state.quarantines
        resource = self._resources[task.key]
        active, begun = fights.held(known, self._it.heals, resource, limits, self._now)
        self._remember(quarantines=fights.kept(known, begun, limits, self._now))
        if not active:
            return None
        longest = max(active, key=lambda one: one.until)
        return Hold(longest.reason, longest.until)

    def _canary(self, tasks: list[SyncTask]) -> tuple[int, Hold] | None:
        if self._plan.rung is Rung.DRY_RUN:
            return None
        lasts = self._policy.quarantine.lasts.delta
        found = canaries.judged(self._state.canary, self._resources, lasts, self._now)
        self._remember(canary=found)
        allowed = canaries.allowed(found, self._resources, len(tasks), self._policy.canary)
        if allowed >= len(tasks):
            return None
        return allowed, Hold(*canaries.reason(found, self._resources, self._now))

    def _budget(self, tasks: list[SyncTask]) -> tuple[int, Hold] | None:
        if self._plan.rung is Rung.DRY_RUN:
            return None
        limits, it = self._policy.budget, self._it
        cluster = f"cluster {it.facts.cluster}"
        found = (
            (it.buckets.application, limits.application, "this application"),
            (it.buckets.cluster, limits.cluster, cluster),
        )
        full_at, per_hour, whose = min(
            found, key=lambda one: budget.left(one[0], one[1], self._now)
        )
        left = budget.left(full_at, per_hour, self._now)
        if left >= len(tasks):
            return None
        spent = budget.spent(full_at, per_hour, self._now, left)
        return left, Hold(
            f"the budget of {per_hour} writes an hour for {whose} is used up",
            budget.refilled(spent, per_hour, self._now),
        )
