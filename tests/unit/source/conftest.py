"""What tests of fetching share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from driftd.sandbox.pool import SandboxPool
from driftd.source.egress import Egress
from tests.testbed.gitrepo import GitRepo
from tests.testbed.sshserver import SshServer
from tests.testbed.webserver import Tls, make_tls
from tests.unit.source.httpsserver import GitServer, RunningServer


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority and what it signed."""
    return make_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a module's charts."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxPool]:
    """Workers that read indexes and charts."""
    async with SandboxPool(size=1) as pool:
        yield pool


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    """The HTTP client; pauses between attempts are not waited for."""

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    client = Egress(wait=at_once)
    yield client
    await client.close()


@pytest.fixture
def upstream(tmp_path: Path) -> GitRepo:
    """The repository that is served as `/upstream/.git`."""
    repo = GitRepo(tmp_path / "served" / "upstream")
    repo.write("app/one.yaml", "first")
    repo.commit("First")
    return repo


@pytest.fixture
def server(upstream: GitRepo, tmp_path: Path) -> Iterator[GitServer]:
    """That repository over https, on this machine."""
    (tmp_path / "https").mkdir()
    with RunningServer(upstream.path.parent, tmp_path / "https") as running:
        yield running


@pytest.fixture(scope="module")
def sshd(scratch: Path) -> Iterator[SshServer]:
    """A real sshd."""
    with SshServer(scratch / "sshd") as running:
        yield running
