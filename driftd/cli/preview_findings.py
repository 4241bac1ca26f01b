"""What all formats of a preview share: order, counts, names and one text for each change."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from driftd.cli import field_path, values
from driftd.cli.findings import one_line
from driftd.cli.git_places import file_and_line, place_of_field
from driftd.cli.terminal import printable
from driftd.model.counts import counted
from driftd.model.item_names import in_order
from driftd.model.preview import (
    Action,
    ApplicationAction,
    ApplicationPreview,
    Effect,
    FieldChange,
    FieldKind,
    ObjectPreview,
    OnCluster,
    PreviewReport,
    PreviewSummary,
)
from driftd.model.report import ReportCondition, ReportOrigin

_REFERENCE = re.compile(
    r"(?P<file>[^\s:]+(:\d+)?): (?P<kind>[A-Z]\S*) [^\s:]+: (?P<rest>.*)", re.DOTALL
)
NOT_SET = "(not set)"
REMOVED = "(removed)"
LEVELS = ("critical", "high", "medium", "low")
PAST = {
    Action.DELETE: "deleted",
    Action.REFUSE: "refused by the API server",
    Action.CREATE: "created",
    Action.MOVE: "moved",
    Action.CHANGE: "changed",
    Action.LEAVE: "left behind",
}
"""What is said of objects, the worst first."""
_APPLICATIONS = (
    (ApplicationAction.DELETE, "is removed", "are removed"),
    (ApplicationAction.REFUSE, "is refused by Argo CD", "are refused by Argo CD"),
    (ApplicationAction.CREATE, "is new", "are new"),
    (ApplicationAction.CHANGE, "changes", "change"),
    (ApplicationAction.UNKNOWN, "could not be compared", "could not be compared"),
)
_LIVE = 60
"""Characters of a value that the cluster has beside the change."""
_KIND_NOTES = {
    FieldKind.REORDERED: "only the order differs",
    FieldKind.RENAMED: "renamed",
}


def ordered(applications: Iterable[ApplicationPreview]) -> list[ApplicationPreview]:
    """By cluster, the worst application first."""
    return sorted(applications, key=lambda app: (cluster_of(app), rank_of(app), app.name))


def alike(
    applications: Iterable[ApplicationPreview],
) -> list[tuple[ApplicationPreview, ...]]:
    """The applications, those of a cluster with the same to be told and no object together."""
    found: dict[object, list[ApplicationPreview]] = {}
    for number, app in enumerate(applications):
        cause = (cluster_of(app), app.action, app.reason, app.automated, app.conditions)
        alone = app.resources or not app.conditions
        found.setdefault(number if alone else cause, []).append(app)
    return [tuple(apps) for apps in found.values()]


def told_once(
    applications: Iterable[ApplicationPreview], *, more: str
) -> Iterator[ApplicationPreview]:
    """The applications, each broken reference of a template told with the first that has it.

    References of several applications are one where they stand in one file and line, in the same
    field, and differ in names alone. `more` names the format that tells all of them.
    """
    applications = list(applications)
    counts = Counter(
        key for app in applications for key in {_reference(one) for one in app.conditions} if key
    )
    seen: set[str] = set()
    for app in applications:
        kept: list[ReportCondition] = []
        first: set[str] = set()
        for one in app.conditions:
            key = _reference(one)
            if not key or counts[key] == 1:
                kept.append(one)
            elif key not in seen:
                first.add(key)
                rest = counted(counts[key] - 1, "more application")
                text = f"{one.message}; the same in {rest} ({more})"
                kept.append(msgspec.structs.replace(one, message=text))
                seen.add(key)
            elif key in first:
                kept.append(one)  # several objects of one application
        quiet = app.action is ApplicationAction.UNCHANGED and not app.reason
        if kept or app.resources or not (quiet and app.conditions):
            yield msgspec.structs.replace(app, conditions=tuple(kept))


def _reference(condition: ReportCondition) -> str:
    """A broken reference without its objects' names; empty for all else, or without a file."""
    found = (
        _REFERENCE.fullmatch(condition.message) if condition.type == "DanglingReference" else None
    )
    if found is None:
        return ""
    told = re.sub(r"; did you mean .*", "", found["rest"])
    told = re.sub(r"(names|it was) (\S+) [^\s,;]+", r"\1 \2", told)
    return f"{found['file']} {found['kind']} {told}"


