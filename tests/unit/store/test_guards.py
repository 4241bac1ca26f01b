"""What the guards of healing remember, in a database."""

from __future__ import annotations

from datetime import timedelta

from driftd.store.guards import GuardStore
from driftd.store.sql import SqlStore
from driftd.store.types import GuardMemory, HistoryEntry
from tests.unit.reports import START, after

DAY = timedelta(days=1)


async def test_a_decision_is_there_after_a_restart(tmp_path):
    """State, intended writes and budgets are committed together, with what history is to say."""
    dsn = f"sqlite:///{tmp_path}/d.db"
    decision = GuardMemory(
        state=b'{"declared":3}',
        heals=(b'{"n":1}', b'{"n":2}'),
        application_full_at=after(60),
        cluster_full_at=after(30),
    )
    store = await SqlStore.open(dsn)
    event = HistoryEntry("argocd/shop", START, "guard", {"guard": "G-04"})
    await GuardStore(store).remember(
        "argocd/shop", "prod", decision, START, forget=START - DAY, events=[event]
    )
    await store.close()
    store = await SqlStore.open(dsn)
    guards = GuardStore(store)
    assert await guards.recall("argocd/shop", "prod", START) == decision
    assert await guards.states() == {"argocd/shop": b'{"declared":3}'}
    assert await store.history("argocd/shop", 5) == (event,)
    await store.close()


async def test_writes_add_up_and_old_ones_are_dropped(tmp_path):
    """The state is the last one; the log has what was intended since then, oldest first."""
    store = await SqlStore.open(f"sqlite:///{tmp_path}/d.db")
    guards = GuardStore(store)
    for second in (0, 10, 20):
        memory = GuardMemory(state=f"{second}".encode(), heals=(f"{second}".encode(),))
        await guards.remember("a/b", "c", memory, after(second), forget=after(5))
    found = await guards.recall("a/b", "c", START)
    assert (found.state, found.heals) == (b"20", (b"10", b"20"))
    assert (await guards.recall("a/b", "c", after(15))).heals == (b"20",)
    await store.close()


async def test_a_cluster_shares_its_budget_and_nothing_else(tmp_path):
    """Two applications of one cluster; a cluster may be called like an application."""
    store = await SqlStore.open(f"sqlite:///{tmp_path}/d.db")
    guards = GuardStore(store)
    memory = GuardMemory(
        state=b"1", heals=(b"1",), application_full_at=after(9), cluster_full_at=after(5)
    )
    await guards.remember("a/b", "a/c", memory, START, forget=START)
    other = await guards.recall("a/c", "a/c", START)
    assert other == GuardMemory(cluster_full_at=after(5))
    await store.close()


async def test_an_application_that_is_declared_no_longer_is_forgotten(tmp_path):
    """When it comes back it is met for the first time, but its budget is what it was."""
    store = await SqlStore.open(f"sqlite:///{tmp_path}/d.db")
    guards = GuardStore(store)
    memory = GuardMemory(state=b"1", heals=(b"1",), application_full_at=after(9))
    await guards.remember("a/b", "c", memory, START, forget=START)
    await store.forget("a/b", after(1))
    found = await guards.recall("a/b", "c", START)
    assert (found.state, found.application_full_at) == (b"", after(9))
    await store.close()
