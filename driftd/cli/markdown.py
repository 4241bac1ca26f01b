"""`-o markdown`: a report to paste into a pull request, an issue or a wiki."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import UNSET

from driftd.cli import findings, git_places, mistakes, order, unchecked, values
from driftd.cli.authors import author_of
from driftd.cli.findings import Group
from driftd.cli.terminal import printable
from driftd.model.report import (
    Change,
    DiffReport,
    DriftReport,
    ResourceReport,
    ResourceStatus,
)

LIMIT = 60_000
"""Characters of a whole report: GitHub refuses comments of more than 65,536."""
_RESERVE = 900
"""Kept free for the note of what was cut and the last line."""
_CELL = 100
_TEXT = 600
_LINES = 6
_APPLICATIONS = 200
_SYNCED_NAMES = 30
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]*")
_SENTENCE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ,.']*[A-Za-z0-9])?")
_CHANGES = ("Severity", "Object and field", "Git", "Cluster", "Who")
_QUIET = ("Class", "Object and field", "Git", "Cluster", "Why")


def markdown(report: DriftReport | DiffReport) -> str:
    """The report as GitHub-flavoured Markdown of at most `LIMIT` characters.

    Everything that comes from clusters and repositories stands in code spans, so that nothing
    of it is read as markup, as a mention or as a link.
    """
    now = report.generated_at if isinstance(report, DriftReport) else ""
    groups = findings.groups(report)
    resources = [resource for group in groups for resource in group.resources]
    page = Page(LIMIT - _RESERVE)
    page.add(f"## driftd: {unchecked.verdict(resources, complete=report.complete)}\n\n")
    page.add(_counts(groups, resources))
    page.rows([f"- {code(findings.condition_text(c), _TEXT)}" for c in report.conditions], "notes")
    if isinstance(report, DriftReport):
        _overview(page, groups)
    page.rows(_unchecked(groups), "notes")
    for group in groups:
        _group(page, group, now)
    page.end(f"Looked at {now}" if now else "")
    return page.text


class Page:
    """Text that grows up to a limit, and what did not fit."""

    def __init__(self, limit: int) -> None:
        self.text = ""
        self._room = limit
        self._cut: Counter[str] = Counter()

    def add(self, text: str, *, what: str = "", reserve: int = 0) -> bool:
        """Add `text` if it fits and leaves `reserve` characters; else count it as cut."""
        if len(text) + reserve > self._room:
            self._cut[what or "notes"] += 1
            return False
        self.text += text
        self._room -= len(text)
        return True

    def rows(self, rows: Sequence[str], what: str, *, head: str = "", tail: str = "") -> None:
        """Add the rows that fit between `head` and `tail`; nothing if not even one does."""
        if not rows:
            return
        frame = len(head) + len(tail) + len("\n")
        if not self.add(head, what=what, reserve=len(rows[0]) + frame):
            self._cut[what] += len(rows) - 1
            return
        for one in rows:
            self.add(f"{one}\n", what=what, reserve=len(tail) + len("\n"))
        self.add(f"{tail}\n")

    def close(self, text: str) -> None:
        """Add what ends a part that was begun: it must not be cut, and is short."""
        self.text += text
        self._room -= len(text)

    def end(self, text: str, command: str = "check -o json") -> None:
        """The note of what was cut, and the last line; `command` prints everything."""
        if self._cut:
            listed = ", ".join(f"{number} {what}" for what, number in self._cut.items())
            self.text += (
                f"> Cut to {LIMIT:,} characters; not shown: {listed}. "
                f"`driftd {command}` has everything.\n\n"
            )
        if text:
            self.text += f"{text}\n"


def code(text: str, width: int = _CELL) -> str:
    """`text` as a code span, whatever is in it, cut in its middle to `width`."""
    text = values.shorten(printable(text), width)
    if not text.strip():
        return f"`{text}`" if text else ""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    ends_odd = text[0] in "` " or text[-1] in "` "
    pad = " " if ends_odd else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def word(text: str) -> str:
    """A name: plain where nothing in it can be markup."""
    return text if _PLAIN.fullmatch(text) and len(text) <= _CELL else code(text)


def _word_or_code(text: str) -> str:
    """A short text: plain where nothing in it can be markup."""
    return text if _SENTENCE.fullmatch(text) else code(text)


def _unchecked(groups: Sequence[Group]) -> list[str]:
    """A line for each reason why objects were left out."""
    return [
        f"- Not checked: {unchecked.count_of(placed)} "
        f"({code(unchecked.names_of(placed, whole=False), _TEXT)}): {code(reason, _TEXT)}"
        for reason, placed in unchecked.of_groups(groups).items()
    ]


def _counts(groups: Sequence[Group], resources: Sequence[ResourceReport]) -> str:
    apps = [group.application for group in groups if group.application is not None]
    changes = order.change_counts(resources)
    drifted = {name: changes[name] for name in order.DRIFT_SECTIONS if name in changes}
    other = {name: changes[name] for name in order.OPTIONAL_SECTIONS if name in changes}
    rows = (
        ("Applications", len(apps), order.application_counts(apps)),
        ("Objects", len(resources), order.resource_counts(resources)),
        ("Drifted fields", sum(drifted.values()), drifted),
        ("Not drift", sum(other.values()), other),
    )
    lines = ["| | Count | |", "|---|--:|---|"]
    for title, total, counts in rows:
        if total:
            listed = ", ".join(f"{count} {name}" for name, count in counts.items())
            lines.append(f"| {title} | {total} | {listed} |")
    return "\n".join(lines) + "\n\n" if len(lines) > 2 else "Nothing was compared.\n\n"


def _overview(page: Page, groups: Sequence[Group]) -> None:
    """One row for each application that is not Synced, one line for all that are."""
    loud = [group for group in groups if not _is_synced(group)]
    rows = []
    for group in loud:
        app = group.application
        drifted = sum(resource.is_drift for resource in group.resources)
        status = str(app.status) if app else ""
        level = order.worst_severity(group.resources)
        cells = (status, word(group.name), word(group.cluster), level, f"{drifted or ''}")
        rows.append(row(cells))
    head = head_row(("Status", "Application", "Cluster", "Worst", "Drifted objects"))
    page.rows(rows[:_APPLICATIONS], "applications", head=head)
    if len(rows) > _APPLICATIONS:
        page.add(f"… and {len(rows) - _APPLICATIONS} more applications\n\n")
    synced = [group.name for group in groups if _is_synced(group)]
    if synced:
        names = ", ".join(word(name) for name in synced[:_SYNCED_NAMES])
        rest = len(synced) - _SYNCED_NAMES
        page.add(f"Synced: {names}{f' and {rest} more' if rest > 0 else ''}\n\n")


def _is_synced(group: Group) -> bool:
    quiet = {ResourceStatus.SYNCED, ResourceStatus.NOT_CHECKED, ResourceStatus.PENDING}
    return (
        group.complete
        and not group.conditions
        and all(one.status in quiet or findings.is_accepted(one) for one in group.resources)
    )


def _group(page: Page, group: Group, now: str) -> None:
    drift, rest = _changes(group.resources, now)
    notes = [f"- {code(findings.condition_text(c), _TEXT)}" for c in group.conditions]
    notes += [
        f"- Unknown: {_objects(listed)}: {code(reason, _TEXT)}"
        for reason, listed in findings.unknown_reasons(group)
    ]
    if not (drift or rest or notes):
        return
    title = f"### {word(group.name)}\n\n" if group.application else ""
    facts = ", ".join(f"{name} {word(value)}" for name, value in group.facts.items())
    title += f"{facts}\n\n" if facts else ""
    if not page.add(title, what="applications", reserve=_CELL):
        return
    page.rows(notes, "notes")
    page.rows(drift, "changes", head=head_row(_CHANGES))
    what = "1 change that is not drift" if len(rest) == 1 else f"{len(rest)} that are not drift"
    head = f"<details><summary>{what}</summary>\n\n{head_row(_QUIET)}"
    page.rows(rest, "changes that are not drift", head=head, tail="\n</details>\n")


def _changes(resources: Iterable[ResourceReport], now: str) -> tuple[list[str], list[str]]:
    """Rows of what is drift, and of what is not."""
    drift, rest = [], []
    for resource in resources:
        name = f"**{code(findings.object_name(resource))}**"
        origin = git_places.file_and_line(resource.origin)
        place = f"{name}<br>in {code(origin)}<br>" if origin else f"{name}<br>"
        changes = findings.changes_of(resource, frozenset(order.OPTIONAL_SECTIONS))
        changes.sort(key=lambda change: (not change.is_drift, order.severity_rank(change)))
        if findings.has_whole_finding(resource) or findings.is_accepted(resource):
            what = f"{place}{resource.status}: {findings.WHOLE_OBJECT[resource.status]}"
            if resource.severity_reason is not UNSET and resource.severity == "critical":
                what += f"<br>{_word_or_code(resource.severity_reason)}"
            reason = git_places.reason_of(resource)
            creator = findings.creator_text(resource)
            if findings.is_accepted(resource):
                by = code(str(resource.ignored_by))
                rest.append(row((order.IGNORED, what, "", "", by)))
            else:
                told = "<br>".join(code(text) for text in (reason, creator) if text)
                level = "" if resource.severity is UNSET else str(resource.severity)
                level = "**critical**" if level == "critical" else level
                drift.append(row((level, what, "", "", told)))
        for change in changes:
            path = code(findings.path_of(change, resource))
            word, _, at = git_places.place_of_field(change.origin).partition(" ")
            path += f"<br>{word} {code(at)}" if at else ""
            git, live = _value_cells(change)
            if change.is_drift:
                level = "" if change.severity is UNSET else str(change.severity)
                if change.severity_reason is not UNSET:
                    path += f"<br>{_word_or_code(change.severity_reason)}"
                mistake = mistakes.mistake_of(change)
                author = author_of(change, now).removeprefix("by ")
                who = code(mistake, _TEXT) if mistake else code(author, _CELL + 40)
                drift.append(row((level, place + path, git, live, who)))
            else:
                why = _why(change)
                rest.append(row((order.section_of(change), place + path, git, live, why)))
            place = ""  # the rows below are of the same object
    return drift, rest


def _why(change: Change) -> str:
    if change.ignored_by is not UNSET:
        return code(change.ignored_by)
    return "" if change.reason is UNSET else code(change.reason)


def _value_cells(change: Change) -> tuple[str, str]:
    """Git's value and the live one, each for its cell."""
    width = values.width_of(change.severity, _CELL)
    shown = mistakes.difference(change, width=width, max_lines=_LINES)
    if isinstance(shown, values.LineDiff):
        git = [line[2:] for line in shown.lines if line[:1] == "-"]
        live = [line[2:] for line in shown.lines if line[:1] == "+"]
        note = [f"({shown.note})"] if shown.note else []
        old, new = ([code(one, width) or "(empty line)" for one in side] for side in (git, live))
        return "<br>".join([*old, *note]), "<br>".join(new)
    if isinstance(shown, values.Concealed):
        return shown.text, shown.text
    note_text = f"<br>({shown.note})" if shown.note else ""
    git_text, live_text = (
        text if text in mistakes.ABSENT else code(text, width) for text in (shown.git, shown.live)
    )
    return git_text + note_text, live_text


def _objects(resources: list[ResourceReport]) -> str:
    if len(resources) == 1:
        return code(findings.object_name(resources[0]))
    return f"{len(resources)} objects ({code(findings.names_of(resources), _TEXT)})"


def head_row(titles: Sequence[str]) -> str:
    """The first two lines of a table."""
    return f"{row(titles)}\n|{'---|' * len(titles)}\n"


def row(cells: Iterable[str]) -> str:
    """One line of a table."""
    # A pipe ends a cell even in a code span, unless a backslash is before it.
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
