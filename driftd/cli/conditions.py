"""Conditions of commands that print no report: one line each on standard error."""

from __future__ import annotations

from collections.abc import Iterable

import click

from driftd.cli.exit_code import ERROR, NO_DRIFT
from driftd.cli.terminal import printable
from driftd.model.condition import Condition, Severity


def tell(conditions: Iterable[tuple[str, Condition]]) -> int:
    """Print (application or empty, condition) pairs; the exit code: 2 if any is an error."""
    code = NO_DRIFT
    for application, condition in conditions:
        prefix = f"{application}: " if application else ""
        text = f"{condition.severity}: {prefix}{condition.type}: {condition.message}"
        click.echo(printable(" ".join(text.split())), err=True)
        if condition.severity is Severity.ERROR:
            code = ERROR
    return code
