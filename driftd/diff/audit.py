"""Which audited writes made the changes of an object: who, beyond the names that managers choose.

A field manager's entry in `managedFields` has one time, that of the last write that took a field,
and many fields: an older write of the same manager may have taken the one in question. So a write
is held responsible only where the log shows that it was this one, or that all that it may have
been are the same person's; otherwise the candidates are told.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from driftd.clock import rfc3339
from driftd.diff.touched import Place, Touch, touch
from driftd.model.audit import AuditedObject, AuditedWrite
from driftd.model.report import Attribution, AuditedAuthor, Change, ChangeKind

CANDIDATES: Final = 5
"""Candidates that are told."""
SLACK: Final = 2.0
"""Seconds by which the times of entries and of audit events may disagree."""
LAG: Final = 60.0
"""Seconds that a log file may lag behind the look and still count as whole."""
_KEPT: Final = 2_000
"""Writes of one object that are remembered, the latest ones."""
_UNTRACED: Final = frozenset({ChangeKind.MISSING, ChangeKind.REORDERED})
_REPLICAS: Final = ("f:spec", "f:replicas")

Person = tuple[str, str]
"""The user, and the one the user acted as."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """An object whose changes are to be attributed."""

    target: AuditedObject
    version: str = ""
    """The version of its API that it was compared at."""
    changes: tuple[Change, ...] = ()
    created: float | None = None
    """When the object was created, in seconds since the epoch; None if that is not known."""
    alone: frozenset[int] = frozenset()
    """Numbers of the changes whose manager owns nothing else."""
    deployers: frozenset[str] = frozenset()


class Span(msgspec.Struct, frozen=True):
    """From when to when a log has all events, in seconds since the epoch; None if unknown."""

    begins: float | None = None
    ends: float | None = None


class _Kept(msgspec.Struct, frozen=True):
    write: AuditedWrite
    """Without its body."""
    touches: tuple[Touch, ...]
    """What it does to the place of each change."""
    converted: bool = False
    """Whether it went through another version of the API, which may lose what that has not."""


class Search:
    """The search for the authors of one object's changes: writes are offered, then it answers."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._places = [Place.of(change) for change in subject.changes]
        self._kept: deque[_Kept] = deque(maxlen=_KEPT)
        self._forgotten = 0.0
        """When the last write was that is no longer remembered."""

    def offer(self, write: AuditedWrite) -> None:
        """Take note of a write to the object. Its body is looked at and dropped."""
        scaled = write.subresource == "scale"
        versions = {self.subject.version, write.version} - {""}
        converted = not scaled and len(versions) > 1
        touches = tuple(
            touch(place, write.verb, write.body, scaled=scaled, converted=converted)
            for place in self._places
        )
        if len(self._kept) == _KEPT:
            self._forgotten = max(self._forgotten, self._kept[0].write.completed)
        self._kept.append(_Kept(msgspec.structs.replace(write, body=b""), touches, converted))

    def writers(self) -> Iterable[AuditedWrite]:
        """The writes that were offered and are remembered."""
        return (kept.write for kept in self._kept)

    def answers(
        self, hands: Mapping[str, Person], span: Span, *, now: float
    ) -> list[_Answer | None]:
        """Who made each change, in their order; None where the log does not tell.

        `hands` is who deploys under each deployer's name, `span` what the log covers, `now` when
        the look was, in seconds since the epoch.
        """
        kept = sorted(self._kept, key=lambda one: one.write.completed)
        created = self.subject.created
        if created is not None:
            kept = [one for one in kept if one.write.completed >= created - SLACK]
        if span.begins is not None:
            span = msgspec.structs.replace(span, begins=max(span.begins, self._forgotten))
        asked = _Asked(self.subject, tuple(kept), hands, span, now)
        return [
            _Question(asked, number, self._places[number]).answer()
            for number in range(len(self.subject.changes))
        ]

    def deleted_by(self) -> Attribution | None:
        """Who deleted the object, if that is the last thing that happened to it."""
        kept = sorted(self.writers(), key=lambda one: one.completed)
        done = [one for one in kept if not one.subresource]
        if not done or not done[-1].verb.startswith("delete"):
            return None
        last = done[-1]
        if last.verb == "delete":
            return _told([last])
        return {"candidates": [author(last)]}  # the log does not say which ones of a collection

    def created_by(self) -> Attribution | None:
        """Who created the object."""
        created = self.subject.created
        made = [
            one
            for one in self.writers()
            if one.verb in {"create", "patch"}
            and not one.subresource
            and created is not None
            and _is_at(one, created)
        ]
        made.sort(key=lambda one: (one.verb != "create", one.completed))
        return _told(made[:1]) if made else None


class _Answer(msgspec.Struct, frozen=True):
    attribution: Attribution
    certain: bool


class _Asked(msgspec.Struct, frozen=True):
    """What the questions about one object share."""

    subject: Subject
    kept: tuple[_Kept, ...]
    hands: Mapping[str, Person]
    span: Span
    now: float


