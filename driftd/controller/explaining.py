"""Live objects that explain what controllers write to others, as watches see them.

An autoscaler that appears, changes or goes may turn a replica count from drift into its work, or
back. So each change of such an object tells which objects it concerns, or has concerned before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from driftd.cluster.reader import ApiResource, Discovery
from driftd.controller.facts import explained, explaining_kinds
from driftd.model.resource import GVK, LiveObject, Manifest, ResourceKey


class Explaining:
    """The objects of one explaining kind on one cluster."""

    def __init__(self, gvk: GVK) -> None:
        self._gvk = gvk
        self._known: dict[ResourceKey, tuple[bytes, frozenset[ResourceKey]]] = {}
        """The digest of each object, and what it explains writes to."""
        self._names: dict[str, set[str]] = defaultdict(set)
        """The applications that want to know of each namespace."""

    @property
    def namespaces(self) -> frozenset[str]:
        """Where objects of the kind are of interest."""
        return frozenset(self._names)

    def want(self, name: str, namespaces: Collection[str]) -> None:
        """Let an application be concerned by objects in these namespaces, and no others."""
        for namespace in self._names.keys() | set(namespaces):
            names = self._names[namespace]
            if namespace in namespaces:
                names.add(name)
            else:
                names.discard(name)
            if not names:
                del self._names[namespace]
        left = set(self._names)
        self._known = {key: one for key, one in self._known.items() if key.namespace in left}

    def seen(self, live: LiveObject, digest: bytes) -> frozenset[ResourceKey]:
        """Take an object; what it concerns, now or before, if it is not as it was known."""
        before, whom = self._known.get(live.key, (b"", frozenset()))
        if before == digest:
            return frozenset()
        now = explained(self._gvk, live.body)
        self._known[live.key] = (digest, now)
        return now | whom

    def gone(self, key: ResourceKey) -> frozenset[ResourceKey]:
        """An object is there no more; what it has concerned."""
        _, whom = self._known.pop(key, (b"", frozenset()))
        return whom

    def missing(self, there: Collection[ResourceKey], namespace: str) -> list[ResourceKey]:
        """What is known in a namespace (empty: in all) and is not `there`."""
        return [key for key in self._known if namespace in ("", key.namespace) and key not in there]


def explaining_places(
    discovery: Discovery, manifests: Iterable[Manifest]
) -> Mapping[ApiResource, set[str]]:
    """The explaining kinds that concern some manifests, with the namespaces of these."""
    spaces: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in manifests:
        spaces[one.key.group, one.key.kind].add(one.key.namespace)
    found: dict[ApiResource, set[str]] = defaultdict(set)
    for kind, namespaces in spaces.items():
        for resource in explaining_kinds(discovery, {kind}):
            found[resource] |= namespaces
    return found
