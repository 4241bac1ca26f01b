"""A fresh store on each database that this machine offers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from driftd.store.sql import SqlStore
from tests.testbed.postgresql import AVAILABLE, PostgreSQL, empty_database, postgresql

collect_ignore = [] if AVAILABLE else ["test_postgresql.py"]
BACKENDS = ["sqlite"] + ([pytest.param("postgresql", marks=pytest.mark.slow)] if AVAILABLE else [])


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A private PostgreSQL server with trust authentication on loopback."""
    with postgresql() as server:
        yield server


@pytest.fixture(params=BACKENDS)
async def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The DSN of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/driftd.db"
    return await empty_database(request.getfixturevalue("postgresql_server"))


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[SqlStore]:
    """An open, empty store."""
    store = await SqlStore.open(dsn)
    yield store
    await store.close()
