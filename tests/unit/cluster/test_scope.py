"""Clusters that their Secret opens in part: what is read of them, and what is told of the rest."""

from __future__ import annotations

from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.kube import KubeCluster
from driftd.cluster.reader import ApiResource
from driftd.cluster.scope import scope_of
from driftd.cluster.transport import Transport

NODES = ApiResource("", "v1", "Node", "nodes", False, ("get", "list"))


def opened(server, *namespaces: str, cluster_resources: bool = False) -> KubeCluster:
    """The scripted server as a cluster whose Secret names namespaces."""
    cluster = KubeCluster(Transport(server.access))
    cluster.scope = scope_of(
        HubCluster("prod", server.url, server.access, "argocd/prod", namespaces, cluster_resources)
    )
    return cluster


async def test_other_namespaces_are_not_asked_for(server, replies, config_maps) -> None:
    """The opened namespace is listed, of the other one it is told why nothing is known."""
    server.on("/api/v1/namespaces/a/configmaps", replies.page(["x"], namespace="a"))
    async with opened(server, "a") as cluster:
        found = await cluster.list(config_maps, ["a", "b"])
    assert [one.key.name for one in found.objects] == ["x"]
    assert (found.covers("a"), found.covers("b")) == (True, False)
    assert "opens the namespaces a alone" in str(found.errors["b"])
    assert [request.path for request in server.requests] == ["/api/v1/namespaces/a/configmaps"]


async def test_everything_means_what_is_opened(server, replies, config_maps) -> None:
    """A list and a scan of all namespaces are lists of the opened ones; others stay unknown."""
    for space in ("a", "b"):
        server.on(f"/api/v1/namespaces/{space}/configmaps", replies.page([space], namespace=space))
    async with opened(server, "a", "b") as cluster:
        found = await cluster.list(config_maps)
        scan = await cluster.scan(config_maps, lambda _resource, meta: meta.name)
    assert sorted(one.key.name for one in found.objects) == ["a", "b"]
    assert not found.covers("c")
    assert (scan.noted, scan.error) == (("a", "b"), None)


async def test_cluster_scoped_kinds_need_their_own_word(server, replies) -> None:
    """Kinds without namespace are read with clusterResources alone."""
    server.on("/api/v1/nodes", replies.page(["n"], namespace=""))
    async with opened(server, "a") as cluster:
        refused = await cluster.list(NODES)
        nothing = await cluster.scan(NODES, lambda _resource, meta: meta.name)
    assert 'clusterResources: "true"' in refused.errors[""].message
    assert (nothing.noted, server.requests) == ((), [])
    async with opened(server, "a", cluster_resources=True) as cluster:
        found = await cluster.list(NODES)
    assert [one.key.name for one in found.objects] == ["n"]


def test_a_whole_cluster_has_no_scope(server) -> None:
    """A Secret without namespaces opens everything."""
    assert scope_of(HubCluster("prod", server.url, server.access, "argocd/prod")) is None
