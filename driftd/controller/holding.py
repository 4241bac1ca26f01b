"""Drifts that are seen, and told only later: while the engine works on their application.

A sync passes through states that are drift for seconds. What is still there when it has ended is
told then; what it has put back is in the history alone. Nothing waits longer than the limit. Where
API servers post audit events, a new drift waits a few seconds for the one that names its author.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from msgspec import UNSET

from driftd.aio import gather_isolated
from driftd.controller.declared import Entry
from driftd.errors import DriftdError
from driftd.model.report import ApplicationReport
from driftd.store.episodes import JudgeHold, drift_keys, told_at_once
from driftd.store.types import Drift, DriftKey, Held, StateChange
from driftd.telemetry.logs import get_logger

AUTHOR: Final = "the API server has not said yet who did it"
_RECENT: Final = timedelta(seconds=60)
"""Age up to which a change is taken to be still on its way through the API server's batches."""
POLL: Final = timedelta(seconds=5)
"""How often it is asked whether an operation still runs."""
_ASKED: Final = 8
"""Operations that are asked for at a time."""

ReadOperation: TypeAlias = Callable[[Entry, datetime], Awaitable[str]]
"""What the engine does with an application since a moment, in words; empty if nothing.

Raises DriftdError where that cannot be seen.
"""


def _never(_cluster: str, _now: float) -> bool:
    return False


@dataclass(slots=True)
class _Waiting:
    """An application with drifts that are held."""

    until: datetime
    """When the first of them is told whatever goes on."""
    ask_at: datetime
    engine: bool
    """Whether an engine holds any of them."""


@dataclass(slots=True, kw_only=True)
class Holding:
    """Which drifts of which applications are not told yet."""

    limit: timedelta
    """How long a drift is held at most; zero: never."""
    wait: timedelta = timedelta(0)
    """How long a new drift waits for its author at most; zero: not at all."""
    expected: Callable[[str, float], bool] = _never
    """Whether authors on a cluster are named soon, at a time in seconds since the epoch."""
    read: ReadOperation | None = None
    """None where no engine can be asked."""
    _told: dict[str, frozenset[DriftKey]] = field(default_factory=dict)
    """What receivers know of each application; only looks with other drifts ask anybody."""
    _waiting: dict[str, _Waiting] = field(default_factory=dict)

    async def judged(self, entry: Entry, report: ApplicationReport, began: datetime) -> JudgeHold:
        """Which drifts of a look, begun at `began`, are to be held."""
        name = entry.application.qualified_name
        if drift_keys(report) <= self._told.get(name, frozenset()):
            return told_at_once
        why = await self._why(entry, began) if self.limit else ""
        if why:
            return lambda drift: Held(why, drift.first_seen + self.limit)
        if self.wait and self.expected(entry.cluster, began.timestamp()):
            return self._awaited
        return told_at_once

    def _awaited(self, drift: Drift) -> Held | None:
        """Held while a new drift has no author that an audit event has named."""
        if _is_attributed(drift) or not _is_recent(drift):
            return None
        return Held(AUTHOR, drift.first_seen + self.wait)

    def recorded(self, change: StateChange) -> None:
        """Take over what a look left open."""
        name = change.application
        held = [drift for drift in change.open if drift.held is not None]
        self._told[name] = frozenset(one.key for one in change.open if one.held is None)
        if not held:
            self._waiting.pop(name, None)
            return
        until = min(_until(drift) for drift in held)
        engine = any(_waits_for_engine(drift) for drift in held)
        self._waiting[name] = _Waiting(until, change.at + POLL, engine)
        for drift in change.opened:
            if drift.held is not None and _waits_for_engine(drift):
                get_logger("driftd.controller").info(
                    "message held",
                    application=name,
                    object=str(drift.key.resource),
                    why=drift.held.why,
                    until=drift.held.until.isoformat(),
                )

    async def due(self, entries: Mapping[str, Entry], now: datetime) -> list[str]:
        """The applications that are to be looked at again, as nothing holds their drifts."""
        asked: list[str] = []
        found: list[str] = []
        for name, waiting in self._waiting.items():
            if now >= waiting.until or name not in entries:
                found.append(name)
            elif waiting.engine and now >= waiting.ask_at:
                waiting.ask_at = now + POLL
                asked.append(name)

        async def ask(name: str) -> None:
            if not await self._why(entries[name], now):
                found.append(name)

        await gather_isolated(ask, asked, limit=_ASKED)
        for name in found:
            self._waiting.pop(name, None)
        return [name for name in found if name in entries]

    def only(self, names: Iterable[str]) -> None:
        """Forget applications other than these."""
        kept = set(names)
        self._told = {name: one for name, one in self._told.items() if name in kept}
        self._waiting = {name: one for name, one in self._waiting.items() if name in kept}

    async def _why(self, entry: Entry, since: datetime) -> str:
        """What the engine does; who cannot be asked holds nothing back."""
        if self.read is None:
            return ""
        try:
            return await self.read(entry, since)
        except DriftdError as error:
            get_logger("driftd.controller").debug(
                "operation not known",
                application=entry.application.qualified_name,
                problem=error.message,
            )
            return ""


def _is_attributed(drift: Drift) -> bool:
    told = drift.whole.attribution if drift.whole is not None else None
    if drift.change is not None:
        told = drift.change.attribution or None
    return "user" in (told or {})


def _is_recent(drift: Drift) -> bool:
    """Whether it began a little before the look: a drift from long ago has no event to come."""
    time = drift.change.time if drift.change is not None else UNSET
    began = drift.clean_at
    if time is not UNSET:
        try:
            began = datetime.fromisoformat(time)
        except ValueError:
            return False
    return began is not None and (time is UNSET or drift.first_seen - began <= _RECENT)


def _waits_for_engine(drift: Drift) -> bool:
    return drift.held is not None and drift.held.why != AUTHOR and not drift.held.silence


def _until(drift: Drift) -> datetime:
    assert drift.held is not None  # noqa: S101 - the caller has chosen those
    return drift.held.until
