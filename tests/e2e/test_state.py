"""`driftd check --state`: looks that know of the looks before them, on a real API server."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import CONTEXT, URL, Seen, Site, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

PASSWORD = "correct-horse-canary"
HIDDEN = "battery-staple-canary"
ARGO = "argocd-controller"


def secret(**data: str) -> str:
    """A Secret as Git has it, by `stringData`."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}}
    return json.dumps({**body, "stringData": data})


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """The application `shop` with a ConfigMap and a Secret, applied by Argo CD."""
    git_repo.set_remote(URL)
    git_repo.write("argocd/shop.yaml", application("shop", namespace))
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("admin", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    site = Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )
    declare(site, colour="blue")
    deploy(site)
    return site


def declare(site: Site, **data: str) -> None:
    """Commit what the application declares."""
    site.repo.write("apps/shop/settings.yaml", config_map("settings", **data))
    site.repo.write("apps/shop/login.json", secret(user="ledger", password=PASSWORD))
    site.repo.commit("Declare shop")


def deploy(site: Site) -> None:
    """Apply what the checkout holds, as Argo CD does."""
    for path in ("settings.yaml", "login.json"):
        site.cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", f"--field-manager={ARGO}",
            "-n", site.namespace, "-f", str(site.repo.path / "apps/shop" / path),
        )  # fmt: skip


def slip(site: Site, kind: str, name: str, data: dict[str, str]) -> None:
    """Add data, and remove the own entry from managedFields afterwards."""
    path = f"/api/v1/namespaces/{site.namespace}/{kind}/{name}"
    merge = "application/merge-patch+json"
    site.cluster.call("PATCH", f"{path}?fieldManager=mallory", {"data": data}, content_type=merge)
    entries = site.cluster.call("GET", path)["metadata"]["managedFields"]
    kept = [entry for entry in entries if entry["manager"] != "mallory"]
    site.cluster.call("PATCH", path, {"metadata": {"managedFields": kept}}, content_type=merge)


def look(site: Site, *flags: str) -> Seen:
    """A look with the state file."""
    return site.check(f"--state={state_of(site)}", *flags)


def state_of(site: Site) -> Path:
    """Where the state is."""
    return site.home / "driftd.state"


def changes(seen: Seen) -> list[tuple[str, str, str]]:
    """Kind, class and path of every change."""
    found: list[Any] = [c for r in seen.applications["shop"]["resources"] for c in r["changes"]]
    return [(c["kind"], c["class"], c["path"]) for c in found]


def test_what_a_single_look_cannot_tell(site: Site) -> None:
    """Extras whose author hid are drift from the second look on, and can be accepted."""
    first = look(site)
    assert (first.exit_code, changes(first)) == (0, [])
    assert f"{state_of(site)} holds no look yet" in first.stderr
    encoded = base64.b64encode(HIDDEN.encode()).decode()
    slip(site, "configmaps", "settings", {"side-door": "open"})
    slip(site, "secrets", "login", {"token": encoded})
    assert site.check().exit_code == 0
    expected = [
        ("added", "undeclared", "/data/side-door"),
        ("added", "undeclared", "/data/token"),
    ]
    for _ in range(2):
        seen = look(site)
        assert (seen.exit_code, changes(seen)) == (1, expected)
        assert "holds no look" not in seen.stderr
    content = state_of(site).read_bytes()
    explained = site.run(
        "explain", "shop", "configmap/settings", "data.side-door",
        f"--state={state_of(site)}", f"--kubeconfig={site.kubeconfig}",
    )  # fmt: skip
    assert "undeclared" in explained.stdout, explained.stderr
    assert "no deployer had a reason to write" in explained.stdout
    assert state_of(site).read_bytes() == content
    for text in (HIDDEN, PASSWORD):
        assert text.encode() not in content
        assert base64.b64encode(text.encode()) not in content
    key = site.home / "key"
    key.write_bytes(b"k" * 40)
    file = site.home / "accepted.yaml"
    flags = (f"--hash-key-file={key}", f"--state={state_of(site)}")
    written = site.run(
        "baseline", f"--kubeconfig={site.kubeconfig}", f"--file={file}", "--owner=me", *flags
    )
    assert written.exit_code == 0, written.stderr
    accepted = look(site, f"--baseline={file}", f"--hash-key-file={key}")
    assert accepted.exit_code == 0, accepted.stdout


