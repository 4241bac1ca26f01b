"""Severity rules, ignore rules and suppressions of an operator against a real API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.site import CONTEXT, Seen, Site
from tests.e2e.test_explain import plant_web
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster

FIELD = "spec.ignoreDifferences[0]"
POD = "/spec/template/spec"
RULE = {
    "group": "apps",
    "kind": "Deployment",
    "jsonPointers": ["/spec/template/spec/containers/0/terminationMessagePath", f"{POD}/dnsPolicy"],
    "jqPathExpressions": [
        ".spec.replicas",
        ".spec | length",
        "def f: f; f",
        ".spec.template.spec.hostNetwork",
    ],
    "managedFieldsManagers": ["tuner"],
}


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """A Deployment that was scaled, tuned and opened; its Application ignores most of it."""
    plant_web(git_repo, api_server, namespace, ignoreDifferences=[RULE])
    patch(api_server, namespace, '{"spec":{"template":{"spec":{"hostNetwork":true}}}}', "mallory")
    patch(api_server, namespace, '{"spec":{"progressDeadlineSeconds":300}}', "tuner")
    patch(api_server, namespace, '{"spec":{"minReadySeconds":5}}', "alice")
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


def patch(cluster: ControlPlane, namespace: str, body: str, manager: str) -> None:
    """Change the Deployment as a field manager."""
    cluster.kubectl(
        "patch", "deployment/web", "-n", namespace, "-p", body, f"--field-manager={manager}"
    )


def changes(seen: Seen) -> dict[str, dict[str, Any]]:
    """The changes of the Deployment by path."""
    resources = seen.applications["web"]["resources"]
    return {c["path"]: c for one in resources for c in one["changes"]}


def write(site: Site, name: str, **document: Any) -> Path:
    """Write a file of driftd's own kinds."""
    file = site.home / name
    file.write_text(yaml.safe_dump({"apiVersion": "driftd.io/v1", **document}))
    return file


def test_ignore_rules(site: Site) -> None:
    """What rules hide carries their names; what fails, does nothing or hides too much is told."""
    seen = site.check()
    found = changes(seen)
    assert {path: change.get("ignoredBy") for path, change in found.items()} == {
        "/spec/replicas": f"{FIELD}.jqPathExpressions[0]",
        f"{POD}/hostNetwork": f"{FIELD}.jqPathExpressions[3]",
        "/spec/progressDeadlineSeconds": f"{FIELD}.managedFieldsManagers[0]",
        "/spec/minReadySeconds": None,
    }
    assert seen.exit_code == 1
    told = seen.conditions("web")
    expected = {
        "IgnoreRuleFailed": ("jqPathExpressions[1]", "must select places"),
        "IgnoreRuleUnused": ("jsonPointers[1]", "/spec/template/spec/dnsPolicy"),
        "IgnoreRuleHidesCritical": ("jqPathExpressions[3]", "host network"),
    }
    for kind, words in expected.items():
        (text,) = [one for one in told if one.startswith(kind) and words[0] in one]
        assert text.startswith(f"{kind}: argocd/web.yaml: {FIELD}.")
        assert words[1] in text
    assert any("jqPathExpressions[2]" in one and "not done within 1s" in one for one in told)
    assert not any("[0].jqPathExpressions[0]" in one for one in told)


def test_severity_of_ones_own(site: Site) -> None:
    """An operator's rule gives its level and reason; a wrong file is an error that names it."""
    rule = {
        "id": "ready",
        "level": "critical",
        "reason": "we page for this",
        "kinds": ["Deployment.apps"],
        "paths": ["spec.minReady*"],
    }
    assert changes(site.check())["/spec/minReadySeconds"]["severity"] == "medium"
    file = write(site, "severity.yaml", kind="Severity", rules=[rule])
    change = changes(site.check(f"--severity={file}"))["/spec/minReadySeconds"]
    assert (change["severity"], change["severityReason"]) == ("critical", "we page for this")
    wrong = write(site, "wrong.yaml", kind="Severity", rules=[{**rule, "level": "fatal"}])
    seen = site.check(f"--severity={wrong}")
    assert (seen.exit_code, seen.stdout) == (2, "")
    assert f"{wrong}: rule 1 (ready), level: must be one of critical, high," in seen.stderr


def test_suppressed_objects(site: Site) -> None:
    """A deleted Service is accepted by `check` and by a daemon's sweep, and told without it."""
    site.cluster.kubectl("delete", "service/web", "-n", site.namespace)
    patch(site.cluster, site.namespace, '{"spec":{"minReadySeconds":0}}', "alice")
    entry = {"owner": "platform", "reason": "moves to the gateway", "expires": "2999-01-01"}
    file = write(
        site,
        "suppressions.yaml",
        kind="Suppressions",
        entries=[{"kind": "Service", "objects": ["Missing"], **entry}],
    )
    seen = site.check()
    service = next(r for r in seen.applications["web"]["resources"] if r["kind"] == "Service")
    assert (service["status"], service["severity"], seen.exit_code) == ("Missing", "high", 1)
    seen = site.check(f"--suppressions={file}")
    service = next(r for r in seen.applications["web"]["resources"] if r["kind"] == "Service")
    assert (service["ignoredBy"], seen.exit_code) == (f"suppression {file}#1", 0)

    settings = {
        "repositories": [{"path": str(site.repo.path)}],
        "clusters": {
            "kubeconfig": str(site.kubeconfig),
            "destinations": {"https://kubernetes.default.svc": CONTEXT},
        },
        "store": {"dsn": f"sqlite:///{site.home / 'driftd.db'}"},
        "server": {"listen": "127.0.0.1:0"},
    }
    config = site.home / "driftd.yaml"
    config.write_text(yaml.safe_dump(settings))
    run = ("run", "--once", f"--config={config}")
    assert "1 open drift;" in site.run(*run).stderr
    seen = site.run(*run, f"--suppressions={file}")
    assert seen.exit_code == 0, seen.stderr
    assert "0 open drifts;" in seen.stderr
