"""Puts back what an object was before driftd wrote over it, because a person asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET

from driftd.clock import Clock
from driftd.cluster.reader import ApiResource, Discovery
from driftd.diff.mask import shown
from driftd.errors import ClusterError, NotServed
from driftd.model.resource import LiveObject, ResourceKey
from driftd.store.audit import new_id
from driftd.store.backups import Backup
from driftd.store.chain import AuditChange, AuditRecord

_BOOKKEEPING: Final = frozenset(
    {"managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"}
)
_MOST: Final = 100


class Cluster(Protocol):
    """What is read of the cluster."""

    async def discover(self) -> Discovery:
        """Which kinds it serves."""
        ...

    async def get(self, resource: ApiResource, namespace: str, name: str) -> LiveObject | None:
        """One object; None if it is not there."""
        ...


class Restorer(Protocol):
    """What is written to it."""

    async def put(
        self, resource: ApiResource, namespace: str, name: str, body: bytes, *, dry_run: bool
    ) -> None:
        """Replace an object whose resourceVersion must still be the one in `body`."""
        ...

    async def create(
        self, resource: ApiResource, namespace: str, name: str, body: bytes, *, dry_run: bool
    ) -> None:
        """Make an object that is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Restoring:
    """A backup beside the live object, and what putting it back would change."""

    backup: Backup
    context: str
    resource: ApiResource
    live: LiveObject | None
    changes: tuple[AuditChange, ...]
    """Field by field, `before` as it lives and `after` as it was kept; masked."""
    body: bytes = field(repr=False)
    """What is sent, with the resourceVersion that must still be the live one."""

    def record(self, clock: Clock, who: str, kind: str, outcome: str) -> AuditRecord:
        """What is put on the record of it."""
        return AuditRecord(
            id=new_id(),
            at=clock.now(),
            kind=kind,
            who=who,
            application=self.backup.application,
            cluster=self.context,
            object=self.backup.key,
            cause=f"backup {self.backup.id}",
            plan=self.backup.plan,
            changes=self.changes[:_MOST],
            outcome=outcome,
        )


async def prepare(backup: Backup, kept: bytes, context: str, cluster: Cluster) -> Restoring:
    """Compare a backup with the live object. Raises ClusterError.

    An object of another uid is another object, or another cluster's: nothing is put over it.
    """
    gvk, key = backup.gvk, backup.key
    resource = (await cluster.discover()).served(gvk.group, gvk.version, gvk.kind)
    if resource is None:
        raise NotServed(f"{key}: the cluster does not serve {gvk.api_version}")
    live = await cluster.get(resource, key.namespace, key.name)
    body = msgspec.json.decode(kept)
    uid = (body.get("metadata") or {}).get("uid")
    if live is not None and live.uid != uid:
        raise ClusterError(
            f"{key} of context {context} is another object than the one that was kept "
            f"(uid {live.uid}, not {uid})",
            reason="Conflict",
            hint="name the right cluster with --context; one that was made anew is not replaced",
        )
    now = {} if live is None else msgspec.json.decode(live.body)
    changes = tuple(_changes(key, (), _content(now), _content(body)))
    body.pop("status", None)
    metadata = {k: v for k, v in body["metadata"].items() if k not in _BOOKKEEPING}
    if live is not None:
        metadata |= {"uid": live.uid, "resourceVersion": live.resource_version}
    sent = msgspec.json.encode({**body, "metadata": metadata})
    return Restoring(backup, context, resource, live, changes, sent)


async def restore(work: Restoring, restorer: Restorer, *, dry_run: bool) -> None:
    """Put the object back; with `dry_run` the API server only says whether it would.

    Raises ClusterError, with reason `Conflict` if the object has changed since it was compared.
    """
    key = work.backup.key
    send = restorer.create if work.live is None else restorer.put
    await send(work.resource, key.namespace, key.name, work.body, dry_run=dry_run)


def _content(body: dict[str, Any]) -> dict[str, Any]:
    """An object without what the API server keeps books of."""
    found = {name: value for name, value in body.items() if name != "status"}
    metadata = found.get("metadata") or {}
    found["metadata"] = {k: v for k, v in metadata.items() if k not in _BOOKKEEPING}
    return found


def _changes(
    key: ResourceKey, path: tuple[str, ...], before: Any, after: Any
) -> Iterator[AuditChange]:
    """Where two objects differ: maps by name, lists as a whole; masked where they are shown."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from _changes(key, (*path, name), before.get(name, UNSET), after.get(name, UNSET))
    elif _plain(before) != _plain(after):
        pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)
        yield AuditChange(pointer, _shown(key, path, before), _shown(key, path, after))


def _plain(value: Any) -> bytes:
    """One spelling of a value: to Python True, 1 and 1.0 are the same."""
    return b"" if value is UNSET else msgspec.json.encode(value, order="sorted")


def _shown(key: ResourceKey, path: tuple[str, ...], value: Any) -> Any:
    return UNSET if value is UNSET else shown(key, path, value)