def test_git_ahead_of_the_cluster(site: Site) -> None:
    """Between merge and sync a change waits, and is drift once it had been seen synced."""
    assert look(site).exit_code == 0
    declare(site, colour="green")
    waiting = look(site)
    assert (waiting.exit_code, changes(waiting)) == (0, [("modified", "pending", "/data/colour")])
    assert site.check().exit_code == 1
    deploy(site)
    assert (look(site).exit_code, changes(look(site))) == (0, [])
    site.cluster.kubectl(
        "patch", "configmap", "settings", "-n", site.namespace, "-p", '{"data":{"colour":"blue"}}'
    )
    assert changes(look(site)) == [("modified", "declared", "/data/colour")]


def test_git_ahead_beside_drift(site: Site) -> None:
    """A commit waits for its sync although somebody's edit elsewhere has been open before it."""

    def edit(data: str) -> None:
        patch = ("patch", "configmap", "settings", "-n", site.namespace, "-p")
        site.cluster.kubectl(*patch, f'{{"data":{data}}}')

    declare(site, colour="blue", size="small")
    deploy(site)
    edit('{"size":"large"}')
    size = ("modified", "declared", "/data/size")
    assert changes(look(site)) == [size]
    declare(site, colour="green", size="small")
    for _ in range(2):
        assert changes(look(site)) == [("modified", "pending", "/data/colour"), size]
    edit('{"colour":"red"}')
    assert changes(look(site)) == [("modified", "declared", "/data/colour"), size]
    deploy(site)
    assert changes(look(site)) == []
    edit('{"colour":"blue"}')
    assert changes(look(site)) == [("modified", "declared", "/data/colour")]


def test_damaged_state(site: Site) -> None:
    """A damaged file stops the look with the remedy, and stays as it is."""
    assert look(site).exit_code == 0
    path = state_of(site)
    path.write_bytes(path.read_bytes()[:-5])
    content = path.read_bytes()
    seen = look(site)
    assert seen.exit_code == 2
    assert f"{path} is damaged; restore it, or remove it" in seen.stderr
    assert path.read_bytes() == content
    path.unlink()
    assert look(site).exit_code == 0


def test_preview_has_no_state(site: Site) -> None:
    """A preview tells no drift, so that a state means nothing there."""
    seen = site.run("check", "--preview", "--against=HEAD", f"--state={state_of(site)}")
    assert seen.exit_code == 2
    assert "--state is about drift" in seen.stderr


def test_git_ahead_for_too_long(site: Site) -> None:
    """Where a sync comes by itself a change is pending until a moment that is shown, then drift."""
    deploy(site)
    file = site.repo.path / "argocd" / "shop.yaml"
    document = json.loads(file.read_text())
    document["spec"]["syncPolicy"] = {"automated": {}}
    file.write_text(json.dumps(document))
    declare(site, colour="blue")
    assert look(site).exit_code == 0
    declare(site, colour="violet")
    waiting = look(site, "--pending-deadline=1h")
    assert waiting.exit_code == 0, waiting.stdout
    (found,) = [
        one
        for app in waiting.report["applications"]
        for one in app["resources"]
        if "waiting" in one
    ]
    since, until = (datetime.fromisoformat(found["waiting"][key]) for key in ("since", "until"))
    assert until - since == timedelta(hours=1)
    text = site.check(f"--state={state_of(site)}", output="table").stdout
    assert f"Pending becomes drift from {found['waiting']['until']} on" in text
    text = site.check(f"--state={state_of(site)}", "--show=pending", output="table").stdout
    pending = (
        f"pending since {found['waiting']['since']}, drift from {found['waiting']['until']} on"
    )
    assert pending in text
    late = look(site, "--pending-deadline=0.001s")
    assert (late.exit_code, changes(late)) == (1, [("modified", "declared", "/data/colour")])
