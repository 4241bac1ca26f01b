"""`driftd diff` on what kubectl saves from a real API server, worker and program included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed.cluster import ControlPlane
from tests.testbed.program import driftd

pytestmark = pytest.mark.cluster

MANIFESTS = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  level: info
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  replicas: 2
  selector:
    matchLabels: {app: app}
  template:
    metadata:
      labels: {app: app}
    spec:
      containers:
        - name: app
          image: ghcr.io/example/app:v1
          resources:
            limits: {cpu: 500m, memory: 0.5Gi}
"""


class Saved:
    """Manifests applied to a namespace, and the files that kubectl saves of it."""

    def __init__(self, cluster: ControlPlane, namespace: str, folder: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.desired = folder / "desired.yaml"
        self.desired.write_text(MANIFESTS)
        self._folder = folder
        self.kubectl(
            "apply", "--server-side", "--field-manager=argocd-controller", "-f", self.desired
        )
        self._schemas = [
            self._save(f"schema-{number}.json", "get", "--raw", f"/openapi/v3/{path}")
            for number, path in enumerate(("api/v1", "apis/apps/v1"))
        ]

    def kubectl(self, *arguments: object) -> str:
        """Run kubectl in the namespace; its standard output."""
        return self.cluster.kubectl("-n", self.namespace, *(str(item) for item in arguments)).stdout

    def diff(self, *flags: str, output: str = "yaml") -> subprocess.CompletedProcess[str]:
        """Save the objects as they are now and run `driftd diff` on them."""
        live = self._save(
            f"live.{output}", "get", "-f", self.desired, "-o", output, "--show-managed-fields"
        )
        schemas = [f"--schema={path}" for path in self._schemas]
        return driftd(
            *("diff", f"--desired={self.desired}", f"--live={live}", *schemas, *flags),
            cwd=self._folder,
            env={**os.environ, "COLUMNS": "120"},
        )

    def _save(self, name: str, *arguments: object) -> Path:
        path = self._folder / name
        path.write_text(self.kubectl(*arguments))
        return path


@pytest.fixture
def saved(api_server: ControlPlane, namespace: str, tmp_path: Path) -> Saved:
    """The manifests, applied by Argo CD's field manager."""
    return Saved(api_server, namespace, tmp_path)


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_untouched_objects_are_synced(saved, output):
    """What the server filled in by default is no drift, from YAML and from JSON; exit 0."""
    done = saved.diff("-o", "json", output=output)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert [resource["status"] for resource in report["resources"]] == ["Synced", "Synced"]
    assert report["conditions"] == []


def test_changes_by_hand_are_found(saved):
    """A scale and an edit are found with path and manager; exit 1."""
    saved.kubectl("scale", "deployment/app", "--replicas=5")
    saved.kubectl("patch", "configmap/settings", "--patch", '{"data":{"level":"debug"}}')
    done = saved.diff("-o", "json")
    assert done.returncode == 1, done.stderr
    found = {
        (resource["name"], change["path"]): (change["desired"], change["live"], change["manager"])
        for resource in json.loads(done.stdout)["resources"]
        for change in resource["changes"]
    }
    assert found == {
        ("app", "/spec/replicas"): (2, 5, "kubectl"),
        ("settings", "/data/level"): ("info", "debug", "kubectl-patch"),
    }


def test_table(saved):
    """The table names the field by its container and ends with the exit code's meaning."""
    saved.kubectl("set", "image", "deployment/app", "app=ghcr.io/example/app:v2")
    done = saved.diff()
    assert done.returncode == 1, done.stderr
    assert "containers[name=app].image  ghcr.io/example/app:v1 → ghcr.io/example/app:v2" in (
        done.stdout
    )
    assert "by kubectl-set (Update)" in done.stdout
    assert done.stdout.splitlines()[-1] == "exit 1: drift found"


def test_version_knows_the_worker():
    """`driftd version` names the libraries that the real worker renders with."""
    done = subprocess.run(
        [sys.executable, "-m", "driftd.cli.main", "version", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert any("kustomize" in name for name in json.loads(done.stdout)["worker"])
