"""`driftd demo`."""

from __future__ import annotations

import click

from driftd.cli import calls


@click.command(
    "demo",
    short_help="Show drift on simulated clusters.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo_command(arguments: tuple[str, ...]) -> int:
    """Show drift between an example repository and simulated clusters on this machine."""
    return calls.demo(arguments)
