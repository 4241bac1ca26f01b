"""The message of one change of state, as data; receivers decide how it looks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from driftd.clock import rfc3339
from driftd.model.audit import acting_as
from driftd.model.report import (
    API_VERSION,
    ApplicationStatus,
    Change,
    ReportCondition,
    WireStruct,
)
from driftd.store.types import Drift, Fight, OutboxMessage, StateChange, Transition

DRIFT_LIMIT = 100
"""Drifts listed in a message; the counts always cover all."""


class MessageDrift(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One drift in a message; values are masked where they are secret."""

    group: str
    kind: str
    namespace: str
    name: str
    change: str
    """A `ChangeKind`, or `Missing` or `Extra` for a whole object."""
    path: str | UnsetType = UNSET
    change_class: str | UnsetType = msgspec.field(name="class", default=UNSET)
    desired: Any = UNSET
    live: Any = UNSET
    user: str | UnsetType = UNSET
    """The person, where an audit log proves who it was."""
    user_agent: str | UnsetType = UNSET
    """What that person used, as the client says."""
    manager: str | UnsetType = UNSET
    operation: str | UnsetType = UNSET
    time: str | UnsetType = UNSET
    severity: str | UnsetType = UNSET
    since: str


class MessageFight(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """A field that somebody changes and somebody else puts back, again and again."""

    group: str
    kind: str
    namespace: str
    name: str
    path: str | UnsetType = UNSET
    """Absent for a whole object."""
    changed_by: str | UnsetType = UNSET
    put_back_by: str | UnsetType = UNSET
    times: int
    """How often it came back lately, roughly."""


class Counts(WireStruct, frozen=True, kw_only=True):
    """How many drifts are open now, and how many this change opened and closed."""

    open: int
    opened: int
    closed: int


class Message(WireStruct, frozen=True, kw_only=True):
    """One change of an application's state."""

    api_version: str = API_VERSION
    kind: Literal["StateChange"] = "StateChange"
    id: str
    """The same over all attempts and receivers: what a receiver tells repetitions by."""
    type: Transition
    application: str
    namespace: str
    project: str
    cluster: str
    at: str
    status: ApplicationStatus
    previous_status: ApplicationStatus | None
    revisions: tuple[str, ...]
    conditions: tuple[ReportCondition, ...]
    counts: Counts
    drifts: tuple[MessageDrift, ...]
    """Open drifts, new ones first, at most `DRIFT_LIMIT`."""
    closed: tuple[MessageDrift, ...]
    """Drifts that this change ended, at most `DRIFT_LIMIT`."""
    fights: tuple[MessageFight, ...] = ()
    """What is told of a fight, once; the next message comes when it is over."""


def build(change: StateChange) -> Message:
    """The message of a change of state; of what is held it says nothing."""
    news = [*_told(change.opened), *change.released]
    new = {drift.key for drift in news}
    still = _told(change.open)
    older = [drift for drift in still if drift.key not in new]
    ended = _told(change.closed)
    return Message(
        id=_id(change),
        type=change.transition,
        application=change.name,
        namespace=change.namespace,
        project=change.project,
        cluster=change.cluster,
        at=rfc3339(change.at),
        status=change.status,
        previous_status=change.told if change.released else change.previous,
        revisions=change.revisions,
        conditions=change.conditions,
        counts=Counts(open=len(still), opened=len(news), closed=len(ended)),
        drifts=_drifts([*news, *older]),
        closed=_drifts(ended),
        fights=tuple(_fight(fight, change) for fight in change.fights[:DRIFT_LIMIT]),
    )


def composer(targets: Iterable[str]) -> Callable[[StateChange], Sequence[OutboxMessage]]:
    """A function that gives each of `targets` one message per change of state, none otherwise."""
    names = tuple(targets)

    def compose(change: StateChange) -> Sequence[OutboxMessage]:
        if change.transition is Transition.NONE or not names:
            return ()
        message = build(change)
        payload = msgspec.json.encode(message)
        return [OutboxMessage(message.id, name, change.application, payload) for name in names]

    return compose


def _id(change: StateChange) -> str:
    """Made of what happened, not of chance: composing the same change twice gives one id."""
    named = f"{change.application}\n{change.at.isoformat()}\n{change.transition}"
    return f"msg_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def _told(drifts: Iterable[Drift]) -> list[Drift]:
    return [drift for drift in drifts if drift.held is None]


def _drifts(drifts: Sequence[Drift]) -> tuple[MessageDrift, ...]:
    return tuple(_drift(drift) for drift in drifts[:DRIFT_LIMIT])


def _drift(drift: Drift) -> MessageDrift:
    resource = drift.key.resource
    found = MessageDrift(
        group=resource.group,
        kind=resource.kind,
        namespace=resource.namespace,
        name=resource.name,
        change=drift.key.kind,
        since=rfc3339(drift.first_seen),
    )
    change = drift.change
    if change is None:
        return found
    return msgspec.structs.replace(
        found,
        path=change.path,
        change_class=change.change_class.value,
        desired=change.desired,
        live=change.live,
        user=_user(change),
        user_agent=(change.attribution or {}).get("userAgent", UNSET),
        manager=change.manager,
        operation=change.operation,
        time=change.time,
        severity=change.severity,
    )


def _fight(fight: Fight, change: StateChange) -> MessageFight:
    resource = fight.key.resource
    (drift,) = (one for one in change.opened if one.key == fight.key)
    return MessageFight(
        group=resource.group,
        kind=resource.kind,
        namespace=resource.namespace,
        name=resource.name,
        path=drift.change.path if drift.change is not None else UNSET,
        changed_by=fight.changed_by or UNSET,
        put_back_by=fight.put_back_by or UNSET,
        times=round(fight.rate),
    )


def _user(change: Change) -> str | UnsetType:
    told = change.attribution
    if told is UNSET or "user" not in told:
        return UNSET
    return acting_as(told["user"], told.get("impersonatedUser", ""))
