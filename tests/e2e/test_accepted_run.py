"""`driftd run` with a baseline and a suppression file on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.daemon import Daemon
from tests.e2e.receivers import SECRET, Receivers, receivers
from tests.e2e.site import CONTEXT, Site, deploy, plant
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster


@pytest.fixture
def site(api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path) -> Site:
    """Two applications; somebody has painted the ConfigMap `changed` red."""
    plant(git_repo, namespace)
    deploy(api_server, namespace)
    config = write_kubeconfig(
        tmp_path / "kubeconfig", [api_server.access("detector", context=CONTEXT)]
    )
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo, cluster=api_server, namespace=namespace, kubeconfig=config, home=home
    )


@pytest.fixture
def got() -> Iterator[Receivers]:
    """A webhook that verifies signatures."""
    with receivers() as listening:
        yield listening
        assert listening.refused == []


def set_data(site: Site, key: str, value: str) -> None:
    """Change the ConfigMap `changed` by hand, by the same manager as before."""
    patch = f'{{"data":{{"{key}":"{value}"}}}}'
    site.cluster.kubectl(
        "patch", "configmap", "changed", "-n", site.namespace, "-p", patch, user="alice"
    )


def test_accepted_is_silent_and_a_changed_value_is_told_once(
    site: Site, got: Receivers, tmp_path: Path
) -> None:
    """Neither the accepted value nor a suppressed place is told; another value is, once."""
    accepted = site.home / "baseline.yaml"
    seen = site.run("baseline", f"--kubeconfig={site.kubeconfig}", f"--file={accepted}")
    assert seen.exit_code == 0, seen.stderr
    entry = {
        "kind": "ConfigMap",
        "paths": ["data.size"],
        "owner": "platform",
        "reason": "sized by hand",
        "expires": "2999-01-01",
    }
    quiet = site.home / "suppressions.yaml"
    document = {"apiVersion": "driftd.io/v1", "kind": "Suppressions", "entries": [entry]}
    quiet.write_text(yaml.safe_dump(document))
    (tmp_path / "secret").write_text(SECRET)
    settings = {
        "repositories": [{"path": str(site.repo.path)}],
        "clusters": {
            "kubeconfig": str(site.kubeconfig),
            "destinations": {"https://kubernetes.default.svc": CONTEXT},
        },
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{tmp_path / 'driftd.db'}"},
        "notifications": {
            "allowNetworks": ["127.0.0.0/8"],
            "storm": {"messages": 1000},
            "webhooks": [{"url": f"{got.url}/hook", "secretFile": str(tmp_path / "secret")}],
        },
        "baselines": [str(accepted)],
        "suppressions": [str(quiet)],
    }
    with Daemon(tmp_path, settings, site.home) as daemon:
        daemon.wait_ready()
        set_data(site, "size", "large")
        daemon.wait_looks(6)
        assert got.webhook == []
        assert daemon.total("driftd_drift_open") == 0
        accepted.write_text(accepted.read_text() + "entries: again\n")
        daemon.wait(lambda: "BaselineInvalid" in daemon.log.read_text(), "the warning")
        daemon.wait_looks(6)
        assert got.webhook == []
        set_data(site, "colour", "green")
        daemon.wait(lambda: got.webhook, "the message")
        daemon.wait_looks(6)
        (message,) = got.webhook
        (drift,) = message["drifts"]
        assert (message["type"], drift["path"], drift["live"]) == (
            "drifted",
            "/data/colour",
            "green",
        )
