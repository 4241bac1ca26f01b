"""Which cluster a destination means: every step of the order, and what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.destinations import (
    ClusterMapping,
    ClusterTarget,
    TargetKind,
    normalise_server,
    resolve,
)
from driftd.cluster.kubeconfig import KubeContext
from driftd.errors import ConfigError
from driftd.model.application import Destination

PROD = KubeContext("prod", "prod", "https://prod.example.com:6443")
STAGE = KubeContext("stage", "stage", "https://stage.example.com")
OWN = "https://kubernetes.default.svc"


def hub_cluster(name: str, server: str) -> HubCluster:
    """A cluster Secret."""
    return HubCluster(name, server, ClusterAccess(name=name, server=server), f"argocd/{name}")


def mapped(
    *, server: str = "", name: str = "", overrides: dict[str, str] | None = None, **more: Any
) -> ClusterMapping:
    """Resolve a destination among two contexts."""
    more.setdefault("contexts", (PROD, STAGE))
    destination = Destination(server=server, name=name)
    return resolve(destination, overrides=overrides or {}, **more)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("https://Prod.Example.com:443/", "https://prod.example.com"),
        ("HTTPS://prod.example.com", "https://prod.example.com"),
        ("https://prod.example.com:6443", "https://prod.example.com:6443"),
        ("http://prod.example.com:80", "http://prod.example.com"),
        ("https://proxy/k8s/Clusters/c-1/", "https://proxy/k8s/Clusters/c-1"),
        ("https://[FD00::1]:6443", "https://[fd00::1]:6443"),
        ("https://host:port", "https://host:port"),
        ("name", "name"),
    ],
)
def test_server_addresses_in_one_spelling(server: str, expected: str) -> None:
    """Case of scheme and host, default port and last slash do not matter; the path does."""
    assert normalise_server(server) == expected


def test_override_comes_first() -> None:
    """`--cluster` beats the cluster Secret and the kubeconfig, by server or by name."""
    hub = (hub_cluster("prod", PROD.server),)
    by_server = mapped(server=PROD.server, overrides={f"{PROD.server}/": "stage"}, hub_clusters=hub)
    assert by_server.target.name == "stage"
    assert by_server.note == f"{PROD.server} is context stage (--cluster)"
    assert mapped(name="prod", overrides={"prod": "stage"}).target.name == "stage"
    assert mapped(server=OWN, overrides={"in-cluster": "prod"}).target.name == "prod"
    assert mapped(name="in-cluster", overrides={OWN: "prod"}).target.name == "prod"


def test_override_to_a_context_that_does_not_exist() -> None:
    """A wrong `--cluster` is an error with the available contexts."""
    with pytest.raises(ConfigError, match="there is no context 'dev'") as caught:
        mapped(server=PROD.server, overrides={PROD.server: "dev"})
    assert caught.value.hint == "available contexts: prod, stage"
    assert caught.value.reason == "UnknownCluster"


def test_cluster_secret_comes_before_the_kubeconfig() -> None:
    """A hub's Secret gives the cluster for its server or its name."""
    hub = (hub_cluster("production", "https://PROD.example.com:6443/"),)
    expected = ClusterTarget(TargetKind.HUB_CLUSTER, "production", "https://PROD.example.com:6443/")
    assert mapped(server=PROD.server, hub_clusters=hub).target == expected
    assert mapped(name="production", hub_clusters=hub).target == expected
    assert "hub's cluster production" in mapped(name="production", hub_clusters=hub).note


def test_cluster_name_that_two_secrets_have() -> None:
    """One name for two servers is an error that names both Secrets."""
    hub = (hub_cluster("a", "https://one"), hub_cluster("a", "https://two"))
    with pytest.raises(ConfigError, match="cluster Secrets argocd/a, argocd/a"):
        mapped(name="a", hub_clusters=hub)


def test_kubeconfig_cluster_with_that_server() -> None:
    """A server is the context that leads to it; among several the current one."""
    assert mapped(server="https://prod.example.com:6443/").target == ClusterTarget(
        TargetKind.CONTEXT, "prod", PROD.server
    )
    other = KubeContext("prod-admin", "prod", PROD.server)
    contexts = (PROD, other)
    first = mapped(server=PROD.server, contexts=contexts)
    assert first.target.name == "prod"
    assert "one of 2 contexts" in first.note
    current = mapped(server=PROD.server, contexts=contexts, current_context="prod-admin")
    assert current.target.name == "prod-admin"


