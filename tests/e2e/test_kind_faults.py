"""Kinds that fail alone while the daemon runs: F-09, F-10 and F-12; and all clusters at once: F-14.

The shape of each fault is the same: what depends on it is Unknown with the reason, no drift is
opened for it, everything else has its verdict, and all of it is as before once the fault is over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.reports import verdicts
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gate import Gate
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster

GROUP = "faults.example.com"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
FLASK: dict[str, Any] = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "Flask",
    "metadata": {"name": "flask"},
    "spec": {"size": "1"},
}


def definition(*versions: str) -> dict[str, Any]:
    """The definition of the kind, the last version stored."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "metadata": {"name": f"flasks.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "Flask", "plural": "flasks", "singular": "flask"},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == versions[-1],
                    "schema": {"openAPIV3Schema": schema},
                }
                for name in versions
            ],
        },
    }


@pytest.fixture
def reader(api_server: ControlPlane) -> Iterator[str]:
    """A service account that may read everything but what the test takes away."""
    namespace = api_server.create_namespace("kind-faults")
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    api_server.call("POST", accounts, {"metadata": {"name": "reader"}})
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    name = "kind-faults-reader"
    api_server.call("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": "reader"}
    binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
    api_server.call("POST", f"{RBAC}/clusterrolebindings", binding)
    api_server.add_user("kinds", api_server.service_account_token(namespace, "reader"))
    yield name
    api_server.call("DELETE", f"{RBAC}/clusterrolebindings/{name}")
    api_server.call("DELETE", f"{RBAC}/clusterroles/{name}")


