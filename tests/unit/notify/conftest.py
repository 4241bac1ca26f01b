"""A receiver, a session, a store and a clock for delivery tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from driftd.notify.egress import open_session
from driftd.store.sql import SqlStore
from tests.unit.notify.receiver import Receiver, receiver
from tests.unit.reports import VirtualClock


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    """A real HTTP receiver."""
    async with receiver() as found:
        yield found


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """The client that messages are sent with."""
    async with open_session(["127.0.0.0/8"]) as session:
        yield session


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    """A store on a real SQLite file."""
    store = await SqlStore.open(f"sqlite:///{tmp_path}/driftd.db")
    yield store
    await store.close()


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that tests move."""
    return VirtualClock()
