"""The ClusterReader contract, against a real API server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.hub import read_hub
from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.reader import ApiResource, ClusterReader, Discovery
from driftd.cluster.transport import Transport, TransportOptions
from driftd.cluster.writer import KubeWriter
from driftd.controller.observed import view_cluster
from driftd.errors import ClusterError, Forbidden, NotServed, Unauthorized, Unreachable
from driftd.model.resource import ResourceKey
from tests.testbed.cluster import ControlPlane
from tests.testbed.processes import reserve_port

pytestmark = pytest.mark.cluster

CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", True, ("get", "list"))
WIDGETS = ApiResource("example.com", "v1", "Widget", "widgets", True, ("get", "list"))


def cluster_of(api_server: ControlPlane, user: str, **more: int) -> KubeCluster:
    """The cluster as `user` sees it, through a kubeconfig."""
    access = load_kubeconfig(str(api_server.kubeconfig(user))).access()
    return KubeCluster(Transport(access), **more)


@pytest.fixture
async def reader(api_server: ControlPlane) -> AsyncIterator[KubeCluster]:
    """The API server as the shipped read-only role sees it."""
    async with cluster_of(api_server, "detector") as cluster:
        yield cluster


def create_config_maps(api_server: ControlPlane, namespace: str, count: int) -> None:
    """Create ConfigMaps `item-0` … in a namespace."""
    for number in range(count):
        metadata = {"name": f"item-{number}", "labels": {"parity": str(number % 2)}}
        body = {"metadata": metadata, "data": {"number": str(number)}}
        api_server.call("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)


async def discovered(reader: ClusterReader) -> Discovery:
    """Its discovery, through the Protocol."""
    return await reader.discover()


async def test_discovery_names_every_built_in_kind(reader: KubeCluster) -> None:
    """Aggregated discovery of a real server gives kinds, scopes, verbs and Helm's versions."""
    found = await discovered(reader)
    deployment = found.served("apps", "v1", "Deployment")
    assert deployment is not None
    assert deployment.plural == "deployments"
    assert deployment.listable
    assert found.scope("rbac.authorization.k8s.io", "ClusterRole") is False
    assert found.scope("", "ConfigMap") is True
    assert found.scope("example.com", "Nonesuch") is None
    assert {"v1", "apps/v1", "apps/v1/Deployment", "v1/ConfigMap"} <= set(found.api_versions())
    assert found.failed_groups == {}


