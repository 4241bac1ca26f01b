"""Baseline and suppression files of a daemon: read anew at each sweep, applied to each look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from driftd.controller.baselines import (
    Acceptance,
    Used,
    load_baseline,
    load_suppressions,
    read_key,
)
from driftd.controller.check import Looked
from driftd.diff.mask import Sealer
from driftd.errors import ConfigError
from driftd.model.condition import Condition, Severity
from driftd.model.report import ApplicationReport, published
from driftd.policy import baseline, suppression
from driftd.policy.baseline import Hashes, NamedEntry
from driftd.policy.suppression import NamedSuppression
from driftd.settings.types import Settings

Read = TypeVar("Read")


class Fallback(Protocol):
    """Reads a file; decides what stands for one that is invalid."""

    def __call__(self, kind: str, before: Read, load: Callable[[], Read], /) -> Read:
        """What `load` gives; `before` is what it gave last, `kind` a condition's type."""
        ...


class StandingAcceptance:
    """The files that the settings name, as they were when they could be read last."""

    def __init__(
        self, baselines: Sequence[Path], suppressions: Sequence[Path], key_file: Path | None
    ) -> None:
        """Read the files for the first time. Raises ConfigError for one that is invalid."""
        self._key_file = key_file
        self._key: bytes | None = None
        self._baselines: dict[Path, Sequence[NamedEntry]] = dict.fromkeys(baselines, ())
        self._suppressions: dict[Path, Sequence[NamedSuppression]] = dict.fromkeys(suppressions, ())
        self._current = Acceptance()
        self._seen: dict[str, tuple[ApplicationReport, Used]] = {}
        """Of each application the last look, without objects, and what entries did in it."""
        self._told: set[tuple[str, str]] = set()
        self._load(_strict)

    @classmethod
    def of(cls, settings: Settings) -> StandingAcceptance:
        """The files of the settings."""
        key_file = Path(settings.hash_key_file) if settings.hash_key_file else None
        return cls(
            tuple(map(Path, settings.baselines)), tuple(map(Path, settings.suppressions)), key_file
        )

    @property
    def sealer(self) -> Sealer | None:
        """Makes the hashes of masked values; None without a key."""
        return self._current.sealer

    def reread(
        self, known: Collection[str], today: date, *, names: Collection[str] | None
    ) -> tuple[Condition, ...]:
        """Read the files at the start of a sweep; what there is to tell that was not told before.

        A file that became invalid keeps the entries that it had. `known` names the applications
        (`namespace/name`) that are looked at, `names` all there are; None if some are not known.
        """
        told = [*self._outcome(known, today, names)]

        def lenient(kind: str, before: Read, load: Callable[[], Read]) -> Read:
            try:
                return load()
            except ConfigError as error:
                text = f"{error.message}; what was read before still holds"
                told.append(Condition(kind, text, Severity.WARNING))
                return before

        self._load(lenient)
        now = {(one.type, one.message) for one in told}
        fresh = tuple(one for one in told if (one.type, one.message) not in self._told)
        self._told = now
        return fresh

    def applied(self, looked: Looked, today: date) -> Looked:
        """The look with accepted findings marked; entries that hold no longer are conditions."""
        if not self._baselines and not self._suppressions:
            return looked
        used = Used()
        report = self._current.apply(looked.report, looked.seals, today, used)
        told = [
            *used.suppressions.told.values(),
            *self._expired(looked.report, Hashes(self._current.key, looked.seals), today),
        ]
        report = msgspec.structs.replace(report, conditions=(*report.conditions, *published(told)))
        used.hashes.clear()
        bare = msgspec.structs.replace(report, resources=())
        self._seen[f"{report.namespace}/{report.name}"] = (bare, used)
        return replace(looked, report=report)

    def _load(self, fallback: Fallback) -> None:
        """Read every file; `fallback` says what stands for one that is invalid."""
        if self._key_file is not None:
            self._key = fallback("HashKeyInvalid", self._key, partial(read_key, self._key_file))
        for file, entries in self._baselines.items():
            load = partial(load_baseline, file, self._key)
            self._baselines[file] = fallback("BaselineInvalid", entries, load)
        for file, places in self._suppressions.items():
            load_places = partial(load_suppressions, file)
            self._suppressions[file] = fallback("SuppressionsInvalid", places, load_places)
        self._current = Acceptance(
            tuple(one for entries in self._baselines.values() for one in entries),
            tuple(one for places in self._suppressions.values() for one in places),
            self._key,
        )

    def _outcome(
        self, known: Collection[str], today: date, names: Collection[str] | None
    ) -> Sequence[Condition]:
        """What the sweep that ends now says of the entries that were in force."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in set(known)}
        if not self._seen or len(self._seen) < len(known):
            return ()  # not every application has been looked at since the start
        used = Used()
        for _, one in self._seen.values():
            used.baselines |= one.baselines
            used.suppressions.used |= one.suppressions.used
        reports = [report for report, _ in self._seen.values()]
        return self._current.conditions(used, reports, today, names=names)

    def _expired(
        self, report: ApplicationReport, hashes: Hashes, today: date
    ) -> Iterator[Condition]:
        """Expired entries that would have accepted a finding of this report."""
        over = [
            one for one in self._current.suppressions if suppression.is_expired(one.entry, today)
        ]
        found: dict[str, Condition] = {}
        for resource in report.resources:
            for entry in self._current.of(resource.key):
                if baseline.is_expired(entry.entry, today) and any(
                    baseline.mismatch(entry.entry, report, resource, change, hashes) == ""
                    for change in (None, *resource.changes)
                ):
                    text = f"{entry.name} expired on {entry.entry.expires}"
                    found[entry.name] = Condition("BaselineEntryExpired", text, Severity.WARNING)
            for place in over:
                if suppression.covers(place.entry, report, resource) and (
                    suppression.covers_whole(place.entry, resource)
                    or any(suppression.covers_place(place, resource, c) for c in resource.changes)
                ):
                    text = f"{place.name} expired on {place.entry.expires}"
                    found[place.name] = Condition("SuppressionExpired", text, Severity.WARNING)
        yield from found.values()


def _strict(_kind: str, _before: Read, load: Callable[[], Read]) -> Read:
    return load()
