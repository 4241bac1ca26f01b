"""A Flux repository on a real cluster: found without a flag, quiet, and exact about edits."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftd.acting import engine_asker
from driftd.app import open_workspace
from driftd.clock import SystemClock, rfc3339
from driftd.cluster.registry import ClusterRegistry
from driftd.controller.asking import ASKED, IN_VAIN, Asking
from driftd.controller.check import look
from driftd.controller.declared import declare
from driftd.controller.identity import Identities
from driftd.controller.options import CheckOptions
from driftd.settings.healing import Grace, Healing, HealingRule
from driftd.settings.quantity import Duration
from driftd.settings.types import Settings
from driftd.store.sql import SqlStore
from driftd.store.types import NO_NOTICES, Transition
from driftd.telemetry.metrics import Metrics
from tests.e2e.daemon import AT_ONCE, Daemon
from tests.testbed import program
from tests.testbed.cluster import ControlPlane
from tests.testbed.flux import REQUESTED_AT, FluxSite, KustomizeController, serve_flux_kinds
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
    with ControlPlane("home", audit="Metadata") as cluster:
        serve_flux_kinds(cluster)
        found = FluxSite(cluster, repository.path, "production")
        found.deploy()
        yield found


def driftd(
    site: FluxSite, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run driftd in the checkout, or `cwd`, with nothing but a kubeconfig."""
    return program.driftd(
        *arguments,
        cwd=cwd or site.repository,
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
    # They are listed by their kind: Flux has no projects.
    head, *listed = driftd(site, "apps").stdout.splitlines()
    assert head.split() == ["NAME", "KIND", "CLUSTER", "DESTINATION", "SOURCE"]
    assert {"Kustomization", "HelmRelease"} == {line.split()[1] for line in listed}
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
    patched = "(spec.values of the patched HelmRelease cache)"
    assert told == [
        f"# Values: apps/production/kustomization.yaml:13 {patched}",
        "# Values: apps/base/cache/release.yaml:27 (spec.values)",
        "# Values: apps/base/cache/release.yaml:6 (ConfigMap cache/cache-values, key values.yaml)",
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


@pytest.mark.parametrize(
    ("file", "good", "bad", "expected"),
    [
        ("apps/base/cache/release.yaml", "maxMemory: 256mb", "maxMemry: 256mb", (1, "change")),
        ("clusters/production/apps.yaml", "prune: true", 'prune: "yess"', (2, "unknown")),
    ],
)
def test_a_hub_tells_what_the_change_makes_of_documents(
    site: FluxSite, file: str, good: str, bad: str, expected: tuple[int, str]
) -> None:
    """A preview with --hub tells of a document that the change alters what one without tells."""
    path = site.repository / file
    written = path.read_text()
    head, _, rest = written.rpartition(good)
    path.write_text(f"{head}{bad}{rest}")
    flags = ("--preview", "--worktree", "--against", "main")
    pair = f"ssh://git@git.example.com/platform/fleet={site.repository}"
    try:
        seen = [check(site, *flags, *more) for more in ((), ("--hub", "home", "--repo", pair))]
    finally:
        path.write_text(written)
    for code, preview, stderr in seen:
        (cache,) = [one for one in preview["applications"] if one["name"] == "production/cache"]
        assert (code, cache["action"]) == expected, stderr
    told = [
        [
            (
                app["name"],
                app["action"],
                one["action"],
                one["name"],
                field["path"],
                field.get("new"),
            )
            for app in preview["applications"]
            for one in app["resources"]
            for field in one["changes"]
        ]
        for _, preview, _ in seen
    ]
    assert told[0] == told[1]


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
    assert {one["name"] for one in report["applications"]} == {
        f"production/{name}" for name in APPLICATIONS
    }

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


def test_edited_values_are_told_without_a_checkout(site: FluxSite, tmp_path: Path) -> None:
    """The release names who edited the ConfigMap of its values, and its root all the same."""
    place = "/api/v1/namespaces/cache/configmaps/cache-values"
    saved = site.cluster.call("GET", place)
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        del saved["metadata"][field]
    edited = {"data": {"values.yaml": "domain: edited.example.com\n"}}
    merge = "application/merge-patch+json"
    site.cluster.call("PATCH", f"{place}?fieldManager=kubectl-edit", edited, content_type=merge)
    url = f"ssh://git@git.example.com/platform/fleet={site.repository}"
    flags = ("--hub", "home", "--repo", url)
    try:
        done = driftd(site, "check", "production/cache", "-o", "json", *flags, cwd=tmp_path)
    finally:
        site.cluster.call("DELETE", place)
        site.apply(saved, "apps")
    (application,) = json.loads(done.stdout)["applications"]
    (told,) = [one for one in application["conditions"] if one["type"].startswith("Live")]
    assert told["type"] == "LiveApplicationEdited"
    assert (
        "the live ConfigMap cache/cache-values was edited: data.values.yaml by kubectl-edit"
        in (told["message"])
    )
    assert [change["desired"] for one in application["resources"] for change in one["changes"]] == [
        "cache.edited.example.com"
    ]


SHOP = "/api/v1/namespaces/shop/configmaps/shop"
ASKABLE = "flux-system/*"


@pytest.fixture
def shop(site: FluxSite) -> Iterator[dict[str, Any]]:
    """The object that is edited, as Flux applies it; put back in the end."""
    saved = site.cluster.call("GET", SHOP)
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        del saved["metadata"][field]
    yield saved
    site.apply(saved, "apps")


def edit(site: FluxSite) -> int:
    """Somebody changes the object; the mark of the audit log before that."""
    mark = site.cluster.audit_mark()
    site.cluster.call(
        "PATCH", f"{SHOP}?fieldManager=alice", {"data": {"host": "by-hand"}},
        content_type="application/merge-patch+json",
    )  # fmt: skip
    return mark


def written(site: FluxSite, since: int) -> list[tuple[str, str, str]]:
    """What driftd has sent that is no read: verb, resource and name."""
    return [
        (event["verb"], event["objectRef"]["resource"], event["objectRef"].get("name", ""))
        for event in site.cluster.audit_events(since)
        if event.get("userAgent", "").startswith("driftd/")
        and event["verb"] not in ("get", "list", "watch")
    ]


def events(store: Path, kind: str) -> int:
    """How often something stands in the history of the application."""
    if not store.exists():
        return 0
    with sqlite3.connect(store) as connection:
        query = "SELECT count(*) FROM history WHERE kind = ? AND application LIKE '%/apps'"
        ((count,),) = connection.execute(query, (kind,)).fetchall()
    return int(count)


def test_flux_is_asked_and_helps(
    site: FluxSite, repository: GitRepo, shop: dict[str, Any], tmp_path: Path
) -> None:
    """One patch, of `requestedAt`; Flux puts the object back, and the history says so.

    driftd sends nothing else that is no read: the managed objects are Flux' to write.
    """
    store, home = tmp_path / "driftd.db", tmp_path / "home"
    home.mkdir()
    settings: dict[str, Any] = {
        "repositories": [{"path": str(repository.path)}],
        "clusters": {"kubeconfig": str(site.cluster.kubeconfig("admin"))},
        "sweep": {"interval": "1h", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{store}"},
        "healing": {"rules": [{"applications": [ASKABLE], "ask": True}], **AT_ONCE},
    }
    with (
        KustomizeController(site, "apps", shop, helps=True) as flux,
        Daemon(tmp_path, settings, home) as daemon,
    ):
        daemon.wait_ready()
        mark = edit(site)
        daemon.wait(lambda: events(store, "ask-helped"), "whether it helped")
        assert events(store, "asked") == 1
        assert 'engine="Flux",result="helped"' in daemon.get("/metrics")[1]
        asked = flux.live()
    assert flux.handled == [asked["metadata"]["annotations"][REQUESTED_AT]]
    assert written(site, mark) == [("patch", "kustomizations", "apps")]
    assert site.cluster.call("GET", SHOP)["data"] == shop["data"]


def test_flux_is_not_asked_to_roll_an_edit_out(
    site: FluxSite, repository: GitRepo, tmp_path: Path
) -> None:
    """Where the live source was edited, a daemon on a checkout leaves Flux alone and says why."""
    source = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories/flux-system"
    saved = site.cluster.call("GET", source)
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        del saved["metadata"][field]
    options = CheckOptions(
        repo=repository.path, kubeconfig=site.cluster.kubeconfig("admin"),
        applications=("production/apps",),
    )  # fmt: skip

    async def asked() -> str:
        async with open_workspace(options, lambda _text: None) as workspace:
            clusters = workspace.clusters
            assert isinstance(clusters, ClusterRegistry)
            (entry,) = (await declare(workspace, options, lambda _text: None)).entries
            store = await SqlStore.open(f"sqlite:///{tmp_path}/driftd.db")
            ask = engine_asker(
                Settings(), options, clusters, Identities(clusters, store, SystemClock(), {})
            )
            told = await ask(entry, (), datetime(2026, 3, 1, tzinfo=UTC), False)
            await store.close()
            return told

    edited = {"spec": {"ref": {"branch": "hotfix"}}}
    merge = "application/merge-patch+json"
    site.cluster.call("PATCH", f"{source}?fieldManager=kubectl-edit", edited, content_type=merge)
    try:
        told = asyncio.run(asked())
    finally:
        site.cluster.call("DELETE", source)
        site.apply(saved, "flux-system")
    assert told.startswith("the live GitRepository flux-system/flux-system was edited beside Git")
    assert "kubectl edit gitrepository flux-system -n flux-system" in told


def test_flux_is_asked_in_vain(
    site: FluxSite, repository: GitRepo, shop: dict[str, Any], tmp_path: Path
) -> None:
    """Handled, and the drift is still there after ten minutes: told, and not asked for again."""
    kubeconfig = site.cluster.kubeconfig("admin")
    options = CheckOptions(
        repo=repository.path, kubeconfig=kubeconfig, applications=("production/apps",)
    )
    rule = HealingRule(applications=(ASKABLE,), ask=True)
    none = Duration("0s")
    grace = Grace(high=none, medium=none, low=none, info=none)
    settings = Settings(healing=Healing(rules=(rule,), grace=grace))
    begun = datetime(2026, 3, 1, 12, tzinfo=UTC)

    async def asked_in_vain() -> list[tuple[float, list[str], list[str]]]:
        """By minute what was put into the history and what is told."""
        told = []
        async with open_workspace(options, lambda _text: None) as workspace:
            store = await SqlStore.open(f"sqlite:///{tmp_path}/driftd.db")
            assert isinstance(workspace.clusters, ClusterRegistry)
            identities = Identities(workspace.clusters, store, SystemClock(), {})
            asking = Asking(
                settings=settings.healing,
                store=store,
                metrics=Metrics("0"),
                ask=engine_asker(settings, options, workspace.clusters, identities),
            )
            declared = await declare(workspace, options, lambda _text: None)
            for minute in (0, 9.9, 10, 70, 24 * 60):
                (looked,) = await look(
                    workspace, declared, options, progress=lambda _text: None, clock=SystemClock()
                )
                (entry,) = declared.entries
                now = begun + timedelta(minutes=minute)
                history, notices = await asking.after(entry, looked.report, now, NO_NOTICES)
                kinds = [one.kind for one in history]
                told.append((minute, kinds, [one.text for one in notices.standing]))
                if minute == 0:
                    await asyncio.to_thread(handled)
            assert Transition.HEAL_REFUSED in notices.judged
            await store.close()
        return told

    with KustomizeController(site, "apps", shop, helps=False) as flux:

        def handled() -> None:
            site.cluster.wait_for(
                f"{KUSTOMIZATION}/apps",
                lambda found: (
                    found.get("status", {}).get("lastHandledReconcileAt") == rfc3339(begun)
                ),
            )

        mark = edit(site)
        told = asyncio.run(asked_in_vain())
        last = flux.live()["metadata"]["annotations"][REQUESTED_AT]
    text = f"Flux was asked at {begun.isoformat(timespec='seconds')} to put it back, "
    vain = [f"{text}and that did not help"]
    assert told == [
        (0, [ASKED], []), (9.9, [], []), (10, [IN_VAIN], vain), (70, [], vain), (1440, [], vain),
    ]  # fmt: skip
    assert (flux.handled, last) == ([rfc3339(begun)], rfc3339(begun))
    assert written(site, mark) == [("patch", "kustomizations", "apps")]
    assert site.cluster.call("GET", SHOP)["data"]["host"] == "by-hand"
