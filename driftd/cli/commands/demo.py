"""`driftd demo`."""

from __future__ import annotations

import click

from driftd.cli import calls, options


@click.command("demo", short_help="Show drift on clusters that are replayed from recordings.")
@options.flag(
    "--serve",
    is_flag=True,
    help="Keep the clusters as they are at the end, until Ctrl-C or SIGTERM, "
    "to try commands of driftd.",
)
def demo_command(serve: bool) -> int:
    """Replay changes of recorded clusters while a daemon looks; then explain, accept, check.

    Everything stays on this machine and is removed at the end.

    Exit codes: 0 it found what was done; 1 it did not; 130 interrupted; 143 terminated.
    """
    return calls.demo(serve=serve)
