"""Baseline files: read, applied to what a look found, and written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec
from msgspec import UNSET

from driftd.controller.verdict import status_of
from driftd.errors import ConfigError
from driftd.model.condition import Condition
from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    ResourceReport,
    ResourceStatus,
    has_drift,
)
from driftd.policy.baseline import (
    Baseline,
    NamedEntry,
    accepted,
    conditions,
    is_expired,
    needs_key,
)

MINIMUM_KEY = 16
"""Bytes of a hash key below which it could be guessed."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """The entries of some files and the key that their values are hashed with."""

    entries: tuple[NamedEntry, ...] = ()
    key: bytes | None = None

    def applied(
        self, reports: Sequence[ApplicationReport], today: date
    ) -> tuple[list[ApplicationReport], list[Condition]]:
        """The reports with accepted findings marked, and what is to be told of the entries."""
        if not self.entries:
            return list(reports), []
        valid = [one for one in self.entries if not is_expired(one.entry, today)]
        used: set[str] = set()
        found = [self._application(report, valid, used) for report in reports]
        return found, conditions(self.entries, used, reports, today)

    def _application(
        self, report: ApplicationReport, entries: Sequence[NamedEntry], used: set[str]
    ) -> ApplicationReport:
        resources = tuple(
            self._resource(report, resource, entries, used) for resource in report.resources
        )
        status = report.status
        if status is ApplicationStatus.OUT_OF_SYNC and not has_drift(resources):
            status = ApplicationStatus.SYNCED if report.complete else ApplicationStatus.UNKNOWN
        return msgspec.structs.replace(report, resources=resources, status=status)

    def _resource(
        self,
        report: ApplicationReport,
        resource: ResourceReport,
        entries: Sequence[NamedEntry],
        used: set[str],
    ) -> ResourceReport:
        if not resource.changes:
            return resource
        changes, names = accepted(entries, report, resource, self.key)
        if not names:
            return resource
        used |= names
        status = resource.status
        # An object that is OutOfSync with a reason (being deleted) is so whatever its fields say.
        if status is ResourceStatus.OUT_OF_SYNC and resource.reason is UNSET:
            status = status_of(changes)
        return msgspec.structs.replace(resource, changes=changes, status=status)


def load_baselines(files: Iterable[Path], key_file: Path | None) -> Baselines:
    """Read baseline files and the hash key.

    Raises ConfigError naming the file for one that cannot be read, is no baseline, or has
    values that need a key which is not given.
    """
    key = read_key(key_file) if key_file else None
    entries: list[NamedEntry] = []
    for file in files:
        found = _load(file).entries
        if key is None and needs_key(found):
            raise ConfigError(
                f"{file}: its values are hashed with a key",
                hint="give the same key with --hash-key-file FILE",
            )
        entries += [
            NamedEntry(f"baseline {file}#{number}", entry)
            for number, entry in enumerate(found, start=1)
        ]
    return Baselines(tuple(entries), key)


def read_key(file: Path) -> bytes:
    """The key of value hashes: the content of a file without surrounding white space."""
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from error
    if len(key) < MINIMUM_KEY:
        raise ConfigError(
            f"{file}: a hash key has at least {MINIMUM_KEY} bytes",
            hint="make one with: openssl rand -hex 32",
        )
    return key


def _load(file: Path) -> Baseline:
    import yaml

    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{file}: not valid YAML{where}") from error
    try:
        return msgspec.convert(document, Baseline)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{file}: {error}", hint="write the file with driftd baseline, then edit it"
        ) from error
