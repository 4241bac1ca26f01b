"""What is wrong, on standard error: of commands and formats whose output has no place for it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from driftd.cli.exit_code import ERROR, NO_DRIFT
from driftd.cli.terminal import printable, width_of
from driftd.model.condition import Condition, Severity
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.model.report import DiffReport, DriftReport, ReportCondition

_NAMED = 3
"""Applications that are named where several share a condition."""


def tell(conditions: Iterable[tuple[str, Condition]]) -> int:
    """Print (application or empty, condition) pairs, equal conditions once; the exit code.

    That is 2 if any of them is an error.
    """
    applications: dict[Condition, list[str]] = {}
    for application, condition in conditions:
        applications.setdefault(condition, []).append(application)
    _print(
        {
            (str(condition.severity), f"{condition.type}: {condition.message}"): names
            for condition, names in applications.items()
        }
    )
    errors = any(condition.severity is Severity.ERROR for condition in applications)
    return ERROR if errors else NO_DRIFT


def tell_report(report: DriftReport | DiffReport) -> None:
    """Print a report's conditions and why objects are Unknown or NotChecked, equal ones once."""
    from driftd.cli import findings, unchecked

    applications: dict[tuple[str, str], list[str]] = {}

    def add(name: str, severity: str, text: str) -> None:
        applications.setdefault((severity, text), []).append(name)

    def add_condition(name: str, condition: ReportCondition, *, complete: bool) -> None:
        level = findings.level_of(condition, complete=complete)
        add(name, str(level), findings.condition_text(condition))

    for condition in report.conditions:
        add_condition("", condition, complete=report.complete)
    for group in findings.groups(report):
        for condition in group.conditions:
            add_condition(group.name, condition, complete=group.complete)
        for reason, resources in findings.unknown_reasons(group):
            name = (
                f"{group.name} ({counted(len(resources), 'object')})" if group.application else ""
            )
            add(name, "error", f"Unknown: {reason}")
        for reason, placed in unchecked.of_group(group.resources).items():
            name = f"{group.name} ({unchecked.count_of(placed)})" if group.application else ""
            add(name, "info", f"NotChecked: {reason}")
    _print(applications)


def _print(applications: Mapping[tuple[str, str], Sequence[str]]) -> None:
    """One paragraph for each severity and text, wrapped on a terminal and one line elsewhere."""
    width = width_of(sys.stderr) if sys.stderr.isatty() else 0
    for (severity, text), names in applications.items():
        where = _where([name for name in names if name])
        line = printable(" ".join(f"{severity}: {where}{text}".split()))
        click.echo(wrapped(line, width), err=True)


def wrapped(line: str, width: int) -> str:
    """`line` over lines of at most `width` columns (0: unlimited); words are never broken."""
    if not width:
        return line
    return textwrap.fill(
        line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _where(names: Sequence[str]) -> str:
    if len(names) <= 1:
        return "".join(f"{name}: " for name in names)
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} applications: {', '.join(names[:_NAMED])}{rest}: "
