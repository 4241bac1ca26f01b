"""A hub: live Applications, their synced revisions, tracking marks and ignore rules."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.testbed.argocd import ARGO, serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.program import driftd

pytestmark = pytest.mark.cluster

URL = "https://git.example/platform.git"
NAMESPACE = "hub-argocd"
"""Where Argo CD is said to run; other tests share the API server."""


SETTINGS = """
apps/Deployment:
  ignoreDifferences: |
    jqPathExpressions: [.spec.replicas]
batch/Job:
  ignoreDifferences: |
    jsonPointers: wrong
"""
"""`resource.customizations` as teams write it, one entry wrong."""


def config_map(name: str, **data: str) -> dict[str, Any]:
    """A ConfigMap of the application."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@pytest.fixture(scope="module")
def hub(api_server: ControlPlane) -> ControlPlane:
    """The bare API server with Argo CD's kinds and namespace."""
    serve_argo_kinds(api_server)
    api_server.create_namespace(NAMESPACE)
    settings = config_map(
        "argocd-cm",
        **{
            "resource.exclusions": "- apiGroups: ['']\n  kinds: [Secret]\n  clusters: ['*']\n",
            "resource.customizations.ignoreDifferences.ConfigMap": "jsonPointers: [/data/tuned]",
            "resource.customizations": SETTINGS,
        },
    )
    api_server.call("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", settings)
    return api_server


