"""The audit record as a chain: each entry's text holds the digest of the one before. Pure.

An entry is canonical JSON: keys sorted, no white space, ASCII alone, so that a line is a line
whatever names and messages hold. Its digest is the SHA-256 of that text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from driftd.model.resource import ResourceKey

GENESIS: Final = ""
"""What the first entry has in place of a digest before it."""
CHECKPOINT: Final = "checkpoint"
"""The kind of the entry that stands for those that retention has taken away."""
DRIFTD: Final = "driftd"
"""Who acts where no person does."""


class AuditChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field before and after a write, masked as reports mask it."""

    path: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be recorded. Nothing in it is secret: values are masked by whoever makes it."""

    id: str
    """The same however often it is handed over, so that it is recorded once."""
    at: datetime
    kind: str
    """Such as `intent`, `result`, `refusal`, `restore`, `freeze`, `override`."""
    who: str = DRIFTD
    application: str = ""
    """`namespace/name`; empty where it is about no single one."""
    cluster: str = ""
    object: ResourceKey | None = None
    cause: str = ""
    """Why it was done."""
    plan: str = ""
    """The hash of the plan that it belongs to."""
    changes: tuple[AuditChange, ...] = ()
    outcome: str = ""
    message: str = ""
    data: dict[str, Any] = {}


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as the database has it; what is beside `entry` is there to search by."""

    seq: int
    id: str
    at: datetime
    application: str
    kind: str
    entry: str
    digest: str


class Head(msgspec.Struct, frozen=True):
    """The last entry: its number and its digest. Number 0 where there is none yet."""

    seq: int = 0
    digest: str = GENESIS

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


class Broken(msgspec.Struct, frozen=True):
    """The first entry that is not as it was recorded, and what is wrong with it."""

    seq: int
    problem: str


def row_of(record: AuditRecord, before: Head) -> AuditRow:
    """The entry that follows on `before`."""
    seq = before.seq + 1
    told = msgspec.to_builtins(record, builtin_types=(datetime,))
    moment = record.at.astimezone(UTC)
    told |= {
        "seq": seq,
        "previous": before.digest,
        "at": _moment(moment),
        "who": record.who,
    }
    if not record.data:
        told.pop("data", None)
    entry = canonical(told)
    return AuditRow(
        seq=seq,
        id=record.id,
        at=moment,
        application=record.application,
        kind=record.kind,
        entry=entry,
        digest=digest_of(entry),
    )


def canonical(document: Any) -> str:
    """JSON with one spelling: sorted keys, no white space, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(entry: str) -> str:
    """SHA-256 of an entry's text, in hex."""
    return hashlib.sha256(entry.encode()).hexdigest()


class Verifier:
    """Follows the chain entry by entry and stops at the first one that is not as recorded."""

    def __init__(self) -> None:
        self.head = Head()
        """The last entry that is as recorded."""
        self.entries = 0
        self.broken: Broken | None = None
        self._gone = 0
        """Entries before the first one that is there, for which a checkpoint must speak."""
        self._gone_digest = GENESIS
        self._excused = False

    def feed(self, rows: Iterable[AuditRow]) -> None:
        """Take the next entries, in their order."""
        for row in rows:
            if self.broken is None:
                self._take(row)

    def end(self, stored: Head, known: Head | None = None) -> Broken | None:
        """What is wrong with the whole record; `stored` is the head as the database has it.

        `known` is a head that somebody kept elsewhere: the record must still contain it.
        """
        if self.broken is not None:
            return self.broken
        if self._gone and not self._excused:
            return Broken(1, f"entries 1 to {self._gone} are gone, and no checkpoint says why")
        if stored.seq > self.head.seq:
            return Broken(
                self.head.seq + 1, f"the entries from here to {stored.seq} are gone from the end"
            )
        if stored != self.head:
            return Broken(self.head.seq, "it was appended by somebody else than driftd")
        if known is not None and known.seq > self.head.seq:
            return Broken(
                self.head.seq + 1, f"the entries from here to {known.seq} are gone from the end"
            )
        return None

    def _take(self, row: AuditRow) -> None:
        problem = self._problem(row)
        if problem:
            self.broken = Broken(row.seq, problem)
            return
        self.head = Head(row.seq, row.digest)
        self.entries += 1

    def _problem(self, row: AuditRow) -> str:
        if digest_of(row.entry) != row.digest:
            return "it was changed: its digest is not that of its text"
        try:
            told = json.loads(row.entry)
        except ValueError:
            return "it was changed: it is no JSON"
        beside = (row.seq, row.id, row.application, row.kind, _moment(row.at))
        found = (told.get("seq"), told.get("id"), told.get("application", ""), told.get("kind"))
        if (*found, told.get("at")) != beside:
            return "it was changed: its columns say something else than its text"
        if not self.entries and row.seq > 1:
            self._gone, self._gone_digest = row.seq - 1, str(told.get("previous"))
        elif row.seq != self.head.seq + 1:
            return f"entry {self.head.seq + 1} is gone"
        elif told.get("previous") != self.head.digest:
            return "it does not follow on the entry before it"
        if row.kind == CHECKPOINT and self._gone:
            data = told.get("data") or {}
            spoken = (data.get("through"), data.get("digest"))
            self._excused = self._excused or spoken == (self._gone, self._gone_digest)
        return ""


def head_from(text: str) -> Head:
    """Read `NUMBER:DIGEST`. Raises ValueError."""
    seq, _, digest = text.partition(":")
    if not seq.isdigit() or len(digest) != hashlib.sha256().digest_size * 2:
        raise ValueError(f"{text!r} is no head; write NUMBER:DIGEST as `driftd audit verify` does")
    return Head(int(seq), digest.lower())


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
