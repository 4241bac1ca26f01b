"""Audit events that API servers post: the writes to objects of interest, bounded, in memory."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import msgspec

from driftd.cluster.auditevents import Batch
from driftd.model.audit import AuditedObject, AuditedWrite

Place: TypeAlias = tuple[str, str, str]
"""A kind in a namespace: group, resource (plural) and namespace, empty for cluster-scoped ones."""

_OVERHEAD: Final = 1024
"""Bytes that a write takes beside its body, about."""
_STATUS_SHARE: Final = 4
"""Writes to `/status`, which controllers make all the time, take up a part of that at most."""
_FRESH: Final = 10_000
"""Objects that were written since they were asked for last; with more, everything was."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept of each cluster."""

    events: int
    size: int
    """In bytes."""
    age: float
    """In seconds; 0 for any."""


class AuditStream:
    """The writes of one cluster, the latest ones, and from when on none is missing."""

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        """`now` is in seconds since the epoch."""
        self._limits = limits
        self._now = now
        self._writes: deque[AuditedWrite] = deque()
        self._status: deque[AuditedWrite] = deque()
        self._size = 0
        self._ids: dict[object, None] = {}
        """Of the latest events: API servers post a batch again when the answer got lost."""
        self._fresh: set[AuditedObject] = set()
        self.begins: float | None = None
        """From when on every write is here; None before the first event."""
        self.latest: float | None = None
        """When the last event was that was posted, of any kind."""
        self.places: frozenset[Place] | None = None
        """Where writes are of interest; None while that is not known: everywhere."""

    def __len__(self) -> int:
        return len(self._writes) + len(self._status)

    @property
    def size(self) -> int:
        """Bytes that the kept writes take, about."""
        return self._size

    def take(self, batch: Batch) -> int:
        """Keep what is of interest of a batch; how many writes that are not kept already."""
        times = [one.time for one in batch.seen]
        if times:
            self.begins = min(times) if self.begins is None else self.begins
            self.latest = max(max(times), self.latest or 0.0)
        if batch.broken:
            self.hole()
        taken = 0
        for one in batch.seen:
            if one.write is not None and self._wants(one.write):
                self._keep(one.write)
                taken += 1
        self._shrink()
        return taken

    def hole(self) -> None:
        """Events may have got lost: nobody is proved by what is missing before now."""
        if self.begins is not None:
            self.begins = max(self.begins, self._now())

    def writes(self) -> tuple[AuditedWrite, ...]:
        """What is kept now."""
        self._shrink()
        return (*self._status, *self._writes)

    def fresh(self) -> set[AuditedObject]:
        """The objects that were written since this was asked last; of collections the name ``."""
        found, self._fresh = self._fresh, set()
        return found

    def _wants(self, write: AuditedWrite) -> bool:
        target = write.target
        place = (target.group, target.resource, target.namespace)
        if self.places is not None and place not in self.places:
            return False
        age = self._limits.age
        if age and write.completed < self._now() - age:
            return False
        known = write.audit_id or (target, write.verb, write.person, write.received)
        if known in self._ids:
            return False
        self._ids[known] = None
        while len(self._ids) > 2 * self._limits.events:
            del self._ids[next(iter(self._ids))]
        return True

    def _keep(self, write: AuditedWrite) -> None:
        (self._status if write.subresource == "status" else self._writes).append(write)
        self._size += _size(write)
        if len(self._fresh) < _FRESH:
            self._fresh.add(write.target)

    def _shrink(self) -> None:
        """Let go of the oldest ones beyond the limits."""
        oldest = self._now() - self._limits.age if self._limits.age else 0.0
        for kept in (self._status, self._writes):
            while kept and kept[0].completed < oldest:
                self._drop(kept)
        while len(self._status) > self._limits.events // _STATUS_SHARE:
            self._drop(self._status)
        while self._size > self._limits.size or len(self) > self._limits.events:
            self._drop(self._status or self._writes)

    def _drop(self, kept: deque[AuditedWrite]) -> None:
        gone = kept.popleft()
        self._size -= _size(gone)
        if self.begins is not None:
            self.begins = max(self.begins, gone.completed)


class AuditStreams:
    """The streams of all clusters whose API servers may post, by the clusters' names."""

    def __init__(self, clusters: Iterable[str], limits: Limits, now: Callable[[], float]) -> None:
        self._streams = {name: AuditStream(limits, now) for name in clusters}

    def of(self, cluster: str) -> AuditStream | None:
        """The stream of a cluster; None if its API servers do not post."""
        return self._streams.get(cluster)


def _size(write: AuditedWrite) -> int:
    return _OVERHEAD + sys.getsizeof(write.body)
