"""`driftd check --oracle` against a real API server: what it tells, and that nothing is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import CONTEXT, URL, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.injector import injecting
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

WEB = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example.com/web:1
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports: [{port: 80, nodePort: 30733}]
  type: NodePort
"""
GRACE = "/spec/template/spec/terminationGracePeriodSeconds"
DNS = "/spec/template/spec/dnsConfig"
TEMPLATE: dict[str, Any] = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}}


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """A Deployment whose grace period somebody has shortened, and an untouched Service."""
    git_repo.set_remote(URL)
    git_repo.write("apps/web/web.yaml", WEB)
    git_repo.write("argocd/web.yaml", application("web", namespace))
    git_repo.commit("Declare web")
    api_server.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=WEB)
    api_server.kubectl("patch", "deployment/web", "-n", namespace, "-p", json.dumps(TEMPLATE))
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo,
        cluster=api_server,
        namespace=namespace,
        kubeconfig=tmp_path / "kubeconfig",
        home=home,
    )


@pytest.fixture(autouse=True)
def service_freed(site: Site) -> Any:
    """Give the port back that the Service of each test declares."""
    yield
    site.cluster.kubectl("delete", "service/web", "-n", site.namespace)


def check(site: Site, *arguments: str, user: str = "admin") -> tuple[int, Any]:
    """The exit code and the application's report of a check as a user."""
    access = site.cluster.access(user, context=CONTEXT)
    config = write_kubeconfig(site.home / f"kubeconfig-{user}", [access])
    seen = site.run("check", "-o", "json", f"--kubeconfig={config}", *arguments)
    report = json.loads(seen.stdout)["applications"][0]
    assert report["resources"], report["conditions"]
    return seen.exit_code, report


def changes(report: Any, kind: str = "Deployment") -> dict[str, Any]:
    """The changes of an object by their path."""
    (found,) = [one for one in report["resources"] if one["kind"] == kind]
    return {change["path"]: change for change in found["changes"]}


def written(site: Site, mark: int) -> list[str]:
    """The requests that are no reads, since a mark of the audit log; the server's own left out."""
    return [
        event["requestURI"]
        for event in site.cluster.audit_events(mark)
        if event["verb"] not in ("get", "list", "watch")
        and not event["user"]["username"].startswith("system:")
    ]


def stored(site: Site) -> dict[str, str]:
    """The resourceVersion of every object of the kinds that are asked about."""
    return {
        item["metadata"]["name"] + plural: item["metadata"]["resourceVersion"]
        for plural, base in (("deployments", "/apis/apps/v1"), ("services", "/api/v1"))
        for item in site.cluster.call("GET", f"{base}/namespaces/{site.namespace}/{plural}")[
            "items"
        ]
    }


@pytest.mark.parametrize("how", ["post", "put"])
def test_an_overridden_default_tells_its_value(site: Site, how: str) -> None:
    """The value that the server would give stands beside the change, which stays drift."""
    _, plain = check(site)
    assert "expected" not in changes(plain)[GRACE]
    before, mark = stored(site), site.cluster.audit_mark()
    code, report = check(site, "--oracle", how)
    assert code == 1
    # Other tests leave objects on the server that no application here declares.
    assert {one["type"] for one in report["conditions"]} <= {"OrphanedResourceWarning"}
    assert changes(report)[GRACE] == {**changes(plain)[GRACE], "expected": 30}
    assert changes(report, "Service") == {}
    # Nothing is stored, and every request that could write is a dry run.
    assert stored(site) == before
    writes = written(site, mark)
    assert len(writes) == 2
    assert all("dryRun=All" in uri for uri in writes)


def test_an_apply_says_nothing_of_what_git_leaves_out(site: Site) -> None:
    """Server-side apply keeps what others set: it is asked only about declared changes."""
    mark = site.cluster.audit_mark()
    code, report = check(site, "--oracle", "apply")
    assert code == 1
    assert "expected" not in changes(report)[GRACE]
    assert written(site, mark) == []


def test_a_refusal_leaves_the_verdict_as_it_is(site: Site) -> None:
    """Without the right to create, drift is found all the same; a warning says what is missing."""
    _, plain = check(site, user="detector")
    code, report = check(site, "--oracle", "post", user="detector")
    assert code == 1
    (condition,) = [one for one in report["conditions"] if one["severity"] == "warning"]
    assert condition["type"] == "OracleWarning"
    assert condition["severity"] == "warning"
    assert "was not answered for 2 of 2 objects" in condition["message"]
    assert "cannot create (dry run) " in condition["message"]
    assert changes(report) == changes(plain)


@pytest.mark.parametrize("how", ["post", "put"])
def test_what_a_webhook_adds_and_somebody_took_away(site: Site, how: str) -> None:
    """A webhook's field that live lacks is told, as no drift; one that is there is explained."""
    with injecting(site.cluster, site.namespace, {"options": [{"name": "ndots", "value": "2"}]}):
        _, report = check(site, "--oracle", how)
        lacking = changes(report)[DNS]
        assert (lacking["kind"], lacking["class"]) == ("missing", "injected")
        assert lacking["expected"] == {"options": [{"name": "ndots", "value": "2"}]}
        site.cluster.kubectl("apply", "--server-side", "-n", site.namespace, "-f", "-", input=WEB)
        _, report = check(site, "--oracle", how)
        present = changes(report)[DNS]
        assert (present["kind"], present["class"]) == ("added", "injected")
        assert "the server or its admission makes it" in present["reason"]
