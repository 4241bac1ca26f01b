"""The site on which tests break one application beside two good ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.site import Site, planted
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.postgresql import AVAILABLE

collect_ignore = [] if AVAILABLE else ["test_restore_postgresql.py"]


@pytest.fixture(scope="session")
def good_applications(
    api_server: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, GitRepo]:
    """A namespace with the good applications, and the repository that declares them."""
    return planted(api_server, tmp_path_factory.mktemp("bad-input"), "bad-input")


@pytest.fixture
def site(
    api_server: ControlPlane,
    good_applications: tuple[str, GitRepo],
    tmp_path: Path,
    private_environment: Path,
) -> Site:
    """A repository of the test's own, looked at with the read-only detector."""
    namespace, repo = good_applications
    shutil.copytree(repo.path, tmp_path / "gitops")
    return Site(
        repo=GitRepo(tmp_path / "gitops"),
        cluster=api_server,
        namespace=namespace,
        kubeconfig=api_server.kubeconfig("detector"),
        home=private_environment,
    )
