"""Baselines and suppressions of `driftd check` against a real API server."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.site import CONTEXT, ROOT, Seen, Site
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


def test_a_baseline_that_is_not_committed_yet(site: Site) -> None:
    """It is read from the checkout as it lies there, so that no note calls it ignored."""
    written = baseline(site)
    site.repo.write("ci/accepted.yaml", written.read_text())
    seen = site.check("--baseline=ci/accepted.yaml")
    assert seen.exit_code == 0, seen.stderr
    assert "uncommitted files" not in seen.stderr
    assert "uncommitted files" in site.check().stderr


def test_an_output_that_the_shell_made_in_the_checkout(site: Site) -> None:
    """The file that a command writes to is no uncommitted work, in that very command."""
    for words in (("baseline",), ("check", "-o", "json")):
        file = site.repo.path / "written.yaml"
        with file.open("w") as output:
            done = subprocess.run(
                [sys.executable, "-m", "driftd.cli.main", *words,
                 f"--kubeconfig={site.kubeconfig}"],
                stdout=output, stderr=subprocess.PIPE, text=True, check=False, cwd=site.repo.path,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(site.home),
                     "GIT_CONFIG_NOSYSTEM": "1"},
            )  # fmt: skip
        assert file.read_text(), done.stderr
        assert "uncommitted files" not in done.stderr
        file.unlink()


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


MORE = """apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
"""


def tracked(site: Site, name: str, kind: str = "ConfigMap") -> None:
    """Create an object that is tracked as the application's, and that Git does not have."""
    place = f"web:/{kind}:{site.namespace}/{name}"
    document = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": site.namespace,
            "annotations": {"argocd.argoproj.io/tracking-id": place},
        },
    }
    manager = "--field-manager=alice"
    site.cluster.kubectl("apply", "--server-side", manager, "-f", "-", input=json.dumps(document))


def test_whole_objects(site: Site) -> None:
    """A deleted Service and a ConfigMap beside Git are accepted, an Extra ServiceAccount never."""
    site.repo.write("apps/web/more.yaml", MORE)
    site.repo.commit("Declare more")
    site.cluster.kubectl("apply", "--server-side", "-n", site.namespace, "-f", "-", input=MORE)
    site.cluster.kubectl("delete", "service/web", "-n", site.namespace)
    tracked(site, "left-over")
    tracked(site, "robot", kind="ServiceAccount")
    file = baseline(site, "--owner=platform")
    text = file.read_text()
    assert f"# Missing: Service {site.namespace}/web, in Git, not in the cluster" in text
    assert f"# Extra: ConfigMap {site.namespace}/left-over, not in Git" in text
    assert "# Left out, 1 (Extra objects of its kind are critical: an identity that" in text
    entries = {one["name"]: one for one in yaml.safe_load(text)["entries"] if "status" in one}
    assert {name: one["status"] for name, one in entries.items()} == {
        "web": "Missing",
        "left-over": "Extra",
    }
    assert "manager" not in entries["web"]
    assert entries["left-over"]["manager"] == "alice"

    seen = site.check(f"--baseline={file}")
    objects = {one["name"]: one for one in seen.applications["web"]["resources"]}
    assert seen.exit_code == 1
    assert (objects["left-over"]["status"], objects["left-over"]["ignoredBy"]) == (
        "Extra",
        f"baseline {file}#1",
    )
    assert "ignoredBy" not in objects["robot"]

    site.cluster.kubectl("delete", "serviceaccount/robot", "-n", site.namespace)
    seen = site.check(f"--baseline={file}")
    assert (seen.exit_code, seen.applications["web"]["status"]) == (0, "Synced")
    assert seen.report["summary"]["resources"] == {"Synced": 3, "ignored": 2}
    shown = site.check(f"--baseline={file}", "--show=ignored", output="table").stdout
    assert "Missing    Service" in shown

    site.cluster.kubectl("delete", "configmap/left-over", "-n", site.namespace)
    seen = site.check(f"--baseline={file}")
    assert seen.exit_code == 0
    assert any("BaselineEntryUnused" in told and "left-over" in told for told in seen.conditions())


def suppressions(site: Site, *paths: str, **fields: str) -> Path:
    """A suppression file for Deployments."""
    file = site.home / "suppressions.yaml"
    entry = {
        "kind": "Deployment.apps",
        "paths": list(paths),
        "owner": "platform",
        "reason": "tuned by hand until release 5",
        "expires": "2999-01-01",
        "ticket": "OPS-1",
        **fields,
    }
    document = {"apiVersion": "driftd.io/v1", "kind": "Suppressions", "entries": [entry]}
    file.write_text(yaml.safe_dump(document))
    return file


