"""A preview for people: the summary of each cluster first, then the worst application first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET
from rich.text import Text

from driftd.cli import git_places, values
from driftd.cli import preview_findings as findings
from driftd.cli.exit_code import DRIFT, ERROR, of_report
from driftd.cli.findings import one_line, told
from driftd.cli.preview_alike import Group, folded, like_it
from driftd.cli.terminal import printable
from driftd.model.condition import Severity
from driftd.model.counts import counted
from driftd.model.preview import (
    Action,
    ApplicationAction,
    ApplicationPreview,
    FieldChange,
    ObjectPreview,
    PreviewReport,
)
from driftd.model.report import ReportCondition

if TYPE_CHECKING:
    from rich.console import Console

_ACTION_STYLES = {
    Action.CREATE: "green",
    Action.REFUSE: "bold red",
    Action.DELETE: "bold red",
    Action.LEAVE: "yellow",
    Action.MOVE: "cyan",
    Action.CHANGE: "bold",
}
_OWN = 60
"""Characters of a value of an application's own document."""
_SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_APPLICATION_WORDS = {
    ApplicationAction.CREATE: "new",
    ApplicationAction.REFUSE: "refused",
    ApplicationAction.CHANGE: "changes",
    ApplicationAction.DELETE: "removed",
    ApplicationAction.UNKNOWN: "unknown",
    ApplicationAction.UNCHANGED: "unchanged",
}
_ACTION_COLUMN = 11
_SEVERITY_COLUMN = 10
_LISTED = 12
_LINES = 14
_LINES_WIDE = 400


def print_preview(
    console: Console, report: PreviewReport, *, wide: bool = False, report_changes: bool = True
) -> None:
    """Print what merging would change; `wide` cuts nothing and prints raw pointers."""
    _Table(console, wide=wide).print(report, report_changes=report_changes)


