"""`driftd demo`."""

from __future__ import annotations

import click

from driftd.cli import calls, options


@click.command("demo", short_help="Show drift on simulated clusters.")
@options.flag(
    "--serve",
    is_flag=True,
    help="Keep the clusters as they are after the night, until Ctrl-C or SIGTERM, "
    "to try commands of driftd.",
)
def demo_command(serve: bool) -> int:
    """Show drift between an example repository and simulated clusters on this machine.

    Everything stays on this machine and is removed at the end.

    Exit codes: 0 it showed what was recorded; 1 it could not; 130 interrupted; 143 terminated.
    """
    return calls.demo(serve=serve)
