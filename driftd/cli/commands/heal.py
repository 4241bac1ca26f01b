"""`driftd heal`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from driftd.cli import calls, completing, options
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.controller.heal_once import HealedObject, HealReport
    from driftd.model.report import Change

_ACTIONS = {
    "create": "create it",
    "apply": "apply what Git declares",
    "patch": "remove what Git does not have, then apply what it declares",
    "none": "left alone",
}


@click.command("heal", short_help="Put an application back to what Git declares, once.")
@click.argument("application", metavar="APP", shell_complete=completing.application_names)
@options.flag("--dry-run", is_flag=True, help="Ask the API server by dry runs; write nothing.")
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
    No object is deleted.

    Exit codes: 0 nothing is left to put back; 1 something is; 2 something could not be judged or
    written, or an error happened.
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
    if output == "json":
        formats.write_json(report)
    elif output == "yaml":
        formats.write_yaml(report)
    else:
        for line in sentences(report):
            click.echo(printable(line))
    return 2 if report.broken else int(report.left)


def sentences(report: HealReport) -> Iterator[str]:
    """A heal, or its preview, as lines of plain text."""
    where = f"{report.application} on cluster {report.cluster or '(none)'}"
    if report.refusal is not UNSET:
        yield from _refused(report, where)
        return
    planned = [one for one in report.objects if one.action != "none"]
    alone = len(report.objects) - len(planned)
    if not report.objects:
        yield f"{where}: nothing to put back"
        return
    rest = f", {alone} left alone" if alone else ""
    yield f"{where}: {counted(len(planned), 'object')} to write{rest}"
    for one in report.objects:
        yield ""
        yield from _object(one)
    if report.rung == "observe" and planned:
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
    for one in report.objects:
        yield ""
        yield from _object(one)


def _object(one: HealedObject) -> Iterator[str]:
    place = f"{one.namespace}/" if one.namespace else ""
    yield f"{one.kind} {place}{one.name}: {_ACTIONS[one.action]}"
    for change in one.changes:
        yield f"  {_field(change, one)}"
    for text in one.impact:
        yield f"  impact: {text}"
    if one.reason is not UNSET:
        guard = f" ({one.guard})" if one.guard is not UNSET else ""
        yield f"  because {one.reason}{guard}"
    if one.outcome is not UNSET:
        message = "" if one.message is UNSET else f": {one.message}"
        yield f"  result: {one.outcome}{message}"


def _field(change: Change, one: HealedObject) -> str:
    from driftd.cli.field_path import readable
    from driftd.cli.values import flow

    name = readable(change, group=one.group, kind=one.kind)
    live = "(absent)" if change.live is UNSET else flow(change.live)
    wanted = "(removed)" if change.desired is UNSET else flow(change.desired)
    return f"{name}: {live} -> {wanted}"
