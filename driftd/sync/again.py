"""Whether a verdict still fits an object that changed after the look. Pure.

Controllers report their work in `status`, all the time. That moves the resourceVersion, and says
nothing of what Git declares.
"""

from __future__ import annotations

from typing import Any

import msgspec

from driftd.diff.scalars import canonical
from driftd.model.resource import LiveObject
from driftd.sync.plan import SyncTask
from driftd.sync.removal import Removal

_MOVING = ("resourceVersion", "managedFields")


def again(task: SyncTask, looked: LiveObject, now: LiveObject) -> SyncTask | None:
    """The task with the precondition of `now`; None if more than its status changed since."""
    if looked.uid != now.uid or _compared(looked) != _compared(now):
        return None
    body = msgspec.json.decode(task.body)
    body["metadata"]["resourceVersion"] = now.resource_version
    moved = tuple(
        msgspec.structs.replace(one, value=now.resource_version) if _is_precondition(one) else one
        for one in task.removals
    )
    return msgspec.structs.replace(task, body=msgspec.json.encode(body), removals=moved)


def _is_precondition(one: Removal) -> bool:
    return (one.op, one.path) == ("test", "/metadata/resourceVersion")


def _compared(live: LiveObject) -> bytes:
    """All of an object that a verdict depends on."""
    body: dict[str, Any] = msgspec.json.decode(live.body)
    metadata = body.get("metadata") or {}
    owners = [
        entry
        for entry in metadata.get("managedFields") or ()
        if entry.get("subresource") != "status"
    ]
    kept = {name: value for name, value in metadata.items() if name not in _MOVING}
    rest = {name: value for name, value in body.items() if name not in ("metadata", "status")}
    return canonical([kept, owners, rest])
