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
