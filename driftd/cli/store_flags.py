"""How commands are told which store they read or write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from driftd.cli import options

settings_flag = options.flag(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default="config/driftd.yaml",
    show_default=True,
    help="Settings file of the daemon, which names its store.",
)


def store_flags(command: Any) -> Any:
    """`--store` and `--config`: the store itself, or the settings that name it."""
    for decorate in (
        options.flag(
            "--store",
            metavar="DSN",
            help="The store itself: sqlite:///FILE or postgresql://USER@HOST/DATABASE.",
        ),
        settings_flag,
    ):
        command = decorate(command)
    return command
