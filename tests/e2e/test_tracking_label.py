"""Argo CD's default tracking label on live objects, checked without a hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.site import CONTEXT, URL, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

LABEL = "app.kubernetes.io/instance"
DECLARED = {"plain": None, "released": "release", "taken": "release", "foreign": None}
"""What Git says of the label, by ConfigMap."""
LIVE = {"plain": "shop", "released": "argocd_shop", "taken": "other", "foreign": "other"}
"""What the cluster holds."""


def config_map(name: str, label: str | None) -> str:
    """A ConfigMap as JSON, with the label or without."""
    metadata = {"name": name, **({"labels": {LABEL: label}} if label else {})}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
    return json.dumps(body)


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """The application `shop`, applied from the client with Argo CD's field manager."""
    git_repo.set_remote(URL)
    for name, label in DECLARED.items():
        git_repo.write(f"apps/shop/{name}.json", config_map(name, label))
        api_server.kubectl(
            "apply", "--field-manager=argocd-controller", "-n", namespace, "-f", "-",
            input=config_map(name, LIVE[name]),
        )  # fmt: skip
    git_repo.write("argocd/shop.yaml", application("shop", namespace))
    git_repo.commit("Declare shop")
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


def test_only_the_own_name_is_a_mark(site: Site) -> None:
    """The application's name is Argo CD's mark, over Git's value too; another name is drift."""
    seen = site.check()
    found = {
        one["name"]: [(c["path"], c.get("desired"), c["live"]) for c in one["changes"]]
        for one in seen.applications["shop"]["resources"]
    }
    path = "/metadata/labels/app.kubernetes.io~1instance"
    assert found == {
        "plain": [],
        "released": [],
        "taken": [(path, "release", "other")],
        "foreign": [(path, None, "other")],
    }
