"""`driftd diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from driftd.cli import calls, options

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True)
_STDIN = Path("/dev/stdin")


@click.command("diff", short_help="Compare manifests with live objects from files, offline.")
@options.flag(
    "--desired",
    type=_FILE,
    required=True,
    help="Manifests as Git declares them, rendered; - is standard input.",
)
@options.flag(
    "--live",
    type=_FILE,
    required=True,
    help="Objects as the cluster serves them: `kubectl get -o yaml --show-managed-fields`; - is "
    "standard input.",
)
@options.flag(
    "--schema",
    type=_FILE,
    multiple=True,
    help="What describes the kinds: an OpenAPI v3 document (`kubectl get --raw "
    "/openapi/v3/apis/apps/v1`) or a CustomResourceDefinition. Repeatable.",
)
@options.flag(
    "--mode",
    type=click.Choice(["managed", "strict"]),
    default="managed",
    show_default=True,
    help="What a live field is that Git does not have. managed: drift if somebody set it, as "
    "managedFields tell, else a default; strict: always drift.",
)
@options.severity_flag
@options.report_output
def diff_command(
    desired: Path,
    live: Path,
    schema: tuple[Path, ...],
    mode: str,
    severity: Path | None,
    **flags: Any,
) -> int:
    """Compare manifests with live objects from files, without cluster and repository.

    Exit codes: 0 no drift; 1 drift; 2 something could not be judged or an error happened.
    """
    from driftd.cli import exit_code, formats
    from driftd.model.report import has_drift

    if desired == live == Path("-"):
        raise click.UsageError("only one of --desired and --live can be read from standard input")
    desired, live = (_STDIN if file == Path("-") else file for file in (desired, live))
    report = calls.diff(desired=desired, live=live, schemas=schema, mode=mode, severity=severity)
    formats.write_report(report, flags)
    return exit_code.of_report(
        complete=report.complete,
        drift=has_drift(report.resources),
        report_drift=not flags["no_exit_code"],
    )
