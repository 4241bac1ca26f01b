"""The `-o` formats of a preview on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from driftd.cli import preview_findings as findings
from driftd.cli.findings import condition_text, one_line
from driftd.cli.formats import as_utf8, write_json, write_yaml
from driftd.cli.terminal import printable
from driftd.model.condition import Severity
from driftd.model.preview import (
    Action,
    ApplicationPreview,
    FieldChange,
    ObjectPreview,
    PreviewReport,
)
from driftd.model.report import ReportCondition, ReportOrigin

_COMMANDS = {"critical": "error", "high": "warning", "medium": "notice", "low": "notice"}


def write_preview(report: PreviewReport, flags: Mapping[str, Any]) -> None:
    """`report` as `--output`, `--no-exit-code` and `--no-color` in `flags` say."""
    output = flags["output"]
    if output not in {"table", "wide", "plain", "name"}:
        as_utf8()
    if output == "json":
        write_json(report)
    elif output == "yaml":
        write_yaml(report)
    elif output == "name":
        _write_names(report)
    elif output == "plain":
        from driftd.cli.preview_plain import plain
        from driftd.cli.preview_table import ending
        from driftd.cli.terminal import in_ascii

        last = ending(report, report_changes=not flags["no_exit_code"])
        for line in plain(report, ending=last):
            sys.stdout.write(f"{in_ascii(line)}\n")
    elif output == "github":
        sys.stdout.write(github(report, repository=os.environ.get("GITHUB_REPOSITORY", "")))
    elif output == "markdown":
        from driftd.cli.preview_markdown import markdown

        sys.stdout.write(markdown(report))
    else:
        from driftd.cli.preview_table import print_preview
        from driftd.cli.terminal import console_for

        print_preview(
            console_for(sys.stdout, color=not flags["no_color"]),
            report,
            wide=output == "wide",
            report_changes=not flags["no_exit_code"],
        )


def _write_names(report: PreviewReport) -> None:
    """One line for each object: `ACTION APPLICATION/KIND.GROUP/[NAMESPACE/]NAME`.

    Conditions go to standard error.
    """
    for line in names(report):
        sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()
    told = [("", condition) for condition in report.conditions]
    told += [
        (f"{findings.names_of(apps)}: ", c)
        for apps in findings.alike(report.applications)
        for c in apps[0].conditions
    ]
    for where, condition in told:
        sys.stderr.write(f"{one_line(where)}{' ' if where else ''}{condition_text(condition)}\n")


def names(report: PreviewReport) -> Iterator[str]:
    """The lines of `-o name`; an application without objects is named alone."""
    for app in findings.ordered(report.applications):
        if not app.resources:
            yield f"{app.action} {app.name}"
        for one in findings.objects(app):
            kind = f"{one.kind}.{one.group}" if one.group else one.kind
            place = f"{one.namespace}/" if one.namespace else ""
            yield f"{one.action} {app.name}/{kind.lower()}/{place}{one.name}"


def github(report: PreviewReport, *, repository: str = "") -> str:
    """The preview as workflow commands of GitHub Actions, one for each object, the worst first.

    `repository` is the one that the workflow runs for (`OWNER/NAME`): files of others are named
    in the text alone.
    """
    return "".join(f"{line}\n" for line in _github(report, repository))


def _github(report: PreviewReport, repository: str) -> Iterator[str]:
    from driftd.cli.github import command
    from driftd.cli.preview_alike import folded

    text = f"merging {findings.sides(report)}\n{findings.summary(report)}"
    yield command("notice", text, title="driftd preview")
    every = [one for app in report.applications for one in app.resources]
    here = _is_here(every, repository)
    for condition in report.conditions:
        yield _condition("driftd preview", condition, located=here)
    found = [(app, one) for app in report.applications for one in app.resources]
    found.sort(key=lambda pair: findings.LEVELS.index(pair[1].severity))
    for app, one in found:
        yield _annotation(app, one, repository)
    for some, more in folded(report.applications):
        apps = (*some, *more)
        own = _is_here(apps[0].resources, repository) if apps[0].resources else here
        for condition in apps[0].conditions:
            yield _condition(findings.names_of(apps), condition, located=own)


def _is_here(objects: Sequence[ObjectPreview], repository: str) -> bool:
    """Whether files that messages name can be of `repository`, as those of objects are."""
    from driftd.cli.github import is_of

    origins = [one.origin for one in objects if isinstance(one.origin, ReportOrigin)]
    return not origins or any(is_of(origin, repository) for origin in origins)


def _condition(title: str, condition: ReportCondition, *, located: bool) -> str:
    from driftd.cli.github import command, place_of

    kind = "notice" if condition.severity is Severity.INFO else str(condition.severity)
    place = place_of(condition.message) if located else {}
    return command(kind, condition_text(condition), **place, title=title)


def _annotation(app: ApplicationPreview, one: ObjectPreview, repository: str) -> str:
    from driftd.cli.github import command, is_of

    verb = findings.PAST[one.action]
    title = f"{verb}: {findings.object_name(one)} on {one_line(findings.cluster_of(app))}"
    lines = [_field_line(change, one) for change in findings.fields(one)]
    if one.reason is not UNSET:
        lines.append(one_line(one.reason))
    if one.severity == "critical":
        lines.append(f"critical: {one_line(one.severity_reason)}")
    lines += [findings.effect_text(one), f"application {one_line(app.name)}"]
    properties = {}
    origin = findings.origin_to_note(one)
    if origin is not None:
        if is_of(origin, repository):
            properties["file"] = one_line(origin.file)
            if origin.line is not UNSET:
                properties["line"] = str(origin.line)
        else:
            lines.append(f"in {findings.origin_of(one)}")
    text = "\n".join(line for line in lines if line)
    # What is refused makes exit code 2, whatever it changes.
    kind = "error" if one.action is Action.REFUSE else _COMMANDS[one.severity]
    wrong = [one.invalid, *(change.invalid for change in one.changes)]
    if kind == "notice" and any(wrong):
        kind = "warning"  # a mistake is to be seen before it is merged
    return command(kind, text, **properties, title=title)


def _field_line(change: FieldChange, one: ObjectPreview) -> str:
    from driftd.cli import values

    shown = findings.shown(change, width=values.width_of(change.severity, 160), max_lines=8)
    path = findings.path_of(change, one)
    notes = "; ".join(filter(None, (*findings.notes_of(change), findings.place_of(change, one))))
    end = f"  [{notes}]" if notes else ""
    if isinstance(shown, values.LineDiff):
        return "\n".join((f"{path}  - old, + new{end}", *shown.lines))
    if isinstance(shown, values.Concealed):
        return f"{path}  {shown.text}{end}"
    return f"{path}  {shown.git} → {shown.live}{end}"
