"""What looks came to together: the published report of a look, and the summary of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import UNSET

from driftd.model.condition import Condition, Severity
from driftd.model.report import (
    IGNORED,
    ApplicationReport,
    DriftReport,
    OrphanedResource,
    Summary,
    published,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """The state after a sweep, and what it did."""

    applications: Mapping[str, int]
    """By `ApplicationStatus`."""
    objects: Mapping[str, int]
    """By `ResourceStatus`, accepted Missing and Extra ones under `ignored`."""
    incomplete: int
    """Applications of which something could not be judged."""
    failed: int
    """Looks that an error ended before they were recorded."""
    open_drifts: int
    sent: int
    """Messages that a receiver has accepted."""
    waiting: int
    """Messages that are still to be delivered: their receiver did not take them yet."""
    writes: Mapping[str, int]
    """Objects that healing tried to write, by outcome."""

    @property
    def complete(self) -> bool:
        """Whether everything was judged and recorded."""
        return not self.incomplete and not self.failed


def drift_report(
    reports: Iterable[ApplicationReport],
    conditions: Iterable[Condition],
    *,
    generated_at: str,
    named: bool = False,
    orphaned: tuple[OrphanedResource, ...] = (),
) -> DriftReport:
    """The published report of a look; `named` if its applications were asked for by name.

    `orphaned` are the objects of applications that nothing declares.
    """
    applications = tuple(reports)
    told = tuple(conditions)
    errors = not named and any(condition.severity is Severity.ERROR for condition in told)
    return DriftReport(
        generated_at=generated_at,
        complete=not errors and all(one.complete for one in applications),
        conditions=published(told),
        applications=applications,
        summary=summarise(applications),
        orphaned=orphaned or UNSET,
    )


def summarise(applications: Sequence[ApplicationReport]) -> Summary:
    """Counts by status and class."""
    statuses = Counter(str(one.status) for one in applications)
    resources = Counter(
        str(r.status) if r.ignored_by is UNSET else IGNORED
        for one in applications
        for r in one.resources
    )
    changes = Counter(
        str(change.change_class) if change.ignored_by is UNSET else IGNORED
        for one in applications
        for resource in one.resources
        for change in resource.changes
    )
    return Summary(
        applications=dict(sorted(statuses.items())),
        resources=dict(sorted(resources.items())),
        changes=dict(sorted(changes.items())),
    )
