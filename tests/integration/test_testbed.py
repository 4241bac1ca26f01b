"""The test bed itself: real clusters that serve, run workloads, refuse and keep an audit log."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from driftd.diff.extras import is_custom
from tests.testbed import binaries
from tests.testbed.cluster import ControlPlane, KubectlFailed
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig
from tests.testbed.processes import Child, StartFailed

pytestmark = pytest.mark.cluster

APPS = "/apis/apps/v1"
PATH = {"PATH": os.environ["PATH"]}


def deployment(name: str, replicas: int = 2) -> dict[str, Any]:
    """A small Deployment."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec()},
        },
    }


def pod_spec(**more: Any) -> dict[str, Any]:
    """A pod with one container."""
    return {"containers": [{"name": "main", "image": "registry.example.com/app:1.0"}], **more}


def test_api_server_serves_the_pinned_release(api_server: ControlPlane) -> None:
    """The bare API server answers as Kubernetes 1.36.3, and kubectl is of the same release."""
    assert api_server.call("GET", "/version")["gitVersion"] == "v1.36.3"
    versions = json.loads(api_server.kubectl("version", "--output=json").stdout)
    assert versions["clientVersion"]["gitVersion"] == versions["serverVersion"]["gitVersion"]


def test_kubectl_leaves_its_field_manager(api_server: ControlPlane, namespace: str) -> None:
    """A server-side apply by kubectl is recorded under kubectl's own field manager."""
    manifest = json.dumps(deployment("web"))
    api_server.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=manifest)
    live = api_server.call("GET", f"{APPS}/namespaces/{namespace}/deployments/web")
    entry = live["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"]) == ("kubectl", "Apply")


