"""What the store takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec

from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Attribution,
    Change,
    ReportCondition,
)
from driftd.model.resource import ResourceKey


class DriftKey(msgspec.Struct, frozen=True, order=True):
    """The identity of a drift within its application: the same key is the same episode."""

    resource: ResourceKey
    path: str
    """The field in managedFields notation (`Change.ssa_path`), which list positions do not move;
    empty when the whole object is Missing or Extra."""
    kind: str
    """A `ChangeKind`, or the status `Missing` or `Extra`."""


class WholeObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an object that is Missing or Extra as a whole."""

    severity_reason: str = ""
    manager: str = ""
    """The field manager that created an Extra object."""
    attribution: Attribution | None = None


class Held(msgspec.Struct, frozen=True):
    """Why receivers are not told of a drift yet, and until when at most."""

    why: str
    until: datetime
    silence: str = ""
    """The id of the silence that covers it; empty where it only waits."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What a field had been, until a look found something else there; already masked."""

    until: datetime
    """The look that found another value."""
    desired: Any = msgspec.UNSET
    live: Any = msgspec.UNSET
    manager: str = ""

    @classmethod
    def of(cls, change: Change, until: datetime) -> Step:
        """What a change said before."""
        return cls(until, change.desired, change.live, change.manager or "")


class Drift(msgspec.Struct, frozen=True):
    """One episode of drift, from onset on."""

    key: DriftKey
    first_seen: datetime
    """The first look that saw it."""
    last_seen: datetime
    change: Change | None = None
    """The field's change as last seen, already masked; None for Missing and Extra."""
    clean_at: datetime | None = None
    """The last look that judged the object without it: it began after that. None if none did."""
    whole: WholeObject | None = None
    """Only for Missing and Extra."""
    severity: str = ""
    """The highest severity that it had so far; empty where none is known."""
    rate: float = 1.0
    """How often the same drift began lately, this time included; it halves in `HALF_LIFE`."""
    steps: tuple[Step, ...] = ()
    """Other values that it had while it was open, the first and the last ones."""
    held: Held | None = None
    """Set while it is recorded, but not told."""

    @property
    def author(self) -> str:
        """Who made it: the person where an audit log proves it, else the field manager."""
        told: Attribution | None = None
        manager = ""
        if self.change is not None:
            told = self.change.attribution or None
            manager = self.change.manager or ""
        elif self.whole is not None:
            told, manager = self.whole.attribution, self.whole.manager
        return (told or {}).get("user", "") or manager


HALF_LIFE: Final = timedelta(hours=1)
FIGHT_RATE: Final = 3.0
"""From this rate on a drift that comes back again and again counts as a fight."""


class Recovery(StrEnum):
    """How a drift ended."""

    HEALED = "healed"
    """driftd put it back."""
    SYNCED = "synced"
    """A deployer (Argo CD, Flux, Helm, kubectl apply) put it back."""
    REVERTED = "reverted"
    """Somebody else put it back, or it went by itself."""
    GIT = "git"
    """Git caught up with the cluster."""
    ACCEPTED = "accepted"
    """A baseline, a suppression or an ignore rule covers it now."""
    RECLASSIFIED = "reclassified"
    """It differs still, but counts as drift no longer."""
    GONE = "gone"
    """The object is declared no longer."""
    FORGOTTEN = "forgotten"
    """The application is declared no longer."""


class Ending(msgspec.Struct, frozen=True):
    """How a drift ended, and whose hand it was where that is known."""

    how: Recovery
    by: str = ""
    """A field manager."""


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A drift from onset to recovery, with the application (`namespace/name`) and its cluster."""

    application: str
    cluster: str
    drift: Drift
    closed_at: datetime | None = None
    ending: Ending | None = None
    """None while it is open, and where an older driftd closed it."""


class EpisodeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which episodes; the empty query means all."""

    application: str = ""
    """`namespace/name`, or a name alone (`root/name` for an application of Flux)."""
    kind: str = ""
    name: str = ""
    path: str = ""
    """The beginning of a field's path, a pointer or in managedFields notation."""
    is_at: Callable[[Drift], bool] | None = None
    """Which drifts, where paths are written otherwise than `path` has them."""
    is_open: bool | None = None
    since: datetime | None = None
    """Open ones, and those that were open at some time since then."""
    limit: int = 1000


class OpenDrift(msgspec.Struct, frozen=True):
    """A drift with the application that it belongs to (`namespace/name`) and its cluster."""

    application: str
    cluster: str
    drift: Drift


class Transition(StrEnum):
    """What a look changed for an application."""

    NONE = "none"
    DRIFTED = "drifted"
    """It is OutOfSync and was not."""
    WORSENED = "worsened"
    """It stays OutOfSync, and its highest severity rose."""
    CHANGED = "changed"
    """It stays OutOfSync with another set of drifts."""
    RECOVERED = "recovered"
    """It is Synced and was not."""
    HEALED = "healed"
    """driftd put drifts back, and nothing new is there; the status says whether all are gone."""
    UNKNOWN = "unknown"
    """It can no longer be judged."""
    FIGHTING = "fighting"
    """A drift comes back again and again; it is told no more until that ends."""
    RULE_TROUBLE = "rule-trouble"
    """A rule failed, or matches nothing any more."""
    HEAL_REFUSED = "heal-refused"
    """A drift is not put back although it was to be, and why."""
    SILENCE_EXPIRED = "silence-expired"
    """What a silence covered is told again."""
    PAUSE_FORGOTTEN = "pause-forgotten"
    """Somebody paused something and left it so."""
    HISTORY_REWRITTEN = "history-rewritten"
    """A branch does not come from what was compared before."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something beside the drifts that is told once, as long as it stands.

    Told again is what was gone in between: `key` says what is the same.
    """

    type: Transition
    key: str
    """Stable over looks, within the application and the type."""
    text: str
    """What happened, in words; masked."""
    resource: ResourceKey | None = None
    path: str = ""
    told_at_first: bool = True
    """Whether the first look at an application tells it, or only takes note of it."""


