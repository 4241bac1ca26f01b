"""The report of a preview, put together from what was found of its applications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_sides import Side
from driftd.controller.preview_spec import told_once
from driftd.model.condition import Condition, Severity
from driftd.model.preview import (
    ApplicationAction,
    ApplicationPreview,
    PreviewReport,
    PreviewSummary,
)
from driftd.model.report import published


def untouched(pair: Pair) -> ApplicationPreview:
    """An application that was not rendered: it stays as it is, or that cannot be seen."""
    return pair.report(ApplicationAction.UNKNOWN if pair.unseen else ApplicationAction.UNCHANGED)


def preview_report(
    before: Side,
    after: Side,
    applications: Sequence[ApplicationPreview],
    conditions: Sequence[Condition],
    generated_at: str,
) -> PreviewReport:
    """The published form; `generated_at` is the time of RFC 3339."""
    applications = told_once(applications)
    resources = [one for app in applications for one in app.resources]
    errors = any(c.severity is Severity.ERROR for c in conditions)
    counts = Counter(str(app.action) for app in applications)
    return PreviewReport(
        generated_at=generated_at,
        complete=not errors and all(app.complete for app in applications),
        base=before.revision,
        revision=after.revision,
        conditions=published(conditions),
        applications=tuple(
            app
            for app in applications
            if app.action is not ApplicationAction.UNCHANGED or app.conditions or app.reason
        ),
        summary=PreviewSummary(
            applications=dict(sorted(counts.items())),
            resources=dict(sorted(Counter(str(one.action) for one in resources).items())),
            fields=sum(len(one.changes) for one in resources),
            untouched_drift=sum(one.untouched_drift for one in resources),
            reverted_drift=sum(one.reverted_drift for one in resources),
            reverted_ignored=sum(one.reverted_ignored for one in resources),
        ),
    )
