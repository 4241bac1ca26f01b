"""Healing that answers for itself: reviewed before, recorded when it refuses, and kept up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from driftd.controller.afterwards import Afterwards
from driftd.controller.check import Looked
from driftd.controller.declared import Entry
from driftd.controller.healing import Healed, Healing
from driftd.controller.journal import refusals
from driftd.errors import StoreError
from driftd.model.resource import LiveObject
from driftd.settings.healing import Rung
from driftd.settings.types import Store as StoreSettings
from driftd.store.audit import new_id
from driftd.store.chain import AuditRecord
from driftd.store.ledger import Ledger, take_in
from driftd.sync.plan import SyncPlan
from driftd.telemetry.logs import get_logger

_MOST_REFUSALS: Final = 200
_RETENTION: Final = timedelta(hours=1)
RESUMED_BY: Final = "`driftd resume` lets it be healed again"


@dataclass(slots=True, kw_only=True)
class LookedAfter(Healing):
    """`Healing` whose writes are looked after and whose refusals are on the record."""

    ledger: Ledger
    afterwards: Afterwards
    store: StoreSettings
    acts: Path | None = None
    """Where people leave what they did beside an SQLite store."""
    _refused: dict[str, Sequence[tuple[str, str, str]]] = field(default_factory=dict)
    """What is on the record as refused, by application."""
    _shortened: float = -1.0

    async def heal(self, entry: Entry, looked: Looked, **work: Any) -> Healed:
        """See `Healing.heal`; nothing is written while an application waits for a person."""
        rung = self.rung(entry)
        if rung is not Rung.FIELDS:
            return await Healing.heal(self, entry, looked, **work)
        name = entry.application.qualified_name
        try:
            # Whoever restores an object leaves the act first: no look may heal before it is read.
            await self.afterwards.load()
            await self._take_acts()
            await self.afterwards.refresh()
            why = await self.afterwards.review(name, looked)
        except StoreError as error:
            why = f"what became of earlier writes cannot be read: {error.message}"
        if why:
            halted = f"{why}; {RESUMED_BY}" if self.afterwards.halted(name) else ""
            plan = SyncPlan(application=name, rung=rung, refusal=halted or why)
            await self._left_alone(plan, entry, looked)
            healed = Healed(looked, plan, halted=halted)
        else:
            try:
                healed = await Healing.heal(self, entry, looked, **work)
            finally:
                # A look that was ended half-way: the next one says what was written.
                for heal in self.afterwards.journal.left(name):
                    self.afterwards.take(heal)
        await self._decided(healed.plan, entry.cluster)
        return healed

    def concerns(self, live: LiveObject) -> bool:
        """See `Healing.concerns`."""
        return self.afterwards.concerns(live)

    async def upkeep(self) -> list[str]:
        """Take in what people did, and let go of what is old; applications to look at now."""
        try:
            await self.afterwards.load()
            await self._take_acts()
            names = await self.afterwards.refresh()
            await self._shorten()
        except StoreError as error:
            get_logger("driftd.controller").warning("upkeep of the record", problem=error.message)
            return []
        return [*names, *self.afterwards.due()]

    async def only(self, applications: Collection[str]) -> None:
        """See `Healing.only`; the record says that nobody knows how it ended."""
        try:
            await self.afterwards.only(applications)
        except StoreError as error:
            get_logger("driftd.controller").warning("upkeep of the record", problem=error.message)

    async def _decided(self, plan: SyncPlan, cluster: str) -> None:
        """Put what is refused on the record where it is not what was refused before."""
        now = refusals(plan)
        before = self._refused.get(plan.application)
        if now == (before or []):
            return
        record = AuditRecord(
            id=new_id(),
            at=self.clock.now(),
            kind="refusal",
            application=plan.application,
            cluster=cluster,
            outcome="refused" if now else "no longer refused",
            cause=plan.refusal,
            data={
                "objects": [
                    {"object": name, "guard": guard, "reason": reason}
                    for name, guard, reason in now[:_MOST_REFUSALS]
                    if name
                ]
            },
        )
        try:
            await self.ledger.append(record)
        except StoreError as error:
            get_logger("driftd.controller").warning(
                "a refusal is not on the record", problem=error.message
            )
            return
        self._refused[plan.application] = now

    async def _take_acts(self) -> None:
        """Put acts on the record, in their order, and do what they mean."""
        for name in await take_in(self.ledger, self.acts) if self.acts is not None else ():
            get_logger("driftd.controller").warning("this is no act", file=name)

    async def _shorten(self) -> None:
        now = self.clock.now()
        if 0 <= now.timestamp() - self._shortened < _RETENTION.total_seconds():
            return
        audited = timedelta(seconds=self.store.audit_retention.seconds)
        kept = timedelta(seconds=self.store.backup_retention.seconds)
        await self.ledger.shorten(now - audited, now)
        await self.ledger.expire(now - kept)
        self._shortened = now.timestamp()
