"""What `argocd-cm` says about all applications: ignored differences, excluded kinds. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from driftd.model.application import ArgoStruct, IgnoreDifference, KnownTypeField
from driftd.model.condition import Condition
from driftd.policy.project import glob_match


class ResourceFilter(ArgoStruct, frozen=True, kw_only=True):
    """One entry of `resource.exclusions` or `resource.inclusions`; an empty list means any."""

    api_groups: tuple[str, ...] = ()
    """Globs."""
    kinds: tuple[str, ...] = ()
    """Names, or `*`."""
    clusters: tuple[str, ...] = ()
    """Globs of server URLs."""

    def covers_cluster(self, server: str) -> bool:
        """Whether the filter speaks of a cluster."""
        return not self.clusters or any(glob_match(one, server) for one in self.clusters)

    def matches(self, group: str, kind: str, server: str) -> bool:
        """Whether the filter speaks of a kind on a cluster."""
        groups = not self.api_groups or any(glob_match(one, group) for one in self.api_groups)
        kinds = not self.kinds or kind in self.kinds or "*" in self.kinds
        return groups and kinds and self.covers_cluster(server)


_NEVER_MANAGED = (
    ResourceFilter(api_groups=("events.k8s.io", "metrics.k8s.io")),
    ResourceFilter(api_groups=("",), kinds=("Event",)),
    ResourceFilter(api_groups=("coordination.k8s.io",), kinds=("Lease",)),
)
"""What Argo CD leaves out whatever its settings say."""


class CompareOptions(ArgoStruct, frozen=True, kw_only=True):
    """`resource.compareoptions`, as far as it decides what is compared."""

    ignore_aggregated_roles: bool = False
    """Whether the rules of ClusterRoles with an aggregation rule are ignored."""
    ignore_resource_status_field: Literal["", "all", "crd", "none", "off", "false"] = ""


class NamedIgnore(msgspec.Struct, frozen=True):
    """Differences that every application ignores, with the key that says so."""

    name: str
    target: IgnoreDifference


class Customizations(msgspec.Struct, frozen=True, kw_only=True):
    """The part of `argocd-cm` that decides what is compared."""

    ignore: tuple[NamedIgnore, ...] = ()
    known_types: tuple[KnownTypeField, ...] = ()
    """Fields of custom resources that are quantities, durations or types of Kubernetes."""
    exclusions: tuple[ResourceFilter, ...] = ()
    inclusions: tuple[ResourceFilter, ...] = ()
    active: bool = False
    """Whether a hub was read; without one Argo CD's own exclusions are not assumed."""
    build_options: dict[str, str] = {}
    """`kustomize.buildOptions`, by the version that they are for; under `` for all others."""
    conditions: tuple[Condition, ...] = ()

    def excludes(self, group: str, kind: str, server: str) -> bool:
        """Whether Argo CD leaves a kind alone on a cluster; an exclusion beats an inclusion."""
        if not self.active:
            return False
        if any(one.matches(group, kind, server) for one in (*_NEVER_MANAGED, *self.exclusions)):
            return True
        speaking = [one for one in self.inclusions if one.covers_cluster(server)]
        return bool(speaking) and not any(one.matches(group, kind, server) for one in speaking)
