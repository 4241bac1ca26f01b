"""Conditions: everything a reader should know that is not a difference."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How much a condition matters to the verdict."""

    ERROR = "error"
    """Something could not be judged: exit code 2."""
    WARNING = "warning"
    INFO = "info"


class Condition(msgspec.Struct, frozen=True):
    """One condition of an application, in Argo CD's words where it has one."""

    type: str
    """For example `ComparisonError`, `InvalidSpecError`, `RepeatedResourceWarning`."""
    message: str
    severity: Severity = Severity.ERROR