def test_suppressions(site: Site) -> None:
    """A place stays quiet whatever its value, a critical change below it is told with a warning."""
    file = suppressions(site, "spec")
    for replicas in (7, 9):
        site.cluster.kubectl(
            "scale", "deployment/web", f"--replicas={replicas}", "-n", site.namespace
        )
        seen = site.check(f"--suppressions={file}")
        assert (seen.exit_code, seen.conditions()) == (0, [])
        assert set(classes(seen).values()) == {f"suppression {file}#1"}
    text = explain(site, f"--suppressions={file}")
    assert f"no drift: suppression {file}#1 accepts it" in text
    assert "owner platform; reason tuned by hand until release 5; ticket OPS-1; last day" in text

    network = '{"spec":{"template":{"spec":{"hostNetwork":true}}}}'
    site.cluster.kubectl("patch", "deployment/web", "-n", site.namespace, "-p", network)
    seen = site.check(f"--suppressions={file}")
    marks = classes(seen)
    assert (seen.exit_code, marks["/spec/template/spec/hostNetwork"]) == (1, "")
    assert marks["/spec/replicas"] == f"suppression {file}#1"
    (told,) = seen.conditions()
    assert told.startswith(f"SuppressionRefused: suppression {file}#1 covers Deployment web")
    assert "does not accept  hostNetwork: critical: host network" in explain(
        site, f"--suppressions={file}"
    )

    file = suppressions(site, "spec.paused", expires="2026-01-01")
    seen = site.check(f"--suppressions={file}")
    assert set(classes(seen).values()) == {""}
    (told,) = seen.conditions()
    assert "SuppressionExpired" in told
    assert (
        "SuppressionUnused"
        in site.check(f"--suppressions={suppressions(site, 'spec.paused')}").conditions()[0]
    )
    file = suppressions(site, "spec", owner="")
    seen = site.check(f"--suppressions={file}")
    assert (seen.exit_code, seen.stdout) == (2, "")
    assert f"{file}: entry 1, owner: must not be empty" in seen.stderr


def explain(site: Site, *flags: str) -> str:
    """What `driftd explain` says of the Deployment."""
    seen = site.run("explain", "web", "deployment/web", f"--kubeconfig={site.kubeconfig}", *flags)
    assert seen.exit_code == 0, seen.stderr
    return seen.stdout


def test_explain_says_why_an_entry_holds_no_longer(site: Site) -> None:
    """Accepted, then with another value and another hand, then expired."""
    file = baseline(site, "--owner=platform")
    text = explain(site, f"--baseline={file}")
    assert f"no drift: baseline {file}#2 accepts it" in text
    assert "accepts  spec.replicas" in text
    patch = '{"spec":{"replicas":4}}'
    site.cluster.kubectl(
        "patch", "deployment/web", "-n", site.namespace, "-p", patch, "--field-manager=bob"
    )
    text = explain(site, f"--baseline={file}")
    assert (
        "does not accept  spec.replicas: it is by bob now, not by kubectl and its value has changed"
    ) in text
    document = yaml.safe_load(file.read_text())
    for entry in document["entries"]:
        entry["expires"] = "2026-01-01"
    file.write_text(yaml.safe_dump(document))
    text = explain(site, f"--baseline={file}")
    assert "expired on 2026-01-01" in text
    assert "no longer accepts (expired)  spec.progressDeadlineSeconds" in text


SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: login
stringData:
  password: hunter2-declared
"""


def test_masked_values_need_a_key(site: Site) -> None:
    """A changed Secret is accepted by a keyed hash alone; nothing written or printed betrays it."""
    site.repo.write("apps/web/secret.yaml", SECRET)
    site.repo.commit("Declare a Secret")
    site.cluster.kubectl("apply", "--server-side", "-n", site.namespace, "-f", "-", input=SECRET)
    change_password(site, "hunter3-live")
    file = baseline(site)
    assert "login" not in str(yaml.safe_load(file.read_text()))
    assert "# Left out, 1 (its value is masked; with --hash-key-file it can be accepted)" in (
        file.read_text()
    )

    key = site.home / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    file = baseline(site, f"--hash-key-file={key}")
    flags = (f"--baseline={file}", f"--hash-key-file={key}")
    seen = site.check(*flags)
    assert (seen.exit_code, classes(seen)["/data/password"].startswith("baseline")) == (0, True)
    written = file.read_text() + seen.stdout + seen.stderr
    for value in ("hunter2-declared", "hunter3-live"):
        for form in (value, base64.b64encode(value.encode()).decode()):
            assert form not in written
            assert hashlib.sha256(form.encode()).hexdigest() not in written
    entries = yaml.safe_load(file.read_text())["entries"]
    (sealed,) = [one["value"] for one in entries if one["kind"] == "Secret"]
    assert sealed.removeprefix("hmac-sha256:") not in seen.stdout

    change_password(site, "hunter4-live")
    seen = site.check(*flags)
    assert (seen.exit_code, classes(seen)["/data/password"]) == (1, "")
    assert any("its value has changed" in told for told in seen.conditions())


def change_password(site: Site, password: str) -> None:
    """Change the Secret by hand."""
    patch = json.dumps({"stringData": {"password": password}})
    site.cluster.kubectl("patch", "secret/login", "-n", site.namespace, "-p", patch)