def names_of(applications: Sequence[ApplicationPreview], most: int | None = 12) -> str:
    """The names of applications; a number in place of those beyond `most`, if there is one."""
    names = [one_line(app.name) for app in applications]
    more = len(names) - len(names[:most])
    return ", ".join(names[:most]) + (f" and {more} more (-o wide)" if more else "")


def rank_of(app: ApplicationPreview) -> int:
    """0 for an application with something critical; those without changes come last."""
    return min((LEVELS.index(one.severity) for one in app.resources), default=len(LEVELS))


def levels_text(app: ApplicationPreview) -> str:
    """`1 critical, 2 high`: the objects of an application by severity, the worst first."""
    counts = Counter(str(one.severity) for one in app.resources)
    return ", ".join(f"{counts[level]} {level}" for level in LEVELS if counts[level])


def objects(app: ApplicationPreview) -> list[ObjectPreview]:
    """The objects of an application, the worst first."""
    actions = list(PAST)
    return sorted(
        app.resources,
        key=lambda one: (
            LEVELS.index(one.severity),
            actions.index(one.action),
            one.kind,
            one.namespace,
            one.name,
        ),
    )


def fields(one: ObjectPreview) -> list[FieldChange]:
    """The changes of an object, the worst first."""
    return sorted(one.changes, key=lambda change: LEVELS.index(change.severity))


def cluster_of(app: ApplicationPreview) -> str:
    """The cluster's name, or the destination where it is not known."""
    return app.cluster or _destination(app) or "no cluster"


def _destination(app: ApplicationPreview) -> str:
    """The server or name of a destination, as far as its spec says."""
    name = app.destination.name
    return app.destination.server or ("" if name is UNSET else name)


def summary(report: PreviewReport) -> str:
    """`3 applications change: 1 object created, 4 changed`, over all clusters."""
    return _summary(report.applications) or "merging changes nothing"


def cluster_lines(report: PreviewReport) -> list[tuple[str, str]]:
    """Each cluster that changes, with its own summary."""
    by_cluster: dict[str, list[ApplicationPreview]] = {}
    for app in report.applications:
        by_cluster.setdefault(cluster_of(app), []).append(app)
    return [(name, _summary(apps)) for name, apps in sorted(by_cluster.items())]


def _summary(applications: Sequence[ApplicationPreview]) -> str:
    parts = []
    for action, one, many in _APPLICATIONS:
        number = sum(app.action is action for app in applications)
        if number:
            parts.append(f"{counted(number, 'application')} {one if number == 1 else many}")
    resources = [item for app in applications for item in app.resources]
    counts = Counter(item.action for item in resources)
    with_app = sum(
        item.action is Action.DELETE
        for app in applications
        if app.action is ApplicationAction.DELETE
        for item in app.resources
    )
    counts[Action.DELETE] -= with_app
    told = [f"{counts[action]} {word}" for action, word in PAST.items() if counts[action]]
    if with_app:  # which somebody may have to delete
        told.insert(0, f"{with_app} deleted with the application")
    if told:
        total = counted(len(resources), "object")
        effects = Counter(item.effect for item in resources if item.action is not Action.REFUSE)
        rollouts, recreations = effects[Effect.ROLLOUT], effects[Effect.RECREATE]
        if recreations:
            told.append(f"{recreations} to recreate")
        if rollouts:
            told.append(counted(rollouts, "rollout"))
        if len(told) == 1:
            parts.append(f"{total} {told[0].partition(' ')[2]}")
        else:
            parts.append(f"{total}: {', '.join(told)}")
        lost = sum(item.declared_inside for item in resources if item.action is Action.DELETE)
        if lost:  # the headline is all that some read
            parts[-1] += f", and with a namespace {counted(lost, 'object')} that Git still declares"
    return "; ".join(parts)


