"""Conditions of commands that print no report: on standard error."""

from __future__ import annotations

from collections.abc import Iterable

import click

from driftd.cli.exit_code import ERROR, NO_DRIFT
from driftd.cli.terminal import printable
from driftd.model.condition import Condition, Severity


def tell(conditions: Iterable[tuple[str, Condition]]) -> int:
    """Print (application or empty, condition) pairs, equal conditions once; the exit code.

    That is 2 if any of them is an error.
    """
    applications: dict[Condition, list[str]] = {}
    for application, condition in conditions:
        applications.setdefault(condition, []).append(application)
    for condition, names in applications.items():
        where = ", ".join(name for name in names if name)
        prefix = f"{where}: " if where else ""
        text = f"{condition.severity}: {prefix}{condition.type}: {condition.message}"
        click.echo(printable(" ".join(text.split())), err=True)
    errors = any(condition.severity is Severity.ERROR for condition in applications)
    return ERROR if errors else NO_DRIFT
