"""Who made a change, as far as the object itself can tell.

A change takes the field, so its owner is the writer. A removal and a reorder leave no trace in
managedFields; then nobody is named rather than somebody wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from driftd.diff.owners import UNKNOWN_MANAGERS, Entry


class Attribution(msgspec.Struct, frozen=True):
    """The entry that is held responsible."""

    manager: str
    operation: str
    subresource: str
    time: str | None
    confidence: Literal["exact", "likely"]
    """`exact` only for a sole owner of the place."""


def attribute(owners: Sequence[Entry]) -> Attribution | None:
    """The writer among the owners of a place, or None without a trace."""
    named = [entry for entry in owners if entry.manager not in UNKNOWN_MANAGERS]
    if not named:
        return None
    foreign = [entry for entry in named if not entry.deployer] or named
    chosen = max(foreign, key=lambda entry: entry.time or "")
    return Attribution(
        manager=chosen.manager,
        operation=chosen.operation,
        subresource=chosen.subresource,
        time=chosen.time,
        confidence="exact" if len(owners) == 1 else "likely",
    )


def sole_writer(moved: Sequence[Entry], place: Sequence[str]) -> Attribution | None:
    """The one writer between two looks, held responsible for what leaves no trace itself.

    `moved` are the entries that took a field between the looks, `place` the names of the place.
    Writes of a status change nothing else, writes of `/scale` the replicas alone.
    """
    able = [
        entry
        for entry in moved
        if not entry.subresource
        or (entry.subresource == "scale" and tuple(place) == ("spec", "replicas"))
    ]
    if len(able) != 1 or able[0].manager in UNKNOWN_MANAGERS:
        return None
    (entry,) = able
    return Attribution(entry.manager, entry.operation, entry.subresource, entry.time, "likely")
