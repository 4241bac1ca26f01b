"""Builders of reports for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Change,
    ChangeClass,
    ChangeKind,
    Evidence,
    ReportCondition,
    ReportDestination,
    ResourceReport,
    ResourceStatus,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """`START` and so many seconds."""
    return START + timedelta(seconds=seconds)


class VirtualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = START) -> None:
        self.moment = now

    def now(self) -> datetime:
        """The virtual time."""
        return self.moment

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.moment += timedelta(seconds=seconds)


def change(path: str, **fields: Any) -> Change:
    """A declared, modified field unless `fields` say otherwise."""
    fields.setdefault("kind", ChangeKind.MODIFIED)
    fields.setdefault("change_class", ChangeClass.DECLARED)
    return Change(path=path, **fields)


def resource(
    name: str,
    *changes: Change,
    kind: str = "Deployment",
    group: str = "apps",
    status: ResourceStatus | None = None,
    namespace: str = "shop",
) -> ResourceReport:
    """One object; OutOfSync when a change is drift, else Synced, unless `status` is given."""
    if status is None:
        drifted = any(one.is_drift for one in changes)
        status = ResourceStatus.OUT_OF_SYNC if drifted else ResourceStatus.SYNCED
    evidence = Evidence(uid=f"uid-{name}", resource_version="41")
    if status in (ResourceStatus.MISSING, ResourceStatus.UNKNOWN):
        evidence = Evidence()
    return ResourceReport(
        group=group,
        version="v1",
        kind=kind,
        namespace=namespace,
        name=name,
        status=status,
        evidence=evidence,
        changes=changes,
    )


def report(
    *resources: ResourceReport,
    name: str = "shop",
    status: ApplicationStatus | None = None,
    complete: bool = True,
    deployers: tuple[str, ...] = (),
    conditions: tuple[ReportCondition, ...] = (),
) -> ApplicationReport:
    """One application's look with the status that follows from its resources."""
    if status is None:
        drifted = {ResourceStatus.OUT_OF_SYNC, ResourceStatus.MISSING, ResourceStatus.EXTRA}
        status = ApplicationStatus.SYNCED if complete else ApplicationStatus.UNKNOWN
        if any(one.status in drifted for one in resources):
            status = ApplicationStatus.OUT_OF_SYNC
    return ApplicationReport(
        name=name,
        namespace="argocd",
        project="default",
        cluster="production",
        destination=ReportDestination(server="https://production.example.com", namespace="shop"),
        revisions=("0123456789abcdef0123456789abcdef01234567",),
        deployers=deployers,
        status=status,
        conditions=conditions,
        resources=resources,
        complete=complete,
    )
