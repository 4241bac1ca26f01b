"""`driftd silence add|list|remove`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from driftd.cli import calls, exit_code, options
from driftd.cli.store_flags import settings_flag

if TYPE_CHECKING:
    from driftd.model.silence import Silence


@click.group("silence", short_help="Keep known drift from being told for a while.")
def silence_command() -> None:
    """Keep known drift from being told for a while. What a silence covers is recorded, shown by
    check and episodes, and counted; when it ends, what is still there is told.

    In Git the annotation driftd.io/silence of an Application does the same.
    """


@silence_command.command("add", short_help="Silence an application, object, field or cluster.")
@click.argument("application", metavar="[APP]", default="")
@options.flag("--for", "for_", type=options.Duration(), metavar="DURATION", help="How long: 2h.")
@options.flag("--until", metavar="TIME", help="Until when, such as 2026-01-31T18:00:00Z.")
@options.flag("--reason", metavar="TEXT", required=True, help="Why: it stands where it hides.")
@options.flag("--owner", metavar="WHO", default="", help="Who answers for it (default: you).")
@options.flag("--ticket", metavar="TEXT", default="", help="Where it is followed up.")
@options.flag("--cluster", metavar="GLOB", default="", help="Only on these clusters.")
@options.flag("--object", "object_", metavar="KIND/NAME", default="", help="Only this object.")
@options.flag("--path", metavar="GLOB", default="", help="Only these fields: '/spec/replicas'.")
@settings_flag
def add_command(
    application: str,
    for_: float | None,
    until: str | None,
    reason: str,
    object_: str,
    config: Path,
    **rest: Any,
) -> int:
    """Silence drift of the application APP (a name or glob, `*` for all), or of what the flags
    name, --for so long or --until a moment.

    Exit codes: 0; 2 if the time is longer than silences.maximum, or it cannot be written.
    """
    if not (application or rest["cluster"] or object_ or rest["path"]):
        raise click.UsageError("name what to silence: APP, --cluster, --object or --path")
    if (for_ is None) == (until is None):
        raise click.UsageError("a silence needs an end: either --for or --until")
    now = datetime.now(UTC).replace(microsecond=0)
    end = now + timedelta(seconds=for_ or 0)
    if until is not None:
        try:
            end = datetime.fromisoformat(until)
        except ValueError:
            raise click.BadParameter("is no time", param_hint="'--until'") from None
        if end.tzinfo is None:
            raise click.BadParameter("needs a zone, such as Z", param_hint="'--until'")
    made = calls.add_silence(
        config,
        application=application,
        object=object_,
        until=end,
        at=now,
        reason=reason,
        **rest,
    )
    sys.stdout.write(f"{made.id}  {made.scope}, until {made.until.isoformat()}\n")
    return exit_code.NO_DRIFT


@silence_command.command("list", short_help="List silences, those that are over for a week.")
@options.output_format("table", "json")
@settings_flag
def list_command(config: Path, output: str) -> int:
    """List the silences of the file; those in Git are conditions of their applications."""
    found = calls.silences(config)
    if output == "json":
        import msgspec

        from driftd.cli import formats

        items = [msgspec.to_builtins(one) for one in found]
        formats.write_json({"apiVersion": "driftd.io/v1", "kind": "SilenceList", "items": items})
        return exit_code.NO_DRIFT
    now = datetime.now(UTC)
    for one in found:
        sys.stdout.write(_line(one, now))
    if not found:
        sys.stdout.write("nothing is silenced\n")
    return exit_code.NO_DRIFT


@silence_command.command("remove", short_help="End a silence now.")
@click.argument("id_", metavar="ID")
@settings_flag
def remove_command(id_: str, config: Path) -> int:
    """End the silence ID now: what it covers is told if it is still there.

    Exit codes: 0; 2 if there is no such silence, or it cannot be written.
    """
    gone = calls.remove_silence(config, id_)
    sys.stdout.write(f"{gone.id}  {gone.scope}: told again\n")
    return exit_code.NO_DRIFT


def _line(one: Silence, now: datetime) -> str:
    end = "over since" if one.until <= now else "until"
    return f"{one.id}  {one.scope}  {end} {one.until.isoformat()}  {one.told}\n"
