"""`driftd run` in this process: its start, one sweep, and what is wrong with its settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from driftd.errors import ConfigError
from driftd.running import run_daemon
from tests.testbed.gitrepo import GitRepo
from tests.testbed.one_application import declare_shop, kubeconfig


@pytest.fixture
def repo(git_repo: GitRepo) -> GitRepo:
    """A checkout that declares one Application, into cluster `one`."""
    return declare_shop(git_repo)


def test_the_daemon_names_what_is_wrong_with_its_settings(tmp_path: Path) -> None:
    """A receiver without its secret is found at the start, before anything is looked at."""
    settings = {
        "repositories": [{"path": str(tmp_path)}],
        "store": {"dsn": f"sqlite:///{tmp_path}/driftd.db"},
        "server": {"listen": "127.0.0.1:0"},
        "notifications": {
            "allowNetworks": ["127.0.0.0/8"],
            "webhooks": [{"url": "http://127.0.0.1:9/hook", "secretFile": f"{tmp_path}/nonesuch"}],
        },
    }
    file = tmp_path / "driftd.yaml"
    file.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=f"{tmp_path}/nonesuch"):
        run_daemon(file)


def test_one_sweep(
    repo: GitRepo, tmp_path: Path, private_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--once` ends after one sweep and says what it came to: the cluster cannot be reached."""
    settings = {
        "repositories": [{"path": str(repo.path)}],
        "clusters": {
            "kubeconfig": str(kubeconfig(tmp_path, "other")),
            "destinations": {"one": "nonesuch"},
        },
        "store": {"dsn": f"sqlite:///{tmp_path}/driftd.db"},
        "server": {"listen": "127.0.0.1:0"},
    }
    file = tmp_path / "driftd.yaml"
    file.write_text(json.dumps(settings))
    summary = run_daemon(file, once=True)
    assert summary is not None
    assert (summary.applications, summary.incomplete) == ({"Unknown": 1}, 1)
    assert not summary.complete
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (change,) = [one for one in lines if one["message"] == "state change"]
    assert (change["application"], change["status"]) == ("argocd/shop", "Unknown")