class _Table:
    def __init__(self, console: Console, *, wide: bool) -> None:
        self.console = console
        self.wide = wide

    def print(self, report: PreviewReport, *, report_changes: bool) -> None:
        self._line(Text(f"Merging {findings.sides(report)}", "bold"))
        clusters = findings.cluster_lines(report)
        column = max((len(name) for name, _ in clusters), default=0)
        for name, text in clusters:
            lead = Text(f"{printable(name):<{column}}  ")
            self._line(lead, Text(text or "no object changes"))
        rest = findings.unchanged_text(report)
        if rest:
            self._line(Text(rest, "dim"))
        for text in findings.apart_texts(report.summary):
            self._line(Text(text, "dim"))
        self._conditions(report.conditions, indent=0)
        listed: Iterable[ApplicationPreview] = findings.ordered(report.applications)
        if not self.wide:
            listed = list(findings.told_once(listed, more="-o wide"))
        groups: list[Group] = [(one, ()) for one in findings.alike(listed)]
        for apps, others in groups if self.wide else folded(listed):
            self._application(apps[0], apps[1:])
            if others:
                self._line(Text(like_it(others, _LISTED, "-o wide")), indent=2)
        self._line()
        self._line(Text(ending(report, report_changes=report_changes), "bold"))

    def _application(
        self, app: ApplicationPreview, others: Sequence[ApplicationPreview] = ()
    ) -> None:
        """One application, or several of which the same is to be said and no more."""
        self._line()
        word = _APPLICATION_WORDS[app.action]
        names = findings.names_of((app, *others), None if self.wide else _LISTED)
        if others:
            names = f"{len(others) + 1} applications: {names}"
        self._line(Text(f"{word:<{_ACTION_COLUMN}}"), Text(names, "bold"))
        if not others:
            self._line(Text(" · ".join(findings.facts_of(app)), "dim"), indent=_ACTION_COLUMN)
        if app.reason is not UNSET:
            self._line(Text(one_line(app.reason)), indent=_ACTION_COLUMN)
        for text in findings.own_fields(app, width=0 if self.wide else _OWN):
            self._line(Text(text), indent=_ACTION_COLUMN + 2)
        self._conditions(app.conditions, indent=2)
        self._objects(findings.objects(app))

    def _objects(self, listed: Sequence[ObjectPreview]) -> None:
        """The worst first; a group of objects stands where the worst of them would."""
        grouped: dict[tuple[Action, str, str], list[ObjectPreview]] = {}
        for one in listed:
            if not self._is_alone(one):
                grouped.setdefault(_group_of(one), []).append(one)
        for one in listed:
            if self._is_alone(one):
                self._object(one)
            elif (members := grouped[_group_of(one)])[0] is one:
                self._group(members)

    def _is_alone(self, one: ObjectPreview) -> bool:
        return bool(one.changes) or one.severity == "critical" or self.wide

    def _group(self, members: list[ObjectPreview]) -> None:
        """Objects that come or go as a whole, and for one reason."""
        action, reason, level = _group_of(members[0])
        if len(members) == 1:
            reason = one_line(git_places.reason_of(members[0]))
        listed = [findings.object_name(one) for one in members]
        more = len(listed) - _LISTED
        names = ", ".join(listed[:_LISTED]) + (f" and {more} more (-o wide)" if more > 0 else "")
        if len(members) == 1 and findings.origin_of(members[0]):
            names += f"  in {findings.origin_of(members[0])}"
        lead = Text(f"{action!s:<{_ACTION_COLUMN}}", _ACTION_STYLES[action])
        self._line(lead, Text(names), indent=2)
        for text in filter(None, (reason, level)):
            self._line(Text(text, "dim"), indent=2 + _ACTION_COLUMN)

    def _object(self, one: ObjectPreview) -> None:
        lead = Text(f"{one.action!s:<{_ACTION_COLUMN}}", _ACTION_STYLES[one.action])
        self._line(lead, Text(findings.object_name(one), "bold"), indent=2)
        indent = 2 + _ACTION_COLUMN
        origin = findings.origin_of(one)
        if origin:
            self._line(Text(f"in {origin}", "dim"), indent=indent)
        if reason := one_line(git_places.reason_of(one)):
            self._line(Text(reason), indent=indent)
        if not one.changes and one.severity == "critical":
            style = _SEVERITY_STYLES[one.severity]
            self._line(Text(f"critical: {one_line(one.severity_reason)}", style), indent=indent)
        effect = findings.effect_text(one)
        if effect:
            self._line(Text(effect, "yellow"), indent=indent)
        width = self.console.width - 4 - _SEVERITY_COLUMN
        for change in findings.fields(one):
            for head, body in self._field(change, one, width):
                self._line(head, body, indent=4)

    def _field(
        self, change: FieldChange, one: ObjectPreview, width: int
    ) -> Iterator[tuple[Text, Text]]:
        lead = Text(
            f"{change.severity:<{_SEVERITY_COLUMN}}", _SEVERITY_STYLES.get(change.severity, "")
        )
        path = printable(change.path) if self.wide else findings.path_of(change, one)
        shown = findings.shown(
            change,
            width=0 if self.wide else max(20, width - 6),
            max_lines=_LINES_WIDE if self.wide else _LINES,
            rows=values.rows_of(change.severity),
        )
        beside, place = Text(" " * _SEVERITY_COLUMN), findings.place_of(change, one)
        is_beside = False
        head = Text(path)
        if isinstance(shown, values.LineDiff):
            yield lead, head.append(f"  ({shown.note})  - old  + new", "dim")
            for line in shown.lines:
                yield beside, Text(line, {"-": "red", "+": "green"}.get(line[:1], "dim"))
        elif isinstance(shown, values.Concealed):
            yield lead, head.append(f"  {shown.text}", "dim")
        elif len(head) + len(shown.git) + len(shown.live) + 5 <= width:
            head.append("  ").append(shown.git, "red").append(" → ").append(shown.live, "green")
            head.append(f"  ({shown.note})" if shown.note else "", "dim")
            is_beside = bool(place) and (self.wide or len(head) + len(place) + 4 <= width)
            yield lead, head.append(f"  ({place})" if is_beside else "", "dim")
        else:
            yield lead, head
            yield Text(" " * _SEVERITY_COLUMN + "old  "), Text(shown.git, "red")
            yield Text(" " * _SEVERITY_COLUMN + "new  "), Text(shown.live, "green")
        if place and not is_beside:
            yield beside, Text(place, "dim")
        for note in findings.notes_of(change):
            yield beside, Text(note, "dim")

    def _conditions(self, conditions: Iterable[ReportCondition], *, indent: int) -> None:
        for condition in conditions:
            text = Text.assemble(
                (printable(condition.type), "yellow"), ": ", told(condition.message, wide=self.wide)
            )
            mark = "! " if condition.severity is Severity.ERROR else "* "
            self._line(Text(mark, "yellow"), text, indent=indent)

    def _line(self, lead: Text | None = None, body: Text | None = None, *, indent: int = 0) -> None:
        """One paragraph: `lead` in its own column, `body` wrapped beside it."""
        lead = lead or Text()
        if body is None:
            lead, body = Text(), lead
        column = indent + lead.cell_len
        width = max(20, self.console.width - column)
        lines = list(body.wrap(self.console, width)) if body.cell_len > width else [body]
        for number, line in enumerate(lines):
            line.rstrip()
            start = Text(" " * indent).append_text(lead) if number == 0 else Text(" " * column)
            whole = start.append_text(line)
            whole.rstrip()
            self.console.print(whole, no_wrap=True, overflow="ignore", crop=False)


def _group_of(one: ObjectPreview) -> tuple[Action, str, str]:
    """What is said once of all objects that come or go like this one: how, why, how bad it is."""
    reason = "" if one.reason is UNSET else one_line(one.reason)
    level = f"{one.severity}: {one_line(one.severity_reason)}" if one.severity == "high" else ""
    return one.action, reason, level


def ending(report: PreviewReport, *, report_changes: bool) -> str:
    """What the exit code says, in one line."""
    code = of_report(complete=report.sound, drift=report.changes, report_drift=report_changes)
    text = "merging changes nothing"
    if report.complete and not report.sound:
        lost, refused = (counted(each, "object") for each in (report.lost, report.refused))
        told = [f"merging deletes {lost} that Git still declares"] if report.lost else []
        told += [f"the API server would refuse {refused}"] if report.refused else []
        text = ", and ".join(told)
    elif code == ERROR:
        text = "something could not be rendered or compared (marked ! above)"
        text += ", beside what changes" if report.changes else ""
    elif report.changes:
        text = "merging changes something" + ("" if code == DRIFT else " (--no-exit-code)")
    return f"exit {code}: {text}"
