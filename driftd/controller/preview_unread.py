"""The clusters that a preview goes without, each cause told once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from driftd.controller.preview_pairs import Pair
from driftd.model.condition import Condition, Severity

_NAMED: Final = 5


def unmapped(pairs: Iterable[Pair]) -> str:
    """Why no context is known for a cluster, with the flags that name one."""
    conditions = (c for pair in pairs for c in pair.entry.conditions)
    known = (c.message for c in conditions if c.type == "ClusterConfigurationError")
    return next(known, "no context of the kubeconfig is it; --cluster names one")


def unread_clusters(reasons: Mapping[str, Sequence[str]]) -> Iterator[Condition]:
    """A warning for each cause, by which `reasons` has the names of clusters.

    A cause may end with a remedy, which is told last.
    """
    for why, names in reasons.items():
        reason, _, remedy = why.partition("; ")
        listed = ", ".join(sorted(names)[:_NAMED])
        if len(names) > _NAMED:
            listed += f" and {len(names) - _NAMED} more"
        some, their = (f"cluster {listed} is", "its") if len(names) == 1 else (
            f"clusters {listed} are", "their"
        )  # fmt: skip
        text = (
            f"{some} not read ({reason}): rendered without {their} APIs, compared without {their} "
            f"schemas and {their} live objects{'; ' if remedy else ''}{remedy}"
        )
        yield Condition("ClusterNotReadWarning", text, Severity.WARNING)
