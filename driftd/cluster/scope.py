"""The part of a cluster that its cluster Secret opens: some namespaces, as Argo CD sees it."""

from __future__ import annotations

import msgspec

from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.discovery import display_name
from driftd.cluster.reader import ApiResource
from driftd.errors import Forbidden


class Scope(msgspec.Struct, frozen=True):
    """What may be read where a cluster Secret names namespaces (Argo CD's namespaced mode)."""

    label: str
    """The cluster as every message names it."""
    origin: str
    """The cluster Secret."""
    namespaces: frozenset[str]
    cluster_resources: bool = False
    """Whether kinds without namespace may be read too."""

    def opens(self, resource: ApiResource, namespace: str) -> bool:
        """Whether a kind may be read in a namespace, or everywhere (empty)."""
        return namespace in self.namespaces if resource.namespaced else self.cluster_resources

    def refusal(self, resource: ApiResource, namespace: str) -> Forbidden | None:
        """Why a kind is not read in a namespace, or everywhere (empty); None where it is."""
        if self.opens(resource, namespace):
            return None
        opened = ", ".join(sorted(self.namespaces))
        place = f" in namespace {namespace}" if namespace else ""
        field = "namespaces" if resource.namespaced else 'clusterResources: "true"'
        return Forbidden(
            f"{self.label}: cannot read {display_name(resource)}{place}: {self.origin} opens "
            f"the namespaces {opened} alone",
            hint=f"extend {field} there, as Argo CD needs it too",
        )


def scope_of(cluster: HubCluster) -> Scope | None:
    """What a cluster Secret opens; None where it is the whole cluster."""
    if not cluster.namespaces:
        return None
    return Scope(
        label=cluster.access.label,
        origin=cluster.access.origin,
        namespaces=frozenset(cluster.namespaces),
        cluster_resources=cluster.cluster_resources,
    )
