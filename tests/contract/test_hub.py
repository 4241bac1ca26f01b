"""A hub on a real API server: live Applications, projects, and clusters opened by their Secret."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.hub import read_hub
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.registry import ClusterRegistry
from tests.testbed.argocd import ARGO, serve_argo_kinds
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def argo_kinds(api_server: ControlPlane) -> None:
    """Argo CD's kinds, served from now on."""
    serve_argo_kinds(api_server)


def cluster_secret(api_server: ControlPlane) -> dict[str, Any]:
    """A cluster Secret with the read-only account of the same server."""
    authority = base64.b64encode(api_server.ca_file.read_bytes()).decode()
    config = {
        "bearerToken": api_server.token("detector"),
        "tlsClientConfig": {"caData": authority},
    }
    return {
        "metadata": {
            "name": "cluster-prod",
            "labels": {"argocd.argoproj.io/secret-type": "cluster"},
        },
        "stringData": {"name": "prod", "server": api_server.server, "config": json.dumps(config)},
    }


@pytest.mark.usefixtures("argo_kinds")
async def test_hub_and_the_cluster_it_knows(api_server: ControlPlane, namespace: str) -> None:
    """Applications, projects, settings and clusters of a hub; the cluster opens and answers."""
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop"},
        "spec": {
            "project": "p",
            "source": {"repoURL": "https://git.example.com/x.git", "path": "shop"},
            "destination": {"name": "prod", "namespace": "shop"},
        },
        "status": {"sync": {"status": "Synced", "revision": "abc"}},
    }
    project = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "p"},
        "spec": {"sourceRepos": ["*"]},
    }
    config = {
        "metadata": {"name": "argocd-cm"},
        "data": {"application.resourceTrackingMethod": "label"},
    }
    core = f"/api/v1/namespaces/{namespace}"
    api_server.call("POST", f"{ARGO}/namespaces/{namespace}/applications", application)
    api_server.call("POST", f"{ARGO}/namespaces/{namespace}/appprojects", project)
    api_server.call("POST", f"{core}/configmaps", config)
    api_server.call("POST", f"{core}/secrets", cluster_secret(api_server))
    unrelated = {"metadata": {"name": "unrelated"}, "stringData": {"server": "https://x"}}
    api_server.call("POST", f"{core}/secrets", unrelated)

    path = str(api_server.kubeconfig("control"))
    async with ClusterRegistry(lambda: load_kubeconfig(path)) as clusters:
        reader = clusters.open(ClusterTarget(TargetKind.CONTEXT, api_server.name))
        hub = await read_hub(reader, api_server.name, namespace=namespace)
        assert hub.conditions == ()
        (app,) = [app for app in hub.applications if app.namespace == namespace]
        assert app.synced_revisions == ("abc",)
        assert app.tracking == "label"
        assert app.origin == f"hub {api_server.name}"
        assert [project.name for project in hub.projects] == ["p"]
        assert [cluster.name for cluster in hub.clusters] == ["prod"]
        await clusters.use_hub_clusters(hub.clusters)
        prod = clusters.open(ClusterTarget(TargetKind.HUB_CLUSTER, "prod", api_server.server))
        assert (await prod.discover()).preferred("apps", "Deployment") is not None


@pytest.mark.usefixtures("argo_kinds")
async def test_shipped_role_sees_no_cluster_secrets(
    api_server: ControlPlane, namespace: str
) -> None:
    """Without the right to read Secrets that part alone is a condition, with the remedy."""
    path = str(api_server.kubeconfig("detector"))
    async with ClusterRegistry(lambda: load_kubeconfig(path)) as clusters:
        reader = clusters.open(ClusterTarget(TargetKind.CONTEXT, api_server.name))
        hub = await read_hub(reader, api_server.name, namespace=namespace)
    messages = [condition.message for condition in hub.conditions]
    (about_secrets,) = [message for message in messages if "cluster Secrets" in message]
    assert "grant the user" in about_secrets
    assert not any("Applications" in message for message in messages)
