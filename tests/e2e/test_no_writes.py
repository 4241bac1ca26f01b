"""What driftd cannot see well it never writes to: asserted in the API server's audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.reports import verdicts
from tests.e2e.site import URL, application, config_map
from tests.e2e.test_cluster_faults import port_of, reach
from tests.testbed.cluster import ControlPlane
from tests.testbed.gate import Gate
from tests.testbed.gitrepo import GitRepo
from tests.testbed.writes import writes

pytestmark = pytest.mark.cluster

AT_ONCE = dict.fromkeys(("critical", "high", "medium", "low", "info"), "0s")
USER = "system:serviceaccount:blind:healer"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
READ = {"verbs": ["get", "list", "watch"]}
RULES: dict[str, list[dict[str, Any]]] = {
    "healer-base": [
        {"apiGroups": [""], "resources": ["namespaces", "services"], **READ},
        {"apiGroups": [""], "resources": ["configmaps", "services"], "verbs": ["create", "patch"]},
        {"nonResourceURLs": ["*"], "verbs": ["get"]},
    ],
    "healer-maps": [{"apiGroups": [""], "resources": ["configmaps"], **READ}],
}
SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports: [{port: 80}]
"""


class Blind:
    """A daemon behind a gate, with rights that can be taken away, and an application to heal."""

    def __init__(self, cluster: ControlPlane, gate: Gate, daemon: Daemon, store: Path) -> None:
        self.cluster = cluster
        self.gate = gate
        self.daemon = daemon
        self._store = store

    def paint(self, colour: str) -> None:
        """A change by hand, past the gate."""
        self.cluster.kubectl(
            "-n", "blind", "patch", "configmap", "settings", "--field-manager=kubectl-edit",
            "-p", f'{{"data":{{"colour":"{colour}"}}}}',
        )  # fmt: skip

    def colour(self) -> str:
        """What the ConfigMap holds."""
        path = "/api/v1/namespaces/blind/configmaps/settings"
        return str(self.cluster.call("GET", path)["data"]["colour"])

    def status(self) -> str:
        """The verdict on the application."""
        found = verdicts(self._store).get("blind")
        return str(found["status"]) if found else ""

    def revisions(self) -> list[str]:
        """The commits that the last verdict was made from."""
        found = verdicts(self._store).get("blind") or {}
        return list(found.get("revisions", ()))

    def read_maps(self, allowed: bool) -> None:
        """Give or take the right to read ConfigMaps."""
        path = f"{RBAC}/clusterrolebindings"
        if allowed:
            self.cluster.call("POST", path, binding("healer-maps"))
        else:
            self.cluster.call("DELETE", f"{path}/healer-maps")


