"""What a message says in words; how channels escape, cut and colour it is theirs.

Every text here is on one line, printable and of bounded length, and none is escaped: what stands
in it may come from a cluster, so each channel encodes all of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET

from driftd.model.counts import counted
from driftd.model.item_names import in_order
from driftd.model.report import ApplicationStatus, ChangeKind, is_masked
from driftd.model.severities import ORDER
from driftd.notify.digest import Digest, DigestEntry
from driftd.notify.message import Message, MessageDrift, MessageFight
from driftd.store.types import Transition

TOP: Final = 5
"""Drifts that are shown; the others are counted."""
MASKED: Final = "••••"
ABSENT: Final = "(absent)"

_NAME: Final = 253
_PATH: Final = 160
_VALUE: Final = 120
_GRAVE: Final = 320
"""Characters of a critical value: what is grave in it may stand at its end."""
_REASON: Final = 400
DIGEST_TOP: Final = 10
"""Applications that a digest shows."""

_NOTED: Final = {
    Transition.RULE_TROUBLE: "a rule is in trouble",
    Transition.HEAL_REFUSED: "drift is not put back",
    Transition.SILENCE_EXPIRED: "a silence has ended",
    Transition.PAUSE_FORGOTTEN: "a pause goes on",
    Transition.HISTORY_REWRITTEN: "the history of its branch was rewritten",
}
_STATES: Final = {
    "drifted": "",
    "worsened": "worse than before",
    "changed": "",
    "recovered": "in sync again",
    "healed": "put back",
    "unknown": "cannot be judged",
    "fighting": "changed and put back repeatedly",
    "rule-trouble": "a rule is in trouble",
    "heal-refused": "not put back",
    "silence-expired": "a silence has ended",
    "pause-forgotten": "a pause goes on",
    "history-rewritten": "the history of its branch was rewritten",
}
_ENDINGS: Final = {
    "healed": "was put back by driftd",
    "synced": "was put back",
    "reverted": "was put back",
    "git": "is what Git says now",
    "accepted": "is accepted now",
    "reclassified": "counts as drift no longer",
    "gone": "is declared no longer",
    "forgotten": "is looked at no longer",
}
_RANKS: Final[dict[str, int]] = {severity: rank for rank, severity in enumerate(ORDER)}
_WHOLE: Final = {"Missing": "is missing in the cluster", "Extra": "is not in Git"}


class Tone(StrEnum):
    """How a message is to be taken; channels give it a colour."""

    BAD = "bad"
    GOOD = "good"
    BLIND = "blind"
    """It cannot be judged."""
    INFO = "info"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One drift, or one field that is fought about."""

    what: str
    """Kind and name of the object."""
    path: str = ""
    """The field; empty for a whole object."""
    said: str = ""
    """What is to be said instead of values."""
    desired: str = ""
    live: str = ""
    who: str = ""
    when: str = ""
    severity: str = ""
    reason: str = ""
    """Why it has this severity."""

    @property
    def byline(self) -> str:
        """Who, when and how severe, as far as known."""
        made = " ".join(
            part
            for part in (self.who and f"by {self.who}", self.when and f"at {self.when}")
            if part
        )
        severe = f"severity {self.severity}" if self.severity else ""
        if severe and self.reason:
            severe += f" ({self.reason})"
        return " · ".join(part for part in (made, severe) if part)

    @property
    def change(self) -> str:
        """What Git says and what is there."""
        return self.said or f"{self.desired} → {self.live}"

    def __str__(self) -> str:
        path = f" {self.path}:" if self.path else ""
        by = f" {self.byline}" if self.byline else ""
        return f"{self.what}{path} {self.change}{by}"

    @property
    def sentence(self) -> str:
        """Object, field and what is said of it, without who and when."""
        path = f" {self.path}" if self.path else ""
        return f"{self.what}{path} {self.change}"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A message in words."""

    headline: str
    tone: Tone
    severity: str = ""
    """The highest of the drifts that are open; empty where none is known."""
    facts: tuple[tuple[str, str], ...] = ()
    """Label and value: where it happened."""
    lines: tuple[Line, ...] = ()
    hidden: int = 0
    """Lines that are left out."""
    brief: bool = False
    """Whether each line is one of a list, and not a paragraph."""
    reasons: tuple[str, ...] = ()
    """Why it cannot be judged."""
    notes: tuple[str, ...] = ()
    """What driftd will do, and what the reader may do."""
    own: tuple[str, ...] | None = None
    """The lines of a text of the operator's own; it stands for lines, reasons and notes."""

    def paragraphs(self) -> list[str]:
        """Everything below the headline as plain lines."""
        if self.own is not None:
            return list(self.own)
        found = [f"• {line}" for line in self.lines]
        found += [f"… and {self.hidden} more"] if self.hidden > 0 else []
        return [*found, *(f"• {reason}" for reason in self.reasons), *self.notes]

    @property
    def place(self) -> str:
        """The facts on one line."""
        return " · ".join(f"{label} {value}" for label, value in self.facts)


