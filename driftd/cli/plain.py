"""`-o plain`: one fact on each line, in words and ASCII marks, for screen readers and `grep`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import UNSET

from driftd.cli import findings, git_places, mistakes, order, unchecked, values
from driftd.cli.authors import author_of
from driftd.cli.edited import section_titles
from driftd.cli.field_changes import place_of
from driftd.cli.next_command import DOCTOR, LEAD, UNKNOWN_LEAD, unknown_step
from driftd.cli.terminal import printable
from driftd.clock import SystemClock, rfc3339
from driftd.model.report import (
    ApplicationStatus,
    Change,
    DiffReport,
    DriftReport,
    ReportCondition,
    ResourceReport,
    ResourceStatus,
)

_WIDTH = 200
"""Characters of one value; `-o wide` and JSON hold it whole."""


def plain(
    report: DriftReport | DiffReport,
    *,
    show: frozenset[str],
    report_drift: bool = True,
    following: Sequence[str] = (),
    doctor: str = "",
) -> Iterator[str]:
    """The lines of a report: the summary, every finding, what the exit code says.

    `following` are the words of the command to go on with. Without `doctor`, the command
    that says what a look lacks, nothing is said of what to do about what is Unknown.
    """
    drifted = isinstance(report, DriftReport)
    now = report.generated_at if isinstance(report, DriftReport) else rfc3339(SystemClock().now())
    resources = [one for group in findings.groups(report) for one in group.resources]
    if isinstance(report, DriftReport):
        yield _counts("Applications", order.application_counts(report.applications))
    yield _counts("Objects", order.resource_counts(resources))
    yield _counts("Fields", order.change_counts(resources))
    yield from map(_condition, report.conditions)
    synced: Counter[str] = Counter()
    unseen: list[findings.Group] = []
    whole = unchecked.wants_all(show)
    for group in findings.groups(report):
        shown = [one for one in group.resources if _is_shown(one, show)]
        app = group.application
        quiet = app is not None and app.status is ApplicationStatus.SYNCED
        if quiet and not shown and not group.conditions:
            synced[group.cluster] += 1
            unseen.append(group)
            continue
        if drifted and app is not None:
            where = "cluster" if app.cluster else "destination"
            where = f" on {where} {printable(group.cluster)}" if group.cluster else ""
            yield f"Application {printable(group.name)}{where}: {app.status}"
        yield from map(_condition, group.conditions)
        for resource in shown:
            if resource.status is not ResourceStatus.UNKNOWN:
                yield from _resource(resource, show, now, section_titles(group.conditions))
        for reason, unknown in findings.unknown_reasons(group):
            yield f"Unknown: {findings.names_of(unknown)}: {reason}"
        yield from _unchecked(unchecked.of_group(group.resources), whole=whole)
    for cluster, count in sorted(synced.items()):
        yield f"Synced applications on cluster {printable(cluster)}: {count}"
    yield from _unchecked(unchecked.of_groups(unseen), whole=whole)
    if whole and isinstance(report, DriftReport):
        yield from unchecked.aside(report, doctor or DOCTOR)
    if following:
        yield f"{LEAD[:1].upper()}{LEAD[1:]}{' '.join(following)}"
    if doctor and isinstance(report, DriftReport) and (step := unknown_step(report, doctor)):
        yield f"{UNKNOWN_LEAD[:1].upper()}{UNKNOWN_LEAD[1:]}{step}"
    code = unchecked.ending(
        resources,
        complete=report.complete,
        report_drift=report_drift,
        conditions=report.conditions,
    )
    yield code[0].upper() + code[1:].replace("marked ! above", "a condition above")


def _unchecked(found: Mapping[str, Sequence[unchecked.Placed]], *, whole: bool) -> Iterator[str]:
    for reason, placed in found.items():
        names = unchecked.names_of(placed, whole=whole)
        yield f"Not checked: {unchecked.count_of(placed)}: {names}: {reason}"


def _counts(what: str, counts: dict[str, int]) -> str:
    listed = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{what}: {listed or 'none'}"


def _condition(condition: ReportCondition) -> str:
    return f"Condition {findings.condition_text(condition)}"


def _is_shown(resource: ResourceReport, show: frozenset[str]) -> bool:
    fine = {ResourceStatus.SYNCED, ResourceStatus.NOT_CHECKED, ResourceStatus.PENDING}
    if findings.is_accepted(resource):
        return order.IGNORED in show
    return resource.status not in fine or any(
        order.section_of(change) in show for change in resource.changes
    )


def _resource(
    resource: ResourceReport, show: frozenset[str], now: str, titles: Mapping[str, str]
) -> Iterator[str]:
    is_whole = findings.has_whole_finding(resource) or findings.is_accepted(resource)
    whole = f", {findings.whole_text(resource)}" if is_whole else ""
    known = "" if whole else findings.one_line(git_places.reason_of(resource))
    reason = f", {known}" if known else ""
    yield f"Object {findings.object_name(resource)}: {resource.status}{whole}{reason}"
    place = git_places.file_and_line(resource.origin)
    if place:
        yield f"Declared in {place}"
    for change in findings.changes_of(resource, show):
        yield from _change(change, resource, now, titles)


def _change(
    change: Change, resource: ResourceReport, now: str, titles: Mapping[str, str]
) -> Iterator[str]:
    section = order.section_of(change)
    title = titles.get(section, section)
    severity = f", severity {change.severity}" if change.severity is not UNSET else ""
    yield f"Field {findings.path_of(change, resource)}{severity}, {title}"
    shown = mistakes.difference(change, width=_WIDTH, max_lines=1000)
    if isinstance(shown, values.Concealed):
        yield "Values differ, masked"
    elif isinstance(shown, values.LineDiff):
        for line in shown.lines:
            side = {"-": "Git line", "+": "Cluster line"}.get(line[:1])
            if side:
                yield f"{side}: {line[2:]}"
    else:
        yield f"Git has: {shown.git}"
        yield f"Cluster has: {shown.live}"
    if shown.note:
        yield f"Note: {shown.note}"
    mistake = mistakes.mistake_of(change)
    if mistake:
        yield f"Mistake in Git: {mistake}"
    author = author_of(change, now)
    if author:
        yield author[0].upper() + author[1:]
    at = place_of(change, resource)
    if at:
        yield f"{'Comes' if at.startswith('from ') else 'Set'} {at}"
    if change.ignored_by is not UNSET:
        yield f"Ignored by {printable(change.ignored_by)}"
