"""`driftd heal`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from driftd.cli import calls, completing, options
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.cli.progress import Narrator
    from driftd.controller.heal_once import HealedObject, HealReport
    from driftd.model.report import Change

_ACTIONS = {
    "create": "create it",
    "apply": "apply what Git declares",
    "patch": "remove what Git does not have, then apply what it declares",
    "none": "left alone",
}
_NAMED = 4
"""Objects that are named of those without drift that are left alone for one reason."""
_OUTCOMES = {"dry-run": "dry run: the API server accepts it"}


@click.command("heal", short_help="Put an application back to what Git declares, once.")
@click.argument("application", metavar="APP", shell_complete=completing.application_names)
@options.flag("--dry-run", is_flag=True, help="Try by dry runs what may be written; write nothing.")
@options.flag("--yes", is_flag=True, help="Write. Without it and --config it is a preview.")
@options.flag(
    "--undeclared", is_flag=True, help="Remove also what others added and Git is silent about."
)
@options.flag(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Settings whose healing rules open the application, in place of --yes and --undeclared.",
)
@options.baseline_flags
@options.state_flag
@options.repository_flags
@options.cluster_flags
@options.output_format("text", "json", "yaml")
@options.output_flags
def heal_command(
    application: str,
    dry_run: bool,
    yes: bool,
    undeclared: bool,
    config: Path | None,
    output: str,
    **flags: Any,
) -> int:
    """Put the objects of one application back to what Git declares, once, as driftd run would: the
    same plan, the same guards, a server-side dry run before each write.

    What is to be written is printed first, field by field, with what it sets off. Nothing is
    written without --yes or a rule of --config that opens the application. The Application itself
    has to say syncPolicy.automated.selfHeal; where Argo CD or Flux is active nothing is written.
    No object is deleted. With --dry-run each object says what the API server answered; where
    nothing may be written it is not asked, and the last line says why.

    Exit codes: 0 nothing is left to put back, whoever may write; 1 something is; 2 something could
    not be judged or written, or an error happened.
    """
    from driftd.cli import formats
    from driftd.cli.progress import Narrator
    from driftd.cli.terminal import printable

    if config is not None and (yes or undeclared):
        raise click.UsageError("--config opens the application: give it, or --yes")
    chosen = options.look_options(flags, names=(application,)) | options.baseline_options(flags)
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        report = calls.heal(
            chosen, narrator, dry_run=dry_run, yes=yes, undeclared=undeclared, config=config
        )
    finally:
        narrator.close()
    if not flags["hub"] and not flags["state"]:
        _note_unsynced(report, narrator)
    if output == "json":
        formats.write_json(report)
    elif output == "yaml":
        formats.write_yaml(report)
    else:
        for line in sentences(report, dry_run=dry_run):
            click.echo(printable(line))
    return 2 if report.broken else int(report.left)


def _note_unsynced(report: HealReport, narrator: Narrator) -> None:
    """It may be that live is merely older than Git. What stays counts too, as with `check`."""
    from driftd.cli.unsynced import note_unsynced, writers_of

    managers = [one.manager for one in report.objects if one.drifted]
    managers += [c.manager for one in report.objects for c in (*one.changes, *one.staying)]
    note_unsynced(writers_of(managers, report.deployers), narrator)


def sentences(report: HealReport, *, dry_run: bool = False) -> Iterator[str]:
    """A heal, or its preview, as lines of plain text; `dry_run` if no more than that was wanted."""
    yield from _wrong(report)
    where = f"{report.application} on cluster {report.cluster or '(none)'}"
    if not report.drifted:
        yield f"{where}: {_nothing(report)}"
    elif report.refusal is not UNSET:
        yield from _refused(report, where)
    else:
        yield from _planned(report, where)
    for alike in _alike(report.objects):
        yield ""
        yield from _object(alike[0]) if len(alike) == 1 else _left_alone(alike, report)
    yield from _not_checked(report)
    if dry_run or report.rung == "dry-run":
        yield ""
        yield _tried(report)
    elif report.drifted and report.refusal is UNSET:
        yield from _written(report)


def _wrong(report: HealReport) -> Iterator[str]:
    """What is wrong with the application as a whole: it may be why nothing could be judged."""
    from driftd.cli import findings
    from driftd.model.condition import Severity

    for one in report.conditions:
        if one.severity is Severity.ERROR:
            level = findings.level_of(one, complete=report.complete)
            yield f"{'!' if level is Severity.ERROR else '*'} {findings.condition_text(one)}"


def _nothing(report: HealReport) -> str:
    """That there is nothing to put back, as far as could be judged: `7 objects, all Synced`."""
    from driftd.model.report import ResourceStatus

    if not report.complete and not report.resources:
        return "nothing could be judged"
    counts = [f"{count} {status}" for status, count in report.resources.items()]
    total = counted(sum(report.resources.values()), "object")
    if len(counts) > 1:
        told = f"{total}: {', '.join(counts)}"
    else:
        told = total + "".join(f", all {status}" for status in report.resources)
    if report.complete:
        return f"nothing to put back: {told}"
    judged = set(report.resources) - {ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED}
    return f"{'no drift in what' if judged else 'nothing'} could be judged: {told}"


def _not_checked(report: HealReport) -> Iterator[str]:
    """What could not be compared: a line for each reason."""
    from driftd.cli import unchecked

    for reason, placed in unchecked.of_group(report.not_checked).items():
        yield ""
        names = unchecked.names_of(placed, whole=True)
        yield f"NotChecked, so not put back: {unchecked.count_of(placed)}: {names}: {reason}"


def _planned(report: HealReport, where: str) -> Iterator[str]:
    planned = sum(one.action != "none" for one in report.objects)
    alone = len(report.objects) - planned
    rest = f", {alone} left alone" if alone else ""
    yield f"{where}: {counted(planned, 'object')} to write{rest}"


def _tried(report: HealReport) -> str:
    """What dry runs came to, or why the API server was asked for none."""
    sent = [one for one in report.objects if one.outcome is not UNSET]
    if sent:
        accepted = sum(one.outcome == "dry-run" for one in sent)
        return (
            "Nothing was written: of "
            f"{counted(len(sent), 'dry run')} the API server accepts {accepted}."
        )
    if report.refusal is not UNSET and report.drifted:
        why = "nothing may be written to this application"
    elif not report.drifted:
        why = "there is nothing to write" if report.complete else "nothing could be planned"
    elif any(one.action != "none" for one in report.objects):
        why = "the cluster could not be read"
    else:
        why = "every object is left alone"
    return f"The API server was asked for no dry run: {why}."


def _written(report: HealReport) -> Iterator[str]:
    """What was not written, or where it is on record."""
    if report.rung == "observe" and any(one.action != "none" for one in report.objects):
        yield ""
        yield "Nothing was written: this is a preview. --yes writes, --dry-run asks the API server."
    if report.record is not UNSET:
        yield ""
        yield "On record, with what was written over:"
        yield f"  driftd restore --store {report.record}"


def _refused(report: HealReport, where: str) -> Iterator[str]:
    """Why nothing is written, and what it would take."""
    yield f"{where}: nothing is written: {report.refusal}"
    if any(one.action != "none" for one in report.objects):
        yield "What putting it back would take:"


def _alike(objects: Iterable[HealedObject]) -> Iterator[list[HealedObject]]:
    """The objects, those together that are left alone for one reason and show no field."""
    groups: dict[object, list[HealedObject]] = {}
    for number, one in enumerate(objects):
        shows = one.action != "none" or one.changes or one.staying or one.outcome is not UNSET
        groups.setdefault(number if shows else (one.reason, one.guard), []).append(one)
    yield from groups.values()


def _left_alone(alike: Sequence[HealedObject], report: HealReport) -> Iterator[str]:
    """Several objects that are left alone, with their one reason."""
    from driftd.cli import findings

    first = alike[0]
    named = len(alike) if any(one.drifted for one in alike) else _NAMED
    names = ", ".join(f"{_name(one)}{_place(one, ' (', ')')}" for one in alike[:named])
    rest = f" and {len(alike) - named} more" if len(alike) > named else ""
    yield f"{counted(len(alike), 'object')} left alone: {names}{rest}"
    if first.reason is UNSET:
        return
    reason = findings.one_line(first.reason)
    for told in findings.told_by(report.conditions):
        # The line above says it already.
        reason = reason.removesuffix(f": {told}")
    for single, several in (("it is ", "they are "), ("it ", "they ")):
        if reason.startswith(single):
            reason = several + reason.removeprefix(single)
    yield f"  because {reason}{_guard(first)}"


def _guard(one: HealedObject) -> str:
    return f" ({one.guard})" if one.guard is not UNSET else ""


def _place(one: HealedObject, lead: str, end: str) -> str:
    """Where Git is to be corrected, between two texts; empty where nothing is."""
    from driftd.cli.git_places import file_and_line

    place = file_and_line(one.origin)
    return f"{lead}{place}{end}" if place else ""


def _name(one: HealedObject) -> str:
    place = f"{one.namespace}/" if one.namespace else ""
    return f"{one.kind} {place}{one.name}"


def _action(one: HealedObject) -> str:
    from driftd.model.report import ChangeKind

    ordered = any(change.kind is ChangeKind.REORDERED for change in one.changes)
    if one.action == "patch" and ordered and all(c.desired is not UNSET for c in one.changes):
        return "put the items in Git's order, then apply what it declares"
    return _ACTIONS[one.action]


def _object(one: HealedObject) -> Iterator[str]:
    yield f"{_name(one)}: {_action(one)}"
    staying = [*one.staying]
    for change in one.changes:
        if one.action != "none":
            yield f"  {_field(change, one)}"
        elif change.desired is UNSET:
            staying.append(change)
        else:
            yield f"  {_field(change, one)}{_severity(change)}"
    for text in one.impact:
        yield f"  impact: {text}"
    for change in staying:
        yield f"  stays: {_value(change, one)}{_severity(change)}"
    if one.reason is not UNSET:
        yield f"  because {one.reason}{_guard(one)}{_place(one, ' (', ')')}"
    if one.outcome is not UNSET:
        message = "" if one.message is UNSET else f": {one.message}"
        yield f"  result: {_OUTCOMES.get(one.outcome, one.outcome)}{message}"


def _field(change: Change, one: HealedObject) -> str:
    from driftd.cli.field_path import readable
    from driftd.cli.values import flow, holds_mask, is_masked, of_change

    wanted = "(removed)"
    if change.desired is not UNSET:
        wanted = flow(of_change(change, change.desired))
    if change.live is not UNSET and holds_mask(change.live) and flow(change.live) == wanted:
        what = readable(change, group=one.group, kind=one.kind)
        told = "the value" if is_masked(change.live) else f"values of {wanted}"
        return f"{what}: {told} changed, Git's is put back (masked)"
    return f"{_value(change, one)} -> {wanted}"


def _value(change: Change, one: HealedObject) -> str:
    """A field, as tables name it, and what live has."""
    from driftd.cli.field_path import readable
    from driftd.cli.values import flow, of_change

    live = "(absent)" if change.live is UNSET else flow(of_change(change, change.live))
    return f"{readable(change, group=one.group, kind=one.kind)}: {live}"


def _severity(change: Change) -> str:
    return "" if change.severity is UNSET else f" ({change.severity})"
