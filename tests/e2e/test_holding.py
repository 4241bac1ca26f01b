"""Messages wait while Argo CD works on an application, told by Applications of a real API server.

There is no Argo CD here: the test writes what it would write into the Applications' status.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftd.clock import rfc3339
from driftd.store.sql import SqlStore
from driftd.store.types import Episode, EpisodeQuery, Held
from tests.e2e.daemon import Daemon
from tests.e2e.receivers import SECRET, receivers
from tests.e2e.site import CONTEXT
from tests.testbed.argocd import ARGO, serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster
URL = "https://git.example.com/held.git"
HOLD = timedelta(seconds=12)
APPLICATIONS = ("ends", "endures", "mends")
RUNNING = {"operationState": {"phase": "Running", "startedAt": "2026-03-01T12:00:00Z"}}


def object_of(name: str) -> dict[str, Any]:
    """The one object of an application."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"key": "declared"},
    }


class Place:
    """A namespace that holds Applications and what they deploy."""

    def __init__(self, cluster: ControlPlane, namespace: str, repo: GitRepo) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.repo = repo

    def declare(self, name: str) -> None:
        """Write an application into Git, deploy it as Argo CD does, and let an operation run."""
        self.repo.write(f"{name}/config.yaml", yaml.safe_dump(object_of(name)))
        self.cluster.call(
            "PATCH",
            f"{self._configs}/{name}?fieldManager=argocd-controller&force=true",
            object_of(name),
            content_type="application/apply-patch+yaml",
        )
        source = {"repoURL": URL, "path": name, "targetRevision": "HEAD"}
        destination = {"server": "https://kubernetes.default.svc", "namespace": self.namespace}
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"project": "default", "source": source, "destination": destination},
            "status": RUNNING,
        }
        self.cluster.call("POST", f"{ARGO}/namespaces/{self.namespace}/applications", body)

    def write(self, name: str, text: str) -> None:
        """Write another value into the object of an application, by hand."""
        self.merge(f"{self._configs}/{name}?fieldManager=alice", {"data": {"key": text}})

    def end(self, name: str) -> None:
        """Let the operation on an application end now."""
        ended = {"phase": "Succeeded", "finishedAt": rfc3339(datetime.now(UTC))}
        path = f"{ARGO}/namespaces/{self.namespace}/applications/{name}"
        self.merge(path, {"status": {"operationState": ended}})

    @property
    def _configs(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    def merge(self, path: str, body: dict[str, Any]) -> None:
        """Merge something into an object."""
        self.cluster.call("PATCH", path, body, content_type="application/merge-patch+json")


def test_what_a_sync_passes_through_is_told_at_its_end(
    api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path
) -> None:
    """Drift during an operation is recorded at once, and told when it ends or the limit is reached.

    What is put back before is never told.
    """
    serve_argo_kinds(api_server)
    place = Place(api_server, namespace, git_repo)
    git_repo.set_remote(URL)
    for name in APPLICATIONS:
        place.declare(name)
    git_repo.commit("Declare")
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "home").mkdir()
    dsn = f"sqlite:///{tmp_path / 'driftd.db'}"
    settings: dict[str, Any] = {
        "repositories": [{"path": str(git_repo.path)}],
        "clusters": {
            "kubeconfig": str(api_server.kubeconfig()),
            "hubContext": CONTEXT,
            "argocdNamespace": namespace,
            "destinations": {"https://kubernetes.default.svc": CONTEXT},
        },
        "applications": {"namespace": namespace},
        "store": {"dsn": dsn},
    }
    with receivers() as got:
        webhook = {"url": f"{got.url}/hook", "secretFile": str(tmp_path / "secret")}
        settings["notifications"] = {
            "allowNetworks": ["127.0.0.0/8"],
            "storm": {"messages": 1000},
            "webhooks": [webhook],
            "hold": f"{HOLD.seconds}s",
        }
        with Daemon(tmp_path, settings, tmp_path / "home") as daemon:
            daemon.wait_ready()
            for name in APPLICATIONS:
                place.write(name, "by hand")
            daemon.wait(lambda: len(_episodes(dsn)) == len(APPLICATIONS), "the episodes")
            held = _episodes(dsn)
            (shown,) = daemon.episodes("endures")
            place.write("mends", "declared")
            place.end("ends")
            daemon.wait(lambda: got.of("ends"), "the end of the operation to be told")
            daemon.wait(lambda: got.of("endures"), "the limit")
            daemon.wait(
                lambda: _episodes(dsn)["mends"].closed_at, "the end of the drift that was put back"
            )
    for name, episode in held.items():
        drift = episode.drift
        assert drift.held == Held("Argo CD syncs the application", drift.first_seen + HOLD), name
    assert shown["held"]["why"] == "Argo CD syncs the application"
    for name in ("ends", "endures"):
        (message,) = got.of(name)
        assert (message["type"], message["previousStatus"]) == ("drifted", "Synced")
        assert message["counts"] == {"open": 1, "opened": 1, "closed": 0}
        (told,) = message["drifts"]
        assert (told["path"], told["since"]) == ("/data/key", rfc3339(held[name].drift.first_seen))
    (late,) = got.of("endures")
    assert late["at"] >= rfc3339(held["endures"].drift.first_seen + HOLD)
    assert got.of("mends") == []


def _episodes(dsn: str) -> dict[str, Episode]:
    """What the daemon has stored, by application; the program itself would take seconds."""

    async def read() -> tuple[Episode, ...]:
        async with SqlStore.existing(dsn) as store:
            return await store.episodes(EpisodeQuery())

    return {one.application.partition("/")[2]: one for one in asyncio.run(read())}
