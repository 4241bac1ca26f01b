"""Settings of putting things back."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from driftd.settings.quantity import Duration
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
    ask: bool = False
    """Whether Argo CD or Flux, where they are active, are asked to put drift back."""


class Grace(SettingsStruct, frozen=True, kw_only=True):
    """How long a drift is left alone after it was seen first, by its severity."""

    critical: Duration = Duration("0s")
    high: Duration = Duration("2m")
    medium: Duration = Duration("2m")
    low: Duration = Duration("2m")
    info: Duration = Duration("2m")

    def of(self, severity: str) -> timedelta:
        """The wait for a drift of this severity; where none is known, that of `medium`."""
        waits = {
            "critical": self.critical,
            "high": self.high,
            "low": self.low,
            "info": self.info,
        }
        return waits.get(severity, self.medium).delta


class Budget(SettingsStruct, frozen=True, kw_only=True):
    """How many objects are written in an hour; what was not used can be used at once."""

    application: int = 30
    """Of one application."""
    cluster: int = 200
    """Of all applications on one cluster."""


class Storm(SettingsStruct, frozen=True, kw_only=True):
    """From which on so much drifts at once that driftd rather suspects itself."""

    percent: int = 30
    """More than so many of an application's objects."""
    objects: int = 4
    """Fewer are no storm, whatever their share."""
    within: Duration = Duration("5m")


class Quarantine(SettingsStruct, frozen=True, kw_only=True):
    """When a field that comes back again and again is left to whoever changes it."""

    heals: int = 3
    """So many writes of one field ..."""
    within: Duration = Duration("10m")
    lasts: Duration = Duration("1h")
    """The first time; each further time twice as long."""
    at_most: Duration = Duration("24h")
    """Also how long a field must be quiet until a quarantine counts as the first again."""


class Canary(SettingsStruct, frozen=True, kw_only=True):
    """Many objects are not written at once: one, then a share of them, then the rest."""

    objects: int = 10
    """Up to so many are written at once."""
    percent: int = 10


class Shrinking(SettingsStruct, frozen=True, kw_only=True):
    """When a rendering has lost so many objects that it may be a mistake."""

    percent: int = 50
    """Less than so much is left of what the last complete look found declared ..."""
    objects: int = 4
    """... and at least so many objects are gone."""
    settles: Duration = Duration("1h")
    """A rendering that stays so for so long is meant."""


class Healing(SettingsStruct, frozen=True, kw_only=True):
    """Off unless a rule opens a rung; the first rule that names an application counts."""

    rules: tuple[HealingRule, ...] = ()
    frozen: bool = False
    """Nothing is healed anywhere."""
    freeze_file: str = ""
    """While this file exists, nothing is healed anywhere; its first line is the reason."""
    orders_file: str = ""
    """Where `driftd freeze`, `snooze` and `override` write; empty: beside an SQLite store."""
    health_deadline: Duration = Duration("10m")
    """How long an object that was well may be on its way after a heal until that counts as worse;
    a Deployment's own `progressDeadlineSeconds` comes first."""
    grace: Grace = Grace()
    budget: Budget = Budget()
    storm: Storm = Storm()
    quarantine: Quarantine = Quarantine()
    canary: Canary = Canary()
    shrinking: Shrinking = Shrinking()
