"""A report for people: the summary first, then the worst application, object and field first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType
from rich.text import Text

from driftd.cli import findings, git_places, order, unchecked
from driftd.cli.edited import section_titles
from driftd.cli.field_changes import SECTION_TITLES, change_lines
from driftd.cli.next_command import DOCTOR, UNKNOWN_LEAD, folded, unknown_step
from driftd.cli.terminal import printable
from driftd.cli.values import revisions_text, shorten
from driftd.model.condition import Severity
from driftd.model.counts import counted
from driftd.model.report import (
    DRIFT_STATUSES,
    ApplicationReport,
    ApplicationStatus,
    DiffReport,
    DriftReport,
    ReportCondition,
    ResourceReport,
    ResourceStatus,
)

if TYPE_CHECKING:
    from rich.console import Console

STATUS_STYLES = {
    "OutOfSync": "bold red",
    "Missing": "bold red",
    "Extra": "bold red",
    "Unknown": "bold yellow",
    "Pending": "cyan",
    "NotChecked": "dim",
    "Synced": "green",
}
_HASH_SHOWN = 12
_GROUPED = (ResourceStatus.UNKNOWN, ResourceStatus.PENDING, ResourceStatus.NOT_CHECKED)
_EXPLANATIONS = {
    ResourceStatus.MISSING: "in Git, not in the cluster",
    ResourceStatus.EXTRA: "in the cluster, not in Git",
    ResourceStatus.PENDING: "Git is ahead, waits for a sync",
}
_NAMES_SHOWN = 12
_STATUS_COLUMN = 11


Blindness = tuple[tuple[ReportCondition, ...], str]
"""Why nothing of an application could be seen: conditions, and the reason of its objects."""


@dataclass(frozen=True)
class View:
    """What to print of a report."""

    show: frozenset[str] = frozenset()
    """Further sections: `review`, `injected`, `rewritten`, `pending`, `ignored`."""
    names: bool = False
    """With `--show all`: the name of each application that is Synced."""
    wide: bool = False
    """Raw pointers, whole values, evidence and every name."""
    report_drift: bool = True
    """False with `--no-exit-code`."""
    following: tuple[str, ...] = ()
    """The words of the command to go on with."""
    doctor: str = ""
    """The command that says what a look lacks; without it nothing is said of what is Unknown."""


def print_report(console: Console, report: DriftReport, view: View) -> None:
    """Print what `driftd check` found."""
    _Table(console, view, now=report.generated_at).drift_report(report)


def print_diff(console: Console, report: DiffReport, view: View, *, now: str) -> None:
    """Print what `driftd diff` found; ages are counted from `now` (RFC 3339)."""
    _Table(console, view, now=now).diff_report(report)


class _Table:
    def __init__(self, console: Console, view: View, *, now: str) -> None:
        self.console = console
        self.view = view
        self.now = now
        self._titles: Mapping[str, str] = SECTION_TITLES

    def drift_report(self, report: DriftReport) -> None:
        resources = [item for app in report.applications for item in app.resources]
        self._headline(report)
        self._counts(resources)
        self._conditions(report.conditions, indent=0)
        apps = order.applications(report.applications)
        everything = self.view.wide or self.view.names
        self._applications(apps if everything else [*map(findings.without_usual, apps)])
        if everything:
            lines = unchecked.aside(report, self.view.doctor or DOCTOR)
            for line in ["", *lines] if lines else ():
                self._line(Text(line, "dim"))
        self._ending(
            complete=report.complete,
            resources=resources,
            conditions=report.conditions,
            unknown=unknown_step(report, self.view.doctor) if self.view.doctor else "",
        )

    def _applications(self, applications: Sequence[ApplicationReport]) -> None:
        """Each application, those of one blindness together, those without news in one line."""
        quiet = [app for app in applications if self._is_quiet(app)]
        blind: dict[Blindness, list[ApplicationReport]] = defaultdict(list)
        for app in applications:
            cause = _blindness(app)
            if cause is not None:
                blind[cause].append(app)
        for app in applications:
            cause = _blindness(app)
            if cause is None:
                if not self._is_quiet(app):
                    self._application(app)
            elif len(blind[cause]) == 1:
                self._application(app)
            elif app is blind[cause][0]:
                self._blind_applications(cause, blind[cause])
        self._quiet_applications(quiet)
        self._unchecked(quiet, applications)

    def diff_report(self, report: DiffReport) -> None:
        if not report.resources:
            self._line(Text("No objects", "bold yellow"))
        self._counts(report.resources)
        self._conditions(report.conditions, indent=0)
        if report.resources:
            self._line()
        self._resources(report.resources, indent=0)
        self._ending(complete=report.complete, resources=report.resources)

    def _headline(self, report: DriftReport) -> None:
        counts = order.application_counts(report.applications)
        total = len(report.applications)
        if not total:
            self._line(Text("No applications", "bold yellow"))
        elif set(counts) == {"Synced"}:
            all_of_them = "Synced" if total == 1 else "all Synced"
            self._line(Text(f"{counted(total, 'application')}: {all_of_them}", "bold green"))
        else:
            self._line(
                Text(f"{counted(total, 'application')}: ", "bold").append_text(_statuses(counts))
            )

    def _counts(self, resources: Sequence[ResourceReport]) -> None:
        if resources:
            text = Text(f"{counted(len(resources), 'object')}: ")
            self._line(text.append_text(_statuses(order.resource_counts(resources))))
        changes = order.change_counts(resources)
        drift = [f"{changes[name]} {name}" for name in order.DRIFT_SECTIONS if name in changes]
        accepted = sum(map(findings.is_accepted, resources))
        other = [name for name in order.OPTIONAL_SECTIONS if name in changes]
        if drift:
            self._line(Text(f"Drifted fields: {', '.join(drift)}"))
        if other or accepted:
            counts_of = [f"{changes[name]} {name}" for name in other]
            if accepted:
                counts_of.append(f"{counted(accepted, 'object')} ignored as a whole")
                other = list(dict.fromkeys((*other, order.IGNORED)))
            listed = ", ".join(counts_of)
            hidden = [name for name in other if name not in self.view.show]
            how = f" (--show {'all' if len(hidden) > 2 else ','.join(hidden)})" if hidden else ""
            self._line(Text(f"Not drift: {listed}{how}", "dim"))
        if waiting := findings.waiting_text(resources):
            self._line(Text(waiting, "dim"))

    def _is_quiet(self, app: ApplicationReport) -> bool:
        return (
            app.status is ApplicationStatus.SYNCED
            and not app.conditions
            and not self.view.wide
            and not (self.view.names and unchecked.of_group(app.resources))
            and not any(self._shown(resource) for resource in app.resources)
        )

    def _shown(self, resource: ResourceReport) -> bool:
        """Whether a resource that has not drifted has something to print of its own."""
        if resource.status is ResourceStatus.PENDING and "pending" in self.view.show:
            return True
        if findings.is_accepted(resource) and order.IGNORED in self.view.show:
            return True
        return any(order.section_of(change) in self.view.show for change in resource.changes)

    def _quiet_applications(self, apps: Sequence[ApplicationReport]) -> None:
        if not apps:
            return
        self._line()
        # Names on demand; a fleet's Synced ones are of interest as a number of each cluster.
        whole = self.view.wide or self.view.names
        if whole or len(apps) <= _NAMES_SHOWN:
            names = ", ".join(printable(app.name) for app in apps)
            self._line(_status("Synced"), Text(names))
            return
        clusters = Counter(map(_cluster, apps))
        where = f" on {len(clusters)} clusters" if len(clusters) > 1 else ""
        self._line(
            _status("Synced"), Text(f"{len(apps)} applications{where} (--show all lists them)")
        )
        if len(clusters) == 1:
            return
        for cluster, count in sorted(clusters.items(), key=lambda item: (-item[1], item[0])):
            self._line(Text(f"{count:>5}  {printable(cluster)}"), indent=_STATUS_COLUMN)

    def _unchecked(
        self, quiet: Sequence[ApplicationReport], applications: Sequence[ApplicationReport]
    ) -> None:
        """What was not looked at in applications that have no entry of their own.

        A reason that an entry above tells is not told again.
        """
        several = len({_cluster(app) for app in applications}) > 1
        found = unchecked.by_reason(
            (_cluster(app) if several else "", one) for app in quiet for one in app.resources
        )
        silent = {id(app) for app in quiet}
        loud = [one for app in applications if id(app) not in silent for one in app.resources]
        told = unchecked.of_group(loud)
        # The last line of a report without drift tells a single reason.
        fine = all(app.complete and app.status is ApplicationStatus.SYNCED for app in applications)
        told = found if fine and len({*found, *told}) == 1 else told
        for reason, placed in found.items():
            what = f"{unchecked.count_of(placed)} of these"
            self._unchecked_group(what, "" if reason in told else reason, placed, 0)

    def _unchecked_group(
        self, what: str, reason: str, placed: Sequence[unchecked.Placed], indent: int
    ) -> None:
        whole = self.view.wide or self.view.names
        names = unchecked.names_of(placed, whole=whole, more=" (--show all)")
        self._line(_status("NotChecked"), Text(f"{what}: {names}"), indent=indent)
        if reason:
            self._line(Text(printable(reason), "dim"), indent=indent + _STATUS_COLUMN)

    def _blind_applications(self, cause: Blindness, apps: Sequence[ApplicationReport]) -> None:
        """Applications that nothing could be seen of, for one cause: an unreachable cluster.

        A cause may hold on several clusters: a repository that is not there.
        """
        conditions, reason = cause
        names = _listing([printable(app.name) for app in apps], wide=self.view.wide)
        self._line()
        self._line(
            _status("Unknown"), Text(f"{counted(len(apps), 'application')}: {names}", "bold")
        )
        where = _places(apps, wide=self.view.wide)
        if where:
            self._line(Text(where, "dim"), indent=_STATUS_COLUMN)
        self._conditions(conditions, indent=2)
        objects = sum(len(app.resources) for app in apps)
        if objects:
            self._line(_status("Unknown"), Text(counted(objects, "object")), indent=2)
        if reason and findings.one_line(reason) not in findings.told_by(conditions):
            self._line(Text(printable(reason), "dim"), indent=2 + _STATUS_COLUMN)

    def _application(self, app: ApplicationReport) -> None:
        self._line()
        self._line(_status(str(app.status)), Text(printable(app.name), "bold"))
        server = f"destination {app.destination.server}" if app.destination.server else ""
        flux = "" if app.kind is UNSET else f"{app.kind} in {app.namespace}"
        facts = [
            f"cluster {app.cluster}" if app.cluster else server,
            f"namespace {app.destination.namespace}" if app.destination.namespace else "",
            flux or f"project {app.project}",
            revisions_text(app.revisions, wide=self.view.wide),
        ]
        if self.view.wide:
            facts.insert(1, f"server {app.destination.server}" if app.cluster else "")
            facts.append(f"deployers {', '.join(app.deployers)}" if app.deployers else "")
        shown = " · ".join(printable(fact) for fact in facts if fact)
        self._line(Text(shown, "dim"), indent=_STATUS_COLUMN)
        self._conditions(app.conditions, indent=2)
        self._titles = section_titles(app.conditions)
        self._resources(app.resources, indent=2, told=findings.told_by(app.conditions))

    def _conditions(self, conditions: Iterable[ReportCondition], *, indent: int) -> None:
        for condition in conditions:
            message = findings.told(condition.message, wide=self.view.wide)
            text = Text.assemble((printable(condition.type), "yellow"), ": ", message)
            mark = "! " if condition.severity is Severity.ERROR else "* "
            self._line(Text(mark, "yellow"), text, indent=indent)

    def _resources(
        self,
        resources: Iterable[ResourceReport],
        *,
        indent: int,
        told: frozenset[str] = frozenset(),
    ) -> None:
        """Objects with something to say; `told` are reasons that stand above already."""
        grouped: dict[tuple[ResourceStatus, str], list[ResourceReport]] = defaultdict(list)
        for resource in order.resources(resources):
            if resource.is_drift or self._shown(resource):
                self._resource(resource, indent)
            elif resource.status in _GROUPED or self.view.wide:
                reason = "" if resource.reason is UNSET else resource.reason
                reason = "" if findings.one_line(reason) in told else reason
                grouped[resource.status, reason].append(resource)
        for (status, reason), members in grouped.items():
            if status is ResourceStatus.NOT_CHECKED and len(members) > 1:
                placed = [("", member) for member in members]
                self._unchecked_group(unchecked.count_of(placed), reason, placed, indent)
                continue
            self._group(status, reason, members, indent)

    def _group(
        self, status: ResourceStatus, reason: str, members: Sequence[ResourceReport], indent: int
    ) -> None:
        """Objects that share a status and its reason, in one entry."""
        if len(members) == 1:
            what = findings.object_name(members[0])
        else:
            labels = list(map(findings.object_name, members))
            names = _listing(labels, wide=self.view.wide, limit=4)
            what = f"{counted(len(members), 'object')}: {names}"
        explanation = _EXPLANATIONS.get(status)
        what += f"  {explanation}" if explanation else ""
        self._line(_status(str(status)), Text(what), indent=indent)
        if reason:
            self._line(Text(printable(reason), "dim"), indent=indent + _STATUS_COLUMN)

    def _resource(self, resource: ResourceReport, indent: int) -> None:
        text = Text(findings.object_name(resource), "bold" if resource.is_drift else "")
        explanation = _EXPLANATIONS.get(resource.status)
        if explanation:
            text.append(f"  {explanation}{findings.mild_level(resource)}", "not bold")
        self._line(_status(str(resource.status)), text, indent=indent)
        if reason := git_places.reason_of(resource):
            self._line(Text(printable(reason), "dim"), indent=indent + _STATUS_COLUMN)
        critical, creator = findings.critical_text(resource), findings.creator_text(resource)
        for told, style in ((critical, "bold red"), (creator, "dim")):
            if told:
                self._line(Text(told, style), indent=indent + _STATUS_COLUMN)
        if resource.ignored_by is not UNSET:
            accepted = Text(f"ignored by {printable(resource.ignored_by)}, not drift", "dim")
            self._line(accepted, indent=indent + _STATUS_COLUMN)
        self._origin(resource, indent + _STATUS_COLUMN)
        if self.view.wide and resource.status in DRIFT_STATUSES:
            self._evidence(resource, indent + _STATUS_COLUMN)
        for section in order.SECTIONS:
            if section in order.DRIFT_SECTIONS or section in self.view.show:
                self._section(resource, section, indent + 2)

    def _origin(self, resource: ResourceReport, indent: int) -> None:
        """Where Git declares the object: one line, cut in its middle unless wide."""
        if resource.origin is UNSET:
            return
        place = git_places.file_and_line(resource.origin)
        if self.view.wide and resource.origin.repo_url is not UNSET:
            place += f" of {resource.origin.repo_url}"
        width = 0 if self.view.wide else max(20, self.console.width - indent - len("in "))
        self._line(Text(f"in {shorten(printable(place), width)}", "dim"), indent=indent)

    def _section(self, resource: ResourceReport, section: str, indent: int) -> None:
        changes = [item for item in resource.changes if order.section_of(item) == section]
        if not changes:
            return
        self._line(Text(self._titles[section], "italic"), indent=indent)
        changes.sort(key=order.severity_rank)
        for lead, body in change_lines(
            changes,
            resource,
            now=self.now,
            wide=self.view.wide,
            width=self.console.width - indent - 2,
        ):
            self._line(lead, body, indent=indent + 2)

    def _evidence(self, resource: ResourceReport, indent: int) -> None:
        evidence = resource.evidence
        facts = [
            f"{label} {value}"
            for label, value in (
                ("resourceVersion", evidence.resource_version),
                ("uid", evidence.uid),
                ("schema", _short_hash(evidence.schema_hash)),
                ("observed", evidence.observed_at),
            )
            if value is not UNSET
        ]
        if facts:
            self._line(Text(printable(" · ".join(facts)), "dim"), indent=indent)

    def _ending(
        self,
        *,
        complete: bool,
        resources: Sequence[ResourceReport],
        conditions: Sequence[ReportCondition] = (),
        unknown: str = "",
    ) -> None:
        text = unchecked.ending(
            resources,
            complete=complete,
            report_drift=self.view.report_drift,
            conditions=conditions,
        )
        self._line()
        if self.view.following:
            for line in folded(self.view.following, self.console.width):
                self._write(Text(line))
        if unknown:
            self._line(Text(UNKNOWN_LEAD), Text(unknown))
        self._line(Text(text, "bold"))

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
            self._write(start.append_text(line))

    def _write(self, line: Text) -> None:
        line.rstrip()
        if self.console.color_system is None:
            # Off a terminal there is no style to render, which is most of rich's time.
            self.console.file.write(f"{line.plain}\n")
        else:
            self.console.print(line, no_wrap=True, overflow="ignore", crop=False)


def _cluster(app: ApplicationReport) -> str:
    """The cluster's name, or the destination's server where it was not mapped."""
    return app.cluster or app.destination.server


def _blindness(app: ApplicationReport) -> Blindness | None:
    """The one cause for which nothing of `app` could be judged; None if anything could."""
    if app.status is not ApplicationStatus.UNKNOWN:
        return None
    statuses = {resource.status for resource in app.resources}
    reasons = {"" if item.reason is UNSET else item.reason for item in app.resources}
    if statuses - {ResourceStatus.UNKNOWN} or len(reasons) > 1:
        return None
    return app.conditions, next(iter(reasons), "")


def _places(apps: Iterable[ApplicationReport], *, wide: bool) -> str:
    """The clusters of some applications, and the destinations that lead to none."""
    clusters = list(dict.fromkeys(app.cluster for app in apps if app.cluster))
    servers = [app.destination.server for app in apps if not app.cluster and app.destination.server]
    parts = []
    for noun, names in (("cluster", clusters), ("destination", list(dict.fromkeys(servers)))):
        if names:
            shown = _listing([printable(name) for name in names], wide=wide, limit=4)
            parts.append(f"{noun if len(names) == 1 else noun + 's'} {shown}")
    return " · ".join(parts)


def _status(status: str) -> Text:
    return Text(f"{status:<{_STATUS_COLUMN}}", STATUS_STYLES.get(status, ""))


def _statuses(counts: dict[str, int]) -> Text:
    parts = [Text(f"{count} {name}", STATUS_STYLES.get(name, "")) for name, count in counts.items()]
    return Text(", ").join(parts)


def _listing(names: Sequence[str], *, wide: bool, limit: int = _NAMES_SHOWN) -> str:
    if wide or len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])} and {len(names) - limit} more (-o wide)"


def _short_hash(text: str | UnsetType) -> str | UnsetType:
    """Enough of a hash to tell one from another; JSON has the whole."""
    return text if text is UNSET else text[:_HASH_SHOWN]
