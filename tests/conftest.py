"""Fixtures that every test may ask for: real clusters, and an environment of one's own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.cluster import ControlPlane, control_planes
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def private_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Hide the user's settings, kubeconfig and Git configuration; returns the test's HOME."""
    for name in list(os.environ):
        if name.startswith(("DRIFTD_", "KUBE", "GIT_", "XDG_", "HELM_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return home


@pytest.fixture(scope="session")
def api_server() -> Iterator[ControlPlane]:
    """One bare API server for the whole session: nothing but tests writes to it."""
    with ControlPlane("bare", audit="Metadata") as cluster:
        yield cluster


@pytest.fixture
def namespace(api_server: ControlPlane) -> str:
    """A fresh namespace of `api_server`, for this test alone; its name."""
    return api_server.create_namespace(f"test-{next(_numbers)}")


@pytest.fixture(scope="session")
def full_cluster() -> Iterator[ControlPlane]:
    """One cluster with controllers and a simulated node for the whole session."""
    with ControlPlane("full", full=True, audit="Metadata") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def three_clusters() -> Iterator[dict[str, ControlPlane]]:
    """Full clusters `production`, `staging` and `development`, for one module's tests."""
    with control_planes("production", "staging", "development", audit="Metadata") as clusters:
        yield clusters


@pytest.fixture
def three_clusters_kubeconfig(three_clusters: dict[str, ControlPlane], tmp_path: Path) -> Path:
    """One kubeconfig with the read-only detector's contexts of the three clusters."""
    accesses = [cluster.access("detector") for cluster in three_clusters.values()]
    return write_kubeconfig(tmp_path / "kubeconfig", accesses)


@pytest.fixture
def git_repo(tmp_path: Path) -> GitRepo:
    """An empty Git repository with a checkout of its own."""
    return GitRepo(tmp_path / "repository")