def told(message: Message) -> Told:
    """The words of a message; masked values stay masked."""
    lines: tuple[Line, ...] = ()
    hidden = 0
    reasons: tuple[str, ...] = ()
    if message.type in _NOTED:
        reasons, hidden = _noticed(message), max(0, len(message.notices) - TOP)
    elif message.type is Transition.FIGHTING:
        lines = tuple(_fight(fight) for fight in message.fights[:TOP])
        hidden = len(message.fights) - len(lines)
    elif message.type is Transition.UNKNOWN:
        found = message.conditions[:TOP]
        reasons = tuple(shortened(visible(one.message), _REASON) for one in found)
    elif message.ends_drift:
        lines = tuple(_ended(drift) for drift in message.closed[:TOP])
        hidden = message.counts.closed - len(lines)
    else:
        lines = tuple(_drift(drift) for drift in _worst_first(message)[:TOP])
        hidden = message.counts.open - len(lines)
    return Told(
        headline=_headline(message),
        tone=_tone(message),
        severity=message.severity,
        facts=_facts(message),
        lines=lines,
        hidden=hidden,
        reasons=reasons,
        notes=_notes(message),
    )


def told_of_digest(digest: Digest) -> Told:
    """The words of many messages at once."""
    entries = digest.entries[:DIGEST_TOP]
    count = counted(len(digest.messages), "change")
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(digest.types.items()))
    over = all(one.status is ApplicationStatus.SYNCED for one in digest.entries)
    return Told(
        headline=f"{count} in {counted(digest.applications, 'application')}",
        tone=Tone.GOOD if over else Tone.BAD,
        severity=digest.severity,
        facts=(("Changes", visible(kinds)), ("From", digest.since), ("Until", digest.at)),
        lines=tuple(map(_entry, entries)),
        hidden=digest.applications - len(entries),
        brief=True,
        notes=("Many changes at once are told together; driftd episodes --open lists each drift.",),
    )