class Notices(msgspec.Struct, frozen=True):
    """What stands at one look. Of types that it did not judge, what stood before stands."""

    judged: frozenset[Transition] = frozenset()
    standing: tuple[Notice, ...] = ()


NO_NOTICES: Final = Notices()


class Fight(msgspec.Struct, frozen=True):
    """A field that somebody changes and somebody else puts back, again and again."""

    key: DriftKey
    changed_by: str
    """Who made the drift, as far as known: a person or a field manager."""
    put_back_by: str
    rate: float


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of recording one look; `transition` is `none` when nothing changed."""

    transition: Transition
    name: str
    namespace: str
    project: str
    cluster: str
    at: datetime
    previous: ApplicationStatus | None
    """The status before; None at the first look."""
    status: ApplicationStatus
    revisions: tuple[str, ...] = ()
    conditions: tuple[ReportCondition, ...] = ()
    opened: tuple[Drift, ...] = ()
    closed: tuple[Drift, ...] = ()
    open: tuple[Drift, ...] = ()
    """Every drift that is open now, those in `opened` included."""
    fights: tuple[Fight, ...] = ()
    """Drifts that have become a fight by this look."""
    endings: tuple[Ending, ...] = ()
    """How the drifts in `closed` ended, in their order."""
    recorded: bool = True
    """Whether the store has it; else it waits in memory, and what is told may differ."""
    released: tuple[Drift, ...] = ()
    """Drifts that were held before this look, and are told now."""
    told: ApplicationStatus | None = None
    """What receivers took the status to be before; None if they were told nothing yet."""
    severity_before: str = ""
    """The highest severity of what was open and told before."""
    episode_severity: str = ""
    """The highest severity since the application began to drift."""
    notices: tuple[Notice, ...] = ()
    """What is told beside the drifts, for the first time since it stands."""

    @property
    def is_told(self) -> bool:
        """Whether receivers hear of anything."""
        return self.transition is not Transition.NONE or bool(self.notices)

    @property
    def application(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class OutboxMessage(msgspec.Struct, frozen=True):
    """A message for one receiver; `id` stays the same over all attempts."""

    id: str
    target: str
    application: str
    """`namespace/name`; empty for a digest."""
    payload: bytes
    """Empty where only what is due was asked for."""
    attempts: int = 0
    """Attempts that have failed so far."""
    created_at: datetime | None = None
    due_at: datetime | None = None
    """Not to be delivered before; None: at once."""
    begun: bool = False
    """Whether an attempt was begun whose outcome is not known: the receiver may have it."""

    @property
    def is_digest(self) -> bool:
        """Whether it stands for other messages."""
        return not self.application


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A failed attempt."""

    error: str
    certain: bool
    """Whether the receiver does certainly not have the message."""
    max_attempts: int
    """After so many attempts a message is given up."""
    dead_before: datetime
    """Messages that were made before are given up."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up."""

    id: str
    target: str
    application: str
    created_at: datetime
    given_up_at: datetime
    attempts: int
    error: str
    payload: bytes


class HistoryEntry(msgspec.Struct, frozen=True):
    """Something that happened to an application: a transition, or a write by driftd."""

    application: str
    at: datetime
    kind: str
    """A `Transition`, or the kind of an event such as `sync`."""
    data: dict[str, Any]


class StoredApplication(msgspec.Struct, frozen=True):
    """The last look at an application."""

    report: ApplicationReport
    observed_at: datetime
    changed_at: datetime
    """Since when the status is what it is."""


class ApplicationMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What looks at one application left behind for the next one."""

    cluster: str
    """The API server; another one has other objects."""
    clean_revisions: tuple[str, ...] = ()
    """Git's revisions at the last look that found no difference; empty after any other look."""
    objects: Mapping[ResourceKey, bytes] = {}
    """What is known of each object, opaque here; one that is not named stays as it was."""

    def of(self, keys: Collection[ResourceKey] | None) -> ApplicationMemory:
        """The same of these objects alone; None keeps all."""
        if keys is None:
            return self
        wanted = set(keys)
        objects = {key: data for key, data in self.objects.items() if key in wanted}
        return msgspec.structs.replace(self, objects=objects)


class Verdict(msgspec.Struct, frozen=True):
    """The last verdict on an application (`namespace/name`), without its objects."""

    application: str
    cluster: str
    status: ApplicationStatus
    observed_at: datetime
    judged_at: datetime
    """When everything could be judged last, as far as is known."""


class GuardMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What the guards of healing remember; their state and each write are opaque here."""

    state: bytes = b""
    """Of one application; empty before its first look."""
    heals: tuple[bytes, ...] = ()
    """Writes that were intended for it lately, oldest first."""
    application_full_at: datetime | None = None
    """When its budget is full again."""
    cluster_full_at: datetime | None = None
    """When its cluster's budget is."""
