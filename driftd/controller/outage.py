"""What records looks, also while the store cannot, and what it knew before this process began."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from driftd.clock import Clock
from driftd.store.backlog import Backlog
from driftd.store.sql import SqlStore
from driftd.telemetry.metrics import Metrics


@asynccontextmanager
async def opened(dsn: str, metrics: Metrics, clock: Clock) -> AsyncIterator[Backlog]:
    """Open a store, and what waits for it; metrics go on where they were.

    Raises ConfigError and StoreError.
    """
    store = await SqlStore.open(dsn)
    try:
        backlog = await _known(store, metrics, clock)
        try:
            yield backlog
        finally:
            await backlog.close()
    finally:
        await store.close()


async def _known(store: SqlStore, metrics: Metrics, clock: Clock) -> Backlog:
    backlog = Backlog(store, metrics.store)
    now = clock.now()
    for one in await backlog.begin():
        age = max(0.0, (now - one.judged_at).total_seconds())
        metrics.judged(one.application, one.cluster, age)

    def lost() -> None:
        metrics.store_lost()
        backlog.back.set()

    for _ in store.database.losses:
        metrics.store_lost()
    store.database.lost = lost
    return backlog
