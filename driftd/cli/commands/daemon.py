"""`driftd run`."""

from __future__ import annotations

from pathlib import Path

import click

from driftd.cli import calls, options


@click.command(
    "run", short_help="Run as a daemon: check on a schedule, notify, heal what is allowed."
)
@options.flag(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="config/driftd.yaml",
    show_default=True,
    help="Settings file.",
)
@options.flag("--once", is_flag=True, help="Stop after one sweep over every application.")
def run_command(config: Path, once: bool) -> int:
    """Run as a daemon: check on a schedule, notify, heal what is allowed.

    Logs go to standard error. Ends on SIGTERM or SIGINT once what is under way is finished.

    Exit codes: 0 ended as asked, whatever was found; 2 could not start, or an error ended it.
    """
    return calls.run_daemon(config, once=once)