def test_defaulting_and_admission_are_on(api_server: ControlPlane, namespace: str) -> None:
    """A bare pod gets the service account, token volume and tolerations of a real cluster."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    pod = api_server.call("POST", pods, {"metadata": {"name": "p"}, "spec": pod_spec()})
    assert pod["spec"]["serviceAccountName"] == "default"
    assert pod["spec"]["volumes"][0]["name"].startswith("kube-api-access-")
    assert {t["key"] for t in pod["spec"]["tolerations"]} >= {"node.kubernetes.io/not-ready"}


def test_detector_reads_workloads(api_server: ControlPlane, namespace: str) -> None:
    """The shipped ClusterRole lets its service account list, get and watch deployments."""
    path = f"{APPS}/namespaces/{namespace}/deployments"
    api_server.call("POST", path, deployment("web"))
    listed = api_server.call("GET", path, user="detector")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["web"]
    assert api_server.request("GET", f"{path}/web", user="detector")[0] == 200
    watch = f"{path}?watch=1&timeoutSeconds=1&resourceVersion=0"
    assert api_server.request("GET", watch, user="detector")[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/namespaces/driftd/secrets/any"),
        ("GET", "/api/v1/namespaces/driftd/pods/any/log"),
        ("GET", "/api/v1/nodes/any/proxy/metrics"),
        ("GET", "/api/v1/namespaces/driftd/services/any/proxy/"),
        ("GET", "/metrics"),
        ("POST", "/apis/apps/v1/namespaces/driftd/deployments"),
        ("POST", "/apis/apps/v1/namespaces/driftd/deployments?dryRun=All"),
        ("DELETE", "/api/v1/namespaces/driftd/configmaps/any"),
        ("DELETE", "/apis/apps/v1/namespaces/driftd/deployments"),
        ("PATCH", "/apis/apps/v1/namespaces/driftd/deployments/any/scale"),
        ("POST", "/api/v1/namespaces/driftd/serviceaccounts/default/token"),
    ],
)
def test_detector_is_refused(api_server: ControlPlane, method: str, path: str) -> None:
    """The read-only role gives neither Secrets nor a way into workloads nor any write."""
    body = deployment("forbidden") if method == "POST" else {} if method == "PATCH" else None
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    status, answer = api_server.request(method, path, body, user="detector", content_type=kind)
    assert status == 403, answer


def test_detector_reads_every_builtin_resource_but_secrets(api_server: ControlPlane) -> None:
    """Of all listable resources that the server offers, Secrets alone are refused."""
    refused, allowed = [], 0
    for group in _group_versions(api_server):
        for resource in api_server.call("GET", group, user="detector")["resources"]:
            if "list" not in resource["verbs"]:
                continue
            path = f"{group}/{resource['name']}?limit=1"
            status, _ = api_server.request("GET", path, user="detector")
            if status == 403:
                refused.append(resource["name"])
            else:
                allowed += 1
    assert refused == ["secrets"]
    assert allowed > 50


def _group_versions(cluster: ControlPlane) -> list[str]:
    groups = cluster.call("GET", "/apis", user="detector")["groups"]
    # Custom resources that other tests have defined on this server are nobody's built-in ones.
    built_in = [group for group in groups if not is_custom(group["name"])]
    named = [f"/apis/{v['groupVersion']}" for group in built_in for v in group["versions"]]
    return ["/api/v1", *named]


def test_users_have_their_own_rights(api_server: ControlPlane, namespace: str) -> None:
    """Alice may edit workloads, not RBAC; nobody may nothing; a stranger is not let in."""
    deployments = f"{APPS}/namespaces/{namespace}/deployments"
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles"
    role = {"metadata": {"name": "r"}, "rules": []}
    assert api_server.request("POST", deployments, deployment("a"), user="alice")[0] == 201
    assert api_server.request("POST", roles, role, user="alice")[0] == 403
    assert api_server.request("POST", roles, role, user="control")[0] == 201
    assert api_server.request("GET", deployments, user="nobody")[0] == 403
    assert api_server.request("GET", deployments, user="stranger")[0] == 401
    with pytest.raises(KubectlFailed, match="Forbidden"):
        api_server.kubectl("delete", "deployment", "a", "-n", namespace, user="detector")


def test_audit_log_names_user_and_verb(api_server: ControlPlane, namespace: str) -> None:
    """A control write by admin is in the audit log, and the detector's read as a read."""
    mark = api_server.audit_mark()
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    api_server.call("POST", maps, {"metadata": {"name": "control"}, "data": {"a": "b"}})
    api_server.call("GET", maps, user="detector")
    seen = {
        (event["user"]["username"], event["verb"])
        for event in api_server.audit_events(mark)
        if event["objectRef"].get("namespace") == namespace
    }
    assert seen == {
        ("admin", "create"),
        ("system:serviceaccount:driftd:driftd-detect", "list"),
    }


def test_kubeconfig_names_its_context_after_the_cluster(api_server: ControlPlane) -> None:
    """A user's kubeconfig has one context with the cluster's name, and it works alone."""
    contexts = api_server.kubectl("config", "get-contexts", "-o", "name", user="detector")
    assert contexts.stdout.split() == ["bare"]


@pytest.mark.full
def test_deployment_becomes_ready(full_cluster: ControlPlane) -> None:
    """Controllers, scheduler and the simulated node bring a Deployment's pods up."""
    full_cluster.kubectl("create", "namespace", "workloads-deployment")
    path = f"{APPS}/namespaces/workloads-deployment/deployments"
    full_cluster.call("POST", path, deployment("web", replicas=3))
    live = full_cluster.wait_for(f"{path}/web", lambda d: d["status"].get("readyReplicas") == 3)
    managers = {entry["manager"] for entry in live["metadata"]["managedFields"]}
    assert "kube-controller-manager" in managers
    assert live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"


@pytest.mark.full
def test_job_completes(full_cluster: ControlPlane) -> None:
    """A Job's pod runs on the simulated node and the Job becomes Complete."""
    full_cluster.kubectl("create", "namespace", "workloads-job")
    path = "/apis/batch/v1/namespaces/workloads-job/jobs"
    template = {"spec": pod_spec(restartPolicy="Never")}
    full_cluster.call("POST", path, {"metadata": {"name": "j"}, "spec": {"template": template}})
    job = full_cluster.wait_for(f"{path}/j", lambda j: j["status"].get("succeeded") == 1)
    full_cluster.wait_for(
        f"{path}/j",
        lambda j: any(c["type"] == "Complete" for c in j["status"].get("conditions", [])),
    )
    assert job["spec"]["completions"] == 1


