"""Baseline and suppression files: read, and applied to what a look found."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import UNSET

from driftd.controller.statuses import status_of
from driftd.diff.explain import parse
from driftd.diff.mask import Sealer
from driftd.errors import ConfigError
from driftd.model.condition import Condition
from driftd.model.mistyped import fault, headless
from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    ResourceReport,
    ResourceStatus,
    has_drift,
)
from driftd.model.resource import ResourceKey
from driftd.policy import baseline as baseline_policy
from driftd.policy import suppression as suppression_policy
from driftd.policy.baseline import Baseline, Hashes, NamedEntry, Seal, needs_key
from driftd.policy.suppression import (
    ANY_STEPS,
    NamedSuppression,
    SuppressedPath,
    SuppressionEntry,
    Suppressions,
)

File = TypeVar("File", Baseline, Suppressions)

MINIMUM_KEY = 16
"""Bytes of a hash key below which it could be guessed."""
_AT_ENTRY = re.compile(r"entries\[(\d+)\]\.?(.*)")


@dataclass(slots=True)
class Used:
    """What the entries of all files did, over one or several applications."""

    baselines: set[str] = field(default_factory=set)
    suppressions: suppression_policy.Applied = field(default_factory=suppression_policy.Applied)
    hashes: dict[str, Hashes] = field(default_factory=dict)
    """Of each application, by qualified name."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The entries of baseline and suppression files, and the key that values are hashed with."""

    baselines: tuple[NamedEntry, ...] = ()
    suppressions: tuple[NamedSuppression, ...] = ()
    key: bytes | None = field(default=None, repr=False)
    _by_object: Mapping[ResourceKey, Sequence[NamedEntry]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Find entries of baselines by object: there may be thousands of both."""
        object.__setattr__(self, "_by_object", baseline_policy.by_object(self.baselines))

    def of(self, key: ResourceKey) -> Sequence[NamedEntry]:
        """The baselines' entries that speak of an object, of any application."""
        return self._by_object.get(key, ())

    @property
    def sealer(self) -> Sealer | None:
        """Makes the hashes of masked values; None without a key."""
        return Sealer(self.key) if self.key is not None else None

    def applied(
        self,
        reports: Sequence[tuple[ApplicationReport, Mapping[Seal, str]]],
        today: date,
        *,
        names: Collection[str] | None = None,
    ) -> tuple[list[ApplicationReport], list[Condition]]:
        """The reports with accepted findings marked, and what is to be told of the entries.

        Each report comes with the seals of its masked changes. `names` are the qualified names
        of all applications there are, so that an entry for another one is of no use; None if
        some are not known.
        """
        if not self.baselines and not self.suppressions:
            return [report for report, _ in reports], []
        used = Used()
        found = [self.apply(report, seals, today, used) for report, seals in reports]
        told = [
            *used.suppressions.told.values(),
            *self.conditions(used, [report for report, _ in reports], today, names=names),
        ]
        return found, told

    def apply(
        self, report: ApplicationReport, seals: Mapping[Seal, str], today: date, used: Used
    ) -> ApplicationReport:
        """One report with accepted findings marked; what the entries did is added to `used`."""
        valid = [one for one in self.suppressions if not _over(one.entry, today)]
        hashes = Hashes(self.key, seals)
        used.hashes[f"{report.namespace}/{report.name}"] = hashes
        resources = []
        for resource in report.resources:
            seen = suppression_policy.suppressed(valid, report, resource, used.suppressions)
            entries = [
                one
                for one in self.of(resource.key)
                if not baseline_policy.is_expired(one.entry, today)
            ]
            seen, names = baseline_policy.accepted(entries, report, seen, hashes)
            used.baselines |= names
            resources.append(seen if seen is resource else _restated(seen))
        listed = tuple(resources)
        status = report.status
        if status is ApplicationStatus.OUT_OF_SYNC and not has_drift(listed):
            status = ApplicationStatus.SYNCED if report.complete else ApplicationStatus.UNKNOWN
        return msgspec.structs.replace(report, resources=listed, status=status)

    def conditions(
        self,
        used: Used,
        reports: Sequence[ApplicationReport],
        today: date,
        *,
        names: Collection[str] | None = None,
    ) -> list[Condition]:
        """What is to be told of entries that expired or did nothing in all these reports."""
        return [
            *suppression_policy.conditions(
                self.suppressions, used.suppressions.used, reports, today, names=names
            ),
            *baseline_policy.conditions(
                self.baselines, used.baselines, reports, today, used.hashes, names=names
            ),
        ]


def _over(entry: SuppressionEntry, today: date) -> bool:
    return suppression_policy.is_expired(entry, today)


def _restated(resource: ResourceReport) -> ResourceReport:
    """An object with marked changes, with the status that the others give it."""
    # An object that is OutOfSync with a reason (being deleted) is so whatever its fields say.
    if resource.status is ResourceStatus.OUT_OF_SYNC and resource.reason is UNSET:
        return msgspec.structs.replace(resource, status=status_of(resource.changes))
    return resource


def load_acceptance(
    baselines: Iterable[Path] = (),
    suppressions: Iterable[Path] = (),
    key_file: Path | None = None,
) -> Acceptance:
    """Read baseline and suppression files and the hash key.

    Raises ConfigError naming file, entry and field for one that cannot be read or is no such
    file, and for a baseline whose values need a key that is not given.
    """
    key = read_key(key_file) if key_file else None
    entries = [one for file in baselines for one in load_baseline(file, key)]
    places = [one for file in suppressions for one in load_suppressions(file)]
    return Acceptance(tuple(entries), tuple(places), key)


def load_baseline(file: Path, key: bytes | None) -> list[NamedEntry]:
    """Read a baseline file. Raises ConfigError as `load_acceptance` does."""
    found = _load(file, Baseline).entries
    if key is None and needs_key(found):
        raise ConfigError(
            f"{file}: its values are hashed with a key",
            hint="give the same key with --hash-key-file FILE (setting hashKeyFile)",
        )
    return [
        NamedEntry(f"baseline {file}#{number}", entry)
        for number, entry in enumerate(found, start=1)
    ]


def load_suppressions(file: Path) -> list[NamedSuppression]:
    """Read a suppression file. Raises ConfigError naming file, entry and field."""
    return [
        NamedSuppression(
            f"suppression {file}#{number}",
            entry,
            tuple(_path(text, f"{file}: entry {number}") for text in entry.paths),
        )
        for number, entry in enumerate(_load(file, Suppressions).entries, start=1)
    ]


def _path(text: str, place: str) -> SuppressedPath:
    parts = parse(text)
    if all(part in ("", ANY_STEPS) for part in parts):
        raise ConfigError(
            f"{place}, paths: {text!r} names no field",
            hint="write spec.replicas, containers[name=app].image or /spec/replicas; "
            "driftd help suppressions shows a file that is valid",
        )
    return SuppressedPath(text, parts)


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


def _load(file: Path, kind: type[File]) -> File:
    import yaml

    topic = "suppressions" if kind is Suppressions else "baseline"
    hint = f"driftd help {topic} shows a file that is valid"
    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or ""
        told = f"not valid YAML{where}{f': {why}' if why else ''}"
        raise ConfigError(f"{file}: {told}", hint=hint) from error
    if wrong := headless(document, kind.__name__, optional=kind is Baseline):
        raise ConfigError(f"{file}: {wrong}", hint=hint)
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {_described(str(error), kind)}", hint=hint) from error


def _described(text: str, kind: type[Baseline | Suppressions]) -> str:
    """An error of msgspec with entry number (from 1) and field in front."""
    at, message = fault(text, kind)
    entry = _AT_ENTRY.fullmatch(at)
    if entry:
        where = f"entry {int(entry[1]) + 1}" + (f", {entry[2]}" if entry[2] else "")
        return f"{where}: {message}"
    return f"{at}: {message}" if at else message
