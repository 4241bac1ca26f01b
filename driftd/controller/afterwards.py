"""Healed means healthy: what was written is looked after until it is well, or made worse.

Nothing waits here. Each look at an application assesses what was healed of it; a watch event by
which the health of such an object turns asks for a look at once, and the schedule asks for one
when a deadline is over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET

from driftd.clock import Clock
from driftd.controller.check import Looked
from driftd.controller.journal import HealJournal
from driftd.health import Health, HealthStatus, assess
from driftd.model.resource import LiveObject
from driftd.settings.quantity import Duration
from driftd.store.audit import new_id
from driftd.store.chain import AuditRecord
from driftd.store.heals import Heal, HealState
from driftd.store.ledger import Ledger
from driftd.telemetry.logs import get_logger

_GONE: Final = "driftd looks at the application no longer: it is not declared or not selected"
_UNSEEN: Final = f"{_GONE}; whether the write was made is not known"
_UNWATCHED: Final = f"{_GONE}; how the object was after the write is not known"
_ASK_AGAIN: Final = timedelta(minutes=1)
_WELL: Final = frozenset({HealthStatus.HEALTHY, HealthStatus.SUSPENDED})
_WAS_WELL: Final = frozenset({*_WELL, HealthStatus.PROGRESSING})


def _nobody(_how: str) -> None:
    """Nobody counts."""


@dataclass(slots=True, kw_only=True)
class Afterwards:
    """What was written and is not known to be well yet, and the applications that wait."""

    ledger: Ledger
    journal: HealJournal
    clock: Clock
    deadline: Duration
    """How long an object that was healed may be on its way; a Deployment's own comes first."""
    worse: Callable[[str], None] = _nobody
    """Told of each heal that made something worse: `degraded` or `late`."""
    _heals: dict[str, dict[str, Heal]] = field(default_factory=dict)
    """By application and id."""
    _halted: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, HealthStatus] = field(default_factory=dict)
    """What each healed object was when it was assessed last, by the heal's id."""
    _asked: dict[str, datetime] = field(default_factory=dict)
    """When an application that is late may be asked for again."""
    _loaded: bool = False

    def __post_init__(self) -> None:
        """Learn of each write."""
        self.journal.written = self.take

    async def load(self) -> None:
        """Read once what an earlier process left. Raises StoreError."""
        if self._loaded:
            return
        for heal in await self.ledger.open_heals():
            self.take(heal)
        self._halted.update(await self.ledger.halted())
        self._loaded = True

    def take(self, heal: Heal) -> None:
        """Look after a write from now on."""
        self._heals.setdefault(heal.application, {})[heal.id] = heal

    async def review(self, application: str, looked: Looked) -> str:
        """Close and assess what can be; why the application may not be healed, or nothing.

        Raises StoreError.
        """
        await self.load()
        live = seen_by(looked)
        known = self._heals.get(application, {})
        left = [one for one in known.values() if one.state is HealState.INTENDED]
        for heal in left:
            made = await self.journal.settle([heal], live)
            if not made and live(heal) is not UNSET:
                known.pop(heal.id, None)
        for heal in [one for one in known.values() if one.state is HealState.WRITTEN]:
            found = live(heal)
            if found is not UNSET and not self.halted(application):
                await self._assessed(heal, found)
        if not known:
            self._heals.pop(application, None)
        return self.halted(application)

    def halted(self, application: str) -> str:
        """Why an application waits for a person; empty if it does not."""
        return self._halted.get(application, "")

    async def halt(self, application: str, why: str, *, who: str = "driftd") -> None:
        """Heal an application no more until somebody resumes it. Raises StoreError."""
        record = AuditRecord(
            id=new_id(),
            at=self.clock.now(),
            kind="halt",
            who=who,
            application=application,
            cause=why,
        )
        over = list(self._heals.get(application, {}))
        await self.ledger.halt(application, why, record, over)
        self._heals.pop(application, None)
        self._halted.setdefault(application, why)

    async def refresh(self) -> list[str]:
        """Learn what people did to waiting applications; those it concerns. Raises StoreError."""
        halted = dict(await self.ledger.halted())
        changed = sorted(halted.keys() ^ self._halted.keys())
        for application in changed:
            # What somebody restored over is looked after no more.
            if application in halted:
                self._heals.pop(application, None)
        self._halted = halted
        return changed

    async def only(self, applications: Collection[str]) -> None:
        """End the heals of applications that nobody looks at any more. Raises StoreError."""
        await self.load()
        for name in sorted(self._heals.keys() - set(applications)):
            for heal in list(self._heals[name].values()):
                intended = heal.state is HealState.INTENDED
                record = AuditRecord(
                    id=f"{'result' if intended else 'health'}-{heal.id}",
                    at=self.clock.now(),
                    kind="result" if intended else "health",
                    application=name,
                    cluster=heal.cluster,
                    object=heal.key,
                    plan=heal.plan,
                    outcome="not-known",
                    message=_UNSEEN if intended else _UNWATCHED,
                )
                await self.ledger.closed(record, over=[heal.id])
                self._heals[name].pop(heal.id, None)
                self._seen.pop(heal.id, None)
            self._heals.pop(name, None)

    def concerns(self, live: LiveObject) -> bool:
        """Whether the health of a healed object turned, so that a look should see it."""
        for heal in self._written():
            if heal.key != live.key:
                continue
            if health_of(live).status is not self._seen.get(heal.id, HealthStatus.PROGRESSING):
                return True
        return False

    def due(self) -> list[str]:
        """The applications with a heal whose deadline is over, each at most once in a while.

        One whose cluster cannot be seen stays due, and must not be looked at all the time.
        """
        now = self.clock.now()
        late = {one.application for one in self._written() if now >= one.at + self.deadline.delta}
        names = sorted(name for name in late if now >= self._asked.get(name, now))
        self._asked = {name: self._asked[name] for name in late & self._asked.keys()}
        self._asked.update(dict.fromkeys(names, now + _ASK_AGAIN))
        return names

    def _written(self) -> Iterable[Heal]:
        for known in self._heals.values():
            yield from (one for one in known.values() if one.state is HealState.WRITTEN)

    async def _assessed(self, heal: Heal, live: LiveObject | None) -> None:
        health, now = health_of(live), self.clock.now()
        self._seen[heal.id] = health.status
        if health.status in _WELL or live is None:
            await self._over(heal, health, now)
            return
        late = now >= heal.at + self.deadline.delta
        if health.status is not HealthStatus.DEGRADED and not late:
            return
        if heal.health not in _WAS_WELL:
            await self._over(heal, health, now)
            return
        degraded = health.status is HealthStatus.DEGRADED
        why = _worse(heal, health, None if degraded else self.deadline)
        await self.halt(heal.application, why)
        self.worse("degraded" if degraded else "late")
        self._seen.pop(heal.id, None)
        get_logger("driftd.controller").error(
            "healing made something worse", application=heal.application, problem=why
        )

    async def _over(self, heal: Heal, health: Health, now: datetime) -> None:
        record = AuditRecord(
            id=f"health-{heal.id}",
            at=now,
            kind="health",
            application=heal.application,
            cluster=heal.cluster,
            object=heal.key,
            plan=heal.plan,
            outcome=health.status.value,
            data={"before": heal.health},
        )
        await self.ledger.closed(record, over=[heal.id])
        self._heals.get(heal.application, {}).pop(heal.id, None)
        self._seen.pop(heal.id, None)


def health_of(live: LiveObject | None) -> Health:
    """How a live object is."""
    return assess(None if live is None else msgspec.json.decode(live.body))


def seen_by(looked: Looked) -> Callable[[Heal], Any]:
    """What a look saw of an object: None if it is not there, `UNSET` if that is not known."""

    def live(heal: Heal) -> Any:
        if looked.shared is None:
            return UNSET
        observation = looked.shared.observation
        found = observation.live.get((heal.gvk, heal.key.namespace, heal.key.name))
        if found is not None:
            return found
        listing = observation.listings.get(heal.gvk)
        covered = listing is not None and listing.covers(heal.key.namespace)
        return None if covered else UNSET

    return live


def _worse(heal: Heal, health: Health, late: Duration | None) -> str:
    """What became of an object; `late` is the time that it had, where that was the matter."""
    turned = "is Degraded"
    if late is not None:
        turned = f"is still {health.status} after {late.text}"
    # The object's own words may quote values: its kind, name and status say enough.
    return f"{heal.key} was {heal.health} before it was healed and {turned}"
