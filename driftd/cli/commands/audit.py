"""`driftd audit verify` and `driftd audit export`: what driftd decided and wrote, on record."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftd.cli import calls, exit_code, options
from driftd.cli.store_flags import store_flags
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.store.chain import AuditRow


@click.group("audit", short_help="Verify or export the record of what driftd and people did.")
def audit_command() -> None:
    """Verify or export the audit record: every decision to write, every write and its result,
    every refusal that changed, and what people did (freeze, silence, restore, override).

    Each entry holds the SHA-256 of the one before, so that none can be changed, taken out or put
    in without that being seen.
    """


@audit_command.command("verify", short_help="Follow the chain and name the first broken entry.")
@store_flags
@options.flag(
    "--head",
    metavar="NUMBER:DIGEST",
    help="A head that was kept elsewhere (printed before, or in the daemon's log): the record "
    "must still contain it. Only so are entries missed that were cut off the end with the head.",
)
@options.output_format("table", "json")
def verify_command(config: Path, store: str | None, head: str | None, output: str) -> int:
    """Follow the chain from its first entry to its head, and name the first broken entry.

    Prints the head: keep it elsewhere, and give it to --head later.

    Exit codes: 0 as recorded; 1 broken; 2 if the store cannot be read.
    """
    from driftd.store.chain import head_from

    try:
        known = None if head is None else head_from(head)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--head'") from None
    found = calls.verify_audit(config, store, known)
    broken = found.broken
    if output == "json":
        from driftd.cli import formats

        document: dict[str, Any] = {
            "apiVersion": "driftd.io/v1",
            "kind": "AuditVerification",
            "intact": broken is None,
            "entries": found.entries,
            "head": str(found.head),
        }
        if broken is not None:
            document["broken"] = {"entry": broken.seq, "problem": broken.problem}
        formats.write_json(document)
    elif broken is not None:
        sys.stdout.write(f"BROKEN at entry {broken.seq}: {broken.problem}\n")
    else:
        sys.stdout.write(f"{counted(found.entries, 'entry', 'entries')}, as recorded\n")
        sys.stdout.write(f"head {found.head}\n")
    return exit_code.NO_DRIFT if broken is None else exit_code.DRIFT


@audit_command.command("export", short_help="Print the entries as JSON lines, oldest first.")
@store_flags
@options.flag(
    "--since",
    type=options.Duration(),
    metavar="DURATION",
    help="Only entries of this time, such as 90m or 24h.",
)
@options.flag(
    "--application", metavar="APP", default="", help="Only entries about this application."
)
def export_command(config: Path, store: str | None, since: float | None, application: str) -> int:
    """Print the entries as JSON lines, oldest first: `digest`, and the `entry` that it covers.

    Exit codes: 0; 2 if the store cannot be read, or does not know the application.
    """
    began = None if since is None else datetime.now(UTC) - timedelta(seconds=since)
    calls.export_audit(config, store, _write, since=began, application=application)
    return exit_code.NO_DRIFT


def _write(row: AuditRow) -> None:
    # The text as it is: whoever hashes it again gets the digest.
    sys.stdout.write(f'{{"digest":"{row.digest}","entry":{row.entry}}}\n')