async def test_unaggregated_discovery_finds_the_same(
    reader: KubeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for the old documents, the same server gives the same resources."""
    aggregated = await reader.discover()
    monkeypatch.setattr("driftd.cluster.discovery.ACCEPT_ANY", "application/json")
    single = await reader.discover()
    assert sorted(single.resources) == sorted(aggregated.resources)
    assert {key: found.version for key, found in single.by_group_kind.items()} == {
        key: found.version for key, found in aggregated.by_group_kind.items()
    }


async def test_an_api_service_without_server_fails_alone(
    api_server: ControlPlane, reader: KubeCluster
) -> None:
    """A registered API group that nobody serves is named as failed; the others are there."""
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    spec = {
        "group": "broken.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "nobody", "namespace": "default"},
    }
    api_server.call("POST", path, {"metadata": {"name": "v1.broken.example.com"}, "spec": spec})
    try:
        api_server.wait_for(
            "/apis", lambda body: "broken.example.com" in [g["name"] for g in body["groups"]]
        )
        found = await reader.discover()
    finally:
        api_server.call("DELETE", f"{path}/v1.broken.example.com")
    assert list(found.failed_groups) == ["broken.example.com/v1"]
    assert found.failure("broken.example.com").startswith("broken.example.com/v1: ")
    assert found.preferred("apps", "Deployment") is not None


async def test_list_pages_through_everything(api_server: ControlPlane, namespace: str) -> None:
    """Pages of two objects put together are the whole list, each object once."""
    create_config_maps(api_server, namespace, 7)
    async with cluster_of(api_server, "detector", page_limit=2) as cluster:
        listing = await cluster.list(CONFIG_MAPS, [namespace])
        everywhere = await cluster.list(CONFIG_MAPS)
    names = [live.key.name for live in listing.objects if live.key.name.startswith("item-")]
    assert sorted(names) == [f"item-{number}" for number in range(7)]
    assert listing.complete
    assert everywhere.complete
    assert everywhere.resource_version
    assert {live.key for live in listing.objects} <= {live.key for live in everywhere.objects}


async def test_listed_and_single_object_are_the_same_document(
    api_server: ControlPlane, reader: KubeCluster, namespace: str
) -> None:
    """A listed object has apiVersion and kind, as the same object read alone has."""
    create_config_maps(api_server, namespace, 1)
    listing = await reader.list(CONFIG_MAPS, [namespace], lambda meta: meta.name == "item-0")
    (listed,) = listing.objects
    single = await reader.get(CONFIG_MAPS, namespace, "item-0")
    assert single is not None
    assert json.loads(listed.body) == json.loads(single.body)
    assert listed.key == ResourceKey("", "ConfigMap", namespace, "item-0")
    assert (listed.uid, listed.resource_version) == (single.uid, single.resource_version)
    document = json.loads(listed.body)
    assert document["metadata"]["managedFields"]
    assert document["metadata"]["uid"] == listed.uid


async def test_selection_sees_labels(
    api_server: ControlPlane, reader: KubeCluster, namespace: str
) -> None:
    """Only objects whose metadata is selected are kept; a label selector does the same."""
    create_config_maps(api_server, namespace, 4)
    mine = await reader.list(
        CONFIG_MAPS, [namespace], lambda meta: meta.labels.get("parity") == "1"
    )
    theirs = await reader.list(CONFIG_MAPS, [namespace], label_selector="parity=1")
    assert sorted(live.key.name for live in mine.objects) == ["item-1", "item-3"]
    assert mine.objects == theirs.objects


async def test_get_tells_a_missing_object_from_a_missing_kind(
    api_server: ControlPlane, namespace: str
) -> None:
    """Only an object that the server knows to be absent is None; an unserved kind is an error."""
    unserved = ApiResource("apps", "v1", "Widget", "widgets", True, ("list",))
    async with cluster_of(api_server, "admin") as cluster:
        assert await cluster.get(CONFIG_MAPS, namespace, "nonesuch") is None
        assert await cluster.get(CONFIG_MAPS, "nonesuch", "nonesuch") is None
        with pytest.raises(NotServed, match=r"widgets\.example\.com"):
            await cluster.get(WIDGETS, namespace, "nonesuch")
        with pytest.raises(NotServed, match="could not find the requested resource"):
            await cluster.get(unserved, namespace, "nonesuch")


async def test_list_of_an_unserved_kind_is_not_an_empty_list(api_server: ControlPlane) -> None:
    """Listing a kind that is not served gives an incomplete listing with NotServed."""
    async with cluster_of(api_server, "admin") as cluster:
        listing = await cluster.list(WIDGETS)
    assert isinstance(listing.errors[""], NotServed)
    assert not listing.complete
    assert not listing.covers("default")


async def test_forbidden_everywhere_but_allowed_in_some_namespaces(
    api_server: ControlPlane, namespace: str
) -> None:
    """Who may list single namespaces only gets these; the refused one is unknown, not empty."""
    allowed = [namespace, *(api_server.create_namespace(f"{namespace}-{n}") for n in range(4))]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    for place in allowed:
        create_config_maps(api_server, place, 1)
        binding = {
            "metadata": {"name": "nobody-views"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:aggregate-to-view",
            },
            "subjects": [
                {"kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io"}
            ],
        }
        api_server.call("POST", f"{rbac}/namespaces/{place}/rolebindings", binding)
    async with cluster_of(api_server, "nobody") as cluster:
        listing = await cluster.list(
            CONFIG_MAPS, [*allowed, "kube-system"], lambda meta: meta.name == "item-0"
        )
        everywhere = await cluster.list(CONFIG_MAPS)
    assert sorted(live.key.namespace for live in listing.objects) == sorted(allowed)
    assert list(listing.errors) == ["kube-system"]
    assert isinstance(listing.errors["kube-system"], Forbidden)
    assert "list configmaps in namespace kube-system" in listing.errors["kube-system"].message
    assert not listing.complete
    assert listing.covers(namespace)
    assert not listing.covers("kube-system")
    assert isinstance(everywhere.errors[""], Forbidden)


async def test_unknown_token_is_unauthorized(api_server: ControlPlane) -> None:
    """A token that the server does not know: the error names cluster, server and remedy."""
    async with cluster_of(api_server, "stranger") as cluster:
        with pytest.raises(Unauthorized) as caught:
            await cluster.discover()
    message = caught.value.message
    assert api_server.server in message
    assert "put a new one there" in message
    assert "kubeconfig-stranger" in message
    assert api_server.token("stranger") not in message


async def test_server_that_is_down_is_unreachable(api_server: ControlPlane) -> None:
    """A refused connection makes a listing incomplete with an error that names the server."""
    port, holder = reserve_port()
    with holder:
        access = ClusterAccess(name="down", server=f"https://127.0.0.1:{port}")
        async with KubeCluster(Transport(access)) as cluster:
            listing = await cluster.list(CONFIG_MAPS)
    assert isinstance(listing.errors[""], Unreachable)
    assert f"cluster down (https://127.0.0.1:{port})" in str(listing.errors[""])
    assert not listing.complete


async def test_untrusted_certificate_is_unreachable(api_server: ControlPlane) -> None:
    """Without the cluster's authority the certificate is refused, and the hint says so."""
    access = ClusterAccess(name="wrong-ca", server=api_server.server, origin="kubeconfig (k)")
    async with KubeCluster(Transport(access)) as cluster:
        with pytest.raises(Unreachable, match="certificate is not trusted") as caught:
            await cluster.version()
    assert "certificate-authority in kubeconfig (k)" in caught.value.hint


async def test_schema_document_and_its_hash(reader: KubeCluster) -> None:
    """The OpenAPI document of a version comes with the server's hash; a known one is not sent."""
    document = await reader.openapi("apps/v1")
    assert document.body is not None
    assert "io.k8s.api.apps.v1.Deployment" in json.loads(document.body)["components"]["schemas"]
    assert len(document.schema_hash) == 128
    again = await reader.openapi("apps/v1", known_hash=document.schema_hash)
    assert again.body is None
    core = await reader.openapi("v1")
    assert core.body is not None
    with pytest.raises(NotServed):
        await reader.openapi("example.com/v1")


async def test_version(reader: KubeCluster) -> None:
    """The version is the server's own."""
    assert (await reader.version()).startswith("v")


async def test_reads_are_only_reads(api_server: ControlPlane, namespace: str) -> None:
    """The audit log of a whole look shows GET requests by driftd, and nothing else."""
    mark = api_server.audit_mark()
    async with cluster_of(api_server, "detector") as cluster:
        found = await cluster.discover()
        for resource in found.resources:
            if resource.listable:
                await cluster.list(resource)
        await cluster.get(CONFIG_MAPS, namespace, "nonesuch")
        await cluster.openapi("v1")
    verbs = {
        event["verb"]
        for event in api_server.audit_events(mark)
        if event.get("userAgent", "").startswith("driftd/")
    }
    assert verbs == {"get", "list"}


async def test_apply_dry_run_and_conflict(api_server: ControlPlane, namespace: str) -> None:
    """Server-side apply creates, a dry run leaves no trace, a foreign owner is a conflict."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}}

    async with cluster_of(api_server, "admin") as cluster:
        writer = KubeWriter(cluster.transport)

        async def apply(
            value: str, *, manager: str = "driftd", force: bool = True, dry_run: bool = False
        ) -> str:
            live = await writer.apply(
                CONFIG_MAPS,
                namespace,
                "applied",
                json.dumps({**body, "data": {"key": value}}).encode(),
                field_manager=manager,
                force=force,
                dry_run=dry_run,
            )
            return str(json.loads(live.body)["data"]["key"])

        assert await apply("tried", dry_run=True) == "tried"
        assert await cluster.get(CONFIG_MAPS, namespace, "applied") is None
        assert await apply("one") == "one"
        with pytest.raises(ClusterError) as caught:
            await apply("two", manager="other", force=False)
        assert caught.value.reason == "Conflict"
        live = await cluster.get(CONFIG_MAPS, namespace, "applied")
    assert live is not None
    document = json.loads(live.body)
    assert document["data"] == {"key": "one"}
    (entry,) = document["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("driftd", "Apply")


async def test_apply_without_the_right_is_forbidden(
    api_server: ControlPlane, namespace: str
) -> None:
    """The shipped read-only role cannot write, even through a writer."""
    async with cluster_of(api_server, "detector") as cluster:
        with pytest.raises(Forbidden, match="cannot apply configmaps"):
            await KubeWriter(cluster.transport).apply(
                CONFIG_MAPS,
                namespace,
                "applied",
                b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied"}}',
                field_manager="driftd",
                force=True,
                dry_run=False,
            )


async def test_credential_plugin(api_server: ControlPlane, tmp_path: Path) -> None:
    """A kubeconfig user with an exec plugin gets in with the token that it prints."""
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": api_server.token("detector")},
    }
    plugin = tmp_path / "plugin.sh"
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
    plugin.chmod(0o700)
    document = json.loads(api_server.kubeconfig("detector").read_text())
    document["users"][0]["user"] = {
        "exec": {"command": "./plugin.sh", "apiVersion": "client.authentication.k8s.io/v1"}
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(document))
    access = load_kubeconfig(str(kubeconfig)).access()
    async with KubeCluster(Transport(access, options=TransportOptions(timeout=10))) as cluster:
        assert (await cluster.discover()).preferred("apps", "Deployment") is not None


async def test_hub_that_may_not_be_read(api_server: ControlPlane) -> None:
    """A hub on which everything is refused: each part is a condition, nothing is raised."""
    async with cluster_of(api_server, "nobody") as cluster:
        hub = await read_hub(cluster, "bare")
    assert hub.applications == ()
    messages = [condition.message for condition in hub.conditions]
    objects = ("Applications", "AppProjects", "repository and cluster Secrets")
    maps = ("argocd-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm")
    assert len(messages) == len(objects) + len(maps)
    for part in (*objects, *maps):
        assert any(part in message for message in messages), part


async def test_the_version_stands_in_a_schema_too(
    reader: KubeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `/version` may not be asked for, a short schema document has the same minor."""
    release = await reader.version()

    async def refused(_self: KubeCluster) -> str:
        raise Forbidden("bare: cannot read the server's version: user detector may not")

    monkeypatch.setattr(KubeCluster, "version", refused)
    view = await view_cluster(reader)
    assert re.fullmatch(r"v\d+\.\d+\.\d+", view.version)
    assert view.version.split(".")[:2] == release.split(".")[:2]
    assert (view.problem, view.conditions) == (None, ())
