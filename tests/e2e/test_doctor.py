"""`driftd doctor` against a real API server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.site import CONTEXT, URL, Site, deploy, plant
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

DETECTOR = "system:serviceaccount:driftd:driftd-detect"


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """Two applications on the bare API server, read by the detector."""
    git_repo.set_remote(URL)
    plant(git_repo, namespace)
    deploy(api_server, namespace)
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


def test_healthy(site: Site) -> None:
    """With everything in place nothing fails, and only GET requests reach the cluster."""
    mark = site.cluster.audit_mark()
    seen = site.run("doctor", f"--kubeconfig={site.kubeconfig}")
    assert seen.exit_code == 0, seen.stdout
    assert "declared kinds that may be listed: 1 of 1" in seen.stdout
    assert "clock agrees" in seen.stdout
    verbs = {
        event["verb"]
        for event in site.cluster.audit_events(mark)
        if event["user"]["username"] == DETECTOR
    }
    assert "list" in verbs
    assert verbs <= {"get", "list"}


def test_what_is_wrong_is_told_with_its_remedy(site: Site) -> None:
    """A user without rights, and then no repository at all: failures that say what to do."""
    accounts = f"/api/v1/namespaces/{site.namespace}/serviceaccounts"
    site.cluster.call("POST", accounts, {"metadata": {"name": "doctored"}})
    token = site.cluster.service_account_token(site.namespace, "doctored")
    site.cluster.add_user("doctored", token)
    config = write_kubeconfig(
        site.home / "doctored", [site.cluster.access("doctored", context=CONTEXT)]
    )
    seen = site.run("doctor", f"--kubeconfig={config}", "-o", "json")
    assert seen.exit_code == 2
    report = json.loads(seen.stdout)
    assert not report["ok"]
    (failed,) = [check for check in report["checks"] if check["status"] == "fail"]
    assert failed["message"].startswith("may not list configmaps in")
    assert "resources [configmaps]" in failed["remedy"]

    seen = site.run("doctor", f"--kubeconfig={site.home / 'none'}", cwd=site.home)
    assert seen.exit_code == 2
    assert "not in a Git repository" in seen.stdout
    assert "to do: cd to the repository" in seen.stdout
    assert "exit 2" in seen.stdout
