"""`driftd notify preview`, `test` and `dead`: what receivers are told, and what they were not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from driftd.cli import calls, exit_code, options
from driftd.cli.terminal import printable
from driftd.clock import rfc3339
from driftd.model.counts import counted
from driftd.settings.routes import KINDS


def _config(command: Any) -> Any:
    return options.flag(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        default="config/driftd.yaml",
        show_default=True,
        help="Settings file of the daemon, which names receivers and store.",
    )(command)


@click.group("notify", short_help="Preview messages, try a receiver, list what was given up.")
def notify_command() -> None:
    """Preview what receivers are told, send one of them a test, or see what was never delivered."""


@notify_command.command("preview", short_help="Print sample messages; nothing is sent.")
@_config
@options.flag(
    "--kind",
    type=click.Choice([*KINDS, "digest"]),
    default="drifted",
    show_default=True,
    help="The kind of message.",
)
@options.flag(
    "--channel", metavar="NAME", default="", help="Only this receiver, with its own templates."
)
@options.output_format("table", "json")
def preview_command(config: Path, kind: str, channel: str, output: str) -> int:
    """Print a sample of one kind of message, as receivers get it: its JSON (what webhooks and
    templates see), or the words of each receiver of the settings. Nothing is sent.

    Exit codes: 0; 2 if there is no such receiver.
    """
    document, told = calls.preview_messages(config, kind, channel)
    if output == "json":
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return exit_code.NO_DRIFT
    for name, lines in told.items():
        sys.stdout.write(f"{printable(name)}:\n")
        sys.stdout.writelines(f"  {printable(line)}\n" for line in lines)
    return exit_code.NO_DRIFT


@notify_command.command("test", short_help="Send one receiver a sample message now.")
@_config
@click.argument("channel")
def test_command(config: Path, channel: str) -> int:
    """Send CHANNEL (the name of a receiver) one message that says that it is a test.

    Exit codes: 0 accepted; 2 not, and why.
    """
    calls.test_receiver(config, channel)
    sys.stdout.write(f"{printable(channel)} has accepted a test message\n")
    return exit_code.NO_DRIFT


@notify_command.command("dead", short_help="List messages that were given up, or take them up.")
@_config
@options.flag(
    "--retry", is_flag=True, help="Make them due again: the daemon delivers them within seconds."
)
@options.output_format("table", "json")
def dead_command(config: Path, retry: bool, output: str) -> int:
    """List messages that could not be delivered and are tried no more, the latest first.

    Exit codes: 0 none, or taken up again; 1 there are some; 2 if the store cannot be read.
    """
    if retry:
        count = calls.retry_dead(config)
        sys.stdout.write(f"{counted(count, 'message')} due again\n")
        return exit_code.NO_DRIFT
    dead = calls.dead_letters(config)
    if output == "json":
        found = [
            {
                "id": one.id,
                "receiver": one.target,
                "application": one.application,
                "createdAt": rfc3339(one.created_at),
                "givenUpAt": rfc3339(one.given_up_at),
                "attempts": one.attempts,
                "error": one.error,
            }
            for one in dead
        ]
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    elif not dead:
        sys.stdout.write("no message was given up\n")
    for one in dead if output == "table" else ():
        what = one.application or "a digest"
        sys.stdout.write(
            printable(
                f"{rfc3339(one.given_up_at)}  {one.target}  {what}  {one.id}  "
                f"{counted(one.attempts, 'attempt')}: {one.error}"
            )
            + "\n"
        )
    return exit_code.DRIFT if dead else exit_code.NO_DRIFT
