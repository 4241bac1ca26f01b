"""`driftd baseline` and `driftd check --baseline` against a real API server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.site import CONTEXT, Seen, Site
from tests.e2e.test_explain import plant_web
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """A Deployment that was scaled and given a deadline."""
    plant_web(git_repo, api_server, namespace)
    patch = '{"spec":{"progressDeadlineSeconds":300}}'
    api_server.kubectl("patch", "deployment/web", "-n", namespace, "-p", patch)
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("admin", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


def baseline(site: Site, *flags: str) -> Path:
    """Write a baseline of everything that differs now."""
    file = site.home / "baseline.yaml"
    file.unlink(missing_ok=True)
    seen = site.run("baseline", f"--kubeconfig={site.kubeconfig}", f"--file={file}", *flags)
    assert seen.exit_code == 0, seen.stderr
    return file


def classes(seen: Seen) -> dict[str, str]:
    """Each change's path and what ignores it; empty if nothing does."""
    (application,) = seen.report["applications"]
    return {
        change["path"]: change.get("ignoredBy", "")
        for resource in application["resources"]
        for change in resource["changes"]
    }


def test_accepted_until_it_changes(site: Site) -> None:
    """Recorded findings make no drift; a critical one, a new value and a new hand do."""
    network = '{"spec":{"template":{"spec":{"hostNetwork":true}}}}'
    site.cluster.kubectl("patch", "deployment/web", "-n", site.namespace, "-p", network)
    file = baseline(site, "--owner", "platform", "--reason", "until the move", "--expires", "7")
    text = file.read_text()
    assert "# modified: spec.replicas  3 → 7" in text
    assert "/spec/template/spec/hostNetwork" in text
    entries = yaml.safe_load(text)["entries"]
    assert [entry["path"].rpartition("f:")[2] for entry in entries] == [
        "progressDeadlineSeconds",
        "replicas",
    ]
    assert {(entry["owner"], entry["reason"]) for entry in entries} == {
        ("platform", "until the move")
    }

    seen = site.check(f"--baseline={file}")
    assert seen.exit_code == 1
    marks = classes(seen)
    assert marks["/spec/template/spec/hostNetwork"] == ""
    assert marks["/spec/replicas"] == f"baseline {file}#2"

    off = '{"spec":{"template":{"spec":{"hostNetwork":null}}}}'
    site.cluster.kubectl("patch", "deployment/web", "-n", site.namespace, "-p", off)
    seen = site.check(f"--baseline={file}")
    assert (seen.exit_code, seen.applications["web"]["status"]) == (0, "Synced"), seen.stdout

    site.cluster.kubectl("scale", "deployment/web", "--replicas=8", "-n", site.namespace)
    seen = site.check(f"--baseline={file}")
    assert (seen.exit_code, classes(seen)["/spec/replicas"]) == (1, "")
    assert any("BaselineEntryUnused" in told and "#2" in told for told in seen.conditions())


def test_expired_entries_are_told_and_hide_nothing(site: Site) -> None:
    """After its last day an entry is a condition, and its finding is drift again."""
    file = baseline(site)
    document = yaml.safe_load(file.read_text())
    for entry in document["entries"]:
        entry["expires"] = "2026-01-01"
    file.write_text(yaml.safe_dump(document))
    site.environment["DRIFTD_BASELINE"] = str(file)
    seen = site.check()
    assert seen.exit_code == 1
    assert classes(seen)["/spec/replicas"] == ""
    assert sum("BaselineEntryExpired" in told for told in seen.conditions()) == 2


def test_key(site: Site) -> None:
    """Keyed files hold no value, work with the key, and are refused without it."""
    key = site.home / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    file = baseline(site, f"--hash-key-file={key}")
    assert "3 → 7" not in file.read_text()
    assert site.check(f"--baseline={file}", f"--hash-key-file={key}").exit_code == 0
    seen = site.check(f"--baseline={file}")
    assert (seen.exit_code, seen.stdout) == (2, "")
    assert "--hash-key-file" in seen.stderr


def test_bad_files(site: Site) -> None:
    """A file that exists is not overwritten; one that is no baseline is named with its fault."""
    file = baseline(site)
    again = site.run("baseline", f"--kubeconfig={site.kubeconfig}", f"--file={file}")
    assert (again.exit_code, "exists" in again.stderr) == (2, True)
    file.write_text(file.read_text().replace("manager:", "manger:"))
    seen = site.check(f"--baseline={file}")
    assert seen.exit_code == 2
    assert "manger" in seen.stderr
    assert str(file) in seen.stderr
