"""File and line of each drifted field: overlays of the example repository, a real API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import CONTEXT, URL, Seen, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

EXAMPLE = Path(__file__).parents[1] / "fixtures" / "kubernetes-gitops" / "apps"
OVERLAY = "apps/{}/overlays/production"
PATHS = {"app1": OVERLAY.format("app1"), "app2": OVERLAY.format("app2")}


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """The overlays for production of app1 and app2, deployed as they stand."""
    git_repo.set_remote(URL)
    for name, folder in PATHS.items():
        for part in ("base", "overlays/production"):
            for file in sorted((EXAMPLE / name / part).iterdir()):
                text = file.read_text().replace(
                    f"namespace: production-{name}", f"namespace: {namespace}"
                )
                git_repo.write(f"apps/{name}/{part}/{file.name}", text)
        source = {"repoURL": URL, "targetRevision": "HEAD", "path": folder}
        git_repo.write(f"argocd/{name}.yaml", application(name, namespace, source=source))
    git_repo.commit("Declare the example")
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    site = Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )
    for name in PATHS:
        seen = site.run("render", name, f"--kubeconfig={config}", "-q")
        assert seen.exit_code == 0, seen.stderr
        api_server.kubectl(
            "apply", "--server-side", "--field-manager=argocd-controller", "-n", namespace,
            "-f", "-", input=seen.stdout,
        )  # fmt: skip
    return site


def lines(site: Site, seen: Seen) -> dict[tuple[str, str], str]:
    """`FILE: TEXT OF THE LINE` by kind and path of each change; empty without a line."""
    found: dict[tuple[str, str], str] = {}
    for app in seen.applications.values():
        for resource in app["resources"]:
            for change in resource["changes"]:
                key = resource["kind"], change["path"]
                found[key] = _text(site, change.get("origin"))
    return found


def _text(site: Site, origin: Any) -> str:
    if origin is None:
        return ""
    text = (Path(site.repo.path) / origin["file"]).read_text().splitlines()[origin["line"] - 1]
    return f"{origin['file']}: {text.strip()}"


def test_overlays(site: Site) -> None:
    """Patches, entries of the overlay, generated data and the base: each field has its line."""
    pod = "/spec/template/spec/containers/0"

    def patch(name: str, patch: str) -> None:
        site.cluster.kubectl(
            "patch", name, "-n", site.namespace, "--type=json", "-p", patch, user="alice"
        )

    def replace(path: str, value: str) -> str:
        return f'{{"op": "replace", "path": "{path}", "value": {value}}}'

    clean = site.check()
    assert clean.exit_code == 0, clean.stdout
    patch(
        "deployment/production-app2",
        "["
        + ",".join(
            (
                replace(f"{pod}/image", '"ghcr.io/example/app2:debug"'),
                replace(f"{pod}/resources/limits/memory", '"3Gi"'),
                replace(f"{pod}/readinessProbe/periodSeconds", "60"),
                replace("/metadata/labels/environment", '"none"'),
                '{"op": "remove", "path": "/spec/template/spec/containers/0/livenessProbe"}',
                '{"op": "add", "path": "/spec/template/spec/hostNetwork", "value": true}',
            )
        )
        + "]",
    )
    patch(
        "configmap/production-app2-config",
        f"[{replace('/data/LOG_LEVEL', chr(34) + 'trace' + chr(34))}]",
    )
    patch("hpa/production-app2", f"[{replace('/spec/maxReplicas', '99')}]")
    patch("deployment/production-app1", f"[{replace('/spec/replicas', '9')}]")
    found = lines(site, site.check())
    app1, app2 = PATHS["app1"], PATHS["app2"]
    expected = {
        ("Deployment", f"{pod}/image"): f"{app2}/kustomization.yaml: newTag: v2.4.1",
        ("Deployment", f"{pod}/resources/limits/memory"): f"{app2}/kustomization.yaml: memory: 1Gi",
        (
            "Deployment",
            f"{pod}/readinessProbe/periodSeconds",
        ): "apps/app2/base/deployment.yaml: periodSeconds: 5",
        (
            "Deployment",
            "/metadata/labels/environment",
        ): f"{app2}/kustomization.yaml: environment: production",
        ("Deployment", f"{pod}/livenessProbe"): "apps/app2/base/deployment.yaml: livenessProbe:",
        ("Deployment", "/spec/template/spec/hostNetwork"): "",
        ("ConfigMap", "/data/LOG_LEVEL"): f"{app2}/config-patch.yaml: LOG_LEVEL: warn",
        (
            "HorizontalPodAutoscaler",
            "/spec/maxReplicas",
        ): f"{app2}/autoscaling-patch.yaml: maxReplicas: 12",
        ("Deployment", "/spec/replicas"): f"{app1}/deployment-patch.yaml: replicas: 3",
    }
    assert {key: found.get(key) for key in expected} == expected
    patched = f"in {app1}/deployment-patch.yaml:6"
    assert patched in site.check("app1", output="table").stdout
    explained = site.run(
        "explain", "app1", "deployment/production-app1", "spec.replicas",
        f"--kubeconfig={site.kubeconfig}", "-q",
    )  # fmt: skip
    assert f"set {patched}".replace("set in ", "set in    ") in explained.stdout
