"""How a drift ended that a look no longer sees: healed, put back by somebody, or Git caught up.

What ended it is read from what the look has anyway: the report, Git's manifests, and who has
written to the live object since the drift was first seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

import orjson
from msgspec import UNSET

from driftd.cluster.poison import metadata_of
from driftd.controller.check import Looked
from driftd.diff.paths import ABSENT, at_ssa_path
from driftd.diff.scalars import canonical
from driftd.model.report import ResourceReport, ResourceStatus, is_masked
from driftd.model.resource import LiveObject, Manifest, ResourceKey
from driftd.store.episodes import JudgeEnding
from driftd.store.types import Drift, Ending, Recovery

HEALER: Final = "driftd"
"""The field manager that driftd heals with."""
_STATUSES: Final = frozenset({ResourceStatus.MISSING.value, ResourceStatus.EXTRA.value})


def endings(looked: Looked, before: tuple[str, ...] | None) -> JudgeEnding:
    """As `Endings.of`, made with the first drift that ended: most looks end none."""
    made = cache(lambda: Endings.of(looked, before))
    return lambda drift: made()(drift)


@dataclass(frozen=True, slots=True)
class Endings:
    """Judges how drifts of one application ended, by the look that no longer sees them."""

    resources: Mapping[ResourceKey, ResourceReport]
    manifests: Mapping[ResourceKey, Manifest]
    live: Mapping[ResourceKey, LiveObject]
    deployers: frozenset[str]
    git_moved: bool
    """Whether Git is at other revisions than at the look before."""

    @classmethod
    def of(cls, looked: Looked, before: tuple[str, ...] | None) -> Endings:
        """From a look, and the revisions of the look before it; None if these are not known."""
        report = looked.report
        observed = looked.shared.observation.live if looked.shared is not None else {}
        return cls(
            resources={one.key: one for one in report.resources},
            manifests={one.key: one for one in looked.desired.manifests},
            live={one.key: one for one in observed.values()},
            deployers=looked.deployers | {HEALER},
            git_moved=before != report.revisions,
        )

    def __call__(self, drift: Drift) -> Ending:
        """How `drift` ended."""
        resource = self.resources.get(drift.key.resource)
        if drift.key.kind in _STATUSES:
            return self._whole(drift, resource)
        if resource is None:
            return Ending(Recovery.GONE)
        if resource.status in (ResourceStatus.MISSING, ResourceStatus.EXTRA):
            return Ending(Recovery.RECLASSIFIED)
        for change in resource.changes:
            if change.place == drift.key.path and change.kind.value == drift.key.kind:
                accepted = change.ignored_by is not UNSET
                return Ending(Recovery.ACCEPTED if accepted else Recovery.RECLASSIFIED)
        if self.git_moved and self._git_says_otherwise(drift):
            return Ending(Recovery.GIT)
        return self._by(self._writer(drift))

    def _whole(self, drift: Drift, resource: ResourceReport | None) -> Ending:
        missing = drift.key.kind == ResourceStatus.MISSING.value
        if resource is None:
            # Git drops what was missing; what was extra is no longer there.
            return Ending(Recovery.GONE if missing else Recovery.REVERTED)
        if resource.status.value == drift.key.kind:
            return Ending(Recovery.ACCEPTED)
        if not missing:
            return Ending(Recovery.GIT)
        written = self._written(drift.key.resource)
        oldest = min((time for _, time in written), default="")
        creators = {manager for manager, time in written if time == oldest}
        return self._by(creators.pop() if len(creators) == 1 else "")

    def _git_says_otherwise(self, drift: Drift) -> bool:
        """Whether Git declares another value than the drift was told against."""
        manifest, change = self.manifests.get(drift.key.resource), drift.change
        if manifest is None or change is None:
            return False
        found = at_ssa_path(orjson.loads(manifest.body), drift.key.path)
        if change.desired is UNSET:
            return found is not ABSENT
        if is_masked(change.desired):
            return False
        return found is ABSENT or canonical(found) != canonical(change.desired)

    def _writer(self, drift: Drift) -> str:
        """Who has written since the drift was first seen; empty where several may have been it.

        Where the object dates the drift itself, that counts: it is the same clock. Times in
        `managedFields` have one second, so the drift's author may be among them.
        """
        told = drift.change.time if drift.change is not None else UNSET
        began = _moment(told) if told else None
        since = began or drift.first_seen.replace(microsecond=0)
        writers = {
            manager
            for manager, time in self._written(drift.key.resource)
            if (moment := _moment(time)) is not None and moment >= since
        }
        others = writers - {drift.author} or writers
        by_git = others & self.deployers
        chosen = by_git or others
        return chosen.pop() if len(chosen) == 1 else ""

    def _written(self, key: ResourceKey) -> list[tuple[str, str]]:
        """The managers of the live object that own more than its status, with their times."""
        live = self.live.get(key)
        if live is None:
            return []
        metadata = metadata_of(live.body)
        return [
            (str(entry.get("manager") or ""), str(entry.get("time") or ""))
            for entry in metadata.get("managedFields") or ()
            if entry.get("subresource") != "status"
        ]

    def _by(self, manager: str) -> Ending:
        if manager == HEALER:
            return Ending(Recovery.HEALED, manager)
        how = Recovery.SYNCED if manager in self.deployers else Recovery.REVERTED
        return Ending(how, manager)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
