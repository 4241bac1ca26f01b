"""Settings of putting things back."""

from __future__ import annotations

from enum import StrEnum

from driftd.settings.struct import SettingsStruct


class Rung(StrEnum):
    """How far driftd may go for an application."""

    OBSERVE = "observe"
    """Report only."""
    DRY_RUN = "dry-run"
    """Send the writes as server-side dry runs and report what the API server says."""
    FIELDS = "fields"
    """Put back declared and formerly declared fields, and create objects that are missing."""


class HealingRule(SettingsStruct, frozen=True, kw_only=True):
    """Opens a rung for the applications it names."""

    applications: tuple[str, ...]
    """Names or globs, `namespace/name` or `name`."""
    rung: Rung = Rung.OBSERVE
    undeclared: bool = False
    """Whether fields that somebody added and that Git is silent about are removed, too."""


class Healing(SettingsStruct, frozen=True, kw_only=True):
    """Off unless a rule opens a rung; the first rule that names an application counts."""

    rules: tuple[HealingRule, ...] = ()
