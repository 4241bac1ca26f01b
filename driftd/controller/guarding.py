"""The guards at work: gathers what they decide from, keeps what they remember, wakes in time.

The decision itself is `sync.guards.admit`. What it lets pass is counted in the store before this
returns: a process that dies right after a write has counted it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from driftd.controller.rewritings import IsRewritten, Move
from driftd.errors import DriftdError, StoreError
from driftd.settings.healing import Healing, Rung
from driftd.store.guards import GuardStore
from driftd.store.sql import SqlStore
from driftd.store.types import DriftKey, EpisodeQuery, GuardMemory, HistoryEntry
from driftd.sync.fights import Heal
from driftd.sync.guards import CANARY, Admission, admit
from driftd.sync.orders import Order
from driftd.sync.plan import SyncPlan
from driftd.sync.revisions import sources
from driftd.sync.seams import Facts, Wake
from driftd.sync.situation import Buckets, GuardState, Held, Situation
from driftd.sync.standing_orders import StandingOrders
from driftd.telemetry.logs import get_logger
from driftd.telemetry.metrics import Metrics

EVENT: Final = "guard"
"""The kind of the history entry that says what a guard began to hold."""
_EPISODES: Final = 100_000
_ANCESTORS: Final = 2_000
_NAMED: Final = 10
"""Objects that a history entry names."""

ReadAncestors = Callable[[str, str, int], Awaitable[Sequence[str]]]
"""Commits of a repository (URL) from a revision back, at most so many. Raises DriftdError."""


def _nobody(_name: str, _at: datetime) -> None:
    """Nobody keeps deadlines: the next look comes by itself."""


@dataclass(slots=True, kw_only=True)
class Guarding:
    """`Guards` over a store; one decision at a time, so that budgets are shared truly."""

    policy: Healing
    store: SqlStore
    metrics: Metrics
    orders: StandingOrders | None = None
    """None where no file is named: then nobody can order anything."""
    ancestors: ReadAncestors | None = None
    is_rewritten: IsRewritten | None = None
    _wake: Wake = _nobody
    _states: dict[str, GuardState] = field(default_factory=dict)
    """What the store has, so that looks at what is as it was read and write nothing."""
    _unread: bool = True
    """Whether there may be states in the store that are not among these."""
    _wakes: dict[str, datetime] = field(default_factory=dict)
    _orders: tuple[Order, ...] = ()
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def admit(self, plan: SyncPlan, facts: Facts, now: datetime) -> SyncPlan:
        """See `Guards`. Also a plan without tasks is to be handed over: guards learn from it."""
        async with self._lock:
            situation = await self._situation(plan, facts, now)
            found = admit(plan, situation, self.policy, now)
            await self._keep(plan, situation, found, now)
        self._tell(facts, situation.state, found)
        return found.plan

    async def foresee(self, plan: SyncPlan, facts: Facts, now: datetime) -> SyncPlan:
        """What would be let pass now, for whoever only asks: nothing is kept, counted or told.

        Whoever asks may know the cluster by another name, so it counts as the one that was seen.
        Raises StoreError.
        """
        situation = await self._situation(plan, facts, now)
        seen = situation.state.identity or situation.identity
        situation = msgspec.structs.replace(situation, identity=seen)
        return admit(plan, situation, self.policy, now).plan

    async def refused(self, plan: SyncPlan, facts: Facts, now: datetime) -> None:
        """See `Guards`. What is open is said to be left alone for that reason.

        Where no rung is open that is nothing to tell of.
        """
        name = plan.application
        async with self._lock:
            if self._unread:
                every = await GuardStore(self.store).states()
                self._states = {one: _decoded(state) for one, state in every.items()} | self._states
                self._unread = False
            tells = plan.rung is not Rung.OBSERVE
            drifted = [one.key for one in facts.report.resources if one.is_drift and tells]
            state = self._states.get(name, GuardState())
            held = tuple(Held(key, "", plan.refusal) for key in drifted)
            if held != state.held:
                state = msgspec.structs.replace(state, held=held)
                memory = GuardMemory(state=msgspec.json.encode(state))
                forget = now - self._span()
                store = GuardStore(self.store)
                await store.remember(name, facts.cluster, memory, now, forget=forget)
                self._states[name] = state
        self._wakes.pop(name, None)
        self.metrics.held(name, {})

    def waking(self, wake: Wake) -> None:
        """See `Guards`."""
        self._wake = wake

    def due(self, now: datetime) -> list[str]:
        """The applications to be looked at again, as a guard may let pass now what it held."""
        found = [name for name, at in self._wakes.items() if at <= now]
        try:
            orders = self.orders.read() if self.orders is not None else ()
        except StoreError:
            orders = ()
        if orders != self._orders:
            self._orders = orders
            found += [name for name, state in self._states.items() if state.held]
        for name in found:
            self._wakes.pop(name, None)
        return list(dict.fromkeys(found))

    async def _situation(self, plan: SyncPlan, facts: Facts, now: datetime) -> Situation:
        name = facts.application.qualified_name
        guards, since = GuardStore(self.store), now - self._span()
        memory = GuardMemory()
        if plan.tasks or name not in self._states:
            memory = await guards.recall(name, facts.cluster, since)
        state = self._states.get(name)
        if state is None:
            state = _decoded(memory.state)
        uid = await self.store.pinned(facts.cluster, facts.target_server)
        orders, stopped = ordered(self.policy, self.orders)
        return Situation(
            facts=facts,
            identity=f"{facts.cluster}|{facts.target_server}|{uid}",
            state=state,
            heals=tuple(msgspec.json.decode(heal, type=Heal) for heal in memory.heals),
            buckets=Buckets(memory.application_full_at, memory.cluster_full_at),
            orders=orders,
            stopped=stopped,
            onsets=await self._onsets(name) if plan.tasks else {},
            ancestors=await self._ancestors(facts, state),
            rewritten=await self._rewritten(facts, state),
        )

    def _span(self) -> timedelta:
        """How far back writes matter."""
        return max(self.policy.quarantine.within.delta, self.policy.storm.within.delta)

    async def _onsets(self, name: str) -> Mapping[DriftKey, datetime]:
        query = EpisodeQuery(application=name, is_open=True, limit=_EPISODES)
        return {one.drift.key: one.drift.first_seen for one in await self.store.episodes(query)}

    async def _ancestors(self, facts: Facts, state: GuardState) -> Mapping[str, frozenset[str]]:
        """What the newest revisions are made from, where another one comes that is new."""
        found: dict[str, frozenset[str]] = {}
        for source, revision in sources(facts.application, facts.report.revisions).items():
            seen = state.revisions.get(source, ())
            if self.ancestors is None or not seen or revision in seen:
                continue
            try:
                commits = await self.ancestors(source.partition("|")[0], seen[-1], _ANCESTORS)
            except DriftdError as error:
                get_logger("driftd.controller").debug("ancestors", problem=error.message)
                continue
            found[seen[-1]] = frozenset(commits) - {seen[-1]}
        return found

    async def _rewritten(self, facts: Facts, state: GuardState) -> frozenset[str]:
        """The sources whose branch does not come from the newest revision that was seen."""
        found = set()
        application = facts.application
        for source, revision in sources(application, facts.report.revisions).items():
            seen = state.revisions.get(source, ())
            if self.is_rewritten is None or not seen or revision in seen:
                continue
            url, named = source.split("|")[:2]
            move = Move(url, application.spec.project, named, seen[-1], revision)
            try:
                if await self.is_rewritten(move):
                    found.add(source)
            except DriftdError as error:
                get_logger("driftd.controller").debug("history", problem=error.message)
        return frozenset(found)

    async def _keep(
        self, plan: SyncPlan, situation: Situation, found: Admission, now: datetime
    ) -> None:
        """Keep the decision before anything is written. Raises StoreError."""
        name = situation.name
        if found.state == situation.state and name in self._states and not found.heals:
            return
        memory = GuardMemory(
            state=msgspec.json.encode(found.state),
            heals=tuple(msgspec.json.encode(heal) for heal in found.heals),
            application_full_at=found.buckets.application,
            cluster_full_at=found.buckets.cluster,
        )
        await GuardStore(self.store).remember(
            name,
            situation.facts.cluster,
            memory,
            now,
            forget=now - self._span(),
            events=_events(name, situation.state.held, found, now),
        )
        self._states[name] = found.state

    def _tell(self, facts: Facts, before: GuardState, found: Admission) -> None:
        name = facts.application.qualified_name
        counts: dict[str, int] = {}
        for one in found.state.held:
            if one.guard:
                counts[one.guard] = counts.get(one.guard, 0) + 1
        self.metrics.held(name, counts)
        log = get_logger("driftd.controller")
        for guard, reason in _begun(before.held, found.state.held).items():
            log.info("not healed", application=name, guard=guard, reason=reason[0].reason)
        for guard in sorted(found.overridden):
            log.warning("guard overridden", application=name, guard=guard)
        # The rest waits for a canary only once there is one.
        waits = [
            one.until
            for one in found.plan.skipped
            if one.until is not None and one.guard and (one.guard != CANARY or found.heals)
        ]
        if found.plan.rung is not Rung.FIELDS or not waits:
            self._wakes.pop(name, None)
            return
        self._wakes[name] = min(waits)
        self._wake(name, min(waits))


async def held_in(dsn: str) -> Mapping[str, tuple[Held, ...]]:
    """What guards hold back of each application (`namespace/name`) by what a store says.

    Raises StoreError and ConfigError.
    """
    async with SqlStore.existing(dsn) as store:
        states = await GuardStore(store).states()
    return {name: _decoded(state).held for name, state in states.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """`Guards` where a person heals one application once: those that need no memory."""

    policy: Healing
    orders: StandingOrders | None = None

    async def admit(self, plan: SyncPlan, facts: Facts, now: datetime) -> SyncPlan:
        """See `Guards`."""
        orders, stopped = ordered(self.policy, self.orders)
        situation = Situation(
            facts=facts, identity="", orders=orders, stopped=stopped, by_hand=True
        )
        return admit(plan, situation, self.policy, now).plan

    async def refused(self, plan: SyncPlan, facts: Facts, now: datetime) -> None:
        """See `Guards`."""

    def waking(self, wake: Wake) -> None:
        """See `Guards`."""

    def due(self, now: datetime) -> list[str]:
        """See `Guards`."""
        return []


def ordered(policy: Healing, file: StandingOrders | None) -> tuple[tuple[Order, ...], str]:
    """The orders of persons, and why nothing is healed anywhere; empty if that is not so."""
    if policy.frozen:
        return (), "healing.frozen is set"
    if policy.freeze_file:
        path = Path(policy.freeze_file)
        try:
            first = path.read_text(encoding="utf-8", errors="replace")[:200].partition("\n")[0]
            return (), f"the file {path} exists{f': {first.strip()}' if first.strip() else ''}"
        except FileNotFoundError:
            pass
        except OSError as error:
            return (), f"whether the file {path} exists cannot be seen: {error.strerror}"
    try:
        return (file.read() if file is not None else ()), ""
    except StoreError as error:
        return (), error.message


def _decoded(state: bytes) -> GuardState:
    """What was remembered; what an older driftd wrote otherwise counts as a first contact."""
    if not state:
        return GuardState()
    try:
        return msgspec.json.decode(state, type=GuardState)
    except msgspec.MsgspecError:
        return GuardState()


def _begun(before: Sequence[Held], now: Sequence[Held]) -> dict[str, list[Held]]:
    """What each guard holds that it did not hold before."""
    known = {(one.key, one.guard) for one in before}
    found: dict[str, list[Held]] = {}
    for one in now:
        if one.guard and (one.key, one.guard) not in known:
            found.setdefault(one.guard, []).append(one)
    return found


def _events(
    name: str, before: Sequence[Held], found: Admission, now: datetime
) -> list[HistoryEntry]:
    """What the history says: each guard that began to hold something, and what was overridden."""
    events = [
        HistoryEntry(
            name,
            now,
            EVENT,
            {
                "guard": guard,
                "reason": held[0].reason,
                "objects": [str(one.key) for one in held[:_NAMED]],
                "more": max(0, len(held) - _NAMED),
                "until": held[0].until.isoformat() if held[0].until is not None else "",
            },
        )
        for guard, held in _begun(before, found.state.held).items()
    ]
    events += [
        HistoryEntry(name, now, EVENT, {"guard": guard, "reason": "overridden", "overridden": True})
        for guard in sorted(found.overridden)
        if found.heals
    ]
    return events
