"""One open cluster for each target."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.kubeconfig import Kubeconfig, load_kubeconfig
from driftd.cluster.registry import ClusterRegistry
from driftd.errors import ConfigError, Unauthorized


@pytest.fixture
def kubeconfig(server, tmp_path: Path) -> Path:
    """A kubeconfig with two contexts of the scripted server."""
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("a", "b")
        ],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


def context(name: str) -> ClusterTarget:
    """The target of a context."""
    return ClusterTarget(TargetKind.CONTEXT, name)


async def test_each_target_is_opened_once(server, kubeconfig, replies) -> None:
    """The same target is the same cluster for concurrent users, another one is another."""
    server.on("/version", replies.answer({"gitVersion": "v1.36.3"}))
    async with ClusterRegistry(lambda: load_kubeconfig(str(kubeconfig))) as clusters:
        first, second = clusters.open(context("a")), clusters.open(context("a"))
        assert first is second
        assert clusters.open(context("b")) is not first
        versions = await asyncio.gather(first.version(), clusters.open(context("b")).version())
        assert versions == ["v1.36.3", "v1.36.3"]
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer t"}


async def test_wrong_description_fails_at_its_own_target(kubeconfig) -> None:
    """A context that does not exist is an error when it is opened; others open."""
    async with ClusterRegistry(lambda: load_kubeconfig(str(kubeconfig))) as clusters:
        with pytest.raises(ConfigError, match="context 'x' does not exist"):
            clusters.open(context("x"))
        assert clusters.open(context("a")).name == "a"


async def test_hub_cluster_is_opened_with_its_secret(server, replies) -> None:
    """A target from a hub uses the credential of its cluster Secret."""
    server.on("/version", replies.answer({"gitVersion": "v1.36.3"}))
    hub_cluster = HubCluster("prod", server.url, server.access, "argocd/prod")
    target = ClusterTarget(TargetKind.HUB_CLUSTER, "prod", server.url)
    async with ClusterRegistry(Kubeconfig) as clusters:
        with pytest.raises(ConfigError, match="the hub has no cluster prod"):
            clusters.open(target)
        await clusters.use_hub_clusters([hub_cluster])
        assert await clusters.open(target).version() == "v1.36.3"
    assert server.requests[0].headers["Authorization"] == "Bearer t0ken"


async def test_own_cluster_outside_a_pod() -> None:
    """The own cluster cannot be opened outside a Pod, and the hint says what to do."""
    async with ClusterRegistry(Kubeconfig) as clusters:
        with pytest.raises(ConfigError, match="does not run inside a Pod") as caught:
            clusters.open(ClusterTarget(TargetKind.IN_CLUSTER, "in-cluster"))
    assert "--cluster" in caught.value.hint


async def test_hub_clusters_are_replaced(server, replies) -> None:
    """A rotated token is used at once; without its Secret a cluster is asked no more, until again.

    What is told tells credentials from clusters.
    """
    server.on("/version", replies.answer({"gitVersion": "v1.36.3"}))
    known = HubCluster("prod", server.url, server.access, "argocd/prod")
    target = ClusterTarget(TargetKind.HUB_CLUSTER, "prod", server.url)

    def sent() -> str:
        return str(server.requests[-1].headers["Authorization"])

    async with ClusterRegistry(Kubeconfig, breakers=True) as clusters:
        assert await clusters.use_hub_clusters([known]) == (frozenset(), True)
        cluster = clusters.open(target)
        await cluster.version()
        access = msgspec.structs.replace(server.access, user={"token": "new"})
        rotated = msgspec.structs.replace(known, access=access)
        assert await clusters.use_hub_clusters([rotated]) == ({target}, False)
        await cluster.version()
        assert sent() == "Bearer new"
        narrow = msgspec.structs.replace(rotated, namespaces=("a",))
        assert await clusters.use_hub_clusters([narrow]) == ({target}, True)
        assert cluster.scope is not None
        assert await clusters.use_hub_clusters([narrow]) == (frozenset(), False)
        assert await clusters.use_hub_clusters([]) == (frozenset(), True)
        with pytest.raises(Unauthorized, match="the hub has no cluster prod any more"):
            await cluster.version()
        with pytest.raises(ConfigError, match="the hub has no cluster prod"):
            clusters.open(target)
        asked = len(server.requests)
        await clusters.use_hub_clusters([known])
        assert clusters.open(target) is cluster
        await cluster.version()
        assert (sent(), len(server.requests)) == ("Bearer t0ken", asked + 1)