def untouched_text(summary: PreviewSummary) -> str:
    """The line about drift that the change is not at; empty if there is none.

    A sync, a reconciliation and an apply put back all that Git declares of an object.
    """
    number, back = summary.untouched_drift, summary.reverted_drift
    if not number:
        return ""
    one = number == 1
    it = "it" if one else "them"
    if not back:
        fate = f"Git is silent about {it}"
    elif back == number:
        fate = f"deploying it puts {it} back, too"
    else:
        fate = f"deploying it puts back, too, what Git declares of them ({back})"
    noun = counted(number, "drifted field")
    verb = "is" if one else "are"
    return f"{noun} of these objects {verb} not in this change: {fate} (driftd check shows {it})"


def apart_texts(summary: PreviewSummary) -> list[str]:
    """The lines about what differs on the cluster beside the change."""
    return [text for text in (untouched_text(summary), ignored_text(summary)) if text]


def ignored_text(summary: PreviewSummary) -> str:
    """The line about ignored fields that a sync puts back all the same; empty if there are none."""
    number = summary.reverted_ignored
    if not number:
        return ""
    it = "it" if number == 1 else "them"
    return (
        f"deploying it puts back, too, {counted(number, 'field')} of these objects that ignore "
        f"rules name: without RespectIgnoreDifferences=true Argo CD ignores {it} for comparisons "
        f"alone (driftd check --show ignored shows {it})"
    )


def unchanged_text(report: PreviewReport) -> str:
    """How many applications stay as they are."""
    number = report.summary.applications.get(str(ApplicationAction.UNCHANGED), 0)
    return f"{counted(number, 'application')} unchanged" if number else ""


def object_name(one: ObjectPreview) -> str:
    """`Kind [NAMESPACE/]NAME`."""
    place = f"{one.namespace}/{one.name}" if one.namespace else one.name
    return printable(f"{one.kind} {place}")


def origin_of(one: ObjectPreview) -> str:
    """The file that declares the object, with the line where it is known."""
    return file_and_line(one.origin)


def place_of(change: FieldChange, one: ObjectPreview) -> str:
    """`in FILE:LINE` where Git sets the field, `at line N` in the object's own file, or empty.

    Of what a chart renders the value that decides it: `from FILE:LINE: KEY`.
    """
    at = change.origin
    if not isinstance(at, ReportOrigin):
        return ""
    if at.value is not UNSET:
        return place_of_field(at)
    if isinstance(one.origin, ReportOrigin) and one.origin.file == at.file and at.line is not UNSET:
        return f"at line {at.line}"
    return place_of_field(at)


def origin_to_note(one: ObjectPreview) -> ReportOrigin | None:
    """The line that a reviewer is shown: of the worst field, of the mistake, else of the object."""
    whole = one.origin if isinstance(one.origin, ReportOrigin) else None
    wrong = [one.invalid.origin] if one.invalid else []
    lines = [*wrong, *(change.origin for change in fields(one))]
    exact = next((at for at in lines if isinstance(at, ReportOrigin) and _is_line(at)), None)
    if exact is None:
        return whole
    url = exact.repo_url
    if url is UNSET and whole:
        url = whole.repo_url
    return ReportOrigin(repo_url=url, file=exact.file, line=exact.line)


def _is_line(at: ReportOrigin) -> bool:
    """Not one of several values, nor a value in an archive: those are no line to point to."""
    return at.value is UNSET or (at.line is not UNSET and not at.others)


def own_fields(app: ApplicationPreview, *, width: int) -> Iterator[str]:
    """The fields of an application's own document that change: `PATH  OLD → NEW  (in FILE:LINE)`.

    Values are at most `width` characters long (0: unlimited).
    """
    for change in app.changes:
        ssa_path = "" if change.ssa_path is UNSET else change.ssa_path
        path = field_path.readable_path(
            change.path, ssa_path, group="argoproj.io", kind="Application"
        )
        at = place_of_field(change.origin) if isinstance(change.origin, ReportOrigin) else ""
        place = f"  ({at})" if at else ""
        found = shown(change, width=width, max_lines=14)
        if isinstance(found, values.LineDiff):
            yield f"{path}  (- old, + new){place}"
            yield from found.lines
        elif isinstance(found, values.Concealed):
            yield f"{path}  {found.text}{place}"
        else:
            note = f"  ({found.note})" if found.note else ""
            yield f"{path}  {found.git} → {found.live}{note}{place}"


