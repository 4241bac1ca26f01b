"""The daemon on a real cluster: heals are on the record, kept, restored and looked after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import ROOT, Daemon
from tests.e2e.site import CONTEXT, URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.full

SELF_HEAL = {"automated": {"selfHeal": True}}
NAMESPACE = "audited"
AT_ONCE = dict.fromkeys(("critical", "high", "medium", "low", "info"), "0s")
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "progressDeadlineSeconds": 2,
        # With `Recreate` the controller writes twice before it makes the new ReplicaSet, and where
        # its cache is behind, the condition stays at the old one's: without a progress deadline.
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
        },
    },
}


class Stage:
    """A daemon, its cluster, and the command line beside it."""

    def __init__(self, cluster: ControlPlane, daemon: Daemon, home: Path) -> None:
        self.cluster = cluster
        self.daemon = daemon
        self._home = home

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command as a person does, with the settings of the daemon."""
        command, *rest = arguments
        words = [command, *rest, f"--config={self.daemon.file}"]
        return subprocess.run(
            [sys.executable, "-m", "driftd.cli.main", *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(self._home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def told(self, *kinds: str) -> list[dict[str, Any]]:
        """The entries of the record of these kinds."""
        lines = self.cli("audit", "export").stdout.splitlines()
        entries = [json.loads(line)["entry"] for line in lines]
        return [one for one in entries if one["kind"] in kinds]

    def live(self, path: str) -> Any:
        """An object of the namespace."""
        return self.cluster.call("GET", path)


MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/settings"
WEB = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/web"


@pytest.fixture
def stage(
    full_cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Iterator[Stage]:
    """The application `shop`, healed at once; Git wants its Deployment where no node is."""
    repo = GitRepo(tmp_path / "gitops")
    repo.set_remote(URL)
    repo.write("apps/shop/settings.yaml", config_map("settings", colour="blue"))
    wanted = json.loads(json.dumps(DEPLOYMENT))
    wanted["spec"]["template"]["spec"]["nodeSelector"] = {"no": "node"}
    repo.write("apps/later/web.yaml", json.dumps(wanted))
    for name in ("shop", "later"):
        text = application(name, NAMESPACE, syncPolicy=SELF_HEAL)
        repo.write(f"argocd/{name}.yaml", text)
    repo.commit()
    full_cluster.create_namespace(NAMESPACE)
    full_cluster.kubectl(
        "apply", "--server-side", "-n", NAMESPACE, "-f", "-",
        input=config_map("settings", colour="blue") + "---\n" + json.dumps(DEPLOYMENT),
    )  # fmt: skip
    full_cluster.wait_for(WEB, lambda found: found["status"].get("readyReplicas") == 2)
    access = full_cluster.access("admin", context=CONTEXT)
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", [access])
    settings = {
        "repositories": [{"path": str(repo.path)}],
        "clusters": {
            "kubeconfig": str(kubeconfig),
            "destinations": {"https://kubernetes.default.svc": CONTEXT},
        },
        "sweep": {"interval": "1h", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{tmp_path / 'driftd.db'}"},
        "healing": {
            "rules": [{"applications": ["shop", "later"], "rung": "fields"}],
            "grace": AT_ONCE,
        },
    }
    home = tmp_path_factory.mktemp("home")
    with Daemon(tmp_path, settings, home) as daemon:
        daemon.wait_ready()
        yield Stage(full_cluster, daemon, home)


def test_a_heal_is_recorded_restored_and_stopped_where_it_makes_worse(stage: Stage) -> None:
    """Record, backup and restore beside the running daemon; Healthy to Degraded stops healing."""
    cluster, daemon = stage.cluster, stage.daemon
    # Git's Deployment fits on no node: what was Healthy is Degraded after the heal.
    daemon.wait(lambda: stage.told("halt"), "healing to stop")
    (halt,) = stage.told("halt")
    assert halt["application"] == "argocd/later"
    assert halt["cause"].startswith("Deployment.apps audited/web was Healthy")
    assert halt["cause"].endswith("is Degraded")
    before = stage.live(WEB)["metadata"]["resourceVersion"]
    cluster.kubectl("-n", NAMESPACE, "scale", "deployment/web", "--replicas=5")
    daemon.wait(
        lambda: any(one["application"] == "argocd/later" for one in stage.told("refusal")),
        "the refusal on the record",
    )
    web = stage.live(WEB)
    assert web["spec"]["replicas"] == 5
    assert web["metadata"]["resourceVersion"] != before

    # A ConfigMap is healed, and a person brings back what was written over.
    cluster.kubectl(
        "-n", NAMESPACE, "patch", "configmap/settings", "--field-manager=kubectl-edit",
        "-p", '{"data":{"colour":"red"}}',
    )  # fmt: skip
    daemon.wait(lambda: stage.live(MAP)["data"]["colour"] == "blue", "the heal")
    daemon.wait(
        lambda: any(one["application"] == "argocd/shop" for one in stage.told("health")),
        "the end of the heal on the record",
    )
    told = [
        one
        for one in stage.told("intent", "result", "health")
        if one["application"] == "argocd/shop"
    ]
    assert [one["kind"] for one in told] == ["intent", "result", "health"]
    assert told[0]["changes"] == [{"path": "/data/colour", "before": "red", "after": "blue"}]
    assert (told[1]["outcome"], told[2]["outcome"]) == ("applied", "Healthy")
    verified = stage.cli("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr

    listed = stage.cli("restore", "--application=shop")
    (line,) = listed.stdout.splitlines()[1:]
    assert "ConfigMap audited/settings" in line
    backup = line.split()[0]
    shown = stage.cli("restore", backup, f"--kubeconfig={daemon.file.parent / 'kubeconfig'}")
    assert "/data/colour: blue -> red" in shown.stdout, shown.stderr
    assert "Nothing was written" in shown.stdout
    assert stage.live(MAP)["data"]["colour"] == "blue"
    done = stage.cli(
        "restore", backup, "--yes", f"--kubeconfig={daemon.file.parent / 'kubeconfig'}"
    )
    assert done.returncode == 0, done.stderr
    assert stage.live(MAP)["data"]["colour"] == "red"
    daemon.wait(lambda: len(stage.told("restore", "restore-result")) == 2, "the acts on the record")
    daemon.wait(
        lambda: any(one["application"] == "argocd/shop" for one in stage.told("refusal")),
        "healing to wait for the person",
    )
    assert stage.live(MAP)["data"]["colour"] == "red"
    stage.cli("resume", "shop", "--reason=it was right after all")
    daemon.wait(lambda: stage.live(MAP)["data"]["colour"] == "blue", "the heal after the resume")
    (resumed,) = stage.told("resume")
    assert resumed["cause"] == "it was right after all"
    assert "@" in resumed["who"]
    assert stage.cli("audit", "verify").returncode == 0
