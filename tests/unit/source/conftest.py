"""What tests of fetching share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.sandbox.pool import SandboxPool
from driftd.source.egress import Egress
from tests.testbed.webserver import Tls, make_tls


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
