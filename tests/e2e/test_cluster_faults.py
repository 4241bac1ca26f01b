"""Clusters that are replaced, go dark or lie, with the daemon as a process before real ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import AT_ONCE, Daemon
from tests.e2e.reports import verdicts
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gate import Gate
from tests.testbed.gitrepo import GitRepo
from tests.testbed.hostile_api import hostile_api
from tests.testbed.writes import writes

pytestmark = pytest.mark.cluster

NAMESPACE = "faults"


@pytest.fixture(scope="module")
def other() -> Iterator[ControlPlane]:
    """Another real API server than the session's."""
    with ControlPlane("other", audit="Metadata") as cluster:
        yield cluster


def port_of(cluster: ControlPlane) -> int:
    """The port of an API server."""
    return int(cluster.server.rpartition(":")[2])


def reach(path: Path, port: int, token: str, *trusted: ControlPlane) -> None:
    """Write a kubeconfig of one context, `gated`, that trusts several clusters' authorities."""
    authority = b"".join(one.ca_file.read_bytes() for one in trusted)
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    document = {
        "current-context": "gated",
        "clusters": [{"name": "gated", "cluster": cluster}],
        "users": [{"name": "gated", "user": {"token": token}}],
        "contexts": [{"name": "gated", "context": {"cluster": "gated", "user": "gated"}}],
    }
    written = path.with_suffix(".new")
    written.write_text(json.dumps(document))
    written.rename(path)


def test_a_replaced_cluster_is_neither_judged_nor_healed(
    api_server: ControlPlane,
    other: ControlPlane,
    git_repo: GitRepo,
    tmp_path: Path,
    private_environment: Path,
) -> None:
    """Another cluster at the same address: Unknown, no write, until its identity is accepted.

    The rung to heal is open, and on the other cluster the object is missing. Once its uid stands
    in the settings, it is created there.
    """
    object_ = config_map("settings", colour="blue")
    git_repo.set_remote(URL)
    git_repo.write("apps/gated/settings.yaml", object_)
    self_heal = {"automated": {"selfHeal": True}}
    destination = {"name": "gated", "namespace": NAMESPACE}
    git_repo.write(
        "argocd/gated.yaml",
        application("gated", NAMESPACE, destination=destination, syncPolicy=self_heal),
    )
    git_repo.commit()
    for cluster in (api_server, other):
        cluster.create_namespace(NAMESPACE)
    api_server.kubectl("apply", "--server-side", "-n", NAMESPACE, "-f", "-", input=object_)
    kubeconfig, store = tmp_path / "kubeconfig", tmp_path / "driftd.db"
    both = (api_server, other)
    settings: dict[str, Any] = {
        "repositories": [{"path": str(git_repo.path)}],
        "clusters": {"kubeconfig": str(kubeconfig)},
        "sweep": {"interval": "1h", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{store}"},
        "healing": {"rules": [{"applications": ["gated"], "rung": "fields"}], **AT_ONCE},
    }
    marks = {cluster.name: cluster.audit_mark() for cluster in both}
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/settings"
    with Gate(port_of(api_server)) as gate:
        reach(kubeconfig, gate.port, api_server.token(), *both)
        with Daemon(tmp_path, settings, private_environment) as daemon:

            def status() -> tuple[str, list[str]]:
                found = verdicts(store).get("gated") or {"status": "", "conditions": []}
                return found["status"], [one["type"] for one in found["conditions"]]

            daemon.wait_ready()
            assert status() == ("Synced", [])
            running = 'driftd_watches{cluster="gated",state="running"}'
            daemon.wait(lambda: daemon.metric(running) == 1, "the watch")
            reach(kubeconfig, gate.port, other.token(), *both)
            gate.lead(port_of(other))
            daemon.wait(lambda: status() == ("Unknown", ["ClusterReplaced"]), "the freeze")
            assert daemon.total("driftd_drift_open") == 0
            assert other.request("GET", path)[0] == 404
            uid = other.call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
            condition = verdicts(store)["gated"]["conditions"][0]["message"]
            assert f"set clusters.identities: {{gated: {uid}}}" in condition
            assert [writes(cluster, marks[cluster.name]) for cluster in both] == [[], []]
            settings["clusters"]["identities"] = {"gated": uid}
            daemon.rewrite(settings)
            daemon.wait(lambda: other.request("GET", path)[0] == 200, "the object to be created")
            daemon.wait(lambda: status() == ("Synced", []), "the verdict after it")
    assert writes(api_server, marks[api_server.name]) == []


HOSTILE = {
    "redirect": "redirects to another server",
    "endless-chunk": "clusters.limits.answer",
    "bomb": "clusters.limits.answer",
    "wrong-kinds": "the answer cannot be read",
    "many-kinds": "clusters.limits.answer",
    "everything": "clusters.limits.answer",
}
"""What is said of the application of each hostile cluster."""


def test_hostile_clusters_cost_the_others_nothing(
    api_server: ControlPlane, git_repo: GitRepo, tmp_path: Path, private_environment: Path
) -> None:
    """Six API servers that flood and lie are Unknown, each with its reason; memory is bounded.

    The real cluster beside them has its verdict, and its changes are seen.
    """
    object_ = config_map("settings", colour="blue")
    git_repo.set_remote(URL)
    namespace = api_server.create_namespace("beside-hostile")
    api_server.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=object_)
    for name in ("good", *HOSTILE):
        git_repo.write(f"apps/{name}/settings.yaml", object_)
        place = namespace if name == "good" else "shop"
        destination = {"name": name, "namespace": place}
        git_repo.write(f"argocd/{name}.yaml", application(name, place, destination=destination))
    git_repo.commit()
    kubeconfig, store = tmp_path / "kubeconfig", tmp_path / "driftd.db"
    with hostile_api() as address:
        reach(kubeconfig, port_of(api_server), api_server.token("detector"), api_server)
        document = json.loads(kubeconfig.read_text())
        document["contexts"][0]["name"] = document["current-context"] = "good"
        for name in HOSTILE:
            cluster = {"server": f"{address}/{name}"}
            document["clusters"].append({"name": name, "cluster": cluster})
            context = {"name": name, "context": {"cluster": name, "user": "gated"}}
            document["contexts"].append(context)
        kubeconfig.write_text(json.dumps(document))
        settings = {
            "repositories": [{"path": str(git_repo.path)}],
            "clusters": {
                "kubeconfig": str(kubeconfig),
                "timeout": "10s",
            },
            "sweep": {"interval": "1h", "jitter": "0s"},
            "store": {"dsn": f"sqlite:///{store}"},
        }
        with Daemon(tmp_path, settings, private_environment) as daemon:
            daemon.wait_ready()
            found = verdicts(store)
            assert found["good"]["status"] == "Synced"
            for name, said in HOSTILE.items():
                told = json.dumps([found[name]["conditions"], found[name]["resources"]])
                assert (found[name]["status"], said in told) == ("Unknown", True), f"{name} {told}"
            path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
            api_server.call(
                "PATCH", path, {"data": {"colour": "red"}}, user="alice",
                content_type="application/merge-patch+json",
            )  # fmt: skip
            daemon.wait(lambda: verdicts(store)["good"]["status"] == "OutOfSync", "the drift")
            peak = daemon.memory("VmHWM")
            code, _ = daemon.stop()
        assert code == 0
    assert peak < 350 * 1024 * 1024, peak