def binding(role: str) -> dict[str, Any]:
    """A role for the daemon's account everywhere."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    subject = {"kind": "ServiceAccount", "namespace": "blind", "name": "healer"}
    return {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]}


@pytest.fixture
def blind(
    api_server: ControlPlane, git_repo: GitRepo, tmp_path: Path, private_environment: Path
) -> Iterator[Blind]:
    """A ConfigMap and a Service, clean, and every right to put them back at once."""
    git_repo.set_remote(URL)
    git_repo.write("apps/blind/settings.yaml", config_map("settings", colour="blue"))
    git_repo.write("apps/blind/web.yaml", SERVICE)
    destination = {"name": "gated", "namespace": "blind"}
    self_heal = {"automated": {"selfHeal": True}}
    git_repo.write(
        "argocd/blind.yaml",
        application("blind", "blind", destination=destination, syncPolicy=self_heal),
    )
    git_repo.commit()
    if api_server.request("GET", "/api/v1/namespaces/blind")[0] == 404:
        api_server.create_namespace("blind")
    text = config_map("settings", colour="blue") + "---\n" + SERVICE
    api_server.kubectl("apply", "--server-side", "-n", "blind", "-f", "-", input=text)
    account = {"metadata": {"name": "healer"}}
    api_server.call("POST", "/api/v1/namespaces/blind/serviceaccounts", account)
    for name, rules in RULES.items():
        role = {"metadata": {"name": name}, "rules": rules}
        api_server.call("POST", f"{RBAC}/clusterroles", role)
        api_server.call("POST", f"{RBAC}/clusterrolebindings", binding(name))
    token = api_server.service_account_token("blind", "healer")
    kubeconfig, store = tmp_path / "kubeconfig", tmp_path / "driftd.db"
    settings = {
        "repositories": [{"path": str(git_repo.path)}],
        "clusters": {"kubeconfig": str(kubeconfig), "timeout": "3s"},
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{store}"},
        "healing": {
            "rules": [{"applications": ["blind"], "rung": "fields"}],
            "grace": AT_ONCE,
        },
    }
    with Gate(port_of(api_server)) as gate:
        reach(kubeconfig, gate.port, token, api_server)
        with Daemon(tmp_path, settings, private_environment) as daemon:
            daemon.wait_ready()
            yield Blind(api_server, gate, daemon, store)
    for name in RULES:
        api_server.request("DELETE", f"{RBAC}/clusterrolebindings/{name}")
        api_server.request("DELETE", f"{RBAC}/clusterroles/{name}")
    for place in ("configmaps/settings", "services/web", "serviceaccounts/healer"):
        api_server.request("DELETE", f"/api/v1/namespaces/blind/{place}")


def test_what_is_not_seen_is_not_written_to(blind: Blind) -> None:
    """Unreachable, hanging and half-readable: 0 writes while it lasts; healed once it is over.

    Each time the object has drifted meanwhile, so that whoever guessed would write.
    """
    daemon, cluster = blind.daemon, blind.cluster
    daemon.wait(lambda: blind.status() == "Synced", "the first verdict")

    def unread() -> None:
        blind.read_maps(allowed=False)

    troubles: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "unreachable": (blind.gate.shut, blind.gate.open),
        "hanging": (blind.gate.swallow, blind.gate.open),
        "half-readable": (unread, lambda: blind.read_maps(allowed=True)),
    }
    for trouble, (begin, end) in troubles.items():
        begin()
        daemon.wait(lambda: blind.status() == "Unknown", f"the verdict: {trouble}")
        mark = cluster.audit_mark()
        blind.paint(f"red-{trouble}")
        daemon.wait_looks(2)
        assert blind.status() == "Unknown"
        assert blind.colour() == f"red-{trouble}"
        assert writes(cluster, mark, users=[USER], refused=True) == [], trouble
        mark = cluster.audit_mark()
        end()
        daemon.wait(lambda: blind.colour() == "blue", f"the heal after: {trouble}")
        daemon.wait(lambda: blind.status() == "Synced", f"the end of: {trouble}")
        # The count is real: the heal is seen by it.
        assert writes(cluster, mark, users=[USER]) == ["patch configmaps blind/settings: 200"]


def test_a_missing_object_of_a_kind_that_cannot_be_read_is_not_created(blind: Blind) -> None:
    """*Cannot see* is never *gone*: nobody knows whether it is there."""
    daemon, cluster = blind.daemon, blind.cluster
    daemon.wait(lambda: blind.status() == "Synced", "the first verdict")
    blind.read_maps(allowed=False)
    daemon.wait(lambda: blind.status() == "Unknown", "the verdict")
    mark = cluster.audit_mark()
    cluster.call("DELETE", "/api/v1/namespaces/blind/configmaps/settings")
    daemon.wait_looks(2)
    assert writes(cluster, mark, users=[USER], refused=True) == []
    assert blind.status() == "Unknown"


def test_an_older_revision_than_the_one_seen_is_not_rolled_out(
    blind: Blind, git_repo: GitRepo
) -> None:
    """A branch that was reset to an older commit: nothing is put back to what that says."""
    daemon, cluster = blind.daemon, blind.cluster
    daemon.wait(lambda: blind.status() == "Synced", "the first verdict")
    old = git_repo.git("rev-parse", "HEAD").strip()
    green = config_map("settings", colour="green")
    git_repo.write("apps/blind/settings.yaml", green)
    git_repo.commit("Paint it green")
    new = git_repo.git("rev-parse", "HEAD").strip()
    arguments = ("apply", "--server-side", "--force-conflicts", "-n", "blind", "-f", "-")
    daemon.wait(lambda: blind.revisions() == [new], "the look at the new revision")
    cluster.kubectl(*arguments, input=green)
    daemon.wait_looks(2)
    assert (blind.colour(), blind.status()) == ("green", "Synced")
    mark = cluster.audit_mark()
    git_repo.git("reset", "--hard", old)
    daemon.wait(lambda: blind.revisions() == [old], "the look at the old revision")
    daemon.wait_looks(3)
    assert writes(cluster, mark, users=[USER], refused=True) == []
    assert blind.colour() == "green"
    blind.paint("red")
    daemon.wait(lambda: blind.status() == "OutOfSync", "the verdict on an edit")
    daemon.wait_looks(3)
    assert writes(cluster, mark, users=[USER], refused=True) == []
    assert blind.colour() == "red"
