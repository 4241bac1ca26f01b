"""What changes make of an object, and objects of their application."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET, UnsetType

from driftd.controller.random_names import RandomNames
from driftd.controller.tracking import Tracked
from driftd.model.application import Application
from driftd.model.report import (
    ApplicationStatus,
    Change,
    ChangeClass,
    ResourceReport,
    ResourceStatus,
    has_drift,
)
from driftd.policy.ignore import UNSTABLE

_COMPARE_OPTIONS: Final = "argocd.argoproj.io/compare-options"


def status_of_application(
    resources: Iterable[ResourceReport], *, failed: bool
) -> tuple[ApplicationStatus, bool]:
    """The status that objects give their application, and whether everything was judged.

    `failed` says that a condition is an error.
    """
    listed = tuple(resources)
    blind = failed or any(resource.status is ResourceStatus.UNKNOWN for resource in listed)
    if has_drift(listed):
        return ApplicationStatus.OUT_OF_SYNC, not blind
    return (ApplicationStatus.UNKNOWN if blind else ApplicationStatus.SYNCED), not blind


def status_of(changes: Iterable[Change]) -> ResourceStatus:
    """The status that the changes of an existing object give it."""
    classes = set()
    for change in changes:
        if change.is_drift:
            return ResourceStatus.OUT_OF_SYNC
        if change.ignored_by is UNSET:
            classes.add(change.change_class)
    return ResourceStatus.PENDING if ChangeClass.PENDING in classes else ResourceStatus.SYNCED


def accepted(one: Tracked, application: Application, drawn: RandomNames) -> str | UnsetType:
    """What says that an Extra object may stay.

    That is the compare option of Argo CD, where it counts, and a rendering of random names, which
    may have had this one before.
    """
    if drawn.may_be(one.live.key):
        return UNSTABLE
    options = [text.strip() for text in str(one.annotations.get(_COMPARE_OPTIONS, "")).split(",")]
    if application.flux is None and "IgnoreExtraneous" in options:
        return f"{_COMPARE_OPTIONS}: IgnoreExtraneous"
    return UNSET
