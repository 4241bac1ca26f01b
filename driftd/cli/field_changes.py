"""The changes of one object as lines of text: where, Git's value, the live one, by whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UNSET
from rich.text import Text

from driftd.cli import field_path, git_places, mistakes, order, values
from driftd.cli.authors import author_of, evidence
from driftd.cli.terminal import printable
from driftd.model.report import (
    BY_KUBECTL,
    NOT_APPLIED,
    Change,
    ChangeClass,
    ChangeKind,
    ReportOrigin,
    ResourceReport,
)

SECTION_TITLES = {
    ChangeClass.DECLARED: "declared: Git says otherwise",
    ChangeClass.UNDECLARED: "undeclared: Git is silent",
    ChangeClass.REVIEW: "review: harmless as far as known, not drift",
    ChangeClass.INJECTED: "injected: nobody owns it (webhooks), not drift",
    ChangeClass.REWRITTEN: "rewritten: changed on admission, not drift",
    ChangeClass.PENDING: "pending: Git is ahead, not drift",
    order.IGNORED: "ignored: by a rule or a file, not drift",
}
_SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_SEVERITY_COLUMN = 10
_KIND_NOTES = {
    ChangeKind.FORMERLY_DECLARED: "Git declared it before, no longer",
    ChangeKind.REORDERED: "only the order differs",
    ChangeKind.RENAMED: "renamed",
}
_MAX_LINES = 14
_EXPECTED = 40
"""Characters of a value that the API server would give."""
_MAX_LINES_WIDE = 400

Line = tuple[Text, Text]
"""A first column and the text beside it."""


def change_lines(
    changes: Sequence[Change], resource: ResourceReport, *, now: str, wide: bool, width: int
) -> Iterator[Line]:
    """The lines of `changes`, at most `width` columns wide unless `wide`.

    Neighbours with one author name it once, after the last of them.
    """
    run = 0
    for number, change in enumerate(changes):
        run += 1
        lines = list(_what(change, resource, wide=wide, width=width - _SEVERITY_COLUMN))
        yield from _with_place(lines, place_of(change, resource), 0 if wide else width)
        if mistake := mistakes.mistake_of(change):
            yield _beside(Text(mistake, "yellow"))
        if wide:
            yield from _reasons(change)
        if change.ignored_by is not UNSET:
            yield _beside(Text(f"ignored by {printable(change.ignored_by)}", "dim"))
        author = author_of(change, now)
        if not author:
            run = 0
            continue
        following = changes[number + 1] if number + 1 < len(changes) else None
        if following is None or author_of(following, now) != author or wide:
            count = {1: "", 2: "both "}.get(run, f"all {run} ")
            yield _beside(Text(f"{count}{author}", "dim"))
            run = 0


def place_of(change: Change, resource: ResourceReport) -> str:
    """`in FILE:LINE` where Git sets the field, `at line N` in the object's own file, or empty.

    Of values of a chart `from FILE:LINE: KEY`.
    """
    at = change.origin
    if not isinstance(at, ReportOrigin):
        return ""
    if at.value is not UNSET:
        return git_places.place_of_field(at)
    whole = resource.origin
    if isinstance(whole, ReportOrigin) and whole.file == at.file and at.line is not UNSET:
        return f"at line {at.line}"
    return printable(f"in {at.file}" if at.line is UNSET else f"in {at.file}:{at.line}")


def _with_place(lines: list[Line], place: str, width: int) -> Iterator[Line]:
    """The lines of a change, its place in Git beside the only one, or below where it is wider."""
    if not place:
        yield from lines
        return
    lead, body = lines[-1]
    if len(lines) == 1 and (not width or len(lead) + len(body) + len(place) + 4 <= width):
        yield lead, body.copy().append(f"  ({place})", "dim")
        return
    yield from lines
    room = max(20, width - _SEVERITY_COLUMN) if width else 0
    yield _beside(Text(values.shorten(place, room) if room else place, "dim"))


def _reasons(change: Change) -> Iterator[Line]:
    """Why the change has its severity, and its class."""
    if change.severity_reason is not UNSET:
        yield _beside(Text(f"{change.severity}: {printable(change.severity_reason)}", "dim"))
    told = mistakes.mistake_of(change)  # it is the reason
    if (
        change.reason not in (UNSET, NOT_APPLIED)  # the author says that it is not applied
        and not told
        and not SECTION_TITLES[change.change_class].endswith(change.reason)
    ):
        yield _beside(Text(f"{change.change_class}: {printable(change.reason)}", "dim"))
    if change.attribution is not UNSET and (event := evidence(change.attribution)):
        yield _beside(Text(f"audit log: {event}", "dim"))


def _kind_note(change: Change) -> str:
    reason = change.reason
    if isinstance(reason, str) and reason.startswith(BY_KUBECTL):
        return "kubectl apply set it"  # perhaps by a person: that Git ever did is not known
    return _KIND_NOTES.get(change.kind, "")


def _what(change: Change, resource: ResourceReport, *, wide: bool, width: int) -> Iterator[Line]:
    severity = "" if change.severity is UNSET else change.severity
    lead = Text(f"{severity:<{_SEVERITY_COLUMN}}", _SEVERITY_STYLES.get(severity, ""))
    path = field_path.readable(change, group=resource.group, kind=resource.kind)
    if wide:
        path = printable(change.path) or field_path.WHOLE_OBJECT
    shown = mistakes.difference(
        change,
        width=0 if wide else max(20, width - 6),
        max_lines=_MAX_LINES_WIDE if wide else _MAX_LINES,
        rows=values.rows_of(severity),
    )
    said = (_kind_note(change), shown.note, _expected(change))
    notes = [note for note in said if note]
    limit = 0 if wide else width
    heads = _head(path, "; ".join(notes), limit)
    yield from ((lead if number == 0 else _margin(), one) for number, one in enumerate(heads[:-1]))
    lead, head = (lead if len(heads) == 1 else _margin()), heads[-1]
    if isinstance(shown, values.LineDiff):
        yield from _ended(lead, head, "- Git  + live", limit)
        for line in shown.lines:
            yield _beside(Text(line, {"-": "red", "+": "green"}.get(line[:1], "dim")))
        return
    if isinstance(shown, values.Concealed):
        yield lead, head.append(f"  {shown.text}", "dim")
        return
    joined = len(head) + len(shown.git) + len(shown.live) + 5
    if joined <= width:
        head.append("  ").append(shown.git, "red").append(" → ").append(shown.live, "green")
        yield lead, head
        return
    absent = mistakes.ABSENT & {shown.git, shown.live}
    yield from _ended(lead, head, " ".join(sorted(absent)), limit)
    if shown.git not in absent:
        yield Text(" " * _SEVERITY_COLUMN + "Git   "), Text(shown.git, "red")
    if shown.live not in absent:
        yield Text(" " * _SEVERITY_COLUMN + "live  "), Text(shown.live, "green")


def _expected(change: Change) -> str:
    """The value that the API server would give, where an oracle said so."""
    if change.expected is UNSET:
        return ""
    masked = values.is_masked(change.expected)
    text = "another value" if masked else values.shorten(values.flow(change.expected), _EXPECTED)
    return f"the API server would give {text}"


def _head(path: str, note: str, width: int) -> list[Text]:
    """The path, cut in its middle like a value, and its note beside or below it (0: no limit).

    Broken over two lines a path could be neither read nor copied.
    """
    head = Text(values.shorten(path, max(20, width)) if width else path)
    if not note:
        return [head]
    if not width or len(head) + len(note) + 4 <= width:
        return [head.append(f"  ({note})", "dim")]
    return [head, Text(f"({note})", "dim")]


def _ended(lead: Text, head: Text, end: str, width: int) -> Iterator[Line]:
    """`head` with `end` beside it, or below where it has no room (0: no limit)."""
    if end and width and len(head) + len(end) + 2 > width:
        yield lead, head
        yield _beside(Text(end, "dim"))
    else:
        yield lead, head.append(f"  {end}", "dim") if end else head


def _margin() -> Text:
    return Text(" " * _SEVERITY_COLUMN)


def _beside(text: Text) -> Line:
    return Text(" " * _SEVERITY_COLUMN), text
