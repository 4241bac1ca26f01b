"""Argo CD asked for a sync, on a real API server: it acts, or does not, and driftd says so.

There is no Argo CD here: the test does what it would do with the operation of an Application.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.site import CONTEXT
from tests.e2e.test_holding import URL, Place, object_of
from tests.testbed.argocd import ARGO, serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster
REVISION = "1" * 40


def _application(place: Place, name: str) -> tuple[str, dict[str, Any]]:
    path = f"{ARGO}/namespaces/{place.namespace}/applications/{name}"
    return path, place.cluster.call("GET", path)


def _history(store: Path, kind: str, name: str) -> int:
    """How often something stands in the history of an application."""
    if not store.exists():
        return 0
    with sqlite3.connect(store) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM history WHERE kind = ? AND application LIKE ?",
            (kind, f"%/{name}"),
        ).fetchall()
    return int(rows[0][0])


def test_argo_cd_is_asked_once_and_it_is_said_whether_it_helped(
    api_server: ControlPlane, namespace: str, git_repo: GitRepo, tmp_path: Path
) -> None:
    """One operation without prune, of the drifted object, where the rule says so; nowhere else."""
    serve_argo_kinds(api_server)
    place = Place(api_server, namespace, git_repo)
    git_repo.set_remote(URL)
    for name in ("asked", "silent", "busy"):
        place.declare(name)
        path, _ = _application(place, name)
        status = {"sync": {"status": "Synced", "revision": REVISION}}
        if name != "busy":
            status["operationState"] = {"phase": "Succeeded"}
        place.merge(path, {"status": status})
    git_repo.commit("Declare")
    (tmp_path / "home").mkdir()
    store = tmp_path / "driftd.db"
    settings: dict[str, Any] = {
        "repositories": [{"path": str(git_repo.path)}],
        "clusters": {
            "kubeconfig": str(api_server.kubeconfig()),
            "hubContext": CONTEXT,
            "argocdNamespace": namespace,
            "destinations": {"https://kubernetes.default.svc": CONTEXT},
        },
        "applications": {"namespace": namespace},
        "store": {"dsn": f"sqlite:///{store}"},
        "notifications": {"hold": "0s"},
        "healing": {
            "rules": [{"applications": ["asked", "busy"], "ask": True}],
            "grace": dict.fromkeys(("critical", "high", "medium", "low", "info"), "0s"),
        },
    }
    with Daemon(tmp_path, settings, tmp_path / "home") as daemon:
        daemon.wait_ready()
        for name in ("silent", "busy", "asked"):
            place.write(name, "by hand")
        path, _ = _application(place, "asked")
        daemon.wait(lambda: "operation" in _application(place, "asked")[1], "the operation")
        found = _application(place, "asked")[1]
        held = 'driftd_asks_total{engine="Argo CD",result="held"}'
        daemon.wait(lambda: daemon.metric(held) >= 1, "the one that is busy to be left alone")
        daemon.wait(lambda: _history(store, "asked", "asked"), "the entry of the history")
        # What Argo CD does with it:
        api_server.call(
            "PATCH",
            f"/api/v1/namespaces/{namespace}/configmaps/asked"
            "?fieldManager=argocd-controller&force=true",
            object_of("asked"),
            content_type="application/apply-patch+yaml",
        )
        place.merge(path, {"operation": None, "status": {"operationState": {"phase": "Succeeded"}}})
        daemon.wait(lambda: _history(store, "ask-helped", "asked"), "whether it helped")
        assert _history(store, "asked", "asked") == 1
        assert 'result="helped"' in daemon.get("/metrics")[1]
    operation = found["operation"]
    assert operation["initiatedBy"] == {"username": "driftd"}
    assert operation["sync"] == {
        "prune": False,
        "revision": REVISION,
        "resources": [{"group": "", "kind": "ConfigMap", "namespace": namespace, "name": "asked"}],
    }
    assert found["metadata"]["annotations"] == {"argocd.argoproj.io/refresh": "normal"}
    for name in ("silent", "busy"):
        left = _application(place, name)[1]
        assert "operation" not in left, name
        assert "annotations" not in left["metadata"], name
        live = api_server.call("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        assert live["data"] == {"key": "by hand"}
        managers = {one["manager"] for one in live["metadata"]["managedFields"]}
        assert "driftd" not in managers
