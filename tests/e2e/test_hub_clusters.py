"""`driftd run` follows a hub's cluster Secrets: added, rotated, narrowed and removed, at once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.reports import verdicts
from tests.e2e.site import URL, config_map
from tests.testbed.argocd import ARGO, serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.gate import Gate
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster

NAMESPACE = "clusters-argocd"
GARBAGE = "no-longer-a-token"


class Hub:
    """An Argo CD whose clusters are gates to one real API server, each with an application."""

    def __init__(self, cluster: ControlPlane, repo: GitRepo) -> None:
        self.cluster = cluster
        self.repo = repo
        self.namespaces: dict[str, str] = {}

    def declare(self, name: str, **spec: Any) -> None:
        """An application `name` of one ConfigMap for the cluster `name`, deployed."""
        namespace = self.namespaces[name] = self.cluster.create_namespace(f"hub-{name}")
        text = config_map("settings", colour="blue")
        self.repo.write(f"apps/{name}/settings.yaml", text)
        self.repo.commit()
        self.cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=text)
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "project": "default",
                "source": {"repoURL": URL, "path": f"apps/{name}", "targetRevision": "HEAD"},
                "destination": {"name": name, "namespace": namespace},
                **spec,
            },
        }
        self.cluster.call("POST", f"{ARGO}/namespaces/{NAMESPACE}/applications", body)

    def secret(self, name: str, port: int, token: str, **fields: str) -> dict[str, Any]:
        """Argo CD's cluster Secret of a gate."""
        authority = base64.b64encode(self.cluster.ca_file.read_bytes()).decode()
        config = {"bearerToken": token, "tlsClientConfig": {"caData": authority}}
        return {
            "metadata": {
                "name": f"cluster-{name}",
                "labels": {"argocd.argoproj.io/secret-type": "cluster"},
            },
            "stringData": {
                "name": name,
                "server": f"https://127.0.0.1:{port}",
                "config": json.dumps(config),
                **fields,
            },
        }

    def put(self, secret: dict[str, Any]) -> None:
        """Create or replace a Secret."""
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets"
        status, answer = self.cluster.request("POST", path, secret)
        if status == 409:
            name = secret["metadata"]["name"]
            self.cluster.call("PUT", f"{path}/{name}", secret)
        else:
            assert status == 201, answer

    def delete(self, name: str) -> None:
        """Remove the Secret of a cluster."""
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets/cluster-{name}"
        self.cluster.call("DELETE", path)


@pytest.fixture
def hub(api_server: ControlPlane, git_repo: GitRepo) -> Iterator[Hub]:
    """The API server with Argo CD's kinds, and a namespace for it that goes in the end."""
    serve_argo_kinds(api_server)
    api_server.create_namespace(NAMESPACE)
    git_repo.set_remote(URL)
    made = Hub(api_server, git_repo)
    yield made
    for kind in (f"{ARGO}/namespaces/{NAMESPACE}/applications",):
        for name in made.namespaces:
            api_server.call("DELETE", f"{kind}/{name}")


def test_clusters_come_change_and_go_without_a_restart(
    hub: Hub, tmp_path: Path, private_environment: Path
) -> None:
    """With an hour to the next sweep, each change of a cluster Secret is acted on at once.

    The application of a cluster without Secret is Unknown with the reason; its Secret makes it
    Synced, a token that does not work Unknown, a good one Synced; namespaces that are not opened
    make its objects Unknown; without the Secret it is Unknown again. No token reaches the log.
    """
    server = hub.cluster
    store = tmp_path / "driftd.db"
    port = int(server.server.rpartition(":")[2])
    for name in ("first", "late"):
        hub.declare(name)
    settings = {
        "repositories": [{"path": str(hub.repo.path)}],
        "clusters": {
            "kubeconfig": str(server.kubeconfig("control")),
            "hubContext": server.name,
            "argocdNamespace": NAMESPACE,
        },
        "applications": {"namespace": NAMESPACE},
        "sweep": {"interval": "1h", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{store}"},
    }
    token = server.token("detector")
    mark = server.audit_mark()
    with Gate(port) as first, Gate(port) as late:
        hub.put(hub.secret("first", first.port, token))
        with Daemon(tmp_path, settings, private_environment) as daemon:

            def becomes(name: str, status: str, said: str = "") -> None:
                def holds() -> bool:
                    found = verdicts(store).get(name)
                    return (
                        found is not None
                        and found["status"] == status
                        and said in json.dumps([found["conditions"], found["resources"]])
                    )

                daemon.wait(holds, f"{name} to be {status} {said}")

            daemon.wait_ready()
            becomes("first", "Synced")
            becomes("late", "Unknown", "no cluster is known for destination late")
            hub.put(hub.secret("late", late.port, token))
            becomes("late", "Synced")
            hub.put(hub.secret("late", late.port, GARBAGE))
            becomes("late", "Unknown", "Unauthorized")
            hub.put(hub.secret("late", late.port, token))
            becomes("late", "Synced")
            hub.put(hub.secret("late", late.port, token, namespaces="elsewhere"))
            becomes("late", "Unknown", "opens the namespaces elsewhere alone")
            opened = f"elsewhere,{hub.namespaces['late']}"
            hub.put(hub.secret("late", late.port, token, namespaces=opened))
            becomes("late", "Synced")
            hub.delete("late")
            becomes("late", "Unknown", "no cluster is known for destination late")
            hub.put(hub.secret("late", late.port, token))
            becomes("late", "Synced")
            # Its watches run again, too: an edit is seen.
            path = f"/api/v1/namespaces/{hub.namespaces['late']}/configmaps/settings"
            server.call(
                "PATCH", path, {"data": {"colour": "red"}}, user="alice",
                content_type="application/merge-patch+json",
            )  # fmt: skip
            becomes("late", "OutOfSync")
            becomes("first", "Synced")
        log = daemon.log.read_text()
    assert token not in log
    assert GARBAGE not in log
    asked = {
        parse_qs(urlsplit(event["requestURI"]).query).get("labelSelector", [""])[0]
        for event in server.audit_events(mark)
        if event["verb"] in ("get", "list", "watch")
        and event.get("objectRef", {}).get("resource") == "secrets"
        and event["objectRef"].get("namespace") == NAMESPACE
    }
    label = "argocd.argoproj.io/secret-type"
    assert asked == {f"{label}=cluster", f"{label} in (cluster, repository, repo-creds)"}
