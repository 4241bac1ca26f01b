"""`driftd run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from driftd.cli import calls, exit_code, options
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.controller.summary import SweepSummary

_STATUSES = ("OutOfSync", "Unknown", "Synced")


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

    Logs go to standard error. Ends on SIGTERM or SIGINT once what is under way is finished. With
    --once the last line on standard error says what the sweep came to.

    Exit codes: 0 ended as asked, whatever was found; 2 could not start, or an error ended it; with
    --once also 2 if something could not be judged.
    """
    summary = calls.run_daemon(config, once=once)
    if summary is None:
        return exit_code.NO_DRIFT
    click.echo(_text(summary), err=True)
    return exit_code.NO_DRIFT if summary.complete else exit_code.ERROR


def _text(summary: SweepSummary) -> str:
    """One line for a person, whatever format the log has."""
    total = sum(summary.applications.values())
    statuses = ", ".join(
        f"{summary.applications[one]} {one}" for one in _STATUSES if summary.applications.get(one)
    )
    facts = [
        f"{counted(total, 'application')}" + (f" ({statuses})" if total else ""),
        counted(summary.open_drifts, "open drift"),
        f"{counted(summary.sent, 'message')} sent, {summary.waiting} waiting",
        "heals: " + (_listed(summary.writes) or "none"),
    ]
    if summary.failed:
        facts.append(f"{counted(summary.failed, 'look')} failed, see the log")
    return f"summary: {'; '.join(facts)}"


def _listed(writes: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(writes.items()))
