"""Why entries of baseline and suppression files accept an object's findings, or no longer do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import msgspec

from driftd.controller.baselines import Acceptance
from driftd.model.report import ApplicationReport, Change, ResourceReport, WireStruct
from driftd.policy import baseline, suppression
from driftd.policy.baseline import Hashes, NamedEntry
from driftd.policy.suppression import NamedSuppression


class EntryExplanation(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of a baseline or suppression file that speaks of the object."""

    name: str
    """`baseline FILE#NUMBER` or `suppression FILE#NUMBER`."""
    selects: str
    """Its path, its status of the whole object, or its paths."""
    accepts: tuple[str, ...] = ()
    """Paths of the changes that it accepts; the status for a whole object."""
    refuses: dict[str, str] = msgspec.field(default_factory=dict)
    """Why it does not accept the others that it speaks of, by path."""
    expired: bool = False
    owner: str = ""
    reason: str = ""
    ticket: str = ""
    expires: str


def explained(
    acceptance: Acceptance,
    application: ApplicationReport,
    resource: ResourceReport,
    hashes: Hashes,
    today: date,
) -> Iterator[EntryExplanation]:
    """What every entry that speaks of the object does about it, expired ones too.

    `resource` is the object as it was judged, before entries were applied.
    """
    for place in acceptance.suppressions:
        if suppression.covers(place.entry, application, resource):
            yield _of_suppression(place, resource, today)
    for one in acceptance.of(resource.key):
        if baseline.speaks_of(one.entry.application, application):
            yield _of_baseline(one, application, resource, hashes, today)


def _of_baseline(
    one: NamedEntry,
    application: ApplicationReport,
    resource: ResourceReport,
    hashes: Hashes,
    today: date,
) -> EntryExplanation:
    entry = one.entry
    accepts: list[str] = []
    refuses: dict[str, str] = {}
    findings: list[Change | None] = [None, *resource.changes]
    for change in findings:
        why = baseline.mismatch(entry, application, resource, change, hashes)
        place = change.path if change is not None else str(resource.status)
        if why == "":
            accepts.append(place)
        elif why is not None:
            refuses[place] = why
    return EntryExplanation(
        name=one.name,
        selects=str(entry.path if isinstance(entry.path, str) else entry.status),
        accepts=tuple(accepts),
        refuses=refuses,
        expired=baseline.is_expired(entry, today),
        owner=entry.owner,
        reason=entry.reason,
        expires=entry.expires.isoformat(),
    )


def _of_suppression(
    one: NamedSuppression, resource: ResourceReport, today: date
) -> EntryExplanation:
    entry = one.entry
    covered = {
        change.path: suppression.mismatch(entry, change)
        for change in resource.changes
        if suppression.covers_place(one, resource, change)
    }
    if suppression.covers_whole(entry, resource):
        covered[str(resource.status)] = suppression.whole_mismatch(entry, resource)
    return EntryExplanation(
        name=one.name,
        selects=suppression.selects(entry),
        accepts=tuple(path for path, why in covered.items() if not why),
        refuses={path: why for path, why in covered.items() if why},
        expired=suppression.is_expired(entry, today),
        owner=entry.owner,
        reason=entry.reason,
        ticket=entry.ticket,
        expires=entry.expires.isoformat(),
    )
