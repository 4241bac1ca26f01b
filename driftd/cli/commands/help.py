"""`driftd help`."""

from __future__ import annotations

import sys

import click

from driftd.cli import completing
from driftd.errors import ConfigError

_WIDEST = 100


@click.command("help", short_help="Explain a topic or a command; without one, list them.")
@click.argument("topic", required=False, shell_complete=completing.help_topics)
@click.pass_context
def help_command(ctx: click.Context, topic: str | None) -> int:
    """Explain TOPIC, or a command; without one, list the topics and the commands.

    Exit codes: 0; 2 if there is no such topic.
    """
    from driftd.cli import topic_pages
    from driftd.cli.main import COMMANDS, driftd
    from driftd.cli.terminal import width_of

    width = min(width_of(sys.stdout), _WIDEST)
    if topic is None:
        formatter = click.HelpFormatter(width=width)
        for title, rows in (
            ("Topics", list(topic_pages.TOPICS.items())),
            ("Commands", [(name, summary) for name, (_, summary) in COMMANDS.items()]),
        ):
            with formatter.section(title):
                formatter.write_dl(rows)
        click.echo(
            formatter.getvalue() + "\ndriftd help TOPIC explains one, driftd help COMMAND"
            " lists a command's flags"
        )
        return 0
    if topic in topic_pages.TOPICS:
        click.echo(topic_pages.rendered(topic_pages.source(topic), width), nl=False)
        return 0
    root = ctx.find_root()
    command = driftd.get_command(root, topic)
    if command is None:
        raise _unknown(topic)
    with click.Context(command, parent=root, info_name=topic) as inner:
        click.echo(command.get_help(inner))
    return 0


def _unknown(topic: str) -> ConfigError:
    from driftd.cli.main import COMMANDS
    from driftd.cli.topic_pages import TOPICS
    from driftd.model.choices import nearest

    hint = f"{nearest([*TOPICS, *COMMANDS], topic.lower())}topics: {', '.join(TOPICS)}"
    return ConfigError(f"there is no help topic {topic!r}", hint=hint)
