"""`driftd doctor`."""

from __future__ import annotations

import sys
from typing import Any

import click

from driftd.cli import calls, completing, options


@click.command(
    "doctor", short_help="Check that everything a look needs is there, and say what to do."
)
@click.argument("names", metavar="[APP]...", nargs=-1, shell_complete=completing.application_names)
@options.config_flag
@options.repository_flags
@options.cluster_flags
@options.output_format("table", "json", "yaml")
@options.output_flags
def doctor_command(names: tuple[str, ...], output: str, **flags: Any) -> int:
    """Check git, the repository, the sandbox worker, Python, the kubeconfig, the hub, and of each
    cluster: whether it answers, its clock, its aggregated APIs, and whether every declared kind
    may be listed. With --config also the daemon's store, and messages that were given up. Says
    what to do about each problem.

    Only reads: permissions are tried by listing one object of each kind, so that nothing has to
    be created on a cluster, not even an access review.

    Exit codes: 0 all well, or warnings alone; 2 something failed.
    """
    from driftd.cli import diagnosis, formats
    from driftd.cli.progress import Narrator
    from driftd.cli.terminal import printable

    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        chosen = options.look_options(flags, names=names) | {"config": flags["config"]}
        report = calls.doctor(chosen, narrator)
    finally:
        narrator.close()
    if output == "json":
        formats.write_json(report)
    elif output == "yaml":
        formats.write_yaml(report)
    else:
        sys.stdout.writelines(printable(line) + "\n" for line in diagnosis.lines(report))
    return 0 if report.ok else 2
