"""What all formats for other programs share: groups of objects, names, one text for each change."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from driftd.cli import field_path, git_places, mistakes, order, values
from driftd.cli.authors import author_of, whole_author
from driftd.cli.field_changes import place_of
from driftd.cli.terminal import printable
from driftd.model.condition import Severity
from driftd.model.remedies import own_words
from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Change,
    ChangeClass,
    DiffReport,
    DriftReport,
    ReportCondition,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
)

WHOLE_OBJECT = {
    ResourceStatus.MISSING: "in Git, not in the cluster",
    ResourceStatus.EXTRA: "in the cluster, not in Git",
    ResourceStatus.OUT_OF_SYNC: "differs from Git",
}
_VALUE_WIDTH = 160
_VALUE_LINES = 8


@dataclass(frozen=True, kw_only=True)
class Group:
    """One application with its objects; `driftd diff` has one group without application."""

    name: str
    resources: tuple[ResourceReport, ...]
    """The worst first."""
    conditions: tuple[ReportCondition, ...]
    complete: bool
    application: ApplicationReport | None = None

    @property
    def cluster(self) -> str:
        """The cluster's name, or the destination's server where it was not mapped; may be empty."""
        app = self.application
        return (app.cluster or app.destination.server) if app else ""

    @property
    def facts(self) -> Mapping[str, str]:
        """Where and from what, as far as it is known: cluster, server, namespace, project (of Flux
        the object that deploys it) and revision.
        """
        app = self.application
        if app is None:
            return {}
        facts = {
            "cluster": app.cluster,
            "server": app.destination.server,
            "namespace": app.destination.namespace,
            **(
                {"project": app.project}
                if app.kind is UNSET
                else {str(app.kind): f"{app.namespace}/{app.name.rpartition('/')[2]}"}
            ),
            "revision": ", ".join(dict.fromkeys(app.revisions)),
        }
        return {name: printable(value) for name, value in facts.items() if value}


def groups(report: DriftReport | DiffReport) -> list[Group]:
    """The applications of a report, the worst first."""
    if isinstance(report, DiffReport):
        listed = tuple(order.resources(report.resources))
        complete = report.complete or bool(report.conditions)
        return [Group(name="diff", resources=listed, conditions=(), complete=complete)]
    used = Counter(app.name for app in report.applications)
    return [
        Group(
            name=app.name if used[app.name] == 1 else f"{app.namespace}/{app.name}",
            resources=tuple(order.resources(app.resources)),
            conditions=app.conditions,
            complete=app.complete,
            application=app,
        )
        for app in order.applications(report.applications)
    ]


def object_name(resource: ResourceReport) -> str:
    """`Kind [NAMESPACE/]NAME`."""
    place = f"{resource.namespace}/{resource.name}" if resource.namespace else resource.name
    return printable(f"{resource.kind} {place}")


def kind_and_group(resource: ResourceReport) -> str:
    """`Kind.GROUP`, or the kind alone in the core group."""
    return f"{resource.kind}.{resource.group}" if resource.group else resource.kind


def origin_of(resource: ResourceReport, change: Change | None) -> ReportOrigin | None:
    """Where Git sets the field of a change, or what is refused of the whole object, else where it
    declares the object; None if unknown.
    """
    whole = resource.origin if isinstance(resource.origin, ReportOrigin) else None
    wrong = change or resource.invalid
    if not wrong or not isinstance(wrong.origin, ReportOrigin):
        return whole
    at = wrong.origin
    if at.value is not UNSET and (at.line is UNSET or at.others):
        return whole  # one of several values, or one in an archive, is no line to point to
    url = at.repo_url if at.repo_url is not UNSET else whole.repo_url if whole else UNSET
    return ReportOrigin(repo_url=url, file=at.file, line=at.line)


def changes_of(resource: ResourceReport, show: frozenset[str]) -> list[Change]:
    """The changes that are drift, then those of the sections in `show`; the worst first."""
    wanted = (*order.DRIFT_SECTIONS, *(name for name in order.OPTIONAL_SECTIONS if name in show))
    found = [change for change in resource.changes if order.section_of(change) in wanted]
    return sorted(found, key=lambda c: (wanted.index(order.section_of(c)), order.severity_rank(c)))


def has_whole_finding(resource: ResourceReport) -> bool:
    """Whether the object itself is the finding: Missing, Extra, or being deleted."""
    if resource.status is ResourceStatus.OUT_OF_SYNC:
        return not any(change.is_drift for change in resource.changes)
    return resource.is_drift


def is_accepted(resource: ResourceReport) -> bool:
    """Whether the object is Missing or Extra and accepted as such: no finding."""
    return resource.ignored_by is not UNSET


def whole_text(resource: ResourceReport) -> str:
    """What is wrong with an object that is Missing, Extra or being deleted, and what accepts it."""
    text = WHOLE_OBJECT[resource.status]
    if reason := one_line(git_places.reason_of(resource)):
        text += f": {reason}"
    critical = critical_text(resource)
    if critical:
        text += f"; {critical}"
    creator = creator_text(resource)
    if creator:
        text += f"; {creator}"
    if resource.ignored_by is not UNSET:
        text += f"; ignored by {one_line(resource.ignored_by)}"
    return text


def critical_text(resource: ResourceReport) -> str:
    """Why an object that is Missing or Extra is critical; empty for one that is not."""
    if resource.severity != "critical" or is_accepted(resource):
        return ""
    why = resource.severity_reason
    return "critical" if why is UNSET else f"critical: {one_line(why)}"


def mild_level(resource: ResourceReport) -> str:
    """` · medium` of an object that is Missing or Extra and not critical, as `critical_text` tells
    those that are; empty for what is no drift.
    """
    if resource.severity is UNSET or resource.severity == "critical" or is_accepted(resource):
        return ""
    return f" · {resource.severity}"


def creator_text(resource: ResourceReport) -> str:
    """Who made an object that is Extra or deleted one that is Missing; empty if not known."""
    return whole_author(resource)


def path_of(change: Change, resource: ResourceReport) -> str:
    """The field as a person reads it."""
    return field_path.readable(change, group=resource.group, kind=resource.kind)


def value_text(change: Change, *, width: int = _VALUE_WIDTH, lines: int = _VALUE_LINES) -> str:
    """Git's value and the live one: `3 → 5`, or the lines of a small diff below a note."""
    room = values.width_of(change.severity, width)
    shown = mistakes.difference(change, width=room, max_lines=lines)
    note = f" ({shown.note})" if shown.note else ""
    if isinstance(shown, values.LineDiff):
        return "\n".join((f"- Git, + live{note}", *shown.lines))
    if isinstance(shown, values.Concealed):
        return shown.text
    return f"{shown.git} → {shown.live}{note}"


