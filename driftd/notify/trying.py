"""Sample messages, to see what receivers would get before anything happens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from driftd.clock import Clock, rfc3339
from driftd.errors import ConfigError
from driftd.model.choices import nearest
from driftd.model.report import ApplicationStatus, ReportCondition
from driftd.notify.channels import open_notifiers
from driftd.notify.digest import Digest, digest_of
from driftd.notify.message import (
    Counts,
    Message,
    MessageDrift,
    MessageFight,
    MessageNotice,
    silence_command,
)
from driftd.notify.templates import Execute, Texts
from driftd.notify.wording import told_of_digest
from driftd.settings.channels import channels
from driftd.settings.notifications import Notifications
from driftd.store.types import Transition

_NOTICES: Final = {
    Transition.RULE_TROUBLE: "ignoreDifferences[0]: the expression fails on Deployment shop/web",
    Transition.HEAL_REFUSED: "Deployment shop/web: over the budget of this hour",
    Transition.SILENCE_EXPIRED: "the silence of team-a (INC-42) has ended",
    Transition.PAUSE_FORGOTTEN: "healing has been frozen for 9 days",
    Transition.HISTORY_REWRITTEN: "the history of main of https://git.example.com/shop.git was "
    "rewritten: revision 3f1c0d2e9a does not come from 8be11d7c40, which was compared before",
}
_ENDED: Final = frozenset({Transition.RECOVERED, Transition.HEALED})


def sample(kind: Transition, now: datetime) -> Message:
    """A message of one kind about an application that does not exist."""
    over = kind in _ENDED
    noted = kind in _NOTICES
    drift = _drift(now)
    ended = {
        Transition.RECOVERED: ("reverted", "kubectl-edit"),
        Transition.HEALED: ("healed", "driftd"),
    }.get(kind)
    closed: tuple[MessageDrift, ...] = ()
    if ended is not None:
        closed = (msgspec.structs.replace(drift, ended=ended[0], ended_by=ended[1]),)
    status = ApplicationStatus.SYNCED if over else ApplicationStatus.OUT_OF_SYNC
    conditions: tuple[ReportCondition, ...] = ()
    if kind is Transition.UNKNOWN:
        status = ApplicationStatus.UNKNOWN
        why = "cluster production: no answer within 30 s"
        conditions = (ReportCondition(type="ComparisonError", message=why),)
    fight = MessageFight(
        group="apps",
        kind="Deployment",
        namespace="shop",
        name="web",
        path="/spec/replicas",
        changed_by="autoscaler",
        put_back_by="argocd-controller",
        times=4,
    )
    shown = not (over or noted or kind is Transition.UNKNOWN)
    return Message(
        id="msg_sample",
        type=kind,
        application="shop",
        namespace="argocd",
        project="default",
        cluster="production",
        at=rfc3339(now),
        status=status,
        previous_status=ApplicationStatus.OUT_OF_SYNC if over else ApplicationStatus.SYNCED,
        revisions=("0123456789abcdef0123456789abcdef01234567",),
        conditions=conditions,
        counts=Counts(open=int(shown), opened=int(shown), closed=int(over)),
        drifts=(drift,) if shown else (),
        closed=closed,
        fights=(fight,) if kind is Transition.FIGHTING else (),
        severity="high",
        episode_severity="high",
        notices=(MessageNotice(text=_NOTICES[kind]),) if noted else (),
        owner="team-a",
        action="puts it back" if shown else "",
        heals_at=rfc3339(now + timedelta(minutes=2)) if shown else "",
        silence=silence_command("argocd/shop") if shown else "",
    )


def sample_digest(now: datetime) -> Digest:
    """A digest of two messages."""
    first = sample(Transition.DRIFTED, now)
    second = msgspec.structs.replace(first, id="msg_sample2", application="payment")
    return digest_of([first, second], now)


async def preview(
    told: Notifications, kind: str, channel: str, now: datetime, execute: Execute | None
) -> tuple[Any, dict[str, list[str]]]:
    """A sample as JSON, and in the words of each receiver, or of `channel` alone.

    Raises ConfigError for a receiver that is not there.
    """
    _known(told, channel)
    message: Message | Digest
    message = sample_digest(now) if kind == "digest" else sample(Transition(kind), now)
    words: dict[str, list[str]] = {}
    for _, one in channels(told):
        if channel in ("", one.name):
            words[one.name] = await _words(message, one.name, one, execute)
    if not words:
        words["built-in text"] = await _words(message, "built-in", None, execute)
    return msgspec.to_builtins(message), words


async def try_out(told: Notifications, channel: str, clock: Clock, execute: Execute | None) -> None:
    """Send one receiver a message that says that it is a test. Raises ConfigError, NotifyError."""
    _known(told, channel)
    message = sample(Transition.DRIFTED, clock.now())
    named = msgspec.structs.replace(
        message, id=f"msg_test_{int(clock.now().timestamp())}", application="this-is-a-test"
    )
    async with open_notifiers(told, clock, execute) as notifiers:
        await notifiers[channel].send(named)


def _known(told: Notifications, channel: str) -> None:
    names = [one.name for _, one in channels(told)]
    if channel and channel not in names:
        hint = nearest(names, channel) + (f"there are: {', '.join(names)}" if names else "")
        raise ConfigError(f"there is no receiver {channel!r}", hint=hint)


async def _words(
    message: Message | Digest, name: str, channel: Any, execute: Execute | None
) -> list[str]:
    if isinstance(message, Digest):
        words = told_of_digest(message)
    else:
        texts = Texts(name, getattr(channel, "templates", {}), execute)
        words = await texts.told(message)
    return [words.headline, *words.paragraphs(), words.place]


def _drift(now: datetime) -> MessageDrift:
    return MessageDrift(
        group="apps",
        kind="Deployment",
        namespace="shop",
        name="web",
        change="modified",
        path="/spec/replicas",
        change_class="declared",
        desired=3,
        live=1,
        user="alice@example.com",
        manager="kubectl-edit",
        operation="Update",
        time=rfc3339(now),
        severity="high",
        severity_reason="capacity is lower",
        since=rfc3339(now),
    )
