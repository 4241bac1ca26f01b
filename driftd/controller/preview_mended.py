"""What merging does to objects of an application that cannot be used at the base. Pure.

What the base says of them was never deployed, so each is held against the cluster alone.
"""

from __future__ import annotations

from typing import Final

from driftd.model.report import Change, ChangeClass, ResourceReport, ResourceStatus

_WRITTEN: Final = frozenset({ChangeClass.DECLARED})


def is_there(seen: ResourceReport | None) -> bool:
    """Whether the cluster has the object, and it was compared."""
    return seen is not None and seen.status in (ResourceStatus.SYNCED, ResourceStatus.OUT_OF_SYNC)


def written(seen: ResourceReport | None) -> list[Change]:
    """What a sync changes of an object that the cluster has: not what Git is silent about."""
    return [
        one
        for one in (seen.changes if seen is not None else ())
        if one.is_drift and one.change_class in _WRITTEN
    ]