def visible(text: str) -> str:
    """On one line, with nothing that cannot be seen."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, the last one an ellipsis where something is missing."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def value_of(value: Any, limit: int = _VALUE) -> str:
    """A value as it is shown, at most `limit` characters long."""
    if value is UNSET:
        return ABSENT
    if is_masked(value):
        return MASKED
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return shortened(visible(text), limit) or '""'


def _headline(message: Message) -> str:
    application = shortened(visible(message.application), _NAME)
    cluster = shortened(visible(message.cluster), _NAME) or "unknown cluster"
    return f"{application} on {cluster}: {_happened(message)}"


def _happened(message: Message) -> str:
    opened, closed = message.counts.opened, message.counts.closed
    fields = f"{counted(message.counts.open, 'field')} drifted from Git"
    if message.type is Transition.HEALED:
        if message.ends_drift:
            return "driftd put it back, in sync with Git again"
        return f"driftd put back {counted(closed, 'field')}, {fields}"
    if message.type is Transition.WORSENED:
        before = f" from {message.previous_severity}" if message.previous_severity else ""
        return f"severity rose{before} to {message.severity}, {fields}"
    if message.type is Transition.FIGHTING:
        return f"{counted(len(message.fights), 'field')} changed and put back repeatedly"
    said = {
        Transition.DRIFTED: fields,
        Transition.CHANGED: f"{opened} new, {closed} gone, {fields}",
        Transition.RECOVERED: "in sync with Git again",
        **_NOTED,
    }
    return said.get(message.type, "cannot be judged")


def _noticed(message: Message) -> tuple[str, ...]:
    found = []
    for one in message.notices[:TOP]:
        place = ""
        if isinstance(one.name, str):
            inner = f"{one.namespace}/{one.name}" if one.namespace else one.name
            place = f"{one.kind} {inner}"
            place += f" {one.path}: " if isinstance(one.path, str) else ": "
        found.append(shortened(visible(place + one.text), _REASON))
    return tuple(found)


def _notes(message: Message) -> tuple[str, ...]:
    """What driftd will do, and how to silence it."""
    notes = []
    if message.type is Transition.FIGHTING:
        notes.append("Nothing more is told of it until it has been quiet for a while.")
    if message.action:
        when = f" (heals at {message.heals_at})" if message.heals_at else ""
        notes.append(f"{message.action}{when}")
    if message.silence and message.type not in _NOTED:
        notes.append(f"Silence it: {message.silence}")
    return tuple(shortened(visible(note), _REASON) for note in notes)


def _entry(entry: DigestEntry) -> Line:
    place = f"{visible(entry.application)} on {visible(entry.cluster) or 'unknown cluster'}:"
    state = _STATES.get(entry.type.value, entry.type.value)
    said = [state] if state else []
    if entry.open:
        said.append(f"{counted(entry.open, 'field')} drifted")
    text = ", ".join(said) or "no field drifted"
    if entry.open and entry.severity:
        text += f" ({visible(entry.severity)})"
    if entry.first and entry.open:
        text += f", such as {shortened(visible(entry.first), _PATH)}"
    return Line(what=shortened(place, 2 * _NAME), said=text)


def _worst_first(message: Message) -> list[MessageDrift]:
    """What is new before what is known, and of each the worst before the others."""
    opened = message.counts.opened
    found = []
    for part in (message.drifts[:opened], message.drifts[opened:]):
        found += sorted(part, key=lambda one: _RANKS.get(one.severity or "", len(ORDER)))
    return found


def _tone(message: Message) -> Tone:
    if message.type in _NOTED:
        return Tone.INFO
    if message.status is ApplicationStatus.UNKNOWN:
        return Tone.BLIND
    return Tone.GOOD if message.status is ApplicationStatus.SYNCED else Tone.BAD


def _facts(message: Message) -> tuple[tuple[str, str], ...]:
    revision = ", ".join(revision[:12] for revision in message.revisions)
    facts = (
        ("Application", f"{message.namespace}/{message.application}"),
        ("Cluster", message.cluster or "unknown"),
        ("Project", message.project),
        ("Owner", message.owner),
        ("Revision", revision),
        ("Time", message.at),
    )
    return tuple((label, shortened(visible(value), _NAME)) for label, value in facts if value)


def _object(one: MessageDrift | MessageFight) -> str:
    place = f"{one.namespace}/{one.name}" if one.namespace else one.name
    return shortened(visible(f"{one.kind} {place}"), 2 * _NAME)


def _fight(fight: MessageFight) -> Line:
    by, back = (
        shortened(visible(one), _NAME) if isinstance(one, str) else "somebody"
        for one in (fight.changed_by, fight.put_back_by)
    )
    return Line(
        what=_object(fight),
        path=_path(fight.path),
        said=f"changed by {by}, put back by {back}, {fight.times} times lately",
    )


def _drift(drift: MessageDrift) -> Line:
    whole = not isinstance(drift.path, str)
    author = drift.manager if drift.user is UNSET else drift.user
    moved = drift.change == ChangeKind.REORDERED
    desired, live = (in_order(side) if moved else side for side in (drift.desired, drift.live))
    limit = _GRAVE if drift.severity == "critical" else _VALUE
    return Line(
        what=_object(drift),
        path=_path(drift.path),
        said=_WHOLE.get(drift.change, visible(drift.change)) if whole else "",
        desired="" if whole else value_of(desired, limit),
        live="" if whole else value_of(live, limit),
        who=_text(author),
        when=_text(drift.time),
        severity=_text(drift.severity),
        reason=_text(drift.severity_reason),
    )


def _ended(drift: MessageDrift) -> Line:
    """A drift that is over, and by whose hand."""
    how = _ENDINGS.get(drift.ended if isinstance(drift.ended, str) else "", "is gone")
    hand = _text(drift.ended_by)
    by = f" by {hand}" if hand and drift.ended != "healed" else ""
    return Line(what=_object(drift), path=_path(drift.path), said=how + by)


def _path(path: Any) -> str:
    return shortened(visible(path), _PATH) if isinstance(path, str) else ""


def _text(value: Any) -> str:
    return shortened(visible(value), _NAME) if isinstance(value, str) else ""
