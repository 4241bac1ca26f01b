"""The message of one change of state, as data; receivers decide how it looks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from driftd.clock import rfc3339
from driftd.model.audit import acting_as
from driftd.model.report import (
    API_VERSION,
    ApplicationStatus,
    ReportCondition,
    WireStruct,
)
from driftd.store.episodes import worst
from driftd.store.types import (
    Drift,
    Ending,
    Fight,
    Notice,
    StateChange,
    Transition,
)

DRIFT_LIMIT = 100
"""Drifts listed in a message; the counts always cover all."""
ENDS: Final = frozenset({Transition.RECOVERED, Transition.HEALED})
"""Types that end drift, where the status is Synced."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an application beyond the look that changed its state."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    project_annotations: dict[str, str] = {}
    owner: str = ""
    action: str = ""
    """What driftd does about drift, in words."""
    heals_at: str = ""
    """When it does, in RFC 3339; empty where it does not, or at once."""


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
    severity_reason: str | UnsetType = UNSET
    """Why the severity is what it is, in short words."""
    since: str
    ended: str | UnsetType = UNSET
    """A `Recovery`, of a drift that is over."""
    ended_by: str | UnsetType = UNSET
    """Whose hand ended it, where that is known."""


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


class MessageNotice(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """Something beside the drifts: a rule in trouble, a heal that was refused, a silence's end."""

    text: str
    group: str | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    namespace: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    path: str | UnsetType = UNSET


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
    severity: str = ""
    """The highest of the open drifts, or of those that ended where none is open."""
    previous_severity: str = ""
    """The highest of what was open before."""
    episode_severity: str = ""
    """The highest since the application began to drift: who heard of it hears of its end."""
    notices: tuple[MessageNotice, ...] = ()
    """Of a type that is not about drifts: what there is to say."""
    owner: str = ""
    """Whose application it is, as its label says."""
    action: str = ""
    """What driftd does about the drift, in words."""
    heals_at: str = ""
    """When it does, where that is known."""
    silence: str = ""
    """The command that silences it."""

    @property
    def qualified_name(self) -> str:
        """`namespace/name` of the application."""
        return f"{self.namespace}/{self.application}"

    @property
    def ends_drift(self) -> bool:
        """Whether nothing is wrong with the application any more."""
        return self.type in ENDS and self.status is ApplicationStatus.SYNCED

    @property
    def continues(self) -> bool:
        """Whether it goes on with what an earlier message began."""
        began = (None, ApplicationStatus.SYNCED)
        return self.previous_status not in began or self.type in ENDS


def messages_of(change: StateChange, subject: Subject = Subject()) -> list[Message]:  # noqa: B008
    """Every message of a change of state; none where nothing is to be told."""
    found = [] if change.transition is Transition.NONE else [build(change, subject)]
    by_type: dict[Transition, list[Notice]] = {}
    for notice in change.notices:
        by_type.setdefault(notice.type, []).append(notice)
    return found + [_noted(change, subject, kind, told) for kind, told in by_type.items()]


def build(change: StateChange, subject: Subject = Subject()) -> Message:  # noqa: B008
    """The message of a change of state; of what is held it says nothing."""
    news = [*_told(change.opened), *change.released]
    new = {drift.key for drift in news}
    still = _told(change.open)
    older = [drift for drift in still if drift.key not in new]
    ended = [
        (drift, ending)
        for drift, ending in zip_longest(change.closed, change.endings)
        if drift is not None and drift.held is None
    ]
    return Message(
        id=message_id(change, change.transition),
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
        drifts=tuple(map(_drift, [*news, *older][:DRIFT_LIMIT])),
        closed=tuple(_drift(drift, ending) for drift, ending in ended[:DRIFT_LIMIT]),
        fights=tuple(_fight(fight, change) for fight in change.fights[:DRIFT_LIMIT]),
        severity=worst(still) or worst(drift for drift, _ in ended),
        previous_severity=change.severity_before,
        episode_severity=change.episode_severity,
        owner=subject.owner,
        action=subject.action if still else "",
        heals_at=subject.heals_at if still else "",
        silence=silence_command(change.application) if still else "",
    )


def message_id(change: StateChange, kind: Transition) -> str:
    """Made of what happened, not of chance: composing the same change twice gives one id."""
    named = f"{change.application}\n{change.at.isoformat()}\n{kind}"
    return f"msg_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def silence_command(application: str) -> str:
    """What to type so that an application (`namespace/name`) is told of no more for a while."""
    return f"driftd silence add {application} --for 2h --reason 'WHY'"


def _noted(
    change: StateChange, subject: Subject, kind: Transition, told: Sequence[Notice]
) -> Message:
    """A message about something beside the drifts; the open ones are counted only."""
    whole = build(change, subject)
    return msgspec.structs.replace(
        whole,
        id=message_id(change, kind),
        type=kind,
        previous_status=change.status,
        counts=Counts(open=whole.counts.open, opened=0, closed=0),
        drifts=(),
        closed=(),
        fights=(),
        notices=tuple(map(_notice, told[:DRIFT_LIMIT])),
    )


def _notice(notice: Notice) -> MessageNotice:
    found = MessageNotice(text=notice.text, path=notice.path or UNSET)
    resource = notice.resource
    if resource is None:
        return found
    return msgspec.structs.replace(
        found,
        group=resource.group,
        kind=resource.kind,
        namespace=resource.namespace,
        name=resource.name,
    )


def _told(drifts: Iterable[Drift]) -> list[Drift]:
    return [drift for drift in drifts if drift.held is None]


def _drift(drift: Drift, ending: Ending | None = None) -> MessageDrift:
    resource = drift.key.resource
    whole = drift.whole
    found = MessageDrift(
        group=resource.group,
        kind=resource.kind,
        namespace=resource.namespace,
        name=resource.name,
        change=drift.key.kind,
        severity=drift.severity or UNSET,
        severity_reason=(whole.severity_reason if whole is not None else "") or UNSET,
        manager=(whole.manager if whole is not None else "") or UNSET,
        since=rfc3339(drift.first_seen),
        ended=ending.how.value if ending is not None else UNSET,
        ended_by=(ending.by if ending is not None else "") or UNSET,
    )
    change = drift.change
    if change is None:
        told = whole.attribution if whole is not None else None
        return msgspec.structs.replace(found, user=_user(told or UNSET))
    return msgspec.structs.replace(
        found,
        path=change.path,
        change_class=change.change_class.value,
        desired=change.desired,
        live=change.live,
        user=_user(change.attribution),
        user_agent=(change.attribution or {}).get("userAgent", UNSET),
        manager=change.manager,
        operation=change.operation,
        time=change.time,
        severity=change.severity,
        severity_reason=change.severity_reason,
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


def _user(told: Any) -> str | UnsetType:
    if told is UNSET or "user" not in told:
        return UNSET
    return acting_as(told["user"], told.get("impersonatedUser", ""))
