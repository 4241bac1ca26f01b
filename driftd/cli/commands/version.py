"""`driftd version`."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from driftd import __version__
from driftd.cli import calls, formats, options
from driftd.errors import DriftdError

_LIBRARIES = (
    "aiohttp",
    "apscheduler",
    "deepdiff",
    "kubernetes_asyncio",
    "msgspec",
    "pyyaml",
    "structlog",
)


@click.command("version", short_help="Print the versions of driftd and what it is built on.")
@options.output_format("table", "json", "yaml")
def version_command(output: str) -> int:
    """Print the versions of driftd, Python, and the libraries that decide what a verdict means."""
    versions: dict[str, object] = {
        "driftd": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        "worker": _worker(),
    }
    if output == "json":
        formats.write_json(versions)
    elif output == "yaml":
        formats.write_yaml(versions)
    else:
        _print(versions)
    return 0


def _worker() -> dict[str, str]:
    """The sandbox worker's libraries, or why there is none: `version` serves bug reports too."""
    try:
        return calls.worker_versions()
    except DriftdError as error:
        return {"error": error.message}


def _print(versions: dict[str, object]) -> None:
    for name, value in versions.items():
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for library, version in value.items():
                click.echo(f"  {library:<38} {version}")
        else:
            click.echo(f"{name:<40} {value}")
