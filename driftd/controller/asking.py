"""Argo CD or Flux asked to put drift back, where they are active and the operator has opened it.

driftd writes to no managed object there. It asks once for each drift, and says whether it helped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from driftd.controller.declared import Entry
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.counts import counted
from driftd.model.report import ApplicationReport, Change, ChangeClass, ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.settings.healing import Healing
from driftd.settings.rules import rule_of
from driftd.store.protocol import Store
from driftd.store.types import HistoryEntry, Notice, Notices, Transition
from driftd.sync.asking import STUCK, Asked, settled, wish
from driftd.sync.engine import before_asking_flux, engine_of, puts_back, removes, stays
from driftd.sync.windows import Place, permission
from driftd.telemetry.logs import get_logger
from driftd.telemetry.metrics import Metrics

ASKED: Final = "asked"
HELPED: Final = "ask-helped"
IN_VAIN: Final = "ask-did-not-help"
_LEFT: Final = "left by the engine"
_LOOK_BACK: Final = 200
_HOUR: Final = timedelta(hours=1)

AskEngine: TypeAlias = Callable[[Entry, Sequence[ResourceKey], datetime, bool], Awaitable[str]]
"""Asks the engine of an application for objects; why it was not asked, else empty.

The last argument says that the drift has been there for long. Raises DriftdError.
"""


@dataclass(slots=True, kw_only=True)
class Asking:
    """What engines were asked for, by application."""

    settings: Healing
    store: Store
    metrics: Metrics
    ask: AskEngine | None = None
    """None where no engine can be reached."""
    _asked: dict[str, list[Asked]] = field(default_factory=dict)
    _seen: dict[str, dict[str, datetime]] = field(default_factory=dict)
    """When each drift that may be asked for was seen first."""
    _again: dict[str, datetime] = field(default_factory=dict)
    _vain: dict[str, str] = field(default_factory=dict)
    """What is told of an application of which it did not help."""
    _left: dict[str, str] = field(default_factory=dict)
    """What is told of an application with drift that its engine leaves."""
    _spent: dict[str, deque[datetime]] = field(default_factory=dict)
    """When engines were asked for applications of each cluster."""

    async def after(
        self, entry: Entry, report: ApplicationReport, now: datetime, others: Notices
    ) -> tuple[list[HistoryEntry], Notices]:
        """What a look means for an engine: entries for the history, and to `others` what is told.

        Raises StoreError.
        """
        application = entry.application
        name = application.qualified_name
        rule = rule_of(self.settings, application.namespace, application.name)
        if not rule.ask or self.ask is None or not report.complete:
            return [], self._with(others, name)
        found, left = _askable(entry, report)
        self._left[name] = _not_asked(entry, report, left)
        if name not in self._asked:
            self._asked[name] = _remembered(await self.store.history(name, _LOOK_BACK))
        asked = self._asked[name]
        before = self._seen.get(name, {})
        self._seen[name] = {drift: before.get(drift, now) for drift in found}
        events = self._settle(entry, asked, found, now)
        grace = self.settings.grace
        ripe = {
            drift: self._seen[name][drift] + grace.of(severity)
            for drift, (_, severity) in found.items()
        }
        wanted = wish(asked, ripe, now, budget=self.settings.budget.application)
        self._again.pop(name, None)
        if wanted.at is not None:
            self._again[name] = wanted.at
        if wanted.drifts:
            objects = sorted({found[drift][0] for drift in wanted.drifts})
            events += await self._put(entry, asked, wanted.drifts, objects, now)
        return events, self._with(others, name)

    def due(self, now: datetime) -> list[str]:
        """Applications that are worth another look because of what was asked for."""
        found = [name for name, at in self._again.items() if at <= now]
        for name in found:
            del self._again[name]
        return found

    def only(self, names: Iterable[str]) -> None:
        """Forget applications other than these."""
        kept = set(names)
        times = (self._asked, self._seen, self._again)
        tables: tuple[dict[str, Any], ...] = (*times, self._vain, self._left)
        for known in tables:
            for name in set(known) - kept:
                del known[name]

    def _settle(
        self, entry: Entry, asked: list[Asked], found: dict[str, Any], now: datetime
    ) -> list[HistoryEntry]:
        name = entry.application.qualified_name
        if not found:
            self._vain.pop(name, None)
        done = settled(asked, dict.fromkeys(found, now), now)
        if done is None:
            return []
        asked[-1] = done
        kind = HELPED if done.helped else IN_VAIN
        engine = _engine(entry)
        self.metrics.asked(engine, "helped" if done.helped else "did not help")
        if not done.helped:
            self._vain[name] = (
                f"{engine} was asked at {done.at.isoformat(timespec='seconds')} to put it back, "
                "and that did not help"
            )
        get_logger("driftd.controller").info(kind, application=name, engine=engine)
        return [HistoryEntry(name, now, kind, {"engine": engine, "at": done.at.isoformat()})]

    async def _put(
        self,
        entry: Entry,
        asked: list[Asked],
        drifts: tuple[str, ...],
        objects: Sequence[ResourceKey],
        now: datetime,
    ) -> list[HistoryEntry]:
        """Ask, unless something speaks against it now."""
        assert self.ask is not None  # noqa: S101 - the caller has seen it
        name, engine = entry.application.qualified_name, _engine(entry)
        oldest = min(self._seen[name][drift] for drift in drifts)
        why = self._held(entry, now)
        failed = ""
        if not why:
            try:
                why = await self.ask(entry, objects, now, now - oldest >= STUCK)
            except DriftdError as error:
                failed = error.message
        if why:
            self.metrics.asked(engine, "held")
            get_logger("driftd.controller").debug("not asked", application=name, why=why)
            self._again[name] = now + STUCK
            return []
        # One that failed counts, too: it may have come through all the same.
        asked.append(Asked(at=now, drifts=drifts))
        self._spent.setdefault(entry.cluster, deque()).append(now)
        self._again[name] = now + timedelta(seconds=30)
        self.metrics.asked(engine, "failed" if failed else "asked")
        get_logger("driftd.controller").info(
            "asked for a sync", application=name, engine=engine, objects=len(objects), error=failed
        )
        data = {"engine": engine, "objects": list(map(str, objects)), "drifts": list(drifts)}
        return [HistoryEntry(name, now, ASKED, data | ({"error": failed} if failed else {}))]

    def _held(self, entry: Entry, now: datetime) -> str:
        """Why nobody is asked for anything now."""
        application, destination = entry.application, entry.destination
        spent = self._spent.get(entry.cluster, deque())
        while spent and now - spent[0] >= _HOUR:
            spent.popleft()
        if len(spent) >= self.settings.budget.cluster:
            return "the budget of the cluster is used up"
        if application.flux is not None:
            return before_asking_flux(application)
        clusters = tuple(one for one in (destination.name, destination.server) if one)
        place = Place(application.name, destination.namespace, clusters)
        return permission(entry.project, place, now).reason

    def _with(self, others: Notices, name: str) -> Notices:
        vain, left = self._vain.get(name, ""), self._left.get(name, "")
        # Another object that is left is no other news: the drift itself is told.
        told = [
            Notice(type=Transition.HEAL_REFUSED, key=key, text=text)
            for key, text in ((vain, vain), (_LEFT, left))
            if text
        ]
        if not told:
            return others
        return Notices(others.judged | {Transition.HEAL_REFUSED}, (*others.standing, *told))


def _askable(
    entry: Entry, report: ApplicationReport
) -> tuple[dict[str, tuple[ResourceKey, str]], list[tuple[ResourceKey, Change | None]]]:
    """Drifts that a sync without prune may put back, with object and severity; and those that it
    leaves, with their objects: fields, or None for a Missing object.
    """
    application, engine = entry.application, _engine(entry)
    leaves_all = _leaves_all(application)
    found: dict[str, tuple[ResourceKey, str]] = {}
    left: list[tuple[ResourceKey, Change | None]] = []
    for resource in report.resources:
        if resource.status is ResourceStatus.MISSING and resource.is_drift:
            if leaves_all:
                left.append((resource.key, None))
            else:
                found[f"{resource.key} Missing"] = (resource.key, resource.severity or "")
        for change in (one for one in resource.changes if one.is_drift):
            added = change.change_class is ChangeClass.UNDECLARED
            if leaves_all or (added and not removes(application, engine, change)):
                left.append((resource.key, change))
            else:
                key = f"{resource.key} {change.place} {change.kind.value}"
                found[key] = (resource.key, change.severity or "")
    return found, left


def _leaves_all(application: Application) -> bool:
    """Whether a mere request has the engine put nothing back."""
    return application.flux is not None and not application.flux.corrects_drift


def _not_asked(
    entry: Entry, report: ApplicationReport, left: Sequence[tuple[ResourceKey, Change | None]]
) -> str:
    """Why the engine is not asked about what it leaves; empty where none is known to be there."""
    application = entry.application
    engine = engine_of(application, report.deployers)
    if not left or not engine:
        return ""
    objects = list(dict.fromkeys(key for key, _ in left))
    more = f" and {counted(len(objects) - 1, 'more object')}" if len(objects) > 1 else ""
    if _leaves_all(application):
        why = puts_back(application, engine)
    else:
        why = stays(application, engine, [(key, change) for key, change in left if change])
    return f"{objects[0]}{more}: {engine} is not asked: {why}"


def _engine(entry: Entry) -> str:
    return "Flux" if entry.application.flux is not None else "Argo CD"


def _remembered(history: Iterable[HistoryEntry]) -> list[Asked]:
    """What the history, newest first, says of earlier times; oldest first."""
    found: list[Asked] = []
    helped: dict[str, bool] = {}
    for one in history:
        if one.kind in (HELPED, IN_VAIN):
            helped[str(one.data.get("at", ""))] = one.kind == HELPED
        elif one.kind == ASKED:
            drifts = tuple(map(str, one.data.get("drifts", ())))
            found.append(Asked(at=one.at, drifts=drifts, helped=helped.get(one.at.isoformat())))
    return found[::-1]
