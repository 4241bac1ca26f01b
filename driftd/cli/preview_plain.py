"""`-o plain` of a preview: one fact on each line, for screen readers and `grep`."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from driftd.cli import git_places, values
from driftd.cli import preview_findings as findings
from driftd.cli.findings import condition_text, one_line
from driftd.model.preview import FieldChange, ObjectPreview, PreviewReport

_WIDTH = 200


def plain(report: PreviewReport, *, ending: str) -> Iterator[str]:
    """The lines of a preview: the summary, every object and field; `ending` is the last one."""
    yield f"Merging {findings.sides(report)}"
    for name, text in findings.cluster_lines(report):
        yield f"Cluster {one_line(name)}: {text or 'no object changes'}"
    for text in (
        findings.unchanged_text(report),
        *findings.apart_texts(report.summary),
    ):
        if text:
            yield text
    for condition in report.conditions:
        yield f"Note: {condition_text(condition)}"
    for app, *others in findings.alike(findings.ordered(report.applications)):
        where = one_line(findings.cluster_of(app))
        names = findings.names_of((app, *others), None)
        whose = f"{len(others) + 1} applications, {names}," if others else f"Application {names}"
        yield f"{whose} on cluster {where}: {app.action}"
        if app.reason is not UNSET:
            yield f"Reason: {one_line(app.reason)}"
        yield from findings.own_fields(app, width=_WIDTH)
        for condition in app.conditions:
            yield f"Note: {condition_text(condition)}"
        for one in findings.objects(app):
            yield from _object(one)
    yield ending


def _object(one: ObjectPreview) -> Iterator[str]:
    origin = findings.origin_of(one)
    place = f" in {origin}" if origin else ""
    yield f"{str(one.action).capitalize()} {findings.object_name(one)}{place}"
    if reason := one_line(git_places.reason_of(one)):
        yield f"Reason: {reason}"
    if not one.changes and one.severity == "critical":
        yield f"Critical: {one_line(one.severity_reason)}"
    effect = findings.effect_text(one)
    if effect:
        yield effect[:1].upper() + effect[1:]
    for change in findings.fields(one):
        yield from _field(change, one)


def _field(change: FieldChange, one: ObjectPreview) -> Iterator[str]:
    shown = findings.shown(change, width=_WIDTH, max_lines=14)
    head = f"{str(change.severity).capitalize()}, {findings.path_of(change, one)}"
    if isinstance(shown, values.LineDiff):
        yield f"{head}: some lines differ"
        words = {"-": "Old line", "+": "New line"}
        for line in shown.lines:
            if line[:1] in words:
                yield f"{words[line[:1]]}: {line[2:]}"
    elif isinstance(shown, values.Concealed):
        yield f"{head}: {shown.text}"
    else:
        yield f"{head}: old {shown.git}, new {shown.live}"
    if place := findings.place_of(change, one):
        yield f"Set {place}"
    for note in findings.notes_of(change):
        yield f"Note: {note}"
