"""`driftd restore` and `driftd resume`: what a person does after a heal that was wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from driftd.cli import calls, options
from driftd.cli.store_flags import store_flags
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.controller.restore import Restoring
    from driftd.store.backups import Backup

_LIMIT = 100
_SHORT = 8


@click.command(
    "restore", short_help="List what healing wrote over, compare it, and put one object back."
)
@click.argument("backup", metavar="[BACKUP]", required=False)
@store_flags
@options.flag(
    "--key-file",
    type=click.Path(dir_okay=False),
    help="The key of backups, where --store is given and it is not beside it.",
)
@options.flag("--application", metavar="APP", default="", help="List those of this one only.")
@options.flag(
    "--limit",
    type=click.IntRange(min=1),
    default=_LIMIT,
    show_default=True,
    help="List at most so many.",
)
@options.flag("--dry-run", is_flag=True, help="Ask the API server by a dry run; write nothing.")
@options.flag("--yes", is_flag=True, help="Write. Without it, it is as with --dry-run.")
@options.cluster_flags
@options.output_format("table", "json")
def restore_command(
    backup: str | None,
    config: Path,
    store: str | None,
    key_file: str | None,
    application: str,
    limit: int,
    dry_run: bool,
    yes: bool,
    output: str,
    **flags: Any,
) -> int:
    """List the live manifests that healing wrote over, newest first; with BACKUP (the beginning of
    its id), compare that one with the live object, field by field, and put it back with --yes.

    It is written only if the object is still the one that was compared (uid and resourceVersion),
    and it is on the record. Healing of its application then waits until `driftd resume`.

    Exit codes: 0; 2 if the store, the key or the cluster cannot be read, or it was not written.
    """
    if dry_run and yes:
        raise click.UsageError("--dry-run and --yes exclude each other")
    if backup is None:
        _listed(calls.find_backups(config, store, application, limit), output)
        return 0
    chosen = {name: flags[name] for name in ("kubeconfig", "context", "timeout", "concurrency")}

    def tell(work: Restoring) -> None:
        _told(work, output)

    calls.restore(
        chosen, backup, config=config, dsn=store, key_file=key_file, write=yes, confirm=tell
    )
    if output == "table":
        said = (
            "Restored. Healing of the application waits: `driftd resume APP` lets it go on."
            if yes
            else "Nothing was written: the API server would accept it. --yes writes."
        )
        sys.stdout.write(f"{said}\n")
    return 0


@click.command("resume", short_help="Let an application be healed again that waits for a person.")
@click.argument("application", metavar="APP")
@store_flags
@options.flag("--reason", metavar="TEXT", required=True, help="Why; it goes on the record.")
def resume_command(application: str, config: Path, store: str | None, reason: str) -> int:
    """Let an application be healed again whose healing waits for a person: because a heal made
    something worse, or because somebody restored an object. The daemon takes it in within seconds.

    Exit codes: 0; 2 if the store cannot be read, or does not know the application.
    """
    calls.resume(config, store, application, reason)
    return 0


def _listed(found: Any, output: str) -> None:
    if output == "json":
        from driftd.cli import formats

        items = [_document(one) for one in found]
        formats.write_json({"apiVersion": "driftd.io/v1", "kind": "BackupList", "items": items})
        return
    if not found:
        sys.stdout.write("no backup\n")
    rows = [("ID", "AT", "APPLICATION", "CLUSTER", "OBJECT")] if found else []
    rows += [
        (
            one.id[:_SHORT],
            one.at.strftime("%Y-%m-%d %H:%M:%S"),
            one.application,
            one.cluster,
            str(one.key),
        )
        for one in found
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(5)] if rows else []
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{_printable(line.rstrip())}\n")


def _document(one: Backup) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": one.at.isoformat(),
        "application": one.application,
        "cluster": one.cluster,
        "group": one.key.group,
        "version": one.version,
        "kind": one.key.kind,
        "namespace": one.key.namespace,
        "name": one.key.name,
        "plan": one.plan,
    }


def _told(work: Restoring, output: str) -> None:
    if output == "json":
        from driftd.cli import formats

        changes = [
            {
                "path": one.path,
                **({} if one.before is UNSET else {"live": one.before}),
                **({} if one.after is UNSET else {"kept": one.after}),
            }
            for one in work.changes
        ]
        document = {"apiVersion": "driftd.io/v1", "kind": "RestorePlan", "context": work.context}
        formats.write_json({**document, **_document(work.backup), "changes": changes})
        return
    from driftd.cli.values import flow, of_field

    key = work.backup.key
    missing = ", which is not there" if work.live is None else ""
    head = f"{key} of context {work.context}{missing}: {counted(len(work.changes), 'difference')}"
    sys.stdout.write(f"{_printable(head)}\n")
    for one in work.changes:
        live = "(absent)" if one.before is UNSET else flow(of_field(one.before, one.path))
        kept = "(absent)" if one.after is UNSET else flow(of_field(one.after, one.path))
        sys.stdout.write(f"  {_printable(f'{one.path}: {live} -> {kept}')}\n")


def _printable(text: str) -> str:
    from driftd.cli.terminal import printable

    return printable(text)
