"""`driftd check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from driftd.cli import calls, completing, options

_NAMED = 5
"""Applications that a note lists by name."""


@click.command("check", short_help="Compare every application with its cluster, once.")
@click.argument("names", metavar="[APP]...", nargs=-1, shell_complete=completing.application_names)
@options.flag(
    "--app",
    multiple=True,
    metavar="NAME",
    shell_complete=completing.application_names,
    help="Only this application; globs allowed. Repeatable.",
)
@options.baseline_flags
@options.config_flag
@options.state_flag
@options.pending_flag
@options.audit_flags
@options.oracle_flag
@options.flag(
    "--preview/--no-preview",
    default=False,
    help="Say what merging --revision (default: HEAD) into --against would change on each "
    "cluster, apart from drift.",
)
@options.flag(
    "--against",
    metavar="REV",
    help="With --preview: the branch or commit that the change is merged into (default: the "
    "default branch of origin).",
)
@options.repository_flags
@options.cluster_flags
@options.report_output
def check_command(names: tuple[str, ...], app: tuple[str, ...], **flags: Any) -> int:
    """Compare every application that the repository declares with its cluster, once.

    APP is a name or glob of an application (NAMESPACE/NAME where names repeat); default: all.
    Nothing is written to any cluster.

    With --preview it says what merging a pull request would change, and nothing of drift.

    Exit codes: 0 no drift; 1 drift; 2 something could not be judged or an error happened. With
    --preview: 0 merging changes nothing; 1 it changes something; 2 as before, the API server would
    refuse an object, or merging deletes with a Namespace what Git still declares.
    """
    from driftd.cli import exit_code, formats
    from driftd.cli.next_command import doctor_command_of, next_command
    from driftd.cli.progress import Narrator
    from driftd.model.report import has_drift

    _check_together(flags)
    if flags["preview"]:
        return _preview(options.applications(names, app), flags)
    chosen = options.look_options(flags, names=options.applications(names, app))
    chosen |= options.baseline_options(flags)
    chosen |= options.audit_options(flags)
    chosen |= {"oracle": flags["oracle"]} if flags["oracle"] else {}
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        report = calls.check(chosen, narrator)
    finally:
        narrator.close()
    _note_deployers(report, narrator)
    if not flags["hub"] and not flags["state"]:
        _note_unsynced(report, narrator)
    quiet = flags["quiet"] or flags["output"] not in {"table", "wide", "plain"}
    context = click.get_current_context()
    following = () if quiet else next_command(report, context)
    doctor = "" if quiet else doctor_command_of(context)
    formats.write_report(report, flags, following=following, doctor=doctor)
    return exit_code.of_report(
        complete=report.complete,
        drift=any(has_drift(application.resources) for application in report.applications),
        report_drift=not flags["no_exit_code"],
    )


def _check_together(flags: Mapping[str, Any]) -> None:
    """Refuse flags that mean nothing beside one another."""
    context = click.get_current_context(silent=True)
    if not flags["preview"]:
        if flags["against"]:
            raise click.UsageError("--against needs --preview", ctx=context)
        return
    refused = {
        "--baseline": flags["baseline"],
        "--suppressions": flags["suppressions"],
        "--hash-key-file": flags["hash_key_file"],
        "--state": flags["state"],
        "--show": flags["show"],
        "--audit-log": flags["audit_log"],
        "--oracle": flags["oracle"],
    }
    for name, value in refused.items():
        if value:
            raise click.UsageError(
                f"{name} is about drift, and --preview shows none: give one of them", ctx=context
            )
    if flags["output"] in {"junit", "sarif"}:
        raise click.UsageError(
            f"-o {flags['output']} is a format for findings, and what a merge changes is none; "
            "--preview has table, wide, plain, json, yaml, name, markdown and github",
            ctx=context,
        )


def _preview(names: tuple[str, ...], flags: dict[str, Any]) -> int:
    """`driftd check --preview`."""
    from driftd.cli import exit_code, preview_formats
    from driftd.cli.progress import Narrator

    chosen = options.look_options(flags, names=names)
    if flags["severity"]:
        chosen["severity"] = flags["severity"]
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        report = calls.preview(chosen, narrator, against=flags["against"])
    finally:
        narrator.close()
    preview_formats.write_preview(report, flags)
    return exit_code.of_report(
        complete=report.sound,
        drift=report.changes,
        report_drift=not flags["no_exit_code"],
    )


def _note_unsynced(report: Any, narrator: Any) -> None:
    from driftd.cli.unsynced import note_unsynced, writers_of

    writers: Counter[str] = Counter()
    for application in report.applications:
        for resource in application.resources:
            found = (resource, *resource.changes)
            managers = [one.manager for one in found if one.is_drift]
            writers += writers_of(managers, application.deployers)
    note_unsynced(writers, narrator)


def _note_deployers(report: Any, narrator: Any) -> None:
    """Say which field managers counted as Git's hand: every verdict depends on them."""
    from driftd.controller.unsynced import perhaps_persons

    users: dict[tuple[str, ...], list[str]] = {}
    for application in report.applications:
        if application.deployers:
            users.setdefault(application.deployers, []).append(application.name)
    for deployers, names in users.items():
        named = ", ".join(names[:_NAMED])
        rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        whose = "every application" if len(users) == 1 else named + rest
        persons = perhaps_persons(deployers)
        if persons:
            whose += (
                f" ({' and '.join(persons)} by name, and may be a person: driftd help inference)"
            )
        narrator.note(f"deployers {', '.join(deployers)} count as Git's hand: {whose}")
