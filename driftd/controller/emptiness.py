"""Clusters that hold next to nothing of what Git declares: probably the wrong ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import UNSET

from driftd.aio import gather_isolated
from driftd.cluster.access import IN_CLUSTER_NAME
from driftd.cluster.destinations import (
    IN_CLUSTER_SERVER,
    ClusterTarget,
    TargetKind,
    normalise_server,
)
from driftd.cluster.kubeconfig import KubeContext
from driftd.cluster.reader import ApiResource, Discovery, Listing, ObjectMeta
from driftd.controller.declared import Entry
from driftd.controller.observed import ClusterView
from driftd.errors import ClusterError
from driftd.model.application import Destination
from driftd.model.choices import listed
from driftd.model.condition import Condition, Severity
from driftd.model.report import ApplicationReport, ResourceStatus
from driftd.model.resource import Manifest

LOOKS_EMPTY = "ClusterLooksEmpty"
MINIMUM = 3
"""Fewer missing objects are no sign of a wrong cluster: somebody may have deleted them."""
SHARE = 0.9
"""Of the objects that could be looked for, how many are missing at least."""
_UNSEEN = (ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED)
_FLAGS = 3


@dataclass(frozen=True, slots=True)
class Presence:
    """How many of the objects that Git declares for one cluster are there."""

    missing: int
    looked_for: int
    """Those of which it could be seen whether they are there."""
    declared: int

    @property
    def looks_empty(self) -> bool:
        """Whether nearly everything is missing, and that is most of what is declared."""
        return (
            self.missing >= MINIMUM
            and self.missing >= SHARE * self.looked_for
            and self.missing * 2 >= self.declared
        )

    @property
    def unseen(self) -> int:
        """Those of which it could not be seen whether they are there."""
        return self.declared - self.looked_for

    @property
    def words(self) -> str:
        """`11 of 12 objects that Git declares are missing`, and how many were not looked for."""
        rest = f" ({self.unseen} could not be looked for)" if self.unseen else ""
        return f"{self.missing} of {self.declared} objects that Git declares{rest} are missing"


def empty_clusters(
    found: Iterable[tuple[Entry, ApplicationReport]],
    contexts: Sequence[KubeContext],
    cluster_map: Mapping[str, str],
) -> list[Condition]:
    """A warning for each cluster on which nearly all objects of all its applications are Missing.

    Objects whose absence a baseline accepts count neither way. `contexts` and `cluster_map`
    (`--cluster`) are for the words.
    """
    by_target: dict[ClusterTarget, list[tuple[Entry, ApplicationReport]]] = defaultdict(list)
    for entry, report in found:
        if entry.target is not None:
            by_target[entry.target].append((entry, report))
    conditions = []
    for target, members in by_target.items():
        presence = _of_reports(report for _, report in members)
        if presence.looks_empty and not any(_knows(report) for _, report in members):
            entries = [entry for entry, _ in members]
            text = f"{presence.words} from {place_of(target, contexts)}"
            hint = remedy(target, entries, contexts, cluster_map)
            conditions.append(Condition(LOOKS_EMPTY, f"{text}; {hint}", Severity.WARNING))
    return conditions


def _knows(report: ApplicationReport) -> bool:
    """Whether a cluster holds objects that Git dropped: with the mark of the application on them.

    That is the cluster that it goes to, where everything has another name or kind now.
    """
    return any(resource.status is ResourceStatus.EXTRA for resource in report.resources)


def _of_reports(reports: Iterable[ApplicationReport]) -> Presence:
    counts: Counter[ResourceStatus] = Counter(
        resource.status
        for report in reports
        for resource in report.resources
        if resource.status is not ResourceStatus.EXTRA and resource.ignored_by is UNSET
    )
    declared = counts.total()
    unseen = sum(counts[status] for status in _UNSEEN)
    return Presence(counts[ResourceStatus.MISSING], declared - unseen, declared)


async def presence_of(
    view: ClusterView, discovery: Discovery, manifests: Iterable[Manifest], *, limit: int
) -> Presence:
    """Look for declared objects without comparing them, with at most `limit` lists at a time."""
    declared = 0
    wanted: dict[ApiResource, set[tuple[str, str]]] = defaultdict(set)
    for manifest in manifests:
        declared += 1
        kind = discovery.served(manifest.key.group, manifest.version, manifest.key.kind)
        if kind is not None and kind.listable:
            wanted[kind].add((manifest.key.namespace, manifest.key.name))

    async def read(kind: ApiResource) -> Listing:
        keys = wanted[kind]

        def select(meta: ObjectMeta) -> bool:
            return (meta.namespace, meta.name) in keys

        namespaces = {namespace for namespace, _ in keys} - {""}
        return await view.reader.list(kind, namespaces or None, select)

    missing = looked_for = 0
    listings = await gather_isolated(read, wanted, limit=limit, isolate=ClusterError)
    for keys, listing in zip(wanted.values(), listings, strict=True):
        if isinstance(listing, Exception):
            continue
        there = {(one.key.namespace, one.key.name) for one in listing.objects}
        seen = {key for key in keys if key in there or listing.covers(key[0])}
        looked_for += len(seen)
        missing += len(seen - there)
    return Presence(missing, looked_for, declared)


def place_of(target: ClusterTarget, contexts: Iterable[KubeContext]) -> str:
    """A cluster in words: its name, and how it was come to."""
    if target.kind is TargetKind.IN_CLUSTER:
        return "the cluster that driftd runs in"
    server = f", server {target.server}" if target.server else ""
    if target.kind is TargetKind.HUB_CLUSTER:
        return f"cluster {target.name} (a cluster Secret of the hub{server})"
    names = (one.cluster for one in contexts if one.name == target.name)
    return f"cluster {next(names, target.name)} (context {target.name}{server})"


def remedy(
    target: ClusterTarget,
    entries: Iterable[Entry],
    contexts: Iterable[KubeContext],
    cluster_map: Mapping[str, str],
) -> str:
    """The question, and the flags by which another cluster is named."""
    flags = list(
        dict.fromkeys(
            flag
            for entry in entries
            for flag in _flags(entry.application.spec.destination, cluster_map)
        )
    )
    rest = f" and {len(flags) - _FLAGS} more" if len(flags) > _FLAGS else ""
    others = [one.name for one in contexts if one.name != target.name]
    where = (
        f"available contexts: {listed(others)}"
        if others
        else "in a kubeconfig that has it, --kubeconfig: this one has no other context"
    )
    named = f"{', '.join(flags[:_FLAGS])}{rest}"
    return f"is it the right cluster? If not, name the right one with {named} ({where})"


def _flags(destination: Destination, cluster_map: Mapping[str, str]) -> Iterator[str]:
    """The flag that says which cluster a destination is."""
    if not _is_own(destination.server or destination.name):
        yield f"--cluster {destination.server or destination.name}=CONTEXT"
    elif any(map(_is_own, cluster_map)):
        # It was said by --cluster, which comes before --context.
        yield f"--cluster {IN_CLUSTER_SERVER}=CONTEXT"
    else:
        yield "--context CONTEXT"


def _is_own(wanted: str) -> bool:
    return wanted == IN_CLUSTER_NAME or normalise_server(wanted) == IN_CLUSTER_SERVER
