"""How often open drifts are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from driftd.controller.counting import PAUSE, DriftCount
from driftd.store.sql import SqlStore
from driftd.telemetry.metrics import Metrics
from tests.unit.reports import START, change, report, resource
from tests.unit.store.test_sql import quiet


class Bench:
    """A store, its count, and a clock that is set by hand."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.metrics = Metrics("0")
        self.time = 100.0
        self.count = DriftCount(store, self.metrics, monotonic=lambda: self.time)

    async def drift(self, number: int) -> None:
        """Open so many drifts in all."""
        changes = [change(f"/spec/{i}") for i in range(number)]
        await self.store.record(report(resource("web", *changes)), START, quiet)

    @property
    def told(self) -> float:
        """What the metric says of all severities."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "driftd_drift_open"
        )


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    """An empty store."""
    store = await SqlStore.open(database)
    yield Bench(store)
    await store.close()


async def test_the_first_change_is_counted_at_once_and_others_soon(bench: Bench) -> None:
    """After a pause a change is counted at once; within it, by what settles."""
    await bench.drift(1)
    await bench.count.changed()
    assert bench.told == 1
    await bench.drift(2)
    await bench.count.changed()
    assert bench.told == 1
    await bench.count.settle()
    assert bench.told == 2
    bench.time += 2 * PAUSE
    await bench.drift(3)
    await bench.count.changed()
    assert bench.told == 3


async def test_nothing_is_counted_that_has_not_changed(bench: Bench) -> None:
    """What settles asks the store only if a count was left out."""
    await bench.drift(1)
    await bench.count.settle()
    assert bench.told == 0