def test_a_kind_that_fails_fails_alone(
    api_server: ControlPlane,
    reader: str,
    git_repo: GitRepo,
    tmp_path: Path,
    private_environment: Path,
) -> None:
    """A right that is taken away, a kind that goes and comes back, an API without its server."""
    namespace = api_server.create_namespace("kind-faults-app")
    api_server.call("POST", CRDS, definition("v1"))
    flasks = f"/apis/{GROUP}/v1/namespaces/{namespace}/flasks"
    api_server.wait_for(flasks, lambda _: True)

    def deploy() -> None:
        api_server.kubectl(
            "apply", "--server-side", "-n", namespace, "-f", "-", input=json.dumps(FLASK)
        )

    text = config_map("settings", colour="blue")
    api_server.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=text)
    deploy()
    git_repo.set_remote(URL)
    git_repo.write("apps/mixed/settings.yaml", text)
    git_repo.write("apps/mixed/flask.json", json.dumps(FLASK))
    git_repo.write("argocd/mixed.yaml", application("mixed", namespace))
    git_repo.commit()
    store = tmp_path / "driftd.db"
    settings = {
        "repositories": [{"path": str(git_repo.path)}],
        "clusters": {"kubeconfig": str(api_server.kubeconfig("kinds"))},
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{store}"},
    }

    def states() -> dict[str, tuple[str, str]]:
        found = verdicts(store).get("mixed") or {"resources": []}
        return {one["kind"]: (one["status"], one.get("reason", "")) for one in found["resources"]}

    def holds(kind: str, status: str, said: str = "") -> Callable[[], bool]:
        def check() -> bool:
            state = states().get(kind, ("", ""))
            return state[0] == status and said in state[1]

        return check

    with Daemon(tmp_path, settings, private_environment) as daemon:
        daemon.wait_ready()
        assert {kind: state for kind, (state, _) in states().items()} == {
            "ConfigMap": "Synced",
            "Flask": "Synced",
        }

        def fails(kind: str, said: str) -> None:
            daemon.wait(holds(kind, "Unknown", said), f"{kind} to be Unknown: {said}")
            others = {name: state for name, state in states().items() if name != kind}
            assert {state for state, _ in others.values()} == {"Synced"}, others

        def recovers() -> None:
            for kind in ("ConfigMap", "Flask"):
                daemon.wait(holds(kind, "Synced"), f"{kind} to be Synced again")

        # F-12: no right any more to one kind.
        role = api_server.call("GET", f"{RBAC}/clusterroles/{reader}")
        everything = role["rules"]
        role["rules"] = [
            {"apiGroups": [""], "resources": ["configmaps", "namespaces"], "verbs": ["*"]},
            {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        ]
        role = api_server.call("PUT", f"{RBAC}/clusterroles/{reader}", role)
        fails("Flask", "grant the user of")
        role["rules"] = everything
        api_server.call("PUT", f"{RBAC}/clusterroles/{reader}", role)
        recovers()
        assert daemon.episodes("mixed") == []
        # F-10: another version is stored; then the kind is gone, and comes back.
        found = api_server.call("GET", f"{CRDS}/flasks.{GROUP}")
        found["spec"]["versions"] = definition("v1", "v2")["spec"]["versions"]
        api_server.call("PUT", f"{CRDS}/flasks.{GROUP}", found)
        daemon.wait_looks(3)
        recovers()
        assert daemon.total("driftd_drift_open") == 0
        api_server.call("DELETE", f"{CRDS}/flasks.{GROUP}")
        daemon.wait(lambda: states()["Flask"][0] != "Synced", "the kind to be gone")
        assert states()["ConfigMap"][0] == "Synced"
        api_server.wait_for(CRDS, lambda all_: GROUP not in json.dumps(all_["items"]))
        api_server.call("POST", CRDS, definition("v1"))
        api_server.wait_for(flasks, lambda _: True)
        deploy()
        recovers()
        # F-09: the API of the kind has a server that is not there, then its own again.
        api_server.call("DELETE", f"{CRDS}/flasks.{GROUP}")
        api_server.wait_for(
            API_SERVICES, lambda all_: f"v1.{GROUP}" not in json.dumps(all_["items"])
        )
        service = {"name": "nobody", "namespace": namespace, "port": 443}
        spec = {
            "group": GROUP,
            "version": "v1",
            "service": service,
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "insecureSkipTLSVerify": True,
        }
        body = {"metadata": {"name": f"v1.{GROUP}"}, "spec": spec}
        api_server.call("POST", API_SERVICES, body)
        fails("Flask", "")
        api_server.call("DELETE", f"{API_SERVICES}/v1.{GROUP}")
        api_server.call("POST", CRDS, definition("v1"))
        api_server.wait_for(flasks, lambda _: True)
        deploy()
        recovers()
        history = daemon.episodes("mixed")
    api_server.call("DELETE", f"{CRDS}/flasks.{GROUP}")
    # What was deleted with its kind was missing; nothing else was ever told.
    assert all("flask" in json.dumps(one) for one in history), history


CLUSTERS = 6


def test_all_clusters_go_and_come_back_together(
    api_server: ControlPlane, git_repo: GitRepo, tmp_path: Path, private_environment: Path
) -> None:
    """Six clusters refuse everything and are back at once: none is asked by more than it may be."""
    git_repo.set_remote(URL)
    text = config_map("settings", colour="blue")
    names = [f"gated-{number}" for number in range(CLUSTERS)]
    for name in names:
        namespace = api_server.create_namespace(name)
        api_server.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=text)
        git_repo.write(f"apps/{name}/settings.yaml", text)
        destination = {"name": name, "namespace": namespace}
        git_repo.write(f"argocd/{name}.yaml", application(name, namespace, destination=destination))
    git_repo.commit()
    store = tmp_path / "driftd.db"
    document = json.loads(api_server.kubeconfig("detector").read_text())
    (cluster,), (user,) = document["clusters"], document["users"]
    with ExitStack() as stack:
        target = int(api_server.server.rpartition(":")[2])
        gates = {name: stack.enter_context(Gate(target)) for name in names}
        document["clusters"] = [
            {
                "name": name,
                "cluster": {
                    **cluster["cluster"],
                    "server": f"https://127.0.0.1:{gates[name].port}",
                },
            }
            for name in names
        ]
        document["contexts"] = [
            {"name": name, "context": {"cluster": name, "user": user["name"]}} for name in names
        ]
        document["current-context"] = names[0]
        (tmp_path / "kubeconfig").write_text(json.dumps(document))
        settings = {
            "repositories": [{"path": str(git_repo.path)}],
            "clusters": {"kubeconfig": str(tmp_path / "kubeconfig"), "concurrency": 3},
            "sweep": {"interval": "1h", "jitter": "0s"},
            "store": {"dsn": f"sqlite:///{store}"},
        }
        with Daemon(tmp_path, settings, private_environment) as daemon:

            def all_are(status: str) -> bool:
                return {one["status"] for one in verdicts(store).values()} == {status}

            daemon.wait_ready()
            assert all_are("Synced")
            for name in names:
                running = f'driftd_watches{{cluster="{name}",state="running"}}'
                daemon.wait(lambda series=running: daemon.metric(series) == 1, "the watches")
            before = daemon.memory("VmRSS")
            for gate in gates.values():
                gate.shut()
            daemon.wait(lambda: all_are("Unknown"), "the darkness")
            for gate in gates.values():
                gate.most = 0
                gate.open()
            daemon.wait(lambda: all_are("Synced"), "the light")
            for name in names:
                running = f'driftd_watches{{cluster="{name}",state="running"}}'
                daemon.wait(lambda series=running: daemon.metric(series) == 1, "the watches")
            grown = daemon.memory("VmHWM") - before
            assert daemon.total("driftd_drift_open") == 0
            most = {name: gate.most for name, gate in gates.items()}
    # As many as look, and one that watches; a connection that ends may still be counted.
    assert max(most.values()) <= 3 + 1 + 1, most
    assert grown < 64 * 1024 * 1024, grown
