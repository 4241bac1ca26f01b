"""`driftd demo`."""

from __future__ import annotations

import click

from driftd.cli import calls, options


@click.command("demo", short_help="Show drift on simulated clusters.")
@options.flag(
    "--serve",
    is_flag=True,
    help="Keep the clusters as they are at the end, until Ctrl-C or SIGTERM, "
    "to try commands of driftd.",
)
def demo_command(serve: bool) -> int:
    """Change simulated clusters while a daemon looks, then check, explain and accept the drift.

    Everything stays on this machine and is removed at the end.

    Exit codes: 0 it found what was done; 1 it did not; 130 interrupted; 143 terminated.
    """
    return calls.demo(serve=serve)
