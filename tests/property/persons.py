"""Who made a random change, by the audit log of the API server on which it was made.

Several people write to the object, some of them under the same field manager: the log's bodies
alone tell who of them made what is found.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from driftd.clock import rfc3339
from driftd.cluster.auditevents import seen
from driftd.diff.audit import Search, Span, Subject, applied, hands, owns_nothing_else, seconds
from driftd.diff.compare import DEPLOYERS
from driftd.model.audit import AuditedObject
from driftd.model.report import Change
from tests.property.lab import Lab
from tests.testbed.client import ApiError

Json = Any
PEOPLE = ("bob", "carol", "control")
LABEL = "/metadata/labels/example.com~1passing"


@dataclass(slots=True)
class Told:
    """What the log says of one trial's changes."""

    person: str
    right: bool = True
    """Whether every change is told to be that person's."""
    wrong: bool = False
    """Whether a change is told to be somebody else's."""

    def take(self, change: Change) -> None:
        """Count what is told of one change."""
        told = change.attribution if isinstance(change.attribution, dict) else {}
        user = told.get("user", "")
        self.right = self.right and user == self.person
        self.wrong = self.wrong or user not in ("", self.person)


class Log:
    """The part of a cluster's audit log that one trial has written."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._begins = time.time()
        self._mark = lab.cluster.audit_mark()

    def searched(self, subject: Subject) -> Search:
        """The search for the authors of a subject's changes, with all its writes."""
        search = Search(subject)
        with self._lab.cluster.audit_log.open("rb") as log:
            log.seek(self._mark)
            for line in log:
                for event in seen(line):
                    if event.write is not None and event.write.target == subject.target:
                        search.offer(event.write)
        return search

    def told(self, desired: Json, live: Json, changes: tuple[Change, ...], person: str) -> Told:
        """What the log says of the changes of an object that is `live` now."""
        now = time.time()
        metadata = live["metadata"]
        plural = self._lab.path(desired).rpartition("/")[2]
        group = desired["apiVersion"].rpartition("/")[0]
        scope = metadata.get("namespace", "")
        subject = Subject(
            target=AuditedObject(group, plural, scope, metadata["name"]),
            version=desired["apiVersion"].rpartition("/")[2],
            changes=changes,
            created=seconds(metadata["creationTimestamp"]),
            alone=frozenset(n for n, change in enumerate(changes) if _owns_it_alone(change, live)),
            deployers=DEPLOYERS,
        )
        search = self.searched(subject)
        answers = search.answers(hands([search]), Span(self._begins, now), now=now)
        found = Told(person)
        for change, answer in zip(changes, answers, strict=True):
            found.take(applied(change, answer))
        return found


def _owns_it_alone(change: Change, live: Json) -> bool:
    """Whether the entry that a change names owns nothing else."""
    named = {
        name: getattr(change, name) or ""
        for name in ("manager", "operation", "subresource", "time")
        if isinstance(getattr(change, name), str)
    }
    return isinstance(change.ssa_path, str) and any(
        owns_nothing_else(entry["fieldsV1"], change.ssa_path)
        for entry in live["metadata"].get("managedFields", ())
        if entry.get("fieldsV1")
        and named
        and all(entry.get(name, "") == value for name, value in named.items())
    )


def passing_by(lab: Lab, desired: Json, manager: str, rng: Random) -> None:
    """Others label the object and take the label away again, some as the author's manager."""
    for person in PEOPLE:
        lab.user = person
        known = lab.live(desired)["metadata"].get("labels")
        add = {"op": "add", "path": LABEL, "value": person}
        if not known:
            add = {
                "op": "add",
                "path": "/metadata/labels",
                "value": {"example.com/passing": person},
            }
        remove = {"op": "remove", "path": LABEL if known else "/metadata/labels"}
        name = rng.choice((manager, "kubectl-label"))
        try:
            for operation in (add, remove):
                lab.patch(desired, [operation], name)
        except ApiError:  # what may not be changed is not labelled
            continue
    lab.user = "admin"


def at_real_times(changes: tuple[Change, ...], after: float, before: float) -> tuple[Change, ...]:
    """Changes of looks that pretend to be hours apart, with the times at which they were made."""
    moments = {"after": _stamp(after), "before": _stamp(before)}
    return tuple(
        msgspec.structs.replace(change, attribution={**change.attribution, **moments})
        if isinstance(change.attribution, dict) and "after" in change.attribution
        else change
        for change in changes
    )


def _stamp(moment: float) -> str:
    return rfc3339(datetime.fromtimestamp(moment, UTC))
