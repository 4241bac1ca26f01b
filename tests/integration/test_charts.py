"""Charts of real repositories and registries, looked at from a checkout on a real API server."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import charts, program
from tests.testbed.argocd import ARGO, serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.webserver import Tls, WebServer, behind_login, folder_of, make_tls

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
BASIC = "Basic " + base64.b64encode(b"bot:hunter2").decode()
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: {name}, namespace: argocd}}
spec:
  project: default
  destination: {{server: "https://kubernetes.default.svc", namespace: {namespace}}}
  source: {source}
"""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority, a server's certificate and a client's."""
    return make_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packed charts with an index, all made by helm."""
    folder = tmp_path_factory.mktemp("charts")
    published = folder / "published"
    charts.package(folder, "web", "1.0.0", "1.2.0", "1.3.0-rc.1", "2.0.0", into=published)
    charts.index(published)
    return published


@pytest.fixture
def repository(packed: Path, tls: Tls) -> Iterator[WebServer]:
    """That folder over TLS behind a password."""
    with WebServer(behind_login(folder_of(packed), BASIC), tls) as server:
        yield server


class Site:
    """A checkout with Applications, and the cluster that they are for."""

    def __init__(self, repo: GitRepo, cluster: ControlPlane, namespace: str) -> None:
        self.repo, self.cluster, self.namespace = repo, cluster, namespace

    def application(self, name: str, source: dict[str, Any]) -> None:
        """Declare one Application."""
        text = APPLICATION.format(name=name, namespace=self.namespace, source=json.dumps(source))
        self.repo.write(f"{name}.yaml", text)
        self.repo.commit(name)

    def driftd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run driftd in the checkout."""
        return program.driftd(
            *arguments,
            cwd=self.repo.path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.repo.path.parent),
                "KUBECONFIG": str(self.cluster.kubeconfig("admin")),
                "GIT_CONFIG_NOSYSTEM": "1",
            },
        )

    def check(self, *flags: str) -> tuple[int, dict[str, Any]]:
        """Exit code and report of `driftd check -o json`."""
        done = self.driftd("check", "-o", "json", *flags)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def deploy(self, name: str, *flags: str) -> None:
        """Apply what driftd renders of an Application, as Argo CD would."""
        done = self.driftd("render", name, *flags)
        assert done.returncode == 0, done.stderr
        self.cluster.kubectl(
            "apply", "--server-side", "--field-manager=argocd-controller",
            "--namespace", self.namespace, "--filename=-", input=done.stdout,
        )  # fmt: skip


@pytest.fixture
def site(git_repo: GitRepo, api_server: ControlPlane, namespace: str) -> Site:
    """An empty checkout and a namespace of the API server."""
    return Site(git_repo, api_server, namespace)


def access_file(folder: Path, *entries: dict[str, Any]) -> str:
    """A settings file that says how repositories are reached."""
    file = folder / "access.yaml"
    (folder / "password").write_text("hunter2\n")
    file.write_text(json.dumps({"repositoryAccess": entries}))
    return f"--access-file={file}"


def test_a_chart_of_a_helm_repository_is_judged(
    site: Site, repository: WebServer, tls: Tls, tmp_path: Path
) -> None:
    """A range picks the highest release, the objects are compared, and an edit by hand is found."""
    site.application(
        "shop", {"repoURL": repository.url, "chart": "web", "targetRevision": "^1.0.0"}
    )
    flag = access_file(
        tmp_path,
        {
            "url": repository.url,
            "type": "helm",
            "username": "bot",
            "passwordFile": "password",
            "caFile": str(tls.ca),
        },
    )
    site.deploy("shop", flag)
    code, report = site.check(flag)
    (application,) = report["applications"]
    assert (code, application["status"]) == (0, "Synced"), application["conditions"]
    assert application["revisions"] == ["1.2.0"]
    assert [r["name"] for r in application["resources"]] == ["shop-web"]

    site.cluster.kubectl(
        "patch", "configmap", "shop-web", "--namespace", site.namespace,
        "--type=merge", "--patch", '{"data":{"colour":"red"}}',
    )  # fmt: skip
    code, report = site.check(flag)
    (change,) = report["applications"][0]["resources"][0]["changes"]
    assert (code, change["path"], change["live"]) == (1, "/data/colour", "red")


def test_without_the_credential_the_application_is_unknown(
    site: Site, repository: WebServer, tls: Tls, tmp_path: Path
) -> None:
    """The condition names chart, repository and remedy, and other applications are judged."""
    site.application("shop", {"repoURL": repository.url, "chart": "web", "targetRevision": "1.0.0"})
    site.repo.write("plain/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n")
    site.application("plain", {"repoURL": str(site.repo.path), "path": "plain"})
    flag = access_file(tmp_path, {"url": repository.url, "type": "helm", "caFile": str(tls.ca)})
    code, report = site.check(flag)
    found = {one["name"]: one for one in report["applications"]}
    assert (code, found["shop"]["status"]) == (2, "Unknown")
    (condition,) = found["shop"]["conditions"]
    assert f"index of {repository.url}: the server answers 401" in condition["message"]
    assert "check the credential of this repository" in condition["message"]
    assert found["plain"]["status"] == "OutOfSync"


def test_a_chart_of_a_registry_with_values_of_git(
    site: Site, scratch_registry: int, tmp_path: Path
) -> None:
    """A chart that helm pushed takes a value file of the checkout (`$values`)."""
    host = f"localhost:{scratch_registry}"
    site.repo.write("values/shop.yaml", "colour: green\n")
    chart = {"repoURL": f"{host}/team", "chart": "web", "targetRevision": "1.x"}
    chart["helm"] = {"valueFiles": ["$values/values/shop.yaml"]}  # type: ignore[assignment]
    sources = [chart, {"repoURL": str(site.repo.path), "ref": "values"}]
    text = APPLICATION.format(name="shop", namespace=site.namespace, source="null")
    site.repo.write("shop.yaml", text + f"  sources: {json.dumps(sources)}\n")
    site.repo.commit("shop")
    flag = access_file(tmp_path, {"url": f"{host}/team", "type": "helm", "oci": True})
    site.deploy("shop", flag)
    code, report = site.check(flag)
    (application,) = report["applications"]
    assert (code, application["status"]) == (0, "Synced"), application["conditions"]
    assert application["revisions"][0] == "1.2.0"
    live = site.cluster.call("GET", f"/api/v1/namespaces/{site.namespace}/configmaps/shop-web")
    assert live["data"]["colour"] == "green"


@pytest.fixture(scope="module")
def scratch_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A registry that helm has pushed a chart to."""
    folder = tmp_path_factory.mktemp("registry")
    with charts.registry() as port:
        for file in charts.package(folder, "web", "1.0.0", "1.2.0", into=folder / "packed"):
            target = f"oci://localhost:{port}/team"
            charts.helm("push", file, target, "--plain-http", home=folder / "home")
        yield port