def arrow_text(change: Change) -> str:
    """`value_text`, with what the arrow means, for places without a legend."""
    text = value_text(change)
    told = "\n" in text or text == values.MASKED_DIFFER
    return text if told else f"Git → cluster: {text}"


def change_text(change: Change, resource: ResourceReport, now: str) -> str:
    """One change in words: severity, field, values, why, by whom; lines only for texts of lines.

    Ages are counted from `now`; without it only the time is told.
    """
    severity = "" if change.severity is UNSET else f"{change.severity}  "
    text = f"{severity}{path_of(change, resource)}  {value_text(change)}"
    ends = [mistakes.mistake_of(change) or author_of(change, now)]
    if change.severity_reason is not UNSET:
        ends.insert(0, printable(change.severity_reason))
    ends.append(place_of(change, resource))
    if change.ignored_by is not UNSET:
        ends.append(f"ignored by {printable(change.ignored_by)}")
    told = "; ".join(end for end in ends if end)
    between = "\n" if "\n" in text else "  "
    return f"{text}{between}[{told}]" if told else text


def fingerprint(group: Group, resource: ResourceReport, change: Change | None) -> str:
    """A name of a finding that stays the same from run to run, whatever the values are.

    List items count by their keys where these are known, so an item that moves keeps its name.
    """
    app = group.application
    path = kind = ""
    if change is not None:
        kind = str(change.kind)
        path = change.ssa_path if change.ssa_path is not UNSET else change.path
    parts = (
        group.cluster,
        app.namespace if app else "",
        group.name,
        resource.group,
        resource.kind,
        resource.namespace,
        resource.name,
        path,
        kind,
    )
    text = "\0".join(parts).encode("utf-8", "backslashreplace")
    return hashlib.sha256(text).hexdigest()[:32]


