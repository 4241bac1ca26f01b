"""Applications that Argo CD refuses as a side of a preview declares them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from driftd.controller.declared import Entry
from driftd.model.condition import Condition, Severity

NOWHERE: Final = "no destination"
"""Instead of a cluster's name, where an application names none."""
_INVALID: Final = "InvalidSpecError"
_UNUSABLE: Final = "ComparisonError"
_HELD: Final = (
    "nothing is compared with it, and all that is merged is told as new, or as what the cluster "
    "has otherwise"
)
_UNMAPPED: Final = "ClusterConfigurationError"


def is_refused(entry: Entry | None) -> bool:
    """Whether Argo CD refuses an Application by its spec: what is deployed of it stays as it is."""
    return (
        entry is not None
        and entry.application.flux is None
        and any(c.type == _INVALID and c.severity is Severity.ERROR for c in entry.conditions)
    )


def mended(before: Entry | None, after: Entry | None) -> tuple[Condition, ...]:
    """Why an application cannot be used at the base, where the change mends that; else nothing.

    What the base declares of it was never deployed, so it is no measure of what merging changes.
    """
    if before is None or after is None or not _is_unusable(before) or _is_unusable(after):
        return ()
    wrong = _UNUSABLE if before.application.flux else _INVALID
    return tuple(
        Condition(one.type, f"at the base: {one.message}", Severity.WARNING)
        for one in before.conditions
        if one.type == wrong and one.severity is Severity.ERROR
    )


def mended_reason(pair_changes: Sequence[str], entry: Entry) -> str:
    """What is said of an application that the change mends; `pair_changes` are fields of it."""
    flux = entry.application.flux
    if flux is not None:
        return f"the {flux.kind} of the base cannot be used: {_HELD}"
    lead = f"the Application itself changes: {', '.join(pair_changes)}; " if pair_changes else ""
    return f"{lead}Argo CD refuses the spec of the base: {_HELD}"


def _is_unusable(entry: Entry) -> bool:
    """Whether who deploys an application cannot by its own document."""
    if entry.application.flux is None:
        return is_refused(entry)
    return entry.application.spec.source is None and any(
        c.type == _UNUSABLE and c.severity is Severity.ERROR for c in entry.conditions
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