class _Question:
    """Who made one change, among the writes to its object."""

    def __init__(self, asked: _Asked, number: int, place: Place) -> None:
        subject = asked.subject
        self._change = subject.changes[number]
        self._number = number
        self._place = place
        self._kept = asked.kept
        self._hands = asked.hands
        self._span = asked.span
        self._deployers = subject.deployers
        self._alone = number in subject.alone
        self._created = subject.created
        change = self._change
        self._manager = change.manager if isinstance(change.manager, str) else ""
        self._operation = change.operation if isinstance(change.operation, str) else ""
        self._through = change.subresource if isinstance(change.subresource, str) else ""
        self._time = seconds(change.time) if isinstance(change.time, str) else None
        self._unseen = False
        """Whether the write that the entry tells of is not in the log."""
        between = change.attribution if isinstance(change.attribution, dict) else {}
        self._after = seconds(between.get("after", ""))
        before = seconds(between.get("before", ""))
        self._before = asked.now if before is None else before
        self._traced = bool(self._manager and change.kind not in _UNTRACED and self._after is None)

    def answer(self) -> _Answer | None:
        run = self._run()
        if not run:
            return None
        if self._traced:
            run, certain = self._traced_run(run)
        else:
            certain = self._is_whole()
        proved = [one for one in run if one.touches[self._number] is Touch.AS_LIVE]
        if proved and not self._unseen:
            # What came later repeats it, or the log cannot say that it did not.
            run, certain = proved[:1], True
        writes = [one.write for one in run]
        if len({write.person for write in writes}) == 1 and certain:
            return _Answer(_told(writes), certain=True)
        return _Answer(_candidates(writes), certain=False)

    def _run(self) -> list[_Kept]:
        """The writes that may have left the place as it is, the earliest first."""
        run: list[_Kept] = []
        replaced: _Kept | None = None
        converted = False
        for one in reversed(self._kept):
            touched = one.touches[self._number]
            fits = self._fits(one)
            if touched in (Touch.OTHERWISE, Touch.REPLACED):
                replaced = one if fits and not converted else None
                break
            converted = converted or one.converted
            if touched is Touch.NOTHING:
                continue
            if fits:
                run.append(one)
        if not run and replaced and self._left_by(replaced):
            return [replaced]
        return run[::-1]

    def _left_by(self, replaced: _Kept) -> bool:
        """Whether the last write of the place left it as it is, though it sent something else.

        The server stores it in another spelling, or puts a default where something was taken away.
        """
        if self._traced:
            return self._at_entry(replaced.write)
        return replaced.touches[self._number] is Touch.REPLACED

    def _fits(self, one: _Kept) -> bool:
        return self._fits_trace(one.write) if self._traced else self._fits_window(one)

    def _fits_trace(self, write: AuditedWrite) -> bool:
        """Whether the write can be the one that the owner's entry tells of."""
        if write.subresource != self._through:
            return False
        if self._operation == "Apply":
            named = write.manager_named or not write.manager_known
            if write.verb != "patch" or not named:
                return False
        elif write.verb not in {"create", "update", "patch"}:
            return False
        if self._time is not None and write.received > self._time + 1 + SLACK:
            return False
        if write.manager == self._manager:
            return True
        if write.manager_known:
            return False
        begins = bool(write.manager) and self._manager.startswith(f"{write.manager}-")
        return begins or self._at_entry(write)

    def _fits_window(self, one: _Kept) -> bool:
        """Whether the write can have made a change that leaves no trace."""
        write = one.write
        through = not write.subresource or (
            write.subresource == "scale" and self._place.segments == _REPLICAS
        )
        if not through or write.verb not in {"create", "update", "patch"}:
            return False
        if write.verb == "create" and self._place.gone and not self._proves(one):
            return False
        if self._after is not None and write.completed < self._after - SLACK:
            return False
        deployed = self._last_deployment
        if deployed is not None and write.completed < deployed:
            return False
        return not self._is_deployment(write)

    def _proves(self, one: _Kept) -> bool:
        return one.touches[self._number] is Touch.AS_LIVE

    def _traced_run(self, run: list[_Kept]) -> tuple[list[_Kept], bool]:
        """The writes that the entry's time allows, and whether the log knows all of them."""
        at_entry = [one for one in run if self._at_entry(one.write, slack=0)]
        # One server stamps both; the slack is for those that do not agree with themselves.
        at_entry = at_entry or [one for one in run if self._at_entry(one.write)]
        if self._time is None:  # nothing but `/scale` leaves no time
            return run[-1:], self._alone or self._reaches_back()
        spoken_for = self._manager in self._deployers
        if self._operation == "Apply" or self._alone or spoken_for:
            # An apply states all its fields at once. What a deployer wrote before was Git's.
            others = [one for one in at_entry if not self._is_deployment(one.write)]
            chosen = others if spoken_for and others else at_entry
            self._unseen = not chosen
            return (chosen, True) if chosen else (run, False)
        return run, bool(at_entry) and self._reaches_back()

    def _at_entry(self, write: AuditedWrite, *, slack: float = SLACK) -> bool:
        return self._time is not None and _is_at(write, self._time, slack)

    def _reaches_back(self) -> bool:
        """Whether the log holds everything since the object was created or seen without."""
        since, begins = self._after if self._after is not None else self._created, self._span.begins
        return since is not None and begins is not None and begins <= since + SLACK

    def _is_whole(self) -> bool:
        """Whether the log holds everything in which a change without trace can have come."""
        ends = self._span.ends
        if ends is None or ends < self._before - LAG:
            return False
        return self._reaches_back() or self._last_deployment is not None

    def _is_deployment(self, write: AuditedWrite) -> bool:
        name = _hand(write, self._deployers)
        return bool(name) and self._hands.get(name) == write.person

    @cached_property
    def _last_deployment(self) -> float | None:
        """When a deployer last wrote the object: until then the place was as Git has it."""
        done = [
            one.write.completed
            for one in self._kept
            if not one.write.subresource
            and one.write.verb != "delete"
            and self._is_deployment(one.write)
        ]
        return max(done, default=None)