def test_context_named_like_the_destination() -> None:
    """A destination name is the context of that name."""
    mapping = mapped(name="stage")
    assert mapping.target.name == "stage"
    assert mapping.note == "stage is the context of that name"


def test_own_cluster_inside_a_pod() -> None:
    """Inside a Pod the in-cluster address is the own cluster, by its server and its name."""
    expected = ClusterTarget(TargetKind.IN_CLUSTER, "in-cluster")
    assert mapped(server=f"{OWN}:443/", in_cluster=True).target == expected
    assert mapped(name="in-cluster", in_cluster=True).target == expected


def test_own_cluster_of_a_hub() -> None:
    """Outside, the in-cluster address of a hub's Applications is the hub itself."""
    hub = (hub_cluster("in-cluster", OWN),)
    mapping = mapped(server=OWN, hub_context="stage", hub_clusters=hub)
    assert mapping.target == ClusterTarget(TargetKind.CONTEXT, "stage", STAGE.server)
    assert mapping.note == f"{OWN} is the hub, context stage"


def test_own_cluster_outside_with_one_context() -> None:
    """With one context in the kubeconfig it is taken, and the note says so."""
    mapping = mapped(server=OWN, contexts=(PROD,))
    assert mapping.target.name == "prod"
    assert "the only context" in mapping.note


def test_own_cluster_outside_with_several_contexts() -> None:
    """With several contexts it has to be said, and the hint shows how."""
    with pytest.raises(ConfigError) as caught:
        mapped(server=OWN)
    assert f"--cluster {OWN}=CONTEXT" in caught.value.hint
    assert "prod, stage" in caught.value.hint


@pytest.mark.parametrize("destination", [{"server": "https://nowhere"}, {"name": "nowhere"}])
def test_unknown_cluster(destination: dict[str, str]) -> None:
    """A cluster that nothing leads to is an error with the flag that helps."""
    with pytest.raises(ConfigError, match="no cluster is known") as caught:
        mapped(**destination)
    assert "nowhere=CONTEXT" in caught.value.hint


@pytest.mark.parametrize("destination", [{"server": "https://nowhere"}, {"name": "nowhere"}])
def test_unknown_cluster_of_an_unfit_kubeconfig(destination: dict[str, str]) -> None:
    """Where no destination has a context, another kubeconfig is named before the flag."""
    with pytest.raises(ConfigError, match="no cluster is known") as caught:
        mapped(**destination, unfit=True)
    hint = caught.value.hint
    assert hint.startswith("choose another kubeconfig with --kubeconfig FILE, or, if it is the ")
    assert "nowhere=CONTEXT; available contexts: prod, stage" in hint
    with pytest.raises(ConfigError) as caught:
        mapped(**destination, unfit=True, contexts=())
    assert "choose another" not in caught.value.hint


def test_the_own_cluster_may_be_any_context() -> None:
    """Argo CD's own cluster does not make a kubeconfig doubtful: which one it is has to be said."""
    with pytest.raises(ConfigError) as caught:
        mapped(server=OWN, unfit=True)
    assert caught.value.hint.startswith(f"say which one with --cluster {OWN}=CONTEXT")


def test_without_any_context() -> None:
    """An empty kubeconfig is said to be one."""
    with pytest.raises(ConfigError) as caught:
        mapped(name="x", contexts=())
    assert "the kubeconfig has no contexts" in caught.value.hint


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ({"server": "https://a", "name": "a"}, "both server"),
        ({}, "neither server nor name"),
    ],
)
def test_contradictory_destination(destination: dict[str, str], message: str) -> None:
    """Both or none of server and name is refused, as Argo CD refuses it."""
    with pytest.raises(ConfigError, match=message) as caught:
        mapped(**destination)
    assert caught.value.reason == "InvalidDestination"


def test_own_context_is_the_own_cluster_alone() -> None:
    """`--context` stands for the own cluster, even inside a Pod; a pair for it comes first."""
    found = mapped(server=OWN, own_context="stage", in_cluster=True)
    assert found.target.name == "stage"
    assert found.note == f"{OWN} is context stage (--context)"
    assert mapped(server=OWN, own_context="stage", overrides={OWN: "prod"}).target.name == "prod"
    assert mapped(name="prod", own_context="stage").target.name == "prod"
    with pytest.raises(ConfigError, match="--context nonesuch: there is no context 'nonesuch'"):
        mapped(server=OWN, own_context="nonesuch")
