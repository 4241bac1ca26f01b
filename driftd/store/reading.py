"""Looking into a store that is there, beside the daemon that writes it."""

from __future__ import annotations

from driftd.store.sql import SqlStore
from driftd.store.types import Episode, EpisodeQuery, HistoryEntry


async def episodes(dsn: str, query: EpisodeQuery) -> tuple[Episode, ...]:
    """Episodes that a store holds. Raises StoreError and ConfigError."""
    async with SqlStore.existing(dsn) as store:
        return await store.episodes(query)


async def history(dsn: str, application: str, limit: int) -> tuple[HistoryEntry, ...]:
    """What a store knows to have happened to an application (`NAME` or `NAMESPACE/NAME`).

    Raises StoreError, and ConfigError for an application that the store has never seen.
    """
    async with SqlStore.existing(dsn) as store:
        return await store.history(await store.whole_name(application), limit)
