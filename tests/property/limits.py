"""What the comparison is known not to see or to see otherwise: names and when they hold.

Written before a run is counted; each is told in `docs/reference/limits.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from driftd.diff import defaults
from tests.property.trial import CLEAN, FOUND, INVERSE, MANAGER, PATHS, Trial
from tests.property.truth import related, value_at

DERIVED = {
    "serviceAccount",
    "allocateLoadBalancerNodePorts",
    "externalTrafficPolicy",
    "sessionAffinityConfig",
    "hostPort",
    "nodePort",
    "healthCheckNodePort",
    "emptyDir",
}
"""Fields whose value the server takes from a sibling, or allocates because of it."""
SETS = {"finalizers", "tags"}


def _only_server_values_removed(trial: Trial, what: str) -> bool:
    """A value that only the server or admission had made is gone: nothing local remembers it."""
    return what == FOUND and all(
        leaf.before and not leaf.after and not _declared(trial.desired, leaf.pointer)
        for leaf in trial.truth
    )


def _default_written(trial: Trial, what: str) -> bool:
    """Somebody writes the value that the server fills in itself in that type elsewhere."""
    return what == FOUND and all(
        not leaf.before and _is_some_default(leaf.pointer, value_at(trial.after, leaf.pointer))
        for leaf in trial.truth
    )


def _derived_sibling(trial: Trial, what: str) -> bool:
    """A field that only follows the one that was changed is not told a second time."""
    paths = [change.path for change in trial.found]
    untold = [
        leaf.pointer
        for leaf in trial.truth
        if not any(related(leaf.pointer, path) for path in paths)
    ]
    names = {pointer.rpartition("/")[2] for pointer in untold}
    made = {p.rpartition("/")[2] for p in untold if _was_written(trial, p)}
    return what == PATHS and bool(untold) and names <= DERIVED and made <= {"serviceAccount"}


def _allocated_unowned(trial: Trial, what: str) -> bool:
    """A list item without its key makes the server give up ownership; the field is allocated."""
    names = {name for fields in defaults.ALLOCATED.values() for name in fields}
    return (
        what == FOUND
        and not trial.traced
        and all(leaf.pointer.rpartition("/")[2] in names for leaf in trial.truth)
    )


def _allocated_set_back(trial: Trial, what: str) -> bool:
    """What the cluster had allocated is now somebody's, and nothing local knows the old value."""
    names = {name for fields in defaults.ALLOCATED.values() for name in fields}
    return what == INVERSE and all(c.path.rpartition("/")[2] in names for c in trial.found)


def _left_by_a_release(trial: Trial, what: str) -> bool:
    """What the server had made for a former release stays when that is gone: a true difference."""
    return (
        what == CLEAN
        and trial.history == "released"
        and trial.fresh is not None
        and all(
            value_at(trial.fresh, c.path) != value_at(trial.before, c.path) for c in trial.found
        )
    )


def _set_reordered(trial: Trial, what: str) -> bool:
    """The order of a set means nothing, and a second time the same neither."""
    place = trial.truth[0].pointer if trial.truth else ""
    if place.rpartition("/")[2].isdigit():
        place = place.rpartition("/")[0]
    values = value_at(trial.before, place), value_at(trial.after, place)
    return (
        what == FOUND
        and place.rpartition("/")[2] in SETS
        and all(related(leaf.pointer, place) for leaf in trial.truth)
        and len({frozenset(value or ()) for value in values}) == 1
    )


def _tolerations_admitted_again(trial: Trial, what: str) -> bool:
    """Admission gives a Pod its two tolerations back, in another order."""
    places = {leaf.pointer for leaf in trial.truth}
    return what == FOUND and trial.desired["kind"] == "Pod" and places == {"/spec/tolerations"}


def _was_written(trial: Trial, pointer: str) -> bool:
    return trial.mutation is not None and any(
        related(operation["path"], pointer) for operation in trial.mutation.operations
    )


def _declared(document: Any, pointer: str) -> bool:
    return value_at(document, pointer) is not None


def _is_some_default(pointer: str, value: Any) -> bool:
    name, text = pointer.rpartition("/")[2], defaults.canonical(value)
    return any(text in fields.get(name, ()) for fields in defaults.table().values()) or any(
        field == name and rule(value, {}, {}) for (_, field), rule in defaults.CONDITIONAL.items()
    )


def _author_at_another_version(trial: Trial, what: str) -> bool:
    """Who wrote through another version owns that version's fields, which are none of Git's."""
    return what == MANAGER and trial.way == "other version"


Predicate = Callable[[Trial, str], bool]
LIMITS: dict[str, Predicate] = {
    "a server-made value was removed": _only_server_values_removed,
    "a default was written": _default_written,
    "a derived sibling is not told": _derived_sibling,
    "an allocated field without owner": _allocated_unowned,
    "an allocated value was set back": _allocated_set_back,
    "a set was reordered": _set_reordered,
    "left by a former release": _left_by_a_release,
    "tolerations admitted again": _tolerations_admitted_again,
    "an author at another version": _author_at_another_version,
}
"""The second argument is the complaint (`CLEAN`, `FOUND`, `PATHS`, `MANAGER`, `INVERSE`)."""


def known(trial: Trial, what: str) -> str | None:
    """The limit that a complaint falls under; None if there is none."""
    return next((name for name, holds in LIMITS.items() if holds(trial, what)), None)
