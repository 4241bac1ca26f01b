"""Slack incoming webhooks: one short message per change of state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from driftd.model.counts import counted
from driftd.model.report import is_masked
from driftd.notify.digest import Digest
from driftd.notify.message import Message, MessageDrift, MessageFight
from driftd.notify.notifier import Notifier, Receipt, check_url, post
from driftd.settings.load import read_secret
from driftd.settings.notifications import Slack
from driftd.store.types import Transition

if TYPE_CHECKING:
    import aiohttp

TOP = 5
"""Drifts that are shown; the others are counted."""

_VALUE_LENGTH = 80
_TEXT_LENGTH = 2900
_MASKED = "••••"
_ABSENT = "(absent)"


_NOTED = {
    Transition.RULE_TROUBLE: "a rule is in trouble",
    Transition.HEAL_REFUSED: "drift is not put back",
    Transition.SILENCE_EXPIRED: "a silence has ended",
    Transition.PAUSE_FORGOTTEN: "a pause goes on",
}


def text_of(message: Message) -> str:
    """The headline, also what notifications on a phone show."""
    name = f"{_plain(message.application)} on {_plain(message.cluster or 'unknown cluster')}"
    count, opened, closed = message.counts.open, message.counts.opened, message.counts.closed
    if message.type in _NOTED:
        return f"{name}: {_NOTED[message.type]}"
    if message.type in (Transition.DRIFTED, Transition.WORSENED):
        return f"{name}: {counted(count, 'field')} drifted from Git"
    if message.type is Transition.CHANGED:
        return f"{name}: {opened} new, {closed} gone, {counted(count, 'field')} drifted from Git"
    if message.type is Transition.HEALED and not message.ends_drift:
        return f"{name}: driftd put back {closed}, {counted(count, 'field')} drifted from Git"
    if message.type is Transition.HEALED:
        return f"{name}: driftd put it back, in sync with Git again"
    if message.type is Transition.RECOVERED:
        return f"{name}: in sync with Git again"
    if message.type is Transition.FIGHTING:
        return f"{name}: {counted(len(message.fights), 'field')} changed and put back repeatedly"
    return f"{name}: cannot be judged"


def payload(message: Message) -> dict[str, Any]:
    """The Block Kit message; masked values stay masked."""
    headline = text_of(message)
    blocks = [_section(f"*{_escape(headline)}*")]
    if message.type in _NOTED:
        told = [f"• {_escape(_plain(one.text))}" for one in message.notices[:TOP]]
        blocks += [_section("\n".join(told))] if told else []
    elif message.type is Transition.UNKNOWN:
        reasons = [f"• {_escape(_plain(c.message))}" for c in message.conditions[:TOP]]
        blocks += [_section("\n".join(reasons))] if reasons else []
    elif message.type is Transition.FIGHTING:
        lines = [_fight(fight) for fight in message.fights[:TOP]]
        hidden = len(message.fights) - len(lines)
        lines += [f"… and {hidden} more"] if hidden > 0 else []
        lines.append("Nothing more is told of it until it has been quiet for a while.")
        blocks.append(_section("\n".join(lines)))
    elif not message.ends_drift:
        lines = [_line(drift) for drift in message.drifts[:TOP]]
        hidden = message.counts.open - len(lines)
        lines += [f"… and {hidden} more"] if hidden > 0 else []
        blocks += [_section("\n".join(lines))] if lines else []
    context = f"{message.namespace}/{message.application} · project {message.project}"
    revision = ", ".join(revision[:12] for revision in message.revisions)
    context += f" · revision {revision}" if revision else ""
    footer = {"type": "mrkdwn", "text": _escape(_plain(f"{context} · {message.at}"))}
    blocks.append({"type": "context", "elements": [footer]})
    return {"text": _escape(headline), "blocks": blocks}


def digest_payload(digest: Digest) -> dict[str, Any]:
    """The Block Kit message of many messages."""
    count = counted(len(digest.messages), "change")
    headline = f"{count} of {counted(digest.applications, 'application')} since {digest.since}"
    lines = [
        f"• {_escape(_plain(f'{one.application} on {one.cluster}: {one.type}'))}, {one.open} open"
        for one in digest.entries[:TOP]
    ]
    hidden = digest.applications - len(lines)
    lines += [f"… and {hidden} more"] if hidden > 0 else []
    return {
        "text": _escape(headline),
        "blocks": [_section(f"*{_escape(headline)}*"), _section("\n".join(lines))],
    }


class SlackNotifier(Notifier):
    """Posts messages to one incoming webhook; its URL is read from the file at each attempt.

    Building one raises ConfigError when the URL cannot work.
    """

    def __init__(self, settings: Slack, session: aiohttp.ClientSession, limit: float) -> None:
        self._settings = settings
        self._session = session
        self._limit = limit
        self._receiver = f"Slack webhook {settings.name}"
        self._url()

    async def send(self, message: Message, earlier: Receipt | None = None) -> None:
        """See `Notifier.send`."""
        await self._post(payload(message))

    async def send_digest(self, digest: Digest) -> None:
        """See `Notifier.send_digest`."""
        await self._post(digest_payload(digest))

    async def _post(self, body: dict[str, Any]) -> None:
        await post(
            self._session,
            self._url(),
            msgspec.json.encode(body),
            headers={},
            receiver=self._receiver,
            limit=self._limit,
        )

    def _url(self) -> str:
        url = read_secret(self._settings.url_file, "the URL of the Slack webhook")
        check_url(url, self._receiver)
        return url


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_TEXT_LENGTH]}}


def _fight(fight: MessageFight) -> str:
    place = f"{fight.namespace}/{fight.name}" if fight.namespace else fight.name
    what = _escape(_plain(f"{fight.kind} {place}"))
    path = f" `{_escape(_shortened(_plain(fight.path)))}`" if isinstance(fight.path, str) else ""
    by, back = (
        _escape(_plain(one)) if isinstance(one, str) else "somebody"
        for one in (fight.changed_by, fight.put_back_by)
    )
    return f"• {what}{path}: changed by {by}, put back by {back}, {fight.times} times lately"


def _line(drift: MessageDrift) -> str:
    place = f"{drift.namespace}/{drift.name}" if drift.namespace else drift.name
    what = _escape(_plain(f"{drift.kind} {place}"))
    if not isinstance(drift.path, str):
        words = {"Missing": "is missing in the cluster", "Extra": "is not in Git"}
        return f"• {what} {words.get(drift.change, drift.change)}"
    author = drift.manager if drift.user is UNSET else drift.user
    who = f" by {_escape(_plain(author))}" if isinstance(author, str) else ""
    when = f" at {_escape(_plain(drift.time))}" if isinstance(drift.time, str) else ""
    path = _escape(_shortened(_plain(drift.path)))
    change = f"{_value(drift.desired)} → {_value(drift.live)}"
    return f"• {what} `{path}`: {change}{who}{when}"


def _value(value: Any) -> str:
    if value is UNSET:
        return _ABSENT
    if is_masked(value):
        return _MASKED
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"`{_escape(_shortened(_plain(text)))}`"


def _shortened(text: str) -> str:
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 1]}…"


def _plain(text: str) -> str:
    """On one line, and unable to end the code span that it stands in."""
    visible = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(visible.split()).replace("`", "'")


def _escape(text: str) -> str:
    """Slack's three control characters, without which nobody can be mentioned or linked."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
