"""A Flux repository on a real cluster: found without a flag, quiet, and exact about edits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import program
from tests.testbed.cluster import ControlPlane
from tests.testbed.flux import FluxSite, serve_flux_kinds
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / "tests" / "fixtures" / "layouts" / "flux"
KUSTOMIZATION = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"
APPLICATIONS = {"flux-system", "infrastructure", "apps", "cache"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepo:
    """The layout as a repository of its own."""
    path = tmp_path_factory.mktemp("flux") / "fleet"
    shutil.copytree(LAYOUT, path)
    repo = GitRepo(path)
    repo.commit("Everything")
    return repo


@pytest.fixture(scope="module")
def site(repository: GitRepo) -> Iterator[FluxSite]:
    """A cluster of its own to which Flux's controllers would have brought production."""
    with ControlPlane("home") as cluster:
        serve_flux_kinds(cluster)
        found = FluxSite(cluster, repository.path, "production")
        found.deploy()
        yield found


def driftd(site: FluxSite, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run driftd in the checkout with nothing but a kubeconfig."""
    return program.driftd(
        *arguments,
        cwd=site.repository,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(site.cluster.folder),
            "KUBECONFIG": str(site.cluster.kubeconfig("admin")),
            "GIT_CONFIG_NOSYSTEM": "1",
        },
    )


def check(site: FluxSite, *flags: str) -> tuple[int, dict[str, Any], str]:
    """`driftd check -o json`: exit code, report, standard error."""
    done = driftd(site, "check", "-o", "json", *flags)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def states(report: dict[str, Any]) -> dict[str, str]:
    """The status of every object that is not Synced, by `APPLICATION KIND NAME`."""
    return {
        f"{application['name']} {one['kind']} {one['name']}": one["status"]
        for application in report["applications"]
        for one in application["resources"]
        if one["status"] != "Synced"
    }


def changes(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Every change: object, class and path."""
    return sorted(
        (f"{one['kind']} {one['name']}", change["class"], change["path"])
        for application in report["applications"]
        for one in application["resources"]
        for change in one["changes"]
    )


def test_untouched_repository_is_quiet_without_a_flag(site: FluxSite) -> None:
    """The one context is asked which root it is: that one is Synced, others are left out."""
    started = time.monotonic()
    code, report, stderr = check(site)
    assert (code, report["complete"], changes(report)) == (0, True, [])
    assert time.monotonic() - started < 120
    assert {one["name"] for one in report["applications"]} == {
        f"production/{name}" for name in APPLICATIONS
    }
    assert {one["status"] for one in report["applications"]} == {"Synced"}
    assert states(report) == {"production/apps ConfigMap shop-counter": "NotChecked"}
    assert "Flux root production is context home: its Flux syncs clusters/production" in stderr
    assert "Flux roots of other clusters are left out: staging" in stderr
    assert sum(len(one["resources"]) for one in report["applications"]) == 17


def test_root_that_is_named_is_not_left_out(site: FluxSite) -> None:
    """Whoever asks for another cluster's applications is told which flag settles it."""
    code, report, _ = check(site, "staging/*")
    assert code == 2
    (told,) = {c["message"] for a in report["applications"] for c in a["conditions"] if
               c["type"] == "ClusterConfigurationError"}  # fmt: skip
    assert "--cluster staging=CONTEXT" in told


def test_what_a_misspelt_path_hides_is_named(site: FluxSite) -> None:
    """The application below a Kustomization that cannot be read does not vanish silently."""
    file = site.repository / "clusters/production/apps.yaml"
    good = file.read_text()
    file.write_text(good.replace("apps/production", "apps/prodution"))
    try:
        code, report, _ = check(site, "--worktree")
    finally:
        file.write_text(good)
    assert code == 2
    assert "production/cache" not in {one["name"] for one in report["applications"]}
    (told,) = [one["message"] for one in report["conditions"] if one["severity"] == "error"]
    assert "Kustomization production/apps (clusters/production/apps.yaml) cannot be read" in told
    assert "is not looked at (HelmRelease cache)" in told
    assert "clusters/production/apps.yaml:10: path apps/prodution does not exist" in told
    assert told.endswith("did you mean apps/production?")


def test_values_of_a_release_are_traced(site: FluxSite) -> None:
    """The overlay's patch, the release, its ConfigMap and the chart are named, strongest first."""
    done = driftd(site, "render", "production/cache", "--trace")
    assert done.returncode == 0, done.stderr
    _, _, config = done.stdout.partition("# Source: charts/cache/templates/config.yaml\n")
    told = [line for line in config.partition("\napiVersion")[0].splitlines() if "Values" in line]
    patched = "(spec.values of the patched HelmRelease production/cache)"
    assert told == [
        f"# Values: apps/production/kustomization.yaml:13 {patched}",
        "# Values: apps/base/cache/release.yaml:27 (spec.values)",
        "# Values: apps/base/cache/release.yaml (ConfigMap cache/cache-values, key values.yaml)",
        "# Values: charts/cache/values.yaml (the defaults, shared by all that use the chart)",
    ]


@pytest.mark.parametrize(
    ("good", "bad", "why"),
    [
        ("prune: true", 'prune: "yess"', "spec.prune"),
        ("name: flux-system\n", "name: flux-sytem\n", "flux-sytem"),
        ("kind: Kustomization", "kind: Kustomizaton", "did you mean Kustomization?"),
    ],
)
def test_unusable_document_is_no_deletion(site: FluxSite, good: str, bad: str, why: str) -> None:
    """What Flux would refuse removes nothing: neither look says so, and both name what is lost."""
    file = site.repository / "clusters/production/apps.yaml"
    written = file.read_text()
    head, _, rest = written.rpartition(good)
    file.write_text(f"{head}{bad}{rest}")
    try:
        code, report, _ = check(site, "--worktree")
        previewed, preview, _ = check(site, "--preview", "--worktree", "--against", "main")
    finally:
        file.write_text(written)
    assert (code, previewed) == (2, 2)
    for one in (report, preview):
        (told,) = [c["message"] for c in one["conditions"] if c["severity"] == "error"]
        assert "is not looked at (HelmRelease cache)" in told
        assert why in told
    actions = {one["name"]: one["action"] for one in preview["applications"]}
    assert actions["production/cache"] == "unknown"
    assert actions["production/apps"] == "unknown"
    objects = [one for app in preview["applications"] for one in app["resources"]]
    assert "delete" not in {one["action"] for one in objects}


APPS_REPOSITORY = """---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: apps, namespace: flux-system}
spec: {interval: 1m, url: "ssh://git@git.example.com/platform/apps"}
"""


@pytest.mark.parametrize("path", ["./apps/production", "./other"])
def test_a_source_in_an_unknown_repository_deletes_nothing(site: FluxSite, path: str) -> None:
    """What a Kustomization declares from a repository that is not here is unknown, not gone."""
    file = site.repository / "clusters/production/apps.yaml"
    written = file.read_text()
    head, _, _ = written.rpartition("name: flux-system")
    head = head.replace("./apps/production", path)
    file.write_text(f"{head}name: apps\n{APPS_REPOSITORY}")
    try:
        code, report, _ = check(site, "--worktree")
        previewed, preview, _ = check(site, "--preview", "--worktree", "--against", "main")
    finally:
        file.write_text(written)
    assert (code, previewed) == (2, 2)
    told = [one["message"] for one in report["conditions"] if one["severity"] == "error"]
    named = any("is not looked at (HelmRelease cache)" in one for one in told)
    assert named is (path == "./apps/production")
    (cache,) = [one for one in preview["applications"] if one["name"] == "production/cache"]
    assert (cache["action"], cache["resources"]) == ("unknown", [])
    (why,) = [one["message"] for one in cache["conditions"]]
    assert why == (
        "whether the change still declares it is not known: Kustomization flux-system/apps, which "
        "declares it at the base, cannot be read"
    )
    objects = [one for app in preview["applications"] for one in app["resources"]]
    assert "delete" not in {one["action"] for one in objects}


def test_edits_extras_and_pauses_are_told(site: FluxSite) -> None:
    """An edit, a deletion, a leftover and a hand-made field are found, and nothing else."""
    cluster = site.cluster
    merge = "application/merge-patch+json"
    shop = "/api/v1/namespaces/shop/configmaps"
    release = "/api/v1/namespaces/cache/configmaps/cache-config"
    deployment = "/apis/apps/v1/namespaces/shop/deployments/shop"
    saved = cluster.call("GET", f"{shop}/shop-scripts")
    cluster.call(
        "PATCH", f"{shop}/shop?fieldManager=alice", {"data": {"host": "x"}}, content_type=merge
    )
    cluster.call(
        "PATCH", f"{release}?fieldManager=alice", {"data": {"size": "tiny"}}, content_type=merge
    )
    cluster.call(
        "PATCH",
        f"{deployment}?fieldManager=alice",
        {"spec": {"template": {"spec": {"hostNetwork": True}}}},
        content_type=merge,
    )
    # What is never applied again may be changed by anybody.
    cluster.call(
        "PATCH", f"{shop}/shop-counter?fieldManager=app", {"data": {"count": "7"}},
        content_type=merge,
    )  # fmt: skip
    cluster.call("DELETE", f"{shop}/shop-scripts")
    stray = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "stray", "namespace": "shop"},
        "data": {"old": "1"},
    }
    site.apply(stray, "apps")
    copied = {**stray, "metadata": {**stray["metadata"], "name": "copied"}}
    site.apply(copied, "apps", manager="some-controller")
    try:
        code, report, _ = check(site)
        assert code == 1
        assert states(report) == {
            "production/apps ConfigMap shop": "OutOfSync",
            "production/apps ConfigMap shop-counter": "NotChecked",
            "production/apps ConfigMap shop-scripts": "Missing",
            "production/apps ConfigMap stray": "Extra",
            "production/apps Deployment shop": "OutOfSync",
            "production/cache ConfigMap cache-config": "OutOfSync",
        }
        assert changes(report) == [
            ("ConfigMap cache-config", "declared", "/data/size"),
            ("ConfigMap shop", "declared", "/data/host"),
            ("Deployment shop", "undeclared", "/spec/template/spec/hostNetwork"),
        ]
    finally:
        for name in ("stray", "copied"):
            cluster.call("DELETE", f"{shop}/{name}")
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            del saved["metadata"][field]
        site.apply(saved, "apps")
        for path, body in (
            (f"{shop}/shop", {"data": {"host": "shop.production.example.com"}}),
            (release, {"data": {"size": "large"}}),
            (deployment, {"spec": {"template": {"spec": {"hostNetwork": None}}}}),
        ):
            cluster.call("PATCH", f"{path}?fieldManager=alice", body, content_type=merge)


def test_hub_reads_live_flux_objects_and_their_applied_revision(
    site: FluxSite, repository: GitRepo
) -> None:
    """With --hub the live objects count, and what was not applied yet is pending, no drift."""
    url = f"{site.repository}"
    flags = ("--hub", "home", "--repo", f"ssh://git@git.example.com/platform/fleet={url}")
    code, report, stderr = check(site, *flags)
    assert (code, report["complete"], changes(report)) == (0, True, []), stderr
    assert {one["name"] for one in report["applications"]} == APPLICATIONS

    first = repository.head
    status = {"status": {"lastAppliedRevision": f"main@sha1:{first}"}}
    site.cluster.call(
        "PATCH",
        f"{KUSTOMIZATION}/apps/status?fieldManager=gotk-kustomize-controller",
        status,
        content_type="application/merge-patch+json",
    )
    file = "apps/base/shop/settings.yaml"
    before = (site.repository / file).read_text()
    repository.write(file, before.replace("host: shop.", "host: store."))
    repository.commit("Git is ahead")
    try:
        code, report, _ = check(site, *flags)
        assert code == 0
        assert changes(report) == [("ConfigMap shop", "pending", "/data/host")]
    finally:
        repository.write(file, before)
        repository.commit("Back")
