"""Charts with random values on a real API server: no drift where Git decides nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.program import driftd

pytestmark = pytest.mark.cluster

APPLICATION = """
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  project: default
  source: {repoURL: https://git.example.com/r.git, path: chart}
  destination: {server: https://kubernetes.default.svc, namespace: NAMESPACE}
"""
TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data:
  password: {{ randAlphaNum 20 | quote }}
  color: green
"""


def look(repo: GitRepo, kubeconfig: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and report of one `driftd check`."""
    done = driftd(
        "check", "--kubeconfig", str(kubeconfig), "-o", "json", cwd=repo.path, env=os.environ
    )
    return done.returncode, json.loads(done.stdout)["applications"][0]


def test_random_values_are_no_drift(
    api_server: ControlPlane, namespace: str, git_repo: GitRepo
) -> None:
    """The password differs from every rendering: told as ignored; what Git decides is compared."""
    git_repo.write("apps/shop.yaml", APPLICATION.replace("NAMESPACE", namespace))
    git_repo.write("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    git_repo.write("chart/templates/config.yaml", TEMPLATE)
    git_repo.commit()
    live = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "shop"},
        "data": {"password": "of the first installation", "color": "green"},
    }
    path = f"/api/v1/namespaces/{namespace}/configmaps/shop?fieldManager=argocd-controller"
    apply = "application/apply-patch+yaml"
    api_server.call("PATCH", path, live, content_type=apply)
    kubeconfig = api_server.kubeconfig("detector")

    code, report = look(git_repo, kubeconfig)
    [change] = report["resources"][0]["changes"]
    assert (change["path"], change["ignoredBy"]) == (
        "/data/password",
        "non-deterministic rendering",
    )
    [told] = [one for one in report["conditions"] if one["type"] == "NonDeterministicRender"]
    assert "/data/password is another one each time" in told["message"]
    assert (code, report["status"]) == (0, "Synced")

    live["data"]["color"] = "red"
    api_server.call("PATCH", f"{path}&force=true", live, content_type=apply)
    code, report = look(git_repo, kubeconfig)
    shown = {one["path"]: "ignoredBy" in one for one in report["resources"][0]["changes"]}
    assert shown == {"/data/color": False, "/data/password": True}
    assert (code, report["status"]) == (1, "OutOfSync")


def test_random_names_are_no_drift(
    api_server: ControlPlane, namespace: str, git_repo: GitRepo
) -> None:
    """What the last sync made is neither Missing nor Extra, whatever it was called then."""
    git_repo.write("apps/shop.yaml", APPLICATION.replace("NAMESPACE", namespace))
    git_repo.write("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    named = TEMPLATE.replace("{name: shop}", "{name: 'job-{{ randAlphaNum 5 | lower }}'}")
    git_repo.write("chart/templates/config.yaml", named)
    git_repo.commit()
    core = f"/api/v1/namespaces/{namespace}/configmaps?fieldManager=argocd-controller"
    for name in ("job-x7f3a", "left-over"):
        mark = {"argocd.argoproj.io/tracking-id": f"shop:/ConfigMap:{namespace}/{name}"}
        metadata = {"name": name, "annotations": mark}
        api_server.call("POST", core, {"metadata": metadata, "data": {"color": "green"}})
    code, report = look(git_repo, api_server.kubeconfig("detector"))
    found = {one["name"]: one for one in report["resources"]}
    assert (found["job-x7f3a"]["status"], found["left-over"]["status"]) == ("Extra", "Extra")
    assert found["job-x7f3a"]["ignoredBy"] == "non-deterministic rendering"
    assert "ignoredBy" not in found["left-over"]
    assert code == 1
    gone = f"/api/v1/namespaces/{namespace}/configmaps/left-over"
    api_server.call("DELETE", gone)
    code, report = look(git_repo, api_server.kubeconfig("detector"))
    assert (code, report["status"]) == (0, "Synced")
    assert {one["status"] for one in report["resources"]} == {"Extra", "NotChecked"}
