"""`driftd`: the command group. Each command's module is imported when it is used."""

from __future__ import annotations

import importlib
import io
import sys
from typing import Any

import click

from driftd import __version__, telemetry
from driftd.cli import exit_code, terminal

COMMANDS = {
    "check": ("check", "Compare every application with its cluster, once."),
    "explain": ("explain", "Say why an object or a field is drift, or is not."),
    "heal": ("heal", "Put an application back to what Git declares, once."),
    "baseline": ("baseline", "Write today's findings to a file of accepted ones."),
    "doctor": ("doctor", "Check that everything a look needs is there, and say what to do."),
    "run": ("daemon", "Run as a daemon: check on a schedule, notify, heal what is allowed."),
    "config": ("config", "Check the settings of the daemon, or print those in force."),
    "episodes": (
        "remembered",
        "List drifts from onset to recovery, as the daemon remembers them.",
    ),
    "history": ("remembered", "List what happened to an application, newest first."),
    "freeze": ("orders", "Stop healing: everywhere, on a cluster, or of an application."),
    "unfreeze": ("orders", "Let healing go on where driftd freeze has stopped it."),
    "snooze": ("orders", "Leave drift of an application or an object alone for a time."),
    "override": ("orders", "Let a guard of healing pass what it holds back, for a time."),
    "orders": ("orders", "List what persons have ordered: freezes, snoozes, overrides."),
    "audit": ("audit", "Verify or export the record of what driftd and people did."),
    "restore": ("restore", "List what healing wrote over, compare it, and put one object back."),
    "resume": ("restore", "Let an application be healed again that waits for a person."),
    "notify": ("notify", "Preview messages, try a receiver, list what was given up."),
    "diff": ("diff", "Compare manifests with live objects from files, offline."),
    "silence": ("silence", "Keep known drift from being told for a while."),
    "render": ("render", "Print an application's manifests as Git declares them."),
    "apps": ("inventory", "List the applications that the repository declares."),
    "clusters": ("inventory", "List the destinations and the contexts they are read through."),
    "demo": ("demo", "Show drift on clusters that are replayed from recordings."),
    "version": ("version", "Print the versions of driftd and what it is built on."),
    "completion": ("completion", "Print the completion script of a shell."),
    "help": ("help", "Explain a topic or a command; without one, list them."),
}
"""Command: its module in `driftd.cli.commands`, and its summary, so that help imports neither."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"driftd.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is a usage error that names the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            # Click looks for near ones among the commands that are loaded: none here.
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            text = f"{error.message} Did you mean {near[0]!r}?"
            raise click.UsageError(text, ctx=error.ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed standard output is left to `exit_code`.

        Where no application is named, the error says how they are listed.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise exit_code.ReaderGone from error
        except click.MissingParameter as error:
            if error.param is None or error.param.name != "application":
                raise
            text = "driftd apps lists the applications."
            raise click.MissingParameter(text, ctx=error.ctx, param=error.param) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 no drift, 1 drift, 2 something could not be judged or an error "
    "happened. driftd help lists the topics that are explained.",
)
@click.version_option(__version__, prog_name="driftd", message="%(prog)s %(version)s")
def driftd() -> None:
    """Tell whether clusters are what Git says; if not: which field, who changed it, since when."""


def main() -> None:
    """Entry point of the `driftd` program."""
    telemetry.is_program = True
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A report must not fail half-way because a locale lacks an arrow.
            stream.reconfigure(errors=terminal.ascii_errors())
    sys.exit(exit_code.run(_invoke))


def _invoke() -> Any:
    return driftd.main(prog_name="driftd", standalone_mode=False)


if __name__ == "__main__":
    main()
