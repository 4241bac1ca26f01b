"""The daemon of some settings, beside a command's own look: what it was told to keep quiet about.

Everything is only read: what cannot be is noted, and the look goes on without it. What costs to
import is imported where settings are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from driftd.clock import rfc3339
from driftd.controller.declared import Entry
from driftd.controller.workspace import Progress
from driftd.errors import StoreError
from driftd.model.condition import Condition, Severity
from driftd.model.report import ApplicationReport, ResourceReport, WireStruct, published
from driftd.model.silence import Silence
from driftd.policy.silence import annotated, covering, in_force
from driftd.settings.silences import Silences
from driftd.settings.types import Settings

if TYPE_CHECKING:
    from driftd.controller.check import Looked


class SilenceOf(WireStruct, frozen=True, kw_only=True):
    """A silence that keeps drift of an object from being told."""

    id: str
    told: str
    """Who silenced it and why."""
    until: str
    paths: tuple[str, ...]
    """The changes that it covers; empty for an object that is Missing or Extra."""


@dataclass(frozen=True, slots=True)
class OfDaemon:
    """The settings of a daemon, and what people have told it to keep quiet about."""

    settings: Settings
    dsn: str
    silences: tuple[Silence, ...]

    def silenced(self, report: ApplicationReport, entry: Entry, now: datetime) -> ApplicationReport:
        """The report with a condition for each silence of the file that covers drift in it."""
        name, maximum = entry.application.qualified_name, self.settings.silences.maximum.delta
        found = in_force(self.silences, name, entry.cluster, now, maximum)
        told = [
            Condition("Silenced", _silenced(one), Severity.INFO)
            for one in found
            if any(_covered(found, one, resource) is not None for resource in report.resources)
        ]
        if not told:
            return report
        return structs.replace(report, conditions=(*report.conditions, *published(told)))


def of_daemon(config: Path | None, progress: Progress) -> OfDaemon | None:
    """What the settings in a file name; None without one. Raises ConfigError."""
    if config is None:
        return None
    from driftd.settings.load import load, store_dsn
    from driftd.store.silences import file_of, read

    settings = load(config)
    dsn = store_dsn(settings.store)
    try:
        path = file_of(settings.silences.file, dsn)
    except StoreError:
        return OfDaemon(settings, dsn, ())  # there is no place for any
    try:
        return OfDaemon(settings, dsn, read(path))
    except StoreError as error:
        progress(f"note: silences are not known: {error.message}")
        return OfDaemon(settings, dsn, ())


def silences_of(
    daemon: OfDaemon | None, looked: Looked, resource: ResourceReport, now: datetime
) -> Iterator[SilenceOf]:
    """The silences that cover something of a drifted object; without a daemon those of Git."""
    entry = looked.desired.entry
    own = annotated(entry.application.annotations).silence
    known = (*(daemon.silences if daemon else ()), *((own,) if own is not None else ()))
    settings = daemon.settings.silences if daemon is not None else Silences()
    name = entry.application.qualified_name
    found = in_force(known, name, entry.cluster, now, settings.maximum.delta)
    for one in found:
        paths = _covered(found, one, resource)
        if paths is not None:
            until = rfc3339(one.until)
            yield SilenceOf(id=one.id, told=one.told, until=until, paths=paths)


def _covered(
    found: Sequence[Silence], wanted: Silence, resource: ResourceReport
) -> tuple[str, ...] | None:
    """Which drifted paths of an object a silence covers, before others do; None if nothing."""
    if not resource.is_drift:
        return None
    paths = [one.path for one in resource.changes if one.is_drift] or [""]
    held = [path for path in paths if covering(found, resource.key, path) is wanted]
    return tuple(path for path in held if path) if held else None


def _silenced(silence: Silence) -> str:
    return f"messages about {silence.scope} are {silence.told}; until {silence.until.isoformat()}"
