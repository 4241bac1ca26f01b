"""Which places in an object are guarded or critical, and which are only worth a look.

The rules are data: `config/severity.yaml`, read by `driftd.model.severities`. What is asked here
is asked of the shipped rules, whatever an operator's own say: they decide what is told how
loudly, never what ownership excuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET

from driftd.model.severities import shipped

CONTAINER_LISTS: Final = frozenset({"containers", "initContainers", "ephemeralContainers"})
RESTART_STAMP: Final = "kubectl.kubernetes.io/restartedAt"
CONTROL: Final = frozenset(
    {"driftd.io/heal", "driftd.io/ignore", "driftd.io/protect", "driftd.io/prune"}
)
"""Annotations that say what driftd may do with an object. Only Git's word counts: whoever writes
one on the live object hides nothing by it, and it is drift itself."""


def is_critical(kind: str, path: Sequence[str]) -> bool:
    """Whether ownership never excuses an addition at `path` (names, list steps as `*`)."""
    return shipped().guards(kind, tuple(path))


def critical_reason(kind: str, path: Sequence[str], value: Any = UNSET) -> str:
    """What a change at `path` to `value` can give away, in short words; empty where it is not
    critical.
    """
    return shipped().critical_reason(kind, tuple(path), value) if path else ""


def holds_critical(kind: str, path: Sequence[str], value: Any) -> bool:
    """Whether a value at `path` has a guarded place inside: an added struct or list with one."""
    return shipped().guards_inside(kind, tuple(path), value)


def whole_object_reason(status: str, group: str, kind: str) -> str:
    """Why nobody may accept that an object is `Missing` or `Extra`, in short words; empty if one
    may.

    Extra: what runs, hands out rights, identities or credentials, takes part in requests, or
    filters traffic. Missing: safeguards, whose absence lets something through.
    """
    return shipped().object_reason(status, group, kind)


def is_review(path: Sequence[str]) -> bool:
    """Whether an addition by somebody else here is worth a look rather than an alarm.

    Finalizers, owner references, labels and annotations of the object itself, restart stamps;
    annotations that are meant to control driftd are an alarm.
    """
    if path[0] == "metadata":
        return not (len(path) == 3 and path[1] == "annotations" and path[2] in CONTROL)
    return path[-1] == RESTART_STAMP


def gives_power(kind: str, path: Sequence[str], value: Any) -> bool:
    """Whether a value at a place is critical: by the place, or by what it holds."""
    return is_critical(kind, path) or holds_critical(kind, path, value)
