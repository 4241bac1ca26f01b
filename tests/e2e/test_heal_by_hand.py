"""`driftd heal --yes` on a machine without a daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import ROOT
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster

NAMESPACE = "by-hand"


def test_it_is_on_record_and_can_be_taken_back(
    api_server: ControlPlane, git_repo: GitRepo, tmp_path: Path
) -> None:
    """What it writes over is kept in the user's own store, whose record holds, and is restored."""
    git_repo.set_remote(URL)
    git_repo.write("apps/by-hand/settings.yaml", config_map("settings", colour="blue"))
    policy = {"automated": {"selfHeal": True}}
    document = application("by-hand", NAMESPACE, syncPolicy=policy)
    git_repo.write("argocd/by-hand.yaml", document)
    git_repo.commit()
    api_server.create_namespace(NAMESPACE)
    api_server.kubectl(
        *("apply", "--server-side", "-n", NAMESPACE, "-f", "-"),
        input=config_map("settings", colour="red"),
    )

    def driftd(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "driftd.cli.main", *words],
            cwd=git_repo.path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
                "XDG_STATE_HOME": str(tmp_path / "state"),
                "KUBECONFIG": str(api_server.kubeconfig()),
                "DRIFTD_QUIET": "yes",
                "COLUMNS": "120",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def colour() -> Any:
        live = api_server.call("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/settings")
        return live["data"]["colour"]

    preview = driftd("heal", "by-hand")
    assert (preview.returncode, colour()) == (1, "red"), preview.stdout + preview.stderr
    assert not (tmp_path / "state").exists()
    healed = driftd("heal", "by-hand", "--yes", "-o", "json")
    assert (healed.returncode, colour()) == (0, "blue"), healed.stdout + healed.stderr
    store = json.loads(healed.stdout)["record"]
    assert store == f"sqlite:///{tmp_path}/state/driftd/by-hand.db"
    verified = driftd("audit", "verify", "--store", store)
    assert verified.returncode == 0, verified.stderr
    listed = driftd("restore", "--store", store, "-o", "json")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    (kept,) = json.loads(listed.stdout)["items"]
    assert (kept["kind"], kept["name"]) == ("ConfigMap", "settings")
    restored = driftd("restore", kept["id"], "--store", store, "--yes")
    assert (restored.returncode, colour()) == (0, "red"), restored.stdout + restored.stderr
