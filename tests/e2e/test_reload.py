"""The daemon as a process whose settings change while it runs."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.receivers import SECRET
from tests.testbed.gitrepo import GitRepo

URL = "https://git.example.com/gitops.git"


@pytest.fixture
def settings(git_repo: GitRepo, tmp_path: Path) -> dict[str, Any]:
    """Two applications whose cluster nobody knows: each look says so."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    git_repo.write("apps/settings.json", json.dumps(config))
    for name in ("shop", "search"):
        application = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {
                "project": "default",
                "source": {"repoURL": URL, "path": "apps"},
                "destination": {"name": "nowhere", "namespace": "shop"},
            },
        }
        git_repo.write(f"argocd/{name}.json", json.dumps(application))
    git_repo.set_remote(URL)
    git_repo.commit()
    return {
        "repositories": [{"path": str(git_repo.path)}],
        "sweep": {"interval": "1h"},
        "store": {"dsn": f"sqlite:///{tmp_path}/driftd.db"},
    }


def test_settings_change_without_a_restart(settings: dict[str, Any], tmp_path: Path) -> None:
    """Good ones are in force, bad ones are refused whole, and what cannot be built changes nothing.

    The process stays ready and alive all the time.
    """
    with Daemon(tmp_path, settings, tmp_path) as daemon:
        unknown = 'driftd_applications{status="Unknown"}'

        def write(**changes: Any) -> None:
            document = {**json.loads(daemon.file.read_text()), **changes}
            daemon.file.write_text(json.dumps(document))
            daemon.signal(signal.SIGHUP)

        def told(message: str) -> list[dict[str, Any]]:
            lines = map(json.loads, daemon.log.read_text().splitlines())
            return [line for line in lines if line["message"] == message]

        daemon.wait_ready()
        assert daemon.metric(unknown) == 2
        assert daemon.metric("driftd_settings_current") == 1
        write(applications={"include": ["shop"]})
        daemon.wait(lambda: daemon.metric(unknown) == 1, "the narrower choice")
        assert told("settings changed")[0]["keys"] == ["applications.include"]

        write(applications={"include": ["*"]}, sweep={"workers": 0})
        daemon.wait(lambda: told("settings stay as they are"), "the refusal")
        assert daemon.metric("driftd_settings_current") == 0
        assert told("settings refused")[0]["problem"] == "sweep.workers: must be at least 1, not 0"

        hook = {"url": "https://alerts.example.com", "secretFile": f"{tmp_path}/secret"}
        (tmp_path / "secret").write_text(SECRET)
        write(
            sweep={"interval": "1h"},
            notifications={
                "allowNetworks": ["127.0.0.0/8"],
                "storm": {"messages": 1000},
                "webhooks": [hook],
            },
            log={"level": "debug"},
        )
        daemon.wait(lambda: daemon.metric(unknown) == 2, "both applications")
        assert daemon.metric("driftd_settings_current") == 1
        assert daemon.get("/readyz") == (200, "ok\n")
        assert daemon.get("/healthz") == (200, "ok\n")
        assert told("reading the repository"), "debug lines"

        refusals = len(told("settings stay as they are"))
        (tmp_path / "plain").mkdir()
        write(repositories=[{"path": str(tmp_path / "plain")}])
        daemon.wait(lambda: len(told("settings stay as they are")) > refusals, "no repository")
        assert "plain" in told("settings stay as they are")[-1]["why"]
        assert daemon.metric("driftd_settings_current") == 0
        assert daemon.metric(unknown) == 2
        code, seconds = daemon.stop()
        assert (code, seconds < 10) == (0, True)