FLUX = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: fleet, namespace: flux-system}
spec: {url: "https://git.example/fleet", ref: {branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: sync, namespace: flux-system}
spec: {path: ./clusters/one, prune: true, sourceRef: {kind: GitRepository, name: fleet}}
"""


def flux_object(group: str, kind: str, name: str, spec: dict[str, Any]) -> str:
    """A document of Flux."""
    api = f"{group}.toolkit.fluxcd.io/{'v2' if group == 'helm' else 'v1'}"
    metadata = {"name": name, "namespace": "flux-system"}
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})


def test_charts_of_helm_releases_are_fetched(
    site: Site, repository: WebServer, tls: Tls, scratch_registry: int, tmp_path: Path
) -> None:
    """A HelmRelease renders a chart of a HelmRepository, and one of an OCIRepository."""
    registry = f"localhost:{scratch_registry}/team/web"
    fetched = {"chart": "web", "version": "^1.0.0", "sourceRef": {"kind": "HelmRepository",
               "name": "charts"}}  # fmt: skip
    objects = {
        "charts": ("source", "HelmRepository", {"url": repository.url}),
        "web": ("source", "OCIRepository", {"url": f"oci://{registry}", "ref": {"tag": "1.0.0"}}),
        "helm": ("helm", "HelmRelease", {"chart": {"spec": fetched}}),
        "oci": ("helm", "HelmRelease", {"chartRef": {"kind": "OCIRepository", "name": "web"}}),
    }
    site.repo.write("clusters/one/sync.yaml", FLUX)
    for name, (group, kind, spec) in objects.items():
        site.repo.write(f"clusters/one/{name}.yaml", flux_object(group, kind, name, spec))
    site.repo.commit("flux")
    flag = access_file(
        tmp_path,
        {
            "url": repository.url,
            "type": "helm",
            "username": "bot",
            "passwordFile": "password",
            "caFile": str(tls.ca),
        },
        {"url": registry, "type": "helm", "oci": True},
    )
    for name in ("helm", "oci"):
        done = site.driftd("render", name, flag)
        assert done.returncode == 0, done.stderr
        assert f"name: {name}-web\n" in done.stdout


def test_a_dependency_that_cannot_be_fetched_costs_its_application(
    site: Site, repository: WebServer, tls: Tls, tmp_path: Path
) -> None:
    """One chart of Git gets what it depends on; another, of a missing version, is Unknown."""
    entry = {
        "url": repository.url,
        "type": "helm",
        "username": "bot",
        "passwordFile": "password",
        "caFile": str(tls.ca),
    }
    for name, version in (("good", "^1.0.0"), ("bad", "^9.0.0")):
        text = f"- {{name: web, version: {version}, repository: '{repository.url}'}}\n"
        charts.write_chart(site.repo.path / "charts", name, "0.1.0", dependencies=text)
        site.application(name, {"repoURL": str(site.repo.path), "path": f"charts/{name}"})
    code, report = site.check(access_file(tmp_path, entry))
    found = {one["name"]: one for one in report["applications"]}
    assert code == 2
    assert [r["name"] for r in found["good"]["resources"]] == ["good-good", "good-web"]
    assert found["bad"]["status"] == "Unknown"
    (condition,) = found["bad"]["conditions"]
    assert (
        f"charts/bad/Chart.yaml: dependency web ^9.0.0 of {repository.url}" in condition["message"]
    )
    assert "the highest are 2.0.0" in condition["message"]


def test_a_kustomization_inflates_a_chart(
    site: Site, repository: WebServer, tls: Tls, tmp_path: Path
) -> None:
    """The chart of helmCharts is fetched with its repository's login, rendered and compared."""
    entry = {
        "url": repository.url,
        "type": "helm",
        "username": "bot",
        "passwordFile": "password",
        "caFile": str(tls.ca),
    }
    chart = {"name": "web", "repo": repository.url, "version": "^1.0.0", "releaseName": "shop"}
    for name, version in (("shop", "^1.0.0"), ("bad", "^9.0.0")):
        text = {"namePrefix": "my-", "helmCharts": [{**chart, "version": version}]}
        site.repo.write(f"{name}/kustomization.yaml", json.dumps(text))
        site.application(name, {"repoURL": str(site.repo.path), "path": name})
    flag = access_file(tmp_path, entry)
    site.deploy("shop", flag)
    code, report = site.check(flag)
    found = {one["name"]: one for one in report["applications"]}
    assert (code, found["shop"]["status"]) == (2, "Synced"), found["shop"]["conditions"]
    (resource,) = found["shop"]["resources"]
    assert resource["name"] == "my-shop-web"
    assert resource["origin"]["file"] == "shop/kustomization.yaml"
    assert found["bad"]["status"] == "Unknown"
    (condition,) = found["bad"]["conditions"]
    assert "bad/kustomization.yaml: helmCharts: web ^9.0.0: " in condition["message"]
    assert "the highest are 2.0.0" in condition["message"]


def test_a_hub_knows_how_its_repositories_are_reached(
    site: Site, repository: WebServer, tls: Tls
) -> None:
    """With `--hub` Argo CD's own repository Secret and certificates open the chart."""
    serve_argo_kinds(site.cluster)
    core = f"/api/v1/namespaces/{site.namespace}"
    label = {"argocd.argoproj.io/secret-type": "repository"}
    login = {"url": repository.url, "type": "helm", "username": "bot", "password": "hunter2"}
    secret = {"metadata": {"name": "charts", "labels": label}, "stringData": login}
    site.cluster.call("POST", f"{core}/secrets", secret)
    trust = {"metadata": {"name": "argocd-tls-certs-cm"}, "data": {"localhost": tls.ca.read_text()}}
    site.cluster.call("POST", f"{core}/configmaps", trust)
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "hubbed"},
        "spec": {
            "project": "default",
            "source": {"repoURL": repository.url, "chart": "web", "targetRevision": "1.0.0"},
            "destination": {
                "server": "https://kubernetes.default.svc",
                "namespace": site.namespace,
            },
        },
    }
    site.cluster.call("POST", f"{ARGO}/namespaces/{site.namespace}/applications", application)
    code, report = site.check(
        "--hub", site.cluster.name, "--argocd-namespace", site.namespace, "-n", site.namespace
    )
    (found,) = report["applications"]
    assert (code, found["revisions"]) == (1, ["1.0.0"]), found["conditions"]
    assert [(r["name"], r["status"]) for r in found["resources"]] == [("hubbed-web", "Missing")]
    assert "hunter2" not in json.dumps(report)
