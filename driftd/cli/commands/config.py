"""`driftd config validate` and `driftd config show`: the settings of `driftd run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from driftd.cli import calls, exit_code, options
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.settings.load import Inspected
    from driftd.settings.problems import Problem
    from driftd.settings.types import Settings

_FILE = click.argument(
    "file",
    type=click.Path(path_type=Path),
    default="config/driftd.yaml",
    envvar="DRIFTD_CONFIG",
)
_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Settings file, as driftd run is given it: the same as FILE.",
)
_OTHERS = frozenset({"DRIFTD_TRACEBACK", "DRIFTD_RENDER_CACHE"})
"""Variables of driftd that belong to no flag and no setting."""


@click.group("config", short_help="Check the settings of the daemon, or print those in force.")
def config_command() -> None:
    """Check the settings of the daemon, or print those in force: file, environment and defaults.

    FILE is what `driftd run --config` is given; config/driftd.yaml without it.
    """


@config_command.command("validate", short_help="Name every error of the settings at once.")
@_FILE
@_CONFIG
@options.output_format("table", "json", "yaml")
def validate_command(file: Path, config: Path | None, output: str) -> int:
    """Name every error of the settings at once: FILE, the variables DRIFTD_*, and the files that
    they name, with file, line, key, and what may stand there. Asks no cluster and no server.

    Paths are taken as `driftd run` takes them: from the folder that it is started in.

    Exit codes: 0 valid, perhaps with warnings; 2 invalid.
    """
    from driftd.cli import formats
    from driftd.settings.load import unknown_variables
    from driftd.settings.problems import errors

    file = _named(file, config)
    inspected = calls.inspect_settings(file)
    problems = [*inspected.problems, *unknown_variables(os.environ, _flags() | _OTHERS)]
    wrong = errors(problems)
    if output == "table":
        sys.stdout.writelines(f"{line}\n" for line in _lines(problems, file))
    else:
        document = {
            "apiVersion": "driftd.io/v1",
            "kind": "ConfigReport",
            "file": str(file),
            "valid": not wrong,
            "problems": [_document(one) for one in problems],
        }
        (formats.write_json if output == "json" else formats.write_yaml)(document)
    return exit_code.ERROR if wrong else exit_code.NO_DRIFT


@config_command.command("show", short_help="Print the settings in force, and where each is set.")
@_FILE
@_CONFIG
@options.output_format("table", "json", "yaml")
def show_command(file: Path, config: Path | None, output: str) -> int:
    """Print the settings in force: FILE, the variables DRIFTD_* and defaults together.

    The table says where each setting is set. Secrets are in files and are not read; passwords and
    queries in URLs are masked.

    Exit codes: 0; 2 if the settings are invalid, which driftd config validate explains.
    """
    from driftd.cli import formats
    from driftd.settings.problems import refused

    file = _named(file, config)
    inspected = calls.inspect_settings(file, files=False)
    error = refused(inspected.problems, str(file))
    if error is not None:
        raise error
    if output == "table":
        from driftd.cli.terminal import columns

        rows = list(_rows(inspected))
        sys.stdout.writelines(f"{line}\n" for line in columns(("key", "value", "from"), rows))
    else:
        document = _masked(_plain(inspected.settings))
        (formats.write_json if output == "json" else formats.write_yaml)(document)
    return exit_code.NO_DRIFT


def _named(file: Path, config: Path | None) -> Path:
    """The settings file, by `--config` or as FILE; two different ones are a mistake."""
    if config is None:
        return file
    context = click.get_current_context()
    given = context.get_parameter_source("file") is ParameterSource.COMMANDLINE
    if given and file != config:
        raise click.UsageError(f"--config {config} and FILE {file} are two files: name one")
    return config


def _lines(problems: Sequence[Problem], file: Path) -> Iterator[str]:
    """`driftd.yaml:12: KEY: MESSAGE` for each, then how many; editors can jump to the places."""
    from driftd.cli.terminal import printable
    from driftd.settings.problems import Weight, errors

    for one in problems:
        weight = "" if one.weight is Weight.ERROR else f"{one.weight}: "
        yield printable(f"{one.place}: {weight}{one.text}")
    wrong = len(errors(problems))
    warned = len(problems) - wrong
    counts = [counted(wrong, "error")] if wrong else []
    counts += [counted(warned, "warning")] if warned else []
    ends = "invalid" if wrong else "valid"
    yield printable(f"{file} is {ends}" + (f": {', '.join(counts)}" if counts else ""))


def _document(problem: Problem) -> dict[str, Any]:
    """A problem for programs; what is not known is left out."""
    facts = {
        "severity": str(problem.weight),
        "source": problem.source,
        "line": problem.line,
        "key": problem.key,
        "message": problem.message,
        "allowed": problem.allowed,
        "hint": problem.hint,
    }
    return {name: value for name, value in facts.items() if value}


def _flags() -> set[str]:
    """The variables of all flags of all commands."""
    from driftd.cli.main import COMMANDS, driftd

    context = click.Context(driftd)
    commands = [driftd.get_command(context, name) for name in COMMANDS]
    params = [param for command in commands if command for param in command.params]
    return {str(param.envvar) for param in params if param.envvar}


def _plain(settings: Settings) -> Any:
    import msgspec

    return msgspec.to_builtins(settings, enc_hook=lambda value: value.text)


def _masked(value: Any, key: str = "") -> Any:
    """Without passwords and queries in URLs: nothing else in settings can be a secret."""
    if isinstance(value, dict):
        return {name: _masked(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(inner, key) for inner in value]
    return _masked_url(value) if isinstance(value, str) and "://" in value else value


def _masked_url(text: str) -> str:
    from driftd.model.sensitive import MASK

    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        return MASK
    if password is not None:
        host = parts.netloc.rpartition("@")[2]
        parts = parts._replace(netloc=f"{parts.username}:{MASK}@{host}")
    if parts.query:
        parts = parts._replace(query=MASK)
    # Put together by hand: urlunsplit drops the slashes of an empty host, as in sqlite:///file.
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return f"{shown}?{parts.query}" if parts.query else shown


def _rows(inspected: Inspected) -> Iterator[tuple[str, str, str]]:
    """Every setting as key, value and where it is set; an entry of a list is a row of its own."""
    for key, value in _leaves(_masked(_plain(inspected.settings)), ""):
        origin = inspected.places.set_at(key)
        where = "default" if origin is None else _where(*origin)
        yield key, value, where


def _where(source: str, line: int) -> str:
    return f"{source}:{line}" if line else source


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{key}[{index}]")
    else:
        import json

        shown = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
        yield key, shown