@pytest.mark.full
def test_claim_is_bound(full_cluster: ControlPlane) -> None:
    """A claim without a class gets the default one and one of the cluster's volumes."""
    full_cluster.kubectl("create", "namespace", "workloads-claim")
    path = "/api/v1/namespaces/workloads-claim/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    full_cluster.call("POST", path, {"metadata": {"name": "c"}, "spec": spec})
    claim = full_cluster.wait_for(f"{path}/c", lambda c: c["status"].get("phase") == "Bound")
    assert claim["spec"]["storageClassName"] == "standard"
    assert claim["spec"]["volumeName"].startswith("volume-")


@pytest.mark.full
def test_deleted_pods_go(full_cluster: ControlPlane) -> None:
    """Deleting a Deployment takes its pods along, as the node's agent would end them."""
    full_cluster.kubectl("create", "namespace", "workloads-deletion")
    path = f"{APPS}/namespaces/workloads-deletion/deployments"
    pods = "/api/v1/namespaces/workloads-deletion/pods"
    full_cluster.call("POST", path, deployment("gone"))
    full_cluster.wait_for(f"{path}/gone", lambda d: d["status"].get("readyReplicas") == 2)
    full_cluster.kubectl("delete", "deployment", "gone", "-n", "workloads-deletion")
    full_cluster.wait_for(pods, lambda listed: not listed["items"])


def test_merged_kubeconfig_reaches_each_cluster(api_server: ControlPlane, tmp_path: Path) -> None:
    """Every context of a merged kubeconfig authenticates as the user it was made for."""
    users = {"production": "detector", "staging": "alice", "development": "nobody"}
    accesses = [api_server.access(user, context=name) for name, user in users.items()]
    merged = str(write_kubeconfig(tmp_path / "merged", accesses))
    names = {}
    for context in users:
        done = api_server.kubectl(
            "--kubeconfig", merged, "--context", context, "auth", "whoami", "-o", "json"
        )
        names[context] = json.loads(done.stdout)["status"]["userInfo"]["username"]
    assert names == {
        "production": "system:serviceaccount:driftd:driftd-detect",
        "staging": "alice",
        "development": "nobody",
    }


def test_stopped_api_server_refuses_connections() -> None:
    """A cluster whose API server was ended refuses connections, and its folder goes with it."""
    with ControlPlane("short-lived") as cluster:
        folder = cluster.folder
        assert cluster.call("GET", "/readyz") == "ok"
        cluster.stop_api_server()
        with pytest.raises(ConnectionRefusedError):
            cluster.request("GET", "/readyz")
    assert not folder.exists()


def test_programs_end_with_the_test_run(tmp_path: Path) -> None:
    """A tied program ends when the pipe to its starter closes, as it does when that dies."""
    run_tied = str(binaries.ensure().path("run-tied"))
    child = Child("sleep", [run_tied, "sleep", "600"], log=tmp_path / "log", environment=PATH)
    child.check()
    child.stop()
    with pytest.raises(StartFailed, match="sleep ended"):
        child.check()


def test_git_repository_is_reproducible(tmp_path: Path) -> None:
    """Two repositories with the same content have the same commit, whoever runs the tests."""
    commits = []
    for name in ("one", "two"):
        repo = GitRepo(tmp_path / name)
        repo.write("apps/web.yaml", "kind: Service\n")
        repo.set_remote("https://git.example.com/team/gitops.git")
        commits.append(repo.commit("Add web"))
    assert commits[0] == commits[1] == repo.head
    assert repo.git("remote", "get-url", "origin").strip().endswith("/gitops.git")