@pytest.fixture
def application(hub: ControlPlane, namespace: str, git_repo: GitRepo) -> dict[str, Any]:
    """An Application of three ConfigMaps that Argo CD has synced at the first of two commits."""
    for name in ("steady", "edited", "ignored"):
        git_repo.write(f"app/{name}.yaml", yaml.safe_dump(config_map(name, key="old")))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "left-alone"}}
    git_repo.write("app/secret.yaml", yaml.safe_dump(secret))
    first = git_repo.commit("First")
    for name in ("steady", "edited", "ignored"):
        body = config_map(name, key="old")
        body["metadata"]["annotations"] = {
            "argocd.argoproj.io/tracking-id": f"{namespace}:/ConfigMap:{namespace}/{name}"
        }
        _apply(hub, namespace, body)
    git_repo.write("app/steady.yaml", yaml.safe_dump(config_map("steady", key="new")))
    git_repo.commit("Second: Git is ahead")
    body = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": namespace, "namespace": NAMESPACE},
        "spec": {
            "project": "default",
            "source": {"repoURL": URL, "path": "app", "targetRevision": "HEAD"},
            "destination": {"name": "spoke", "namespace": namespace},
            "ignoreDifferences": [
                {"kind": "ConfigMap", "name": "ignored", "jqPathExpressions": [".data.key"]},
                {"kind": "ConfigMap", "jsonPointers": ["/data/nothing"]},
            ],
        },
        "status": {"sync": {"status": "OutOfSync"}, "history": [{"revision": first}]},
    }
    hub.call("POST", f"{ARGO}/namespaces/{NAMESPACE}/applications", body)
    secret = {
        "metadata": {
            "name": f"spoke-{namespace}",
            "labels": {"argocd.argoproj.io/secret-type": "cluster"},
        },
        "stringData": {
            "name": "spoke",
            "server": hub.server,
            "config": json.dumps(
                {
                    "bearerToken": hub.token("detector"),
                    "tlsClientConfig": {
                        "caData": base64.b64encode(hub.ca_file.read_bytes()).decode()
                    },
                }
            ),
        },
    }
    hub.call("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)
    return body


def _apply(hub: ControlPlane, namespace: str, body: dict[str, Any]) -> None:
    hub.call(
        "PATCH",
        f"/api/v1/namespaces/{namespace}/configmaps/{body['metadata']['name']}"
        "?fieldManager=argocd-controller&force=true",
        body,
        content_type="application/apply-patch+yaml",
    )


def check(
    hub: ControlPlane, repository: GitRepo, name: str, user: str = "admin", *flags: str
) -> tuple[int, dict[str, Any]]:
    """`driftd check --hub` of one application: exit code and report."""
    done = driftd(
        *("check", name, "--hub", "bare", "--argocd-namespace", NAMESPACE),
        *("--kubeconfig", str(hub.kubeconfig(user))),
        *("--repo", f"{URL}={repository.path}", "-o", "json", *flags),
        cwd=Path(__file__).parent.parent.parent,
        env=os.environ,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_hub_application_is_judged_with_its_history(
    application: dict[str, Any], hub: ControlPlane, namespace: str, git_repo: GitRepo
) -> None:
    """What Git added since the last sync is pending; hand edits are drift; ignored ones say why."""
    code, report = check(hub, git_repo, namespace)
    (verdict,) = report["applications"]
    states = {
        r["name"]: (r["status"], [c["class"] for c in r["changes"]]) for r in verdict["resources"]
    }
    assert states == {
        "edited": ("Synced", []),
        "ignored": ("Synced", []),
        "steady": ("Pending", ["pending"]),
    }
    assert (code, verdict["status"], report["complete"]) == (0, "Synced", True)
    told = [c["message"] for c in (*verdict["conditions"], *report["conditions"])]
    assert any("/data/nothing" in text for text in told)
    assert any("1 object(s) of kind Secret" in text for text in told)
    assert any("resource.customizations[batch/Job]" in text for text in told)

    for name in ("edited", "ignored"):
        hub.call(
            "PATCH",
            f"/api/v1/namespaces/{namespace}/configmaps/{name}?fieldManager=alice",
            {"data": {"key": "by hand"}},
            content_type="application/merge-patch+json",
        )
    hub.call(
        "PATCH",
        f"/api/v1/namespaces/{namespace}/configmaps/edited?fieldManager=tuner",
        {"data": {"tuned": "by a controller"}},
        content_type="application/merge-patch+json",
    )
    stray = config_map("stray", key="x")
    stray["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": f"{namespace}:/ConfigMap:{namespace}/stray"
    }
    _apply(hub, namespace, stray)
    copied = config_map("copied", key="x")
    copied["metadata"]["annotations"] = stray["metadata"]["annotations"]
    _apply(hub, namespace, copied)

    code, report = check(hub, git_repo, namespace)
    (verdict,) = report["applications"]
    found = {r["name"]: r for r in verdict["resources"]}
    assert code == 1
    assert found["edited"]["status"] == "OutOfSync"
    by_manager = {c["manager"]: c.get("ignoredBy") for c in found["edited"]["changes"]}
    assert by_manager == {
        "alice": None,
        "tuner": "argocd-cm resource.customizations.ignoreDifferences.ConfigMap.jsonPointers[0]",
    }
    assert found["ignored"]["status"] == "Synced"
    rule = "spec.ignoreDifferences[0].jqPathExpressions[0]"
    assert found["ignored"]["changes"][0]["ignoredBy"] == rule
    assert found["steady"]["status"] == "Pending"
    assert found["stray"]["status"] == "Extra"
    assert "copied" not in found


def test_projects_that_may_not_be_read_are_not_missing(
    application: dict[str, Any], hub: ControlPlane, namespace: str, git_repo: GitRepo
) -> None:
    """Without the right to read AppProjects nothing is judged, and the right is named."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    rule = {"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["get", "list"]}
    meta = {"name": f"applications-{namespace}"}
    hub.call("POST", f"{rbac}/roles", {"metadata": meta, "rules": [rule]})
    binding = {
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", **meta},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}],
    }
    hub.call("POST", f"{rbac}/rolebindings", binding)
    hub.call(
        "PATCH",
        f"{ARGO}/namespaces/{NAMESPACE}/applications/{namespace}",
        {"spec": {"project": "payments"}},
        content_type="application/merge-patch+json",
    )
    code, report = check(hub, git_repo, namespace, "alice", "-n", NAMESPACE)
    (verdict,) = report["applications"]
    (told,) = [one for one in verdict["conditions"] if one["type"] == "ProjectUnknown"]
    assert "project 'payments' is not known, so nothing is judged" in told["message"]
    rule_told = f"grant get and list of appprojects.argoproj.io in namespace {NAMESPACE}"
    assert rule_told in told["message"]
    assert "no project" not in json.dumps(report)
    assert (code, verdict["status"], verdict["resources"]) == (2, "Unknown", [])
