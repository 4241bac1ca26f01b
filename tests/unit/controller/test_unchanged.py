"""What the last look found clean and this look finds the same is clean without a comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import driftd.controller.verdict as verdicts
import driftd.diff.batch as batches
from driftd.controller.memory import Past
from driftd.controller.unchanged import Unchanged
from driftd.controller.verdict import Verdict
from driftd.diff.compare import Comparison
from driftd.model.report import ResourceReport
from tests.unit.controller.builders import config_map, desired, looked, manifest
from tests.unit.controller.cluster import MemoryCluster

BLUE = config_map("settings", colour="blue")
RED = config_map("settings", colour="red")


class Counter:
    """The real comparison, and how often it was asked for."""

    def __init__(self, compare: Callable[..., Comparison]) -> None:
        self._compare = compare
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Comparison:
        self.calls += 1
        return self._compare(*args, **kwargs)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts the comparisons that verdicts make."""
    made = Counter(batches.compare)
    monkeypatch.setattr(batches, "compare", made)
    return made


async def look(
    cluster: MemoryCluster, unchanged: Unchanged, body: Any = BLUE, past: Past | None = None
) -> tuple[Verdict, ResourceReport]:
    """One look at one object, and the verdict on it."""
    wanted = desired(body)
    verdict = Verdict(wanted, await looked(cluster, wanted), None, past, unchanged)
    (report,) = verdict.resources()
    return verdict, report


async def test_same_bytes_are_compared_once(counter: Counter) -> None:
    """The second look compares nothing and says the same, of the version that it saw."""
    cluster, unchanged = MemoryCluster(), Unchanged()
    cluster.put(BLUE)
    first, before = await look(cluster, unchanged)
    second, after = await look(cluster, unchanged)
    assert counter.calls == 1
    assert (before.status, after) == ("Synced", before)
    assert first.deployers == second.deployers != set()


async def test_whatever_changes_is_compared(counter: Counter) -> None:
    """Another value, another writer, another manifest: each is looked at."""
    cluster, unchanged = MemoryCluster(), Unchanged()
    cluster.put(BLUE)
    await look(cluster, unchanged)
    cluster.put(RED, manager="alice", operation="Update")
    assert (await look(cluster, unchanged))[1].status == "OutOfSync"
    assert (await look(cluster, unchanged))[1].status == "OutOfSync"
    assert counter.calls == 3, "what is drift is compared each time"
    cluster.put(BLUE, manager="alice", operation="Update")
    assert (await look(cluster, unchanged))[1].status == "Synced"
    assert (await look(cluster, unchanged, RED))[1].status == "OutOfSync"
    assert counter.calls == 5


async def test_history_goes_on(counter: Counter) -> None:
    """An object that stands still leaves the next look its history, with this look's time."""
    cluster, unchanged = MemoryCluster(), Unchanged()
    cluster.put(BLUE)
    first, _ = await look(cluster, unchanged, past=Past(cluster="one"))
    key = manifest(BLUE).key
    past = Past(cluster="one", histories={key: first.histories[key]})
    second, _ = await look(cluster, unchanged, past=past)
    assert counter.calls == 1
    assert second.histories == first.histories
    # Without a history of its own the object is looked at as if for the first time.
    await look(cluster, unchanged, past=Past(cluster="one"))
    assert counter.calls == 2


def test_memory_is_bounded() -> None:
    """The longest unseen objects are forgotten first."""
    unchanged = Unchanged(limit=2)
    keys = [manifest(config_map(name)).key for name in "abc"]
    for key in keys:
        unchanged.keep("one", "shop", key, verdicts.Clean(b"m", frozenset()))
    found = [unchanged.find("one", "shop", key, b"m") is not None for key in keys]
    assert (found, len(unchanged)) == ([False, True, True], 2)


def test_applications_are_forgotten_in_the_order_of_their_looks() -> None:
    """What the last looks saw stays; an application without clean objects takes no place."""
    unchanged = Unchanged(limit=2)
    clean = verdicts.Clean(b"m", frozenset())
    one, other, third = (manifest(config_map(name)).key for name in "abc")
    unchanged.keep("one", "shop", one, clean)
    unchanged.keep("one", "till", other, clean)
    unchanged.seen("one", "shop")
    unchanged.keep("one", "shop", third, clean)
    assert unchanged.find("one", "till", other, b"m") is None
    assert unchanged.find("one", "shop", one, b"m") == clean
    unchanged.drop("one", "shop", one)
    unchanged.drop("one", "shop", one)
    unchanged.drop("one", "shop", third)
    assert len(unchanged) == 0
    assert not unchanged._clean
