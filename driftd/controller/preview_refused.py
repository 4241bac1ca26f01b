"""Applications that Argo CD refuses as a side of a preview declares them. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from driftd.controller.declared import Entry
from driftd.model.condition import Severity

NOWHERE: Final = "no destination"
"""Instead of a cluster's name, where an application names none."""
_INVALID: Final = "InvalidSpecError"
_UNMAPPED: Final = "ClusterConfigurationError"


def is_refused(entry: Entry | None) -> bool:
    """Whether Argo CD refuses an Application by its spec: what is deployed of it stays as it is."""
    return (
        entry is not None
        and entry.application.flux is None
        and any(c.type == _INVALID and c.severity is Severity.ERROR for c in entry.conditions)
    )


def placed(before: Entry | None, after: Entry | None) -> Entry | None:
    """The side that says where an application is that one of its sides cannot say; else None.

    One that is refused with the change stays where it was; one that was refused at the base was
    nowhere for sure, and comes from no other cluster.
    """
    if before is None or after is None:
        return None
    if is_refused(after):
        return before
    return after if is_refused(before) else None


def judgeable(entry: Entry) -> Entry:
    """An entry that nothing but the missing cluster keeps from being rendered."""
    if entry.target is not None:
        return entry
    kept = tuple(c for c in entry.conditions if c.type != _UNMAPPED)
    return replace(entry, conditions=kept)
