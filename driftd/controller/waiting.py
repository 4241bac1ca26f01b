"""How long Git may be ahead of a cluster: what waits for a sync, since when, and until when.

Where looks know of the looks before them, the first one that sees an object wait is remembered
with it. An application that syncs by itself should have synced it soon: past the deadline that is
shown it is drift. One that waits for a person's sync may wait as long as that takes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import UNSET

from driftd.clock import rfc3339
from driftd.diff.history import History
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.report import Change, ChangeClass, ResourceReport, ResourceStatus, Waiting
from driftd.model.resource import ResourceKey

DEADLINE: Final = 3600.0
"""Seconds that an application which syncs by itself may wait."""

UNJUDGED: Final = "PendingUnknown"
"""The type of the condition that Pending cannot be told from drift."""


def syncs_by_itself(application: Application) -> bool:
    """Whether Git's changes reach the cluster without a person: Flux, or automated sync."""
    automated = application.spec.sync_policy.automated
    return application.flux is not None or (
        automated is not None and automated.enabled is not False
    )


@dataclass(frozen=True, slots=True)
class Awaited:
    """What waits for a sync of an application, as far as looks remember."""

    application: Application
    before: Mapping[ResourceKey, History]
    """What is remembered of earlier looks."""
    deadline: float
    """Seconds that an application which syncs by itself may wait; 0 for any time."""

    def marked(
        self,
        resources: Iterable[ResourceReport],
        histories: MutableMapping[ResourceKey, History],
        declared: Container[ResourceKey],
        now: str,
    ) -> list[ResourceReport]:
        """The objects with how long they wait; what is overdue is drift.

        `histories` are what the next look is to know: there the beginning is noted. `declared`
        are Git's objects, `now` is RFC 3339.
        """
        deadline = self.deadline if syncs_by_itself(self.application) else 0.0
        found: list[ResourceReport] = []
        for resource in resources:
            key = resource.key
            old, new = self.before.get(key), histories.get(key)
            if not _waits(resource):
                if new is not None and new.pending:
                    histories[key] = msgspec.structs.replace(new, pending="")
                found.append(resource)
                continue
            since = (old.pending if old is not None else "") or now
            uid = resource.evidence.uid or ""
            histories[key] = msgspec.structs.replace(new or old or History(uid=uid), pending=since)
            until = _until(since, deadline)
            waiting = Waiting(since=since, until=until or UNSET)
            told = msgspec.structs.replace(resource, waiting=waiting)
            overdue = bool(until) and now >= until
            found.append(_overdue(told, declared, since, until) if overdue else told)
        return found


def explained(resources: Iterable[ResourceReport]) -> list[ResourceReport]:
    """The objects that are Pending after all with that in words."""
    return [_worded(one) if one.status is ResourceStatus.PENDING else one for one in resources]


def unjudged(
    application: Application,
    resources: Iterable[ResourceReport],
    deployers: Container[str],
    *,
    unrendered: bool,
) -> tuple[Condition, ...]:
    """That drift of a hub's application may be a commit nobody has synced, which cannot be told.

    Only where a deployer wrote the drift. `unrendered`: what was synced last cannot be rendered.
    """
    revisions = application.synced_revisions
    if not application.origin.startswith("hub ") or (revisions and not unrendered):
        return ()
    writers = (one.manager for resource in resources for one in resource.changes if one.is_drift)
    if not any(one is not UNSET and one in deployers for one in writers):
        return ()
    sources = len(application.spec.all_sources)
    flux = application.flux
    if flux is not None and not revisions:
        why = (
            f"the status of the live Kustomization {flux.object_name} has no lastAppliedRevision"
            if flux.kind == "Kustomization"
            else "the status of a HelmRelease names no commit"
        )
    elif not revisions:
        why = "the live Application's status names no revision that was synced"
    elif len(revisions) != sources:
        why = (
            f"the live Application's status names {len(revisions)} revision(s) of {sources} sources"
        )
    else:
        why = f"what was synced last ({', '.join(one[:8] for one in revisions)}) cannot be rendered"
    text = f"drift that a deployer wrote may be a commit that nobody has synced yet: {why}"
    return (Condition(UNJUDGED, text, Severity.WARNING),)


def _waits(resource: ResourceReport) -> bool:
    return resource.status is ResourceStatus.PENDING or any(map(_is_pending, resource.changes))


def _is_pending(change: Change) -> bool:
    return change.change_class is ChangeClass.PENDING


def _until(since: str, deadline: float) -> str:
    if not deadline:
        return ""
    return rfc3339(datetime.fromisoformat(since) + timedelta(seconds=deadline))


def _worded(resource: ResourceReport) -> ResourceReport:
    waiting = resource.waiting
    if waiting is UNSET:
        return resource
    text = f"pending since {waiting.since}"
    if waiting.until is not UNSET:
        text += f", drift from {waiting.until} on"
    if resource.reason is not UNSET and resource.reason:
        text = f"{resource.reason}; {text}"
    return msgspec.structs.replace(resource, reason=text)


def _overdue(
    resource: ResourceReport, declared: Container[ResourceKey], since: str, until: str
) -> ResourceReport:
    """An object whose sync should have come: what waits for it is drift."""
    why = f"Git is ahead since {since}, and no sync has come by {until}"
    if not resource.changes:
        is_declared = resource.key in declared
        status = ResourceStatus.MISSING if is_declared else ResourceStatus.EXTRA
        return msgspec.structs.replace(resource, status=status, reason=why)
    changes = tuple(
        msgspec.structs.replace(one, change_class=ChangeClass.DECLARED, reason=why)
        if _is_pending(one)
        else one
        for one in resource.changes
    )
    return msgspec.structs.replace(resource, changes=changes)
