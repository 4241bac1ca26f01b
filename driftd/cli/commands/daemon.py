"""`driftd run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftd.cli import calls, exit_code, options
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.controller.summary import SweepSummary


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
@options.daemon_flags
@options.flag("--once", is_flag=True, help="Stop after one sweep over every application.")
def run_command(config: Path, once: bool, **files: Any) -> int:
    """Run as a daemon: check on a schedule, notify, heal what is allowed.

    --baseline and --suppressions add to the files of the settings, --severity replaces theirs.

    The settings are read anew when their file changes and on SIGHUP: valid ones are applied without
    a restart (not those of the store's and the server's address), invalid ones refused as a whole.

    Logs go to standard error. Ends on SIGTERM or SIGINT within 10 seconds: what is under way gets
    5 of them, and what is not finished by then is looked at anew after the next start. With --once
    the last line on standard error says what the sweep came to.

    Exit codes: 0 ended as asked, whatever was found; 2 could not start, or an error ended it; with
    --once also 2 if something could not be judged, and 130 if it was ended.
    """
    summary = calls.run_daemon(config, once=once, files=files)
    if summary is None:
        return exit_code.NO_DRIFT
    click.echo(_text(summary), err=True)
    return exit_code.of_report(complete=summary.complete, drift=False)


def _text(summary: SweepSummary) -> str:
    """One line for a person, whatever format the log has."""
    facts = [
        _total(summary.applications, "application"),
        _total(summary.objects, "object"),
        counted(summary.open_drifts, "open drift"),
        f"{counted(summary.sent, 'message')} sent, {summary.waiting} waiting",
        "heals: "
        + (", ".join(f"{n} {what}" for what, n in sorted(summary.writes.items())) or "none"),
    ]
    if summary.failed:
        facts.append(f"{counted(summary.failed, 'look')} failed, see the log")
    if summary.incomplete:
        facts.append(f"{counted(summary.incomplete, 'application')} not judged in full")
    code = exit_code.of_report(complete=summary.complete, drift=False)
    ends = "every application was judged" if summary.complete else "something could not be judged"
    return f"summary: {'; '.join(facts)}; exit {code}: {ends}"


def _total(counts: Mapping[str, int], noun: str) -> str:
    """`2 objects (1 Missing, 1 Synced)`, the worst first."""
    from driftd.cli import order

    total = counted(sum(counts.values()), noun)
    listed = [f"{counts[name]} {name}" for name in order.STATUSES if counts.get(name)]
    return f"{total} ({', '.join(listed)})" if listed else total
