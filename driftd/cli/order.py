"""What comes first for a reader: the worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from msgspec import UNSET

from driftd.model import report
from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Change,
    ChangeClass,
    ResourceReport,
    ResourceStatus,
)

IGNORED: Final = report.IGNORED
"""The section of what a rule or a baseline ignores, whatever its class."""

SECTIONS = (*(str(member) for member in ChangeClass), IGNORED)
DRIFT_SECTIONS = (str(ChangeClass.DECLARED), str(ChangeClass.UNDECLARED))
OPTIONAL_SECTIONS = tuple(name for name in SECTIONS if name not in DRIFT_SECTIONS)

_SEVERITIES = ("critical", "high", "medium", "low", "info")
_RESOURCES = (
    ResourceStatus.MISSING,
    ResourceStatus.EXTRA,
    ResourceStatus.OUT_OF_SYNC,
    ResourceStatus.UNKNOWN,
    ResourceStatus.PENDING,
    ResourceStatus.NOT_CHECKED,
    ResourceStatus.SYNCED,
)
_APPLICATIONS = (
    ApplicationStatus.OUT_OF_SYNC,
    ApplicationStatus.UNKNOWN,
    ApplicationStatus.SYNCED,
)
STATUSES: Final = (*map(str, _RESOURCES), IGNORED)
"""What objects and applications are counted by, the worst first."""


def section_of(change: Change) -> str:
    """The section that `change` is printed in."""
    return IGNORED if change.ignored_by is not UNSET else str(change.change_class)


def severity_rank(change: Change) -> int:
    """0 for critical; unrated changes come last."""
    if change.severity is UNSET:
        return len(_SEVERITIES)
    return _SEVERITIES.index(change.severity)


def worst_change(resource: ResourceReport) -> int:
    """The rank of the worst change that is drift."""
    ranks = (severity_rank(change) for change in resource.changes if change.is_drift)
    return min(ranks, default=len(_SEVERITIES))


def _worst(resource: ResourceReport) -> int:
    """The rank of what drifted worst: of the object itself if it is Missing or Extra."""
    if not resource.is_drift or resource.status is ResourceStatus.OUT_OF_SYNC:
        return worst_change(resource)
    return _SEVERITIES.index("high" if resource.severity is UNSET else resource.severity)


def worst_severity(items: Iterable[ResourceReport]) -> str:
    """The level of the worst change or whole object that is drift; empty if none is rated."""
    rank = min(map(_worst, items), default=len(_SEVERITIES))
    return _SEVERITIES[rank] if rank < len(_SEVERITIES) else ""


def resources(items: Iterable[ResourceReport]) -> list[ResourceReport]:
    """Drifted, unknown, fine, then accepted; within a status the worst severity first."""

    def rank(item: ResourceReport) -> int:
        if item.ignored_by is not UNSET:
            return len(_RESOURCES)
        return 0 if item.is_drift else _RESOURCES.index(item.status)

    return sorted(
        items,
        key=lambda item: (
            rank(item),
            _worst(item),
            _RESOURCES.index(item.status),
            item.kind,
            item.namespace,
            item.name,
        ),
    )


def applications(items: Iterable[ApplicationReport]) -> list[ApplicationReport]:
    """OutOfSync, Unknown, Synced; within a status the worst severity first, then by name."""
    return sorted(
        items,
        key=lambda item: (
            _APPLICATIONS.index(item.status),
            min((_worst(resource) for resource in item.resources), default=9),
            item.name,
            item.namespace,
        ),
    )


def resource_counts(items: Iterable[ResourceReport]) -> dict[str, int]:
    """Objects by status, the worst status first; statuses that do not occur are left out.

    Accepted Missing and Extra ones are counted as `ignored`.
    """
    counts = Counter(str(item.status) if item.ignored_by is UNSET else IGNORED for item in items)
    return {name: counts[name] for name in STATUSES if counts[name]}


def application_counts(items: Iterable[ApplicationReport]) -> dict[str, int]:
    """Applications by status, the worst first; statuses that do not occur are left out."""
    counts = Counter(item.status for item in items)
    return {str(status): counts[status] for status in _APPLICATIONS if counts[status]}


def change_counts(items: Iterable[ResourceReport]) -> dict[str, int]:
    """Changes by section in the order of `SECTIONS`; sections that do not occur are left out."""
    counts = Counter(section_of(change) for item in items for change in item.changes)
    return {section: counts[section] for section in SECTIONS if counts[section]}
