"""`-o github`: workflow commands that GitHub Actions turns into annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import UNSET

from driftd.cli import findings, git_places, mistakes, order, unchecked
from driftd.cli.authors import author_of
from driftd.cli.findings import Group
from driftd.model.condition import Severity
from driftd.model.report import (
    Change,
    DiffReport,
    DriftReport,
    ReportCondition,
    ReportOrigin,
    ResourceReport,
)

_COMMANDS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "warning"}
"""The command of each severity; what is only information is a notice."""
_DATA: Final = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_PLACE: Final = re.compile(
    r"(?:source (?!\S*://)\S+: |[A-Z][A-Za-z]+ [^\s(]+ \()?"
    r"(?P<file>(?!/)[\w.@+/-]*\.(?:ya?ml|json|jsonnet|libsonnet|tpl))"
    r"(?::(?P<line>[1-9][0-9]{0,6}))?(?=[:,;) ])"
)
"""What begins the message of a condition that lies in a file."""
_PROPERTY: Final = (*_DATA, (":", "%3A"), (",", "%2C"))


def github(report: DriftReport | DiffReport, *, repository: str = "") -> str:
    """The report as workflow commands, the summary first and then the worst first.

    `repository` is the one that the workflow runs for (`OWNER/NAME`, as in GITHUB_REPOSITORY):
    files of others are named in the text alone. GitHub shows ten annotations of each kind for a
    step.
    """
    return "".join(f"{line}\n" for line in _lines(report, repository))


def _lines(report: DriftReport | DiffReport, repository: str) -> Iterator[str]:
    now = report.generated_at if isinstance(report, DriftReport) else ""
    groups = findings.groups(report)
    yield command("notice", _summary(report, groups), title="driftd")
    every = [resource for group in groups for resource in group.resources]
    here = _is_here(every, repository)
    for condition in report.conditions:
        yield _condition("repository", condition, complete=report.complete, located=here)
    found = [
        (_rank(resource, change), group, resource, change)
        for group in groups
        for resource in group.resources
        for change in _findings(resource)
    ]
    found.sort(key=lambda one: one[0])
    for _, group, resource, change in found:
        yield _finding(group, resource, change, now, repository)
    for group in groups:
        own = _is_here(group.resources, repository) if group.resources else here
        yield from _blindness(group, located=own)


def _summary(report: DriftReport | DiffReport, groups: list[Group]) -> str:
    resources = [resource for group in groups for resource in group.resources]
    changes = order.change_counts(resources)
    apps = [group.application for group in groups if group.application is not None]
    parts = [unchecked.verdict(resources, complete=report.complete)]
    for noun, counts in (
        ("applications", order.application_counts(apps)),
        ("objects", order.resource_counts(resources)),
        ("drifted fields", {k: v for k, v in changes.items() if k in order.DRIFT_SECTIONS}),
        ("not drift", {k: v for k, v in changes.items() if k in order.OPTIONAL_SECTIONS}),
    ):
        if counts:
            listed = ", ".join(f"{count} {name}" for name, count in counts.items())
            parts.append(f"{noun}: {listed}")
    for reason, placed in unchecked.of_groups(groups).items():
        names = unchecked.names_of(placed, whole=False)
        parts.append(f"not checked: {unchecked.count_of(placed)}: {names}: {reason}")
    return "\n".join(parts)


def _findings(resource: ResourceReport) -> list[Change | None]:
    """The changes that are drift; None stands for the object itself."""
    whole: list[Change | None] = [None] if findings.has_whole_finding(resource) else []
    return whole + [c for c in findings.changes_of(resource, frozenset()) if c.is_drift]


def _rank(resource: ResourceReport, change: Change | None) -> int:
    """Where a finding comes; a missing or extra object counts as high."""
    return 1 if change is None else order.severity_rank(change)


def _finding(
    group: Group, resource: ResourceReport, change: Change | None, now: str, repository: str
) -> str:
    name = findings.object_name(resource)
    if change is None:
        kind, title = "error", f"{resource.status}: {name}"
        lines = [findings.whole_text(resource)]
    else:
        severity = "" if change.severity is UNSET else str(change.severity)
        kind = _COMMANDS.get(severity, "warning" if not severity else "notice")
        path = findings.path_of(change, resource)
        title = f"{severity or change.change_class}: {name} {path}"
        who = mistakes.mistake_of(change) or author_of(change, now)
        lines = [f"{path}, {findings.arrow_text(change)}", who]
        if change.severity_reason is not UNSET:
            lines.append(f"{change.severity}: {findings.one_line(change.severity_reason)}")
    lines.append(_where(group))
    properties = {}
    origin = findings.origin_of(resource, change)
    if origin is not None:
        if is_of(origin, repository):
            properties["file"] = findings.one_line(origin.file)
            if origin.line is not UNSET:
                properties["line"] = str(origin.line)
        else:
            url = origin.repo_url
            of = "" if url is UNSET else f" of {findings.one_line(url)}"
            lines.append(f"in {git_places.file_and_line(origin)}{of}")
    text = "\n".join(line for line in lines if line)
    return command(kind, text, **properties, title=findings.one_line(title))


def _is_here(resources: Sequence[ResourceReport], repository: str) -> bool:
    """Whether files that messages name can be of `repository`, as those of objects are."""
    origins = [one for resource in resources if (one := resource.origin) is not UNSET]
    return not origins or any(is_of(one, repository) for one in origins)


def _blindness(group: Group, *, located: bool) -> Iterator[str]:
    """What could not be judged: one command for each reason, not for each object."""
    for condition in group.conditions:
        yield _condition(group.name, condition, complete=group.complete, located=located)
    for reason, resources in findings.unknown_reasons(group):
        title = f"Unknown: {findings.names_of(resources, 2)}"
        place = place_of(reason) if located else {}
        yield command("warning", f"{reason}\n{_where(group)}".rstrip(), **place, title=title)


def _condition(name: str, condition: ReportCondition, *, complete: bool, located: bool) -> str:
    level = findings.level_of(condition, complete=complete)
    kind = "notice" if level is Severity.INFO else str(level)
    place = place_of(condition.message) if located else {}
    text = findings.condition_text(condition)
    return command(kind, text, **place, title=findings.one_line(name))


def place_of(message: str) -> dict[str, str]:
    """The file, and line if any, that a message begins with or names its object by."""
    match = _PLACE.match(message)
    return {key: value for key, value in match.groupdict().items() if value} if match else {}


def _where(group: Group) -> str:
    if group.application is None:
        return ""
    on = f" on cluster {findings.one_line(group.cluster)}" if group.cluster else ""
    return f"application {findings.one_line(group.name)}{on}"


def is_of(origin: ReportOrigin, repository: str) -> bool:
    """Whether a file can be of `repository`; where that or the URL is not known, it can."""
    if not repository or origin.repo_url is UNSET:
        return True
    path = origin.repo_url.rstrip("/").removesuffix(".git").lower()
    return path.endswith(f"/{repository.lower()}")


def command(name: str, message: str, **properties: str) -> str:
    """One workflow command: `::NAME KEY=VALUE,…::MESSAGE`, values and message escaped."""
    listed = ",".join(f"{key}={_escape(value, _PROPERTY)}" for key, value in properties.items())
    return f"::{name}{f' {listed}' if listed else ''}::{_escape(message, _DATA)}"


def _escape(text: str, rules: tuple[tuple[str, str], ...]) -> str:
    # The percent sign comes first: the other replacements bring some in.
    for char, escape in rules:
        text = text.replace(char, escape)
    return text
