"""`driftd episodes` and `driftd history`: what the daemon's store remembers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from driftd.cli import calls, options
from driftd.cli.store_flags import store_flags

if TYPE_CHECKING:
    from driftd.store.types import Episode, HistoryEntry

_LIMIT = 100


def _memory_flags(command: Any) -> Any:
    for decorate in (
        store_flags,
        options.flag(
            "--since",
            type=options.Duration(),
            metavar="DURATION",
            help="Only what was open or happened within this time, such as 90m or 24h.",
        ),
        options.flag(
            "--limit",
            type=click.IntRange(min=1),
            default=_LIMIT,
            show_default=True,
            help="At most so many.",
        ),
    ):
        command = decorate(command)
    return command


@click.command(
    "episodes", short_help="List drifts from onset to recovery, as the daemon remembers them."
)
@click.argument("application", metavar="[APP]", required=False)
@click.argument("resource", metavar="[KIND/NAME]", required=False)
@click.argument("path", metavar="[PATH]", required=False)
@_memory_flags
@options.flag("--open", "only_open", is_flag=True, help="Only those that are open.")
@options.flag("--closed", "only_closed", is_flag=True, help="Only those that have ended.")
@options.output_format("table", "wide", "json", "yaml")
def episodes_command(
    application: str | None,
    resource: str | None,
    path: str | None,
    only_open: bool,
    only_closed: bool,
    output: str,
    **flags: Any,
) -> int:
    """List drifts from onset to recovery, as the daemon remembers them: open ones first.

    APP, an object and the beginning of a field's path (a JSON pointer, or the form that tables
    print) narrow the list. Below it stand how long drifts took to be noticed, and to end. With
    -o wide each drift is one line, whatever its length.

    Exit codes: 0, whatever is open; 2 if the store cannot be read.
    """
    if only_open and only_closed:
        raise click.UsageError("--open and --closed exclude each other")
    from driftd.cli import episodes as printed
    from driftd.cli.terminal import width_of
    from driftd.store.types import EpisodeQuery

    kind, name = _object(resource)
    path = path or ""
    as_tables = path != "" and not _is_pointer(path)
    query = EpisodeQuery(
        application=application or "",
        kind=kind,
        name=name,
        path="" if as_tables else path,
        is_at=partial(printed.is_at, path=path) if as_tables else None,
        is_open=True if only_open else False if only_closed else None,
        since=_since(flags["since"]),
        limit=flags["limit"],
    )
    found = calls.episodes(flags["config"], flags["store"], query)
    now = datetime.now(UTC)
    is_open = any(episode.closed_at is None for episode in found)
    held = calls.held(flags["config"], flags["store"]) if is_open else {}
    _written(
        output,
        lambda: printed.document(found, held),
        lambda: printed.lines(
            found, now, wide=output == "wide", held=held, width=width_of(sys.stdout)
        ),
    )
    if output in ("table", "wide"):
        _limited(found, flags["limit"])
    return 0


@click.command("history", short_help="List what happened to an application, newest first.")
@click.argument("application", metavar="APP")
@_memory_flags
@options.output_format("table", "json", "yaml")
def history_command(application: str, output: str, **flags: Any) -> int:
    """List what happened to an application, newest first: what changed, and what driftd wrote.

    Exit codes: 0; 2 if the store cannot be read, or does not know the application.
    """
    found = calls.history(flags["config"], flags["store"], application, flags["limit"])
    since = _since(flags["since"])
    if since is not None:
        found = tuple(entry for entry in found if entry.at >= since)
    from driftd.cli import episodes as printed

    _written(output, lambda: printed.happenings(found), lambda: printed.history_lines(found))
    if output == "table":
        _limited(found, flags["limit"])
    return 0


def _written(output: str, document: Any, lines: Any) -> None:
    from driftd.cli import formats

    if output == "json":
        formats.write_json(document())
    elif output == "yaml":
        formats.write_yaml(document())
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines())


def _limited(found: Sequence[Episode] | Sequence[HistoryEntry], limit: int) -> None:
    if len(found) == limit:
        click.echo(f"note: the first {limit}; --limit shows more, --since less", err=True)


def _is_pointer(path: str) -> bool:
    """Whether a path is written as a pointer or in managedFields notation, not as tables do."""
    return path.startswith("/") or path[1:2] == ":"


def _object(resource: str | None) -> tuple[str, str]:
    if not resource:
        return "", ""
    kind, slash, name = resource.partition("/")
    if not (kind and slash and name):
        raise click.BadParameter(
            f"{resource!r} names no object; write KIND/NAME, such as Deployment/web",
            param_hint="'KIND/NAME'",
        )
    return kind, name


def _since(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds)