def hands(searches: Iterable[Search]) -> dict[str, Person]:
    """Who deploys under each deployer's name: the person who wrote most objects, or the first.

    Anybody can call a field manager like a deployer; that person is not meant.
    """
    written: dict[str, Counter[Person]] = {}
    first: dict[tuple[str, Person], float] = {}
    for search in searches:
        names = search.subject.deployers
        wrote = [(name, one) for one in search.writers() if (name := _hand(one, names))]
        for name, person in {(name, one.person) for name, one in wrote}:
            written.setdefault(name, Counter())[person] += 1
        for name, one in wrote:
            key = (name, one.person)
            first[key] = min(first.get(key, one.completed), one.completed)
    return {
        name: max(counts, key=lambda one: (counts[one], -first[name, one]))
        for name, counts in written.items()
    }


def _hand(write: AuditedWrite, deployers: frozenset[str]) -> str:
    """The deployer's name under which a write was made; empty if it was none's.

    Where only the user agent is known, kubectl may be any of its commands.
    """
    vague = not write.manager_known and write.manager == "kubectl"
    return write.manager if write.manager in deployers and not vague else ""


def applied(change: Change, answer: _Answer | None) -> Change:
    """The change with what the log says of its author."""
    if answer is None or change.invalid:
        return change
    before: dict[str, Any] = dict(change.attribution) if change.attribution else {}
    told: Attribution = {**before, **answer.attribution}  # type: ignore[typeddict-item]
    confidence = "audit" if answer.certain else change.confidence
    return msgspec.structs.replace(change, attribution=told, confidence=confidence)


def owns_nothing_else(fields: Mapping[str, Any], ssa_path: str) -> bool:
    """Whether an entry's `fieldsV1` has no place outside the one that `ssa_path` names."""
    at: Any = fields
    for token in ssa_path.split("/"):
        if not at:
            return True
        members = [name for name in at if name != "."]
        if members != [token.replace("~1", "/").replace("~0", "~")]:
            return False
        at = at[members[0]]
    return True


def author(write: AuditedWrite) -> AuditedAuthor:
    """Who made a write, as it is published."""
    found: AuditedAuthor = {"user": write.user}
    if write.impersonated_user:
        found["impersonatedUser"] = write.impersonated_user
    if write.groups:
        found["groups"] = list(write.groups)
    if write.user_agent:
        found["userAgent"] = write.user_agent
    if write.source_ips:
        found["sourceIPs"] = list(write.source_ips)
    found["verb"] = write.verb
    if write.audit_id:
        found["auditID"] = write.audit_id
    found["time"] = rfc3339(datetime.fromtimestamp(write.completed, UTC))
    return found


def _told(writes: Sequence[AuditedWrite]) -> Attribution:
    told: Attribution = {**author(writes[-1])}  # type: ignore[typeddict-item]
    if len(writes) > 1:
        told["writes"] = len(writes)
    return told


def _candidates(writes: Sequence[AuditedWrite]) -> Attribution:
    """Each person once, with the latest write, the latest person first."""
    latest = {write.person: write for write in writes}
    ordered = sorted(latest.values(), key=lambda one: -one.completed)
    told: Attribution = {"candidates": [author(one) for one in ordered[:CANDIDATES]]}
    if len(ordered) > CANDIDATES:
        told["more"] = len(ordered) - CANDIDATES
    return told


def _is_at(write: AuditedWrite, time: float, slack: float = SLACK) -> bool:
    """Whether a time of whole seconds lies within the write."""
    return write.received - slack < time + 1 and time <= write.completed + slack


def seconds(stamp: str) -> float | None:
    """An RFC 3339 time in seconds since the epoch; None if it is none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None
