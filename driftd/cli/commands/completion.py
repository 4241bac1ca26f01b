"""`driftd completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from driftd.errors import ConfigError

_SHELLS = ("bash", "zsh", "fish")


_HELP = """Print the completion script of SHELL.

\b
bash  eval "$(driftd completion bash)"   in ~/.bashrc
zsh   eval "$(driftd completion zsh)"    in ~/.zshrc
fish  driftd completion fish > ~/.config/fish/completions/driftd.fish
"""


@click.command("completion", short_help="Print the completion script of a shell.", help=_HELP)
@click.argument("shell", type=click.Choice(_SHELLS))
def completion_command(shell: str) -> int:
    """Print the completion script of SHELL."""
    from driftd.cli.main import driftd

    completion = get_completion_class(shell)
    if completion is None:
        raise ConfigError(f"no completion for {shell}", hint="use bash, zsh or fish")
    script = completion(driftd, {}, "driftd", "_DRIFTD_COMPLETE")
    click.echo(script.source_template % script.source_vars())
    return 0