def unknown_reasons(group: Group) -> Iterator[tuple[str, list[ResourceReport]]]:
    """The reasons for which objects are Unknown, each with its objects.

    Those that a condition of the application tells are left out.
    """
    told = told_by(group.conditions)
    found: dict[str, list[ResourceReport]] = {}
    for resource in group.resources:
        if resource.status is ResourceStatus.UNKNOWN:
            reason = "" if resource.reason is UNSET else one_line(resource.reason)
            if reason not in told:
                found.setdefault(reason or "could not be judged", []).append(resource)
    yield from found.items()


def told_by(conditions: Iterable[ReportCondition]) -> frozenset[str]:
    """What conditions say, as `one_line` writes it."""
    return frozenset(one_line(condition.message) for condition in conditions)


def condition_text(condition: ReportCondition) -> str:
    """`TYPE: MESSAGE` in one line."""
    return one_line(f"{condition.type}: {condition.message}")


def told(message: str, *, wide: bool) -> str:
    """A message in one line; of what a renderer says beside driftd's own words only if `wide`."""
    return one_line(message if wide else own_words(message))


def without_usual(app: ApplicationReport) -> ApplicationReport:
    """An application without what is usual and explains nothing of its verdict.

    Optional values that are not there are how Flux works, day by day; but they may be why an
    object is not what is rendered.
    """
    usual = ("FluxValuesWarning", Severity.INFO)
    if app.status is ApplicationStatus.OUT_OF_SYNC:
        return app
    kept = tuple(one for one in app.conditions if (one.type, one.severity) != usual)
    return app if kept == app.conditions else msgspec.structs.replace(app, conditions=kept)


def hides(condition: ReportCondition, *, complete: bool) -> bool:
    """Whether a condition of something that is not complete can be the reason for it."""
    return not complete and condition.severity is Severity.ERROR


def level_of(condition: ReportCondition, *, complete: bool) -> Severity:
    """The severity, less where nothing stayed unjudged for the condition: then no error."""
    if condition.severity is Severity.ERROR and complete:
        return Severity.WARNING
    return condition.severity


def names_of(resources: list[ResourceReport], limit: int = 4) -> str:
    """The names of some objects, the first ones written out."""
    names = [object_name(resource) for resource in resources]
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def one_line(text: str) -> str:
    """`text` without line breaks and without characters that could steer a terminal."""
    return printable(" ".join(text.split()))


def looks_empty(conditions: Iterable[ReportCondition]) -> bool:
    """Whether a condition takes a cluster for the wrong one."""
    return any(one.type == "ClusterLooksEmpty" for one in conditions)


def waiting_text(resources: Iterable[ResourceReport]) -> str:
    """From when on what waits for a sync is drift; empty where nothing has such an end."""
    ends = [
        one.waiting.until
        for one in resources
        if one.waiting is not UNSET
        and one.waiting.until is not UNSET
        and (
            one.status is ResourceStatus.PENDING
            or any(change.change_class is ChangeClass.PENDING for change in one.changes)
        )
    ]
    return f"Pending becomes drift from {min(ends)} on, unless it is synced before" if ends else ""
