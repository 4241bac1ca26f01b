"""Who writes to the objects of an application: the GitOps engines at work there, and driftd."""

from __future__ import annotations

from datetime import datetime

from driftd.cluster.poison import metadata_of
from driftd.controller.check import Looked
from driftd.store.types import HistoryEntry
from driftd.sync.engine import ENGINES
from driftd.sync.outcome import SyncResult


def engines_at(looked: Looked) -> set[str]:
    """The engines that have written to the live objects, whichever deployers were named.

    An application may name its deployers; that an engine is at work there is no less true.
    """
    found: set[str] = set()
    if looked.shared is None:
        return found
    for manifest in looked.desired.manifests:
        place = (manifest.gvk, manifest.key.namespace, manifest.key.name)
        live = looked.shared.observation.live.get(place)
        if live is None or not any(name.encode() in live.body for name in ENGINES):
            continue
        metadata = metadata_of(live.body)
        writers = {one.get("manager") for one in metadata.get("managedFields") or ()}
        found |= writers & ENGINES.keys()
    return found


def written(name: str, now: datetime, result: SyncResult | None) -> list[HistoryEntry]:
    """What driftd has written to objects of an application (`namespace/name`), for its history."""
    if result is None:
        return []
    return [
        HistoryEntry(
            application=name,
            at=now,
            kind="sync",
            data={
                "object": str(one.key),
                "outcome": str(one.outcome),
                "message": one.message,
                "remains": list(one.remains),
            },
        )
        for one in result.results
    ]
