"""Live objects with the tracking mark of an application that nothing declares. Pure.

Who deletes an application without its objects leaves them. Git alone cannot tell them from those
of another repository: they are told of a whole cluster in one line, and change no verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from driftd.controller.leftovers import Claimants, Marked, owner_kinds
from driftd.controller.tracking import Tracked
from driftd.model.choices import listed
from driftd.model.condition import Condition, Severity
from driftd.model.counts import counted
from driftd.model.report import OrphanedResource
from driftd.model.resource import ResourceKey

ORPHANED: Final = "OrphanedResourceWarning"
"""The condition's type, as Argo CD has it."""
LISTED: Final = 1000
"""Objects of a cluster that a report lists; the condition counts all."""


def orphans_among(
    found: Iterable[Marked],
    claimants: Claimants,
    declared: Collection[ResourceKey],
    tracked: Mapping[str, Sequence[Tracked]],
) -> tuple[Marked, ...]:
    """Those that no application owns by any mark and none declares, each once, in order.

    What another Argo CD says to have written is that one's, where the declared objects tell
    which one this is: `tracked` are the live objects by owner.
    """
    if claimants.marks is None:
        return ()
    every = tuple(found)
    looked_for = owner_kinds(application for application, _ in claimants.declared)
    owned = {one.uid for one in every if one.owner in claimants.marks}
    known = {key for _, keys in claimants.declared for key in keys}.union(declared)
    homes = {
        mark.installation
        for marks in tracked.values()
        for mark in marks
        if mark.live.key in declared
    }
    chosen: dict[str, Marked] = {}
    for one in every:
        if "" not in looked_for and one.owner.partition("/")[0] not in looked_for:
            continue  # kinds that are listed anyway show such marks, the others do not
        foreign = homes and one.installation and one.installation not in homes
        if one.uid not in owned and one.key not in known and not foreign:
            # The same object may be served by two groups: the first that has it counts.
            chosen.setdefault(one.uid, one)
    return tuple(sorted(chosen.values(), key=_order))


def _order(one: Marked) -> tuple[str, str, str, str]:
    return one.owner, one.resource.kind, one.namespace, one.name


def orphan_conditions(
    clusters: Mapping[str, Sequence[Marked]], *, hub: str = ""
) -> tuple[Condition, ...]:
    """One condition for each cluster that has such objects.

    `hub` is the name of the hub whose live Applications are all there are; else it is Git that
    declares them, and another repository may declare more.
    """
    return tuple(
        Condition(ORPHANED, _told(cluster, found, hub), Severity.WARNING if hub else Severity.INFO)
        for cluster, found in sorted(clusters.items())
        if found
    )


def _told(cluster: str, found: Sequence[Marked], hub: str) -> str:
    owners = Counter(one.owner for one in found)
    names = listed(f"{name} ({number})" for name, number in owners.most_common())
    carry = "carries" if len(found) == 1 else "carry"
    whose = "an application" if len(owners) == 1 else "applications"
    text = f"{counted(len(found), 'object')} on {cluster} {carry} the mark of {whose} that "
    if hub:
        return (
            f"{text}hub {hub} does not have: {names}; delete them, or declare them in Git "
            "(-o wide lists them)"
        )
    return (
        f"{text}Git does not declare: {names}; deleted applications leave such objects, or "
        "another repository declares them (-o wide lists them, --hub CONTEXT knows all live "
        "Applications)"
    )


def orphaned_resources(clusters: Mapping[str, Sequence[Marked]]) -> tuple[OrphanedResource, ...]:
    """The objects as a report lists them, so many of each cluster."""
    return tuple(
        OrphanedResource(
            cluster=cluster,
            application=one.owner,
            group=one.resource.group,
            version=one.resource.version,
            kind=one.resource.kind,
            namespace=one.namespace,
            name=one.name,
        )
        for cluster, found in sorted(clusters.items())
        for one in found[:LISTED]
    )
