"""The Flux objects of a cluster, read live."""

from __future__ import annotations

from driftd.cluster.fluxobjects import read_flux
from driftd.cluster.hub import read_hub
from driftd.cluster.reader import ApiResource
from driftd.errors import Forbidden, Unreachable
from tests.unit.controller.cluster import MemoryCluster

READ = ("get", "list")
KUSTOMIZATIONS = ApiResource(
    "kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations", True, READ
)
RELEASES = ApiResource("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases", True, READ)
APPLICATIONS = ApiResource("argoproj.io", "v1alpha1", "Application", "applications", True, READ)


def cluster(*resources: ApiResource) -> MemoryCluster:
    """A cluster that serves further kinds, with a Kustomization `apps`."""
    found = MemoryCluster()
    found.resources += resources
    found.put(
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "flux-system"},
            "spec": {"path": "./apps"},
        }
    )
    return found


async def test_served_kinds_are_read() -> None:
    """Every object comes with its body; where Argo CD is, that is told."""
    found = await read_flux(cluster(KUSTOMIZATIONS), "home")
    (one,) = found.objects
    assert (str(one), one.origin) == ("Kustomization flux-system/apps", "hub home")
    assert one.body["spec"] == {"path": "./apps"}
    assert not found.beside_argo_cd
    assert (await read_flux(cluster(KUSTOMIZATIONS, APPLICATIONS), "home")).beside_argo_cd


async def test_cluster_without_flux_or_answer_has_none() -> None:
    """No Flux is no error, and a cluster that is down says so elsewhere."""
    assert (await read_flux(cluster(), "home")).objects == ()
    down = cluster(KUSTOMIZATIONS)
    down.down = Unreachable("no route")
    found = await read_flux(down, "home")
    assert (found.objects, found.conditions) == ((), ())


async def test_kind_that_may_not_be_read_is_told() -> None:
    """One kind that is refused leaves the others."""
    refused = cluster(KUSTOMIZATIONS, RELEASES)
    refused.refused["HelmRelease", ""] = Forbidden("no right")
    found = await read_flux(refused, "home")
    assert len(found.objects) == 1
    assert [c.message for c in found.conditions] == [
        "the hub's helmreleases are not known: no right"
    ]


class Labelled(MemoryCluster):
    """A cluster that is asked with label selectors too, which select nothing in it."""

    async def list(self, resource, namespaces=None, select=None, *, label_selector=""):
        """See `ClusterReader`."""
        if label_selector:
            return await super().list(resource, ["nowhere"], select)
        return await super().list(resource, namespaces, select)


async def test_hub_of_flux_alone_misses_no_argo_cd() -> None:
    """Where Flux is and Argo CD is not, that nothing of Argo CD can be read is no problem."""
    home = Labelled()
    home.resources.append(KUSTOMIZATIONS)
    home.put(
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "flux-system"},
        }
    )
    hub = await read_hub(home, "home")
    assert (len(hub.flux), hub.applications, hub.conditions) == (1, (), ())
    home.resources.remove(KUSTOMIZATIONS)
    assert (await read_hub(home, "home")).conditions != ()
