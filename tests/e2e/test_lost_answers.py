"""F-03: writes that succeed, but whose answers are lost on the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.reports import verdicts
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.lossy_proxy import losing_answers

pytestmark = pytest.mark.cluster

NAMESPACE = "lost-answers"
PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


def real_writes(cluster: ControlPlane, mark: int) -> list[str]:
    """Names of the objects that driftd wrote to, one for each write that was no dry run."""
    return [
        event["objectRef"]["name"]
        for event in cluster.audit_events(mark)
        if event["verb"] not in ("get", "list", "watch")
        and event.get("userAgent", "").startswith("driftd/")
        and "dryRun" not in event["requestURI"]
        and event["stage"] == "ResponseComplete"
    ]


def test_a_lost_answer_is_no_second_write(
    api_server: ControlPlane, git_repo: GitRepo, tmp_path: Path, private_environment: Path
) -> None:
    """F-03: a change and a creation whose answers are lost: each written once, each healed once."""
    git_repo.set_remote(URL)
    for name in ("changed", "deleted"):
        git_repo.write(f"apps/lossy/{name}.yaml", config_map(name, colour="blue"))
    destination = {"name": "lossy", "namespace": NAMESPACE}
    policy = {"automated": {"selfHeal": True}}
    document = application("lossy", NAMESPACE, destination=destination, syncPolicy=policy)
    git_repo.write("argocd/lossy.yaml", document)
    git_repo.commit()
    api_server.create_namespace(NAMESPACE)
    for name in ("changed", "deleted"):
        api_server.kubectl(
            *("apply", "--server-side", "-n", NAMESPACE, "-f", "-"),
            input=config_map(name, colour="blue"),
        )
    kubeconfig, store = tmp_path / "kubeconfig", tmp_path / "driftd.db"
    settings: dict[str, Any] = {
        "repositories": [{"path": str(git_repo.path)}],
        "clusters": {"kubeconfig": str(kubeconfig), "allow": {"insecure": True}},
        "sweep": {"interval": "5s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{store}"},
        "healing": {
            "rules": [{"applications": ["lossy"], "rung": "fields"}],
            "grace": {"high": "0s", "medium": "0s", "low": "0s", "info": "0s"},
        },
    }
    with losing_answers(api_server) as proxy:
        access = {
            "clusters": [{"name": "lossy", "cluster": {"server": proxy.server}}],
            "users": [{"name": "lossy", "user": {"token": api_server.token()}}],
            "contexts": [{"name": "lossy", "context": {"cluster": "lossy", "user": "lossy"}}],
        }
        kubeconfig.write_text(json.dumps(access))
        with Daemon(tmp_path, settings, private_environment) as daemon:
            daemon.wait_ready()
            assert verdicts(store)["lossy"]["status"] == "Synced"
            daemon.wait_looks(1)
            mark = api_server.audit_mark()
            api_server.call(
                *("PATCH", f"{PATH}/changed", {"data": {"colour": "red"}}),
                content_type="application/merge-patch+json",
            )
            api_server.call("DELETE", f"{PATH}/deleted")

            def healed() -> bool:
                status, found = api_server.request("GET", f"{PATH}/deleted")
                changed = api_server.call("GET", f"{PATH}/changed")
                blue = changed["data"]["colour"] == "blue"
                drifts = daemon.total("driftd_drift_open")
                return status == 200 and found["data"]["colour"] == "blue" and blue and not drifts

            daemon.wait(lambda: len(proxy.lost) == 2 and healed(), "both healed")
            daemon.wait_looks(2)
            episodes = daemon.episodes("lossy")
            assert sorted(real_writes(api_server, mark)) == ["changed", "deleted"]
    assert sorted(proxy.lost) == [f"{PATH}/changed", f"{PATH}/deleted"]
    endings = sorted((one["name"], one["ended"]) for one in episodes)
    assert endings == [("changed", "healed"), ("deleted", "healed")]