def path_of(change: FieldChange, one: ObjectPreview) -> str:
    """The field as a person reads it."""
    ssa_path = "" if change.ssa_path is UNSET else change.ssa_path
    if change.invalid and isinstance(change.new, dict):
        ssa_path = field_path.with_known_item(ssa_path, change.new, change.path)
    return field_path.readable_path(change.path, ssa_path, group=one.group, kind=one.kind)


def shown(
    change: FieldChange, *, width: int, max_lines: int, rows: int = 1
) -> values.Pair | values.LineDiff | values.Concealed:
    """Old and new value for people."""
    old, new = _read(change, change.old), _read(change, change.new)
    found = values.difference(old, new, width=width, max_lines=max_lines, rows=rows)
    if isinstance(found, values.Pair):
        old = NOT_SET if change.old is UNSET else found.git
        new = REMOVED if change.new is UNSET else found.live
        return values.Pair(old, new, found.note)
    return found


def _read(change: FieldChange, value: Any) -> Any:
    """A value at the place of a change as people read it: items that moved have their names."""
    if change.kind is FieldKind.REORDERED:
        value = in_order(value)
    return values.of_field(value, change.path)


def notes_of(change: FieldChange) -> list[str]:
    """What to know about a change: its kind, how the cluster stands to it, what it sets off."""
    notes = [_KIND_NOTES[change.kind]] if change.kind in _KIND_NOTES else []
    if change.invalid is not UNSET:
        notes.append(one_line(change.invalid.message))
    if change.severity == "critical":
        notes.append(one_line(change.severity_reason))
    if change.effect is Effect.RECREATE and change.effect_reason is not UNSET:
        notes.append(one_line(change.effect_reason))
    if change.invalid is not UNSET:
        return notes
    if change.on_cluster is OnCluster.ALREADY:
        notes.append("already so on the cluster")
    elif change.on_cluster is OnCluster.DRIFTED:
        live = _live_text(change)
        who = "" if change.manager is UNSET else f" by {one_line(str(change.manager))}"
        what = "drift"
        if change.ignored_by is not UNSET:
            what = f"what {one_line(change.ignored_by)} ignores for comparisons alone"
        notes.append(f"overwrites {what}: the cluster has {live}{who}")
    return notes


def _live_text(change: FieldChange) -> str:
    """What the cluster has, cut so that the first place is seen where it is not as the base."""
    if change.live is UNSET:
        return NOT_SET
    live = values.flow(_read(change, change.live))
    for side in (change.old, change.new):
        other = "" if side is UNSET else values.flow(_read(change, side))
        if other not in ("", live):
            return values.shorten_pair(other, live, _LIVE)[1]
    return values.shorten(live, _LIVE)


def effect_text(one: ObjectPreview) -> str:
    """What the changes of an object set off."""
    if one.effect is UNSET or one.effect_reason is UNSET or one.action is Action.REFUSE:
        return ""  # why an object is refused, its reason says
    return f"{one.effect}: {one_line(one.effect_reason)}"


def facts_of(app: ApplicationPreview) -> list[str]:
    """Cluster, namespace and project, and that nobody syncs it by itself."""
    server = _destination(app)
    known = f"cluster {app.cluster}" if app.cluster else f"destination {server}" if server else ""
    facts = [
        known or "no cluster",
        f"namespace {app.destination.namespace}" if app.destination.namespace else "",
        f"project {app.project}" if app.kind is UNSET else str(app.kind),
        "" if app.automated else "synced by hand",
    ]
    return [printable(fact) for fact in facts if fact]


def short(revision: str) -> str:
    """A commit as Git abbreviates it."""
    commit, dash, mark = revision.partition("-")
    return f"{commit[:8]}{dash}{mark}"


def sides(report: PreviewReport) -> str:
    """`change bump (4c1d…) into main (12ab…)`."""
    head, base = report.revision, report.base
    return (
        f"{printable(head.name)} ({short(head.commit)}) into "
        f"{printable(base.name)} ({short(base.commit)})"
    )
