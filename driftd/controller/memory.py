"""What earlier looks at an application knew, handed to a look and taken from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import orjson

from driftd.cluster.destinations import ClusterTarget, normalise_server
from driftd.controller.workspace import Progress
from driftd.diff.history import History, decode, encode
from driftd.diff.paths import ABSENT, at_ssa_path
from driftd.diff.scalars import canonical
from driftd.errors import StateError
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.report import (
    ApplicationReport,
    Change,
    ChangeClass,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import Manifest, ResourceKey
from driftd.store.protocol import Memory
from driftd.store.state_file import StateFile
from driftd.store.types import ApplicationMemory

_STEADY: Final = timedelta(minutes=10)
"""How long an object that stands still keeps the history that it has, unwritten."""
_WAITING: Final = frozenset({ResourceStatus.PENDING, ResourceStatus.UNKNOWN})
"""Objects that a sync may still change to what Git says, as far as a look can tell."""
_DIRTY: Final = "-dirty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a look at an application is told of the looks before it."""

    cluster: str
    clean_revisions: tuple[str, ...] = ()
    """Git's revisions when nothing waited for a sync last; empty if that was never seen."""
    histories: Mapping[ResourceKey, History] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    """What could not be read: its objects are judged as if seen for the first time."""

    def synced_revisions(self, application: Application) -> tuple[str, ...]:
        """The revisions that were synced last: as Argo CD says, else as was seen."""
        return application.synced_revisions or self.clean_revisions


@dataclass(frozen=True, slots=True)
class Since:
    """What Git declares now, and what it declared at the revisions that were synced last."""

    declared: Mapping[ResourceKey, Manifest]
    synced: Mapping[ResourceKey, Manifest] | None
    """None if these cannot be rendered any more."""

    def changed(self, key: ResourceKey, change: Change) -> bool:
        """Whether Git has changed the place of a change since, as far as can be known."""
        if self.synced is None:
            return True
        before, now = self.synced.get(key), self.declared.get(key)
        if before is None or now is None:
            return True
        old, new = (at_ssa_path(orjson.loads(one.body), change.place) for one in (before, now))
        if old is ABSENT or new is ABSENT:
            return old is not new
        return canonical(old) != canonical(new)


async def recalled(
    memory: Memory | None,
    target: ClusterTarget,
    application: Application,
    keys: Collection[ResourceKey] | None = None,
) -> Past | None:
    """The past of an application on a cluster; None where nothing is remembered at all.

    `keys` are the objects that are looked at, None for all. Raises StoreError.
    """
    if memory is None:
        return None
    cluster = normalise_server(target.server) if target.server else target.name
    found = await memory.recall(cluster, application.qualified_name, keys)
    histories: dict[ResourceKey, History] = {}
    damaged: dict[str, list[ResourceKey]] = {}
    for key, data in found.objects.items():
        try:
            histories[key] = decode(data)
        except StateError as error:
            damaged.setdefault(error.message, []).append(key)
    return Past(
        cluster=cluster,
        clean_revisions=found.clean_revisions,
        histories=histories,
        conditions=tuple(
            Condition("HistoryUnreadable", f"{len(keys)} object(s), first {keys[0]}: {text}")
            for text, keys in damaged.items()
        ),
    )


def open_state(path: Path | None, progress: Progress) -> StateFile | None:
    """The state file, if one is asked for, with everything in it readable.

    Raises StateError: what cannot be read is neither ignored nor overwritten.
    """
    if path is None:
        return None
    state = StateFile(path)
    if state.is_new:
        progress(f"note: {path} holds no look yet: this one is the first")
    for name, memory in state.memories():
        for key, data in memory.objects.items():
            try:
                decode(data)
            except StateError as error:
                raise StateError(f"{path}: {name}: {key}: {error}", hint=error.hint) from None
    return state


def save_state(
    state: StateFile | None,
    looks: Iterable[tuple[ApplicationReport, ApplicationMemory | None]],
    now: datetime,
) -> tuple[Condition, ...]:
    """Save what the looks leave behind; if that fails, the report of them is told so."""
    if state is None:
        return ()
    for report, memory in looks:
        if memory is not None:
            state.remember(f"{report.namespace}/{report.name}", memory)
    try:
        state.save(now)
    except StateError as error:
        return (Condition("StateNotSaved", error.message),)
    return ()


def left(
    past: Past,
    histories: Mapping[ResourceKey, History],
    resources: Iterable[ResourceReport],
    revisions: tuple[str, ...],
    since: Since | None = None,
) -> ApplicationMemory:
    """What a look leaves behind for the next one.

    `since` is what Git has changed since the revisions that were synced last, where it is at
    others now and something differs.
    """
    clean = not any(_waits(resource, since) for resource in resources)
    clean = clean and not any(revision.endswith(_DIRTY) for revision in revisions)
    return ApplicationMemory(
        cluster=past.cluster,
        clean_revisions=revisions if clean else (),
        objects={
            key: encode(history)
            for key, history in histories.items()
            if not _stands_still(past.histories.get(key), history)
        },
    )


def _waits(resource: ResourceReport, since: Since | None) -> bool:
    """Whether Git is ahead of an object, or may be.

    Drift alone does not count where Git has said the same ever since: somebody's edit elsewhere
    may stay for long.
    """
    if resource.status in _WAITING:
        return True
    if any(change.change_class is ChangeClass.PENDING for change in resource.changes):
        return True
    return since is not None and any(
        change.is_drift and since.changed(resource.key, change) for change in resource.changes
    )


def _stands_still(old: History | None, new: History) -> bool:
    """Whether a history says what the one before said a little while ago."""
    if old is None or old.look is None or new.look is None:
        return False
    if msgspec.structs.replace(new, look=msgspec.structs.replace(new.look, at=old.look.at)) != old:
        return False
    then, now = (datetime.fromisoformat(one.at) for one in (old.look, new.look))
    return timedelta(0) <= now - then < _STEADY
