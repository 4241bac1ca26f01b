"""`-o markdown` of a preview: a comment for the pull request that is previewed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import UNSET

from driftd.cli import git_places, values
from driftd.cli import preview_findings as findings
from driftd.cli.findings import condition_text, one_line
from driftd.cli.markdown import LIMIT, Page, code, head_row, row, word
from driftd.cli.preview_alike import folded, like_it
from driftd.model.counts import counted
from driftd.model.preview import ApplicationPreview, FieldChange, ObjectPreview, PreviewReport
from driftd.model.report import ReportCondition

_RESERVE = 900
_CELL = 100
_TEXT = 600
_LINES = 6
_HEAD = ("Severity", "What", "Object", "Field", "Old", "New", "To know")


def markdown(report: PreviewReport) -> str:
    """The preview as GitHub-flavoured Markdown of at most 60,000 characters.

    Everything that comes from clusters and repositories stands in code spans.
    """
    page = Page(LIMIT - _RESERVE)
    page.add(f"## driftd: {findings.summary(report)}\n\n")
    head, base = report.revision, report.base
    page.add(
        f"Merging {code(head.name)} ({findings.short(head.commit)}) into "
        f"{code(base.name)} ({findings.short(base.commit)}):\n\n"
    )
    clusters = [
        row((word(name), text or "no object changes"))
        for name, text in findings.cluster_lines(report)
    ]
    page.rows(clusters, "clusters", head=head_row(("Cluster", "What changes")))
    apart = (
        re.sub(r"(driftd check[^)]*) shows", r"`\1` shows", text)
        for text in findings.apart_texts(report.summary)
    )
    for text in filter(None, (findings.unchanged_text(report), *apart)):
        page.add(f"{text}.\n\n")
    _conditions(page, report.conditions)
    # A reader of a comment sees its head: the worst application first, whatever its cluster.
    worst = sorted(findings.ordered(report.applications), key=findings.rank_of)
    for (app, *others), more in folded(findings.told_once(worst, more="-o json")):
        _application(page, app, others, more)
    page.end(f"Rendered and compared at {report.generated_at}", command="check --preview -o json")
    return page.text


def _application(
    page: Page,
    app: ApplicationPreview,
    others: Sequence[ApplicationPreview],
    more: Sequence[ApplicationPreview],
) -> None:
    """An application; `others` are told as one with it, `more` as like it."""
    rows = [line for one in findings.objects(app) for line in _object(one)]
    count = len(app.resources)
    number = f"{count} object" + ("" if count == 1 else "s")
    name = one_line(app.name)
    where = one_line(findings.cluster_of(app))
    # Inside a summary there are no code spans, so what could be markup is escaped.
    levels = findings.levels_text(app)
    like = f" and {len(more)} more like it" if more else ""
    title = f"<b>{_escaped(name)}</b>{like} on {_escaped(where)}: {app.action}, {number}"
    title += f" ({levels})" if levels else ""
    if others:
        title = f"<b>{len(others) + 1} applications</b> on {_escaped(where)}: {app.action}"
    if not page.add(f"<details><summary>{title}</summary>\n\n", what="applications", reserve=400):
        return
    facts = f"{code(findings.names_of((app, *others), None), _TEXT)}\n" if others else ""
    facts += f"{code(like_it(more, None, '-o json'), _TEXT)}\n" if more else ""
    facts += (
        "" if app.automated else "Nobody syncs it automatically: the changes wait for a sync.\n"
    )
    if app.reason is not UNSET:
        facts += f"{code(app.reason, _TEXT)}\n"
    own = list(findings.own_fields(app, width=_CELL))
    facts += "".join(f"- {code(text)}\n" for text in own[:_LINES])
    facts += f"- and {counted(len(own) - _LINES, 'more line')}\n" if len(own) > _LINES else ""
    page.add(f"{facts}\n" if facts else "")
    _conditions(page, app.conditions)
    page.rows(rows, "changes", head=head_row(_HEAD), tail="")
    page.close("</details>\n\n")


def _conditions(page: Page, conditions: Sequence[ReportCondition]) -> None:
    page.rows([f"- {code(condition_text(c), _TEXT)}" for c in conditions], "notes")


def _object(one: ObjectPreview) -> list[str]:
    """A row for the object itself if there is something to say of it, and one for each field."""
    name = code(findings.object_name(one))
    origin = findings.origin_of(one)
    place = f"{name}<br>in {code(origin)}" if origin else name
    reason = git_places.reason_of(one)
    notes = [code(reason, _TEXT)] if reason else []
    if not one.changes and one.severity == "critical":
        notes.append(code(one.severity_reason))
    effect = findings.effect_text(one)
    if effect:
        notes.append(f"**{one.effect}**: {code(str(one.effect_reason))}")
    rows = []
    if notes or not one.changes:
        level = "" if one.changes else _level(one.severity)
        rows.append(row((level, str(one.action), place, "", "", "", "<br>".join(notes))))
        place = name
    for change in findings.fields(one):
        old, new = _cells(change)
        told = [code(note, _TEXT) for note in findings.notes_of(change)]
        if at := findings.place_of(change, one):
            told.append(code(at, _TEXT))
        path = code(findings.path_of(change, one))
        cells = (str(change.kind), place, path, old, new, "<br>".join(told))
        rows.append(row((_level(change.severity), *cells)))
        place = name
    return rows


def _level(severity: str) -> str:
    return "**critical**" if severity == "critical" else severity


def _cells(change: FieldChange) -> tuple[str, str]:
    width = values.width_of(change.severity, _CELL)
    shown = findings.shown(change, width=width, max_lines=_LINES)
    if isinstance(shown, values.LineDiff):
        old = [code(line[2:], width) or "(empty line)" for line in shown.lines if line[:1] == "-"]
        new = [code(line[2:], width) or "(empty line)" for line in shown.lines if line[:1] == "+"]
        return "<br>".join([*old, f"({shown.note})"]), "<br>".join(new)
    if isinstance(shown, values.Concealed):
        return shown.text, shown.text
    absent = {findings.NOT_SET, findings.REMOVED}
    old_text, new_text = (
        text if text in absent else code(text, width) for text in (shown.git, shown.live)
    )
    return old_text + (f"<br>({shown.note})" if shown.note else ""), new_text


def _escaped(text: str) -> str:
    return "".join(char if char.isalnum() or char in " -./" else f"&#{ord(char)};" for char in text)
