"""Repositories in the layouts that people have: a verdict with no flag at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.layouts import Deployment, Edit, Layout, monorepo
from tests.e2e.site import CONTEXT, Seen, Site
from tests.testbed.cluster import ControlPlane
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

SECONDS = 120
"""How long a first verdict may take."""
SCALE = '[{"op": "replace", "path": "/spec/replicas", "value": 9}]'
IMAGE = (
    '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", '
    '"value": "registry.example.net/other:1"}]'
)
PORT = '[{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 8088}]'
IMAGE_PATH = "/spec/template/spec/containers/0/image"


def _data(key: str) -> str:
    return f'[{{"op": "replace", "path": "/data/{key}", "value": "edited"}}]'


LAYOUTS = [
    Layout(
        "app-of-apps-chart",
        (
            Deployment("root", "apps", "argocd"),
            Deployment(
                "guestbook",
                "charts/guestbook",
                "chart-guestbook",
                values=("values-production.yaml",),
            ),
            Deployment("redis", "manifests/redis", "chart-redis"),
        ),
        (
            Edit(
                "guestbook",
                "Deployment chart-guestbook/guestbook-guestbook",
                SCALE,
                "/spec/replicas",
            ),
            Edit("redis", "Service chart-redis/redis", PORT, "/spec/ports/0/targetPort"),
            Edit(
                "root",
                "Application argocd/redis",
                '[{"op": "replace", "path": "/spec/source/path", "value": "elsewhere"}]',
                "/spec/source/path",
            ),
        ),
    ),
    Layout(
        "app-of-apps-kustomize",
        (
            Deployment("production", "argocd/overlays/production", "argocd"),
            Deployment("production-web", "workloads/web/overlays/production", "overlay-web"),
            Deployment(
                "production-worker", "workloads/worker/overlays/production", "overlay-worker"
            ),
        ),
        (
            Edit("production-web", "Deployment overlay-web/web", IMAGE, IMAGE_PATH),
            Edit(
                "production-worker",
                "ConfigMap overlay-worker/worker",
                _data("LOG_LEVEL"),
                "/data/LOG_LEVEL",
            ),
        ),
    ),
    Layout(
        "monorepo",
        monorepo(),
        (
            Edit("accounts", "Deployment mono-accounts/accounts-accounts", SCALE, "/spec/replicas"),
            Edit("audit", "Service mono-audit/audit", PORT, "/spec/ports/0/targetPort"),
            Edit("billing", "ConfigMap mono-billing/billing", _data("MODE"), "/data/MODE"),
        ),
    ),
    Layout(
        "helm-umbrella",
        (
            Deployment(
                "shop-production",
                "charts/shop",
                "umbrella-production",
                "shop",
                ("values.yaml", "values-production.yaml"),
            ),
            Deployment(
                "shop-staging",
                "charts/shop",
                "umbrella-staging",
                "shop",
                ("values.yaml", "values-staging.yaml"),
            ),
        ),
        (
            Edit("shop-production", "Deployment umbrella-production/shop-cache", IMAGE, IMAGE_PATH),
            Edit(
                "shop-staging", "ConfigMap umbrella-staging/shop", _data("DOMAIN"), "/data/DOMAIN"
            ),
        ),
    ),
    Layout(
        "kustomize-components",
        (
            Deployment("portal-production", "portal/overlays/production", "components-production"),
            Deployment("portal-staging", "portal/overlays/staging", "components-staging"),
        ),
        (
            Edit(
                "portal-production",
                "HorizontalPodAutoscaler components-production/portal",
                '[{"op": "replace", "path": "/spec/maxReplicas", "value": 60}]',
                "/spec/maxReplicas",
            ),
            Edit(
                "portal-staging",
                "Deployment components-staging/portal-staging",
                SCALE,
                "/spec/replicas",
            ),
        ),
    ),
]


@pytest.fixture
def kubeconfig(api_server: ControlPlane, tmp_path: Path) -> Path:
    """A kubeconfig with one context."""
    access = api_server.access("detector", context=CONTEXT)
    return write_kubeconfig(tmp_path / "kubeconfig", [access])


def changes(seen: Seen) -> set[tuple[str, str, str]]:
    """Application, `KIND NAMESPACE/NAME` and path of every difference that counts."""
    return {
        (name, f"{one['kind']} {one['namespace']}/{one['name']}", change["path"])
        for name, application in seen.applications.items()
        for one in application["resources"]
        for change in one["changes"]
        if change["class"] in ("declared", "undeclared")
    }


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_verdict_without_flags(
    api_server: ControlPlane,
    kubeconfig: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    layout: Layout,
) -> None:
    """Every application is found and clean after its deployment; edits are found by path."""
    repo = layout.checkout(tmp_path / "platform")
    layout.deploy(api_server, repo.path)
    home = tmp_path / "home"
    home.mkdir()
    site = Site(
        repo=repo, cluster=api_server, namespace="", kubeconfig=kubeconfig, home=home,
        environment={"KUBECONFIG": str(kubeconfig)},
    )  # fmt: skip
    started = time.monotonic()
    clean = site.run("check", "-o", "json")
    seconds = time.monotonic() - started
    record_property("seconds", round(seconds, 1))
    assert (clean.exit_code, changes(clean)) == (0, set()), clean.stdout + clean.stderr
    assert sorted(clean.applications) == sorted(one.name for one in layout.deployments)
    assert {one["status"] for one in clean.applications.values()} == {"Synced"}
    assert clean.conditions() == []
    assert seconds < SECONDS
    layout.edit(api_server)
    edited = site.run("check", "-o", "json")
    assert edited.exit_code == 1, edited.stderr
    assert changes(edited) == {(one.application, one.target, one.path) for one in layout.edits}
