"""Which drifts are recorded without being told, and which pauses are told of.

A drift that a silence covers is held until the silence ends; what is still there then is told as
`silence-expired`. Receivers that knew of a drift before go on to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from driftd.clock import rfc3339
from driftd.controller.declared import Entry
from driftd.errors import StoreError
from driftd.model.silence import Silence
from driftd.policy.silence import annotated, covering, in_force
from driftd.settings.silences import Silences
from driftd.store.episodes import JudgeHold
from driftd.store.protocol import Store
from driftd.store.types import (
    NO_NOTICES,
    Drift,
    Held,
    HistoryEntry,
    Notice,
    Notices,
    StateChange,
    Transition,
)
from driftd.sync.orders import FREEZE, Order, told
from driftd.sync.orders import in_force as in_force_orders
from driftd.sync.plan import SKIP_RECONCILE_ANNOTATION
from driftd.telemetry.metrics import Metrics

PAUSED: Final = "paused"
RESUMED: Final = "resumed"
_LOOK_BACK: Final = 200
"""Entries of an application's history in which the begin of its pause is looked for."""


@dataclass(slots=True, kw_only=True)
class Silencing:
    """The silences of the file and of annotations, and the pauses of applications."""

    settings: Silences
    metrics: Metrics
    current: Callable[[], tuple[Silence, ...]] = tuple
    """What stands in the file now."""
    orders: Callable[[], tuple[Order, ...]] = tuple
    """What people have ordered the guards of healing. Raises StoreError."""
    _held: dict[str, Mapping[str, datetime]] = field(default_factory=dict)
    """The silences that hold drifts of each application, with their ends."""
    _counts: dict[str, int] = field(default_factory=dict)
    _paused: dict[str, tuple[str, datetime] | None] = field(default_factory=dict)
    """How each application is paused, and since when."""

    def of(self, entry: Entry, now: datetime) -> tuple[Silence, ...]:
        """The silences that are in force for an application."""
        own = annotated(entry.application.annotations).silence
        known = (*self.current(), *((own,) if own is not None else ()))
        name = entry.application.qualified_name
        return in_force(known, name, entry.cluster, now, self.settings.maximum.delta)

    def judged(self, entry: Entry, otherwise: JudgeHold, now: datetime) -> JudgeHold:
        """Which drifts of a look are held: what a silence covers, and what `otherwise` holds."""
        found = self.of(entry, now)
        if not found:
            return otherwise

        def hold(drift: Drift) -> Held | None:
            path = drift.change.path if drift.change is not None else ""
            silence = covering(found, drift.key.resource, path)
            if silence is None:
                return otherwise(drift)
            return Held(silence.told, silence.until, silence=silence.id)

        return hold

    def recorded(self, change: StateChange) -> None:
        """Take over what a look left silenced."""
        held = [one.held for one in change.open if one.held is not None and one.held.silence]
        name = change.application
        if held:
            self._held[name] = {one.silence: one.until for one in held}
            self._counts[name] = len(held)
        else:
            self._held.pop(name, None)
            self._counts.pop(name, None)
        self.metrics.silenced(sum(self._counts.values()))

    def due(self, entries: Mapping[str, Entry], now: datetime) -> list[str]:
        """Applications of which something is silenced no longer."""
        found = []
        for name, held in self._held.items():
            entry = entries.get(name)
            if entry is None:
                continue
            standing = {one.id: one.until for one in self.of(entry, now)}
            if any(standing.get(one) != until for one, until in held.items()):
                found.append(name)
        for name in found:
            self._held.pop(name, None)
        return found

    def only(self, names: Iterable[str]) -> None:
        """Forget applications other than these."""
        kept = set(names)
        for known in (self._held, self._counts, self._paused):
            for name in set(known) - kept:
                del known[name]

    async def pauses(
        self,
        entry: Entry,
        store: Store,
        now: datetime,
        others: Notices = NO_NOTICES,
        *,
        heals: bool = False,
    ) -> tuple[list[HistoryEntry], Notices]:
        """What a pause adds to the history, and to `others` what is told of one nobody ends.

        `heals`: healing is open for the application, so that a freeze of it matters. Raises
        StoreError.
        """
        name, limit = entry.application.qualified_name, self.settings.pause_reminder.delta
        how = paused(entry)
        if name not in self._paused:
            self._paused[name] = _last(await store.history(name, _LOOK_BACK))
        before = self._paused[name]
        events: list[HistoryEntry] = []
        if before is not None and before[0] != how:
            events.append(HistoryEntry(name, now, RESUMED, {"what": before[0]}))
            before = None
        if how and before is None:
            before = (how, now)
            events.append(HistoryEntry(name, now, PAUSED, {"what": how}))
        self._paused[name] = before
        standing = []
        if before is not None and limit > timedelta(0) and now - before[1] >= limit:
            since = rfc3339(before[1].replace(microsecond=0))
            text = f"{how}, since {since} at least: nothing puts the application back meanwhile"
            standing.append(Notice(type=Transition.PAUSE_FORGOTTEN, key=how, text=text))
        if heals and limit > timedelta(0):
            standing += self._freezes(entry, now, limit)
        judged = others.judged | {Transition.PAUSE_FORGOTTEN}
        return events, Notices(judged, (*others.standing, *standing))

    def _freezes(self, entry: Entry, now: datetime, limit: timedelta) -> Iterator[Notice]:
        """Freezes that go on longer than `limit`: told once in each such period."""
        try:
            orders = self.orders()
        except StoreError:
            return  # the guards say so, and hold everything
        name = entry.application.qualified_name
        for one in in_force_orders(orders, FREEZE, name, entry.cluster, now):
            period = (now - one.at) // limit
            if period < 1:
                continue
            since = rfc3339(one.at.replace(microsecond=0))
            until = f", until {rfc3339(one.until)}" if one.until is not None else ""
            yield Notice(
                type=Transition.PAUSE_FORGOTTEN,
                key=f"{FREEZE} {one.id} {period}",
                text=f"healing of {one.scope} is frozen since {since} {told(one)}{until}; "
                f"{unfreeze(one)} lets it go on",
            )


def unfreeze(order: Order) -> str:
    """The command that takes a freeze back."""
    scope = f" {order.application}" if order.application else ""
    return f"driftd unfreeze{scope}{f' --cluster {order.cluster}' if order.cluster else ''}"


def paused(entry: Entry) -> str:
    """How an application is paused where it is declared; empty if it is not."""
    application = entry.application
    if application.flux is not None:
        suspended = any(one.type == "Suspended" for one in application.flux.conditions)
        return "Flux is suspended (spec.suspend)" if suspended else ""
    if application.annotations.get(SKIP_RECONCILE_ANNOTATION) == "true":
        return f"Argo CD does not reconcile it ({SKIP_RECONCILE_ANNOTATION})"
    return ""


def _last(history: Iterable[HistoryEntry]) -> tuple[str, datetime] | None:
    """The pause that the history, newest first, left open."""
    for one in history:
        if one.kind == RESUMED:
            return None
        if one.kind == PAUSED:
            return str(one.data.get("what", "")), one.at
    return None
