"""`driftd check`."""

from __future__ import annotations

from typing import Any

import click

from driftd.cli import calls, options

_NAMED = 5
"""Applications that a note lists by name."""


@click.command("check", short_help="Compare every application with its cluster, once.")
@click.argument("names", metavar="[APP]...", nargs=-1)
@options.flag(
    "--app", multiple=True, metavar="NAME", help="Only this application; globs allowed. Repeatable."
)
@options.baseline_flags
@options.repository_flags
@options.cluster_flags
@options.report_output
def check_command(names: tuple[str, ...], app: tuple[str, ...], **flags: Any) -> int:
    """Compare every application that the repository declares with its cluster, once.

    APP is a name or glob of an application (NAMESPACE/NAME where names repeat). Only reads.

    Exit codes: 0 no drift; 1 drift; 2 something could not be judged or an error happened.
    """
    from driftd.cli import exit_code, formats
    from driftd.cli.progress import Narrator
    from driftd.model.report import has_drift

    chosen = options.look_options(flags, names=options.applications(names, app))
    chosen |= options.baseline_options(flags)
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        report = calls.check(chosen, narrator)
    finally:
        narrator.close()
    _note_deployers(report, narrator)
    formats.write_report(report, flags)
    return exit_code.of_report(
        complete=report.complete,
        drift=any(has_drift(application.resources) for application in report.applications),
        report_drift=not flags["no_exit_code"],
    )


def _note_deployers(report: Any, narrator: Any) -> None:
    """Say which field managers counted as Git's hand: every verdict depends on them."""
    users: dict[tuple[str, ...], list[str]] = {}
    for application in report.applications:
        if application.deployers:
            users.setdefault(application.deployers, []).append(application.name)
    for deployers, names in users.items():
        named = ", ".join(names[:_NAMED])
        rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        whose = "every application" if len(users) == 1 else named + rest
        narrator.note(f"deployers {', '.join(deployers)} count as Git's hand: {whose}")
