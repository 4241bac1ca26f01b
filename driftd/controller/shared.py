"""Objects that several applications declare: told by each of them, healed by none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from driftd.cluster.destinations import ClusterTarget, normalise_server
from driftd.model.condition import Condition, Severity
from driftd.model.resource import ResourceKey

if TYPE_CHECKING:
    from driftd.controller.desired import Desired

SHARED = "SharedResourceWarning"
"""The condition's type, as Argo CD has it."""
_NAMED = 5
"""Objects that one condition names."""


class Claims:
    """Which applications declare which objects of each cluster, as each was rendered last."""

    def __init__(self) -> None:
        self._owners: dict[str, dict[ResourceKey, tuple[str, ...]]] = {}
        """Qualified names of applications, in order, by cluster and object."""
        self._files: dict[str, dict[ResourceKey, str]] = {}
        """Where each application declares its objects."""
        self._clusters: dict[str, str] = {}
        self._fresh: set[str] = set()
        self._told: dict[str, tuple[Condition, ...]] = {}
        self._touched: set[str] = set()

    def declare(self, target: ClusterTarget, desired: Desired) -> None:
        """Take what an application declares now in place of what it declared before.

        What could not be rendered completely may still declare all that it did.
        """
        name, cluster = desired.entry.application.qualified_name, _place(target)
        files = {one.key: one.origin.file for one in desired.manifests}
        before = self._files.get(name, {}) if self._clusters.get(name) == cluster else {}
        if not desired.complete:
            files = {**before, **files}
        if files.keys() != before.keys():
            self._forget(name)
            alone = (name,)
            owners = self._owners.setdefault(cluster, {})
            for key in files:
                others = owners.get(key, ())
                owners[key] = tuple(sorted({*others, name})) if others else alone
                self._touched.update(others)
        elif files != before:
            for key in files:
                self._touched.update(self._owners[cluster][key])
        if files != before:
            self._files[name] = files
        self._clusters[name] = cluster
        self._fresh.add(name)

    def outdated(self, names: Collection[str] | None) -> None:
        """Git has been read anew: these applications are all there are; None if some are unread."""
        self._fresh.clear()
        for gone in () if names is None else self._files.keys() - set(names):
            self._forget(gone)
            self._told.pop(gone, None)

    def is_fresh(self, name: str) -> bool:
        """Whether an application was rendered since Git was read last."""
        return name in self._fresh

    def others(self, name: str) -> Mapping[ResourceKey, str]:
        """For each object that others declare too, the words for them."""
        owners = self._owners.get(self._clusters.get(name, ""), {})
        return {
            key: _listed(self._told_of(one, key) for one in owners[key] if one != name)
            for key in self._files.get(name, ())
            if len(owners[key]) > 1
        }

    def conditions(self, name: str) -> tuple[Condition, ...]:
        """What an application is told: one condition for all that it shares with the same others.

        Each names all the applications, and up to five of the objects with their files.
        """
        owners = self._owners.get(self._clusters.get(name, ""), {})
        groups: dict[tuple[str, ...], list[ResourceKey]] = {}
        for key in sorted(key for key in self._files.get(name, ()) if len(owners[key]) > 1):
            groups.setdefault(owners[key], []).append(key)
        told = tuple(self._condition(names, keys) for names, keys in sorted(groups.items()))
        self._told[name] = told
        self._touched.discard(name)
        return told

    def changed(self) -> list[str]:
        """Applications whose conditions are others by now than they were told; each once."""
        touched, self._touched = sorted(self._touched & self._told.keys()), set()
        return [name for name in touched if self._told[name] != self.conditions(name)]

    def _condition(self, names: tuple[str, ...], keys: list[ResourceKey]) -> Condition:
        objects = "; ".join(
            f"{key} ({_listed(self._files[one][key] or one for one in names)})"
            for key in keys[:_NAMED]
        )
        more = f"; and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
        what = "object" if len(keys) == 1 else f"{len(keys)} objects"
        return Condition(
            SHARED,
            f"the applications {_listed(names)} declare the same {what}, which driftd heals for "
            f"none of them: {objects}{more}",
            Severity.WARNING,
        )

    def _told_of(self, name: str, key: ResourceKey) -> str:
        file = self._files[name][key]
        return f"{name} ({file})" if file else name

    def _forget(self, name: str) -> None:
        owners = self._owners.get(self._clusters.pop(name, ""), {})
        for key in self._files.pop(name, {}):
            rest = tuple(one for one in owners[key] if one != name)
            self._touched.update(rest)
            if rest:
                owners[key] = rest
            else:
                del owners[key]
        self._fresh.discard(name)


def same_cluster(one: ClusterTarget, other: ClusterTarget) -> bool:
    """Whether two targets lead to one cluster."""
    return _place(one) == _place(other)


def _place(target: ClusterTarget) -> str:
    """The cluster itself: contexts with the same server are several ways into one."""
    return normalise_server(target.server) if target.server else f"{target.kind} {target.name}"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
