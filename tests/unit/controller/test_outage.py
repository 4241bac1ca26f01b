"""Metrics and backlog of a store that was just opened."""

from __future__ import annotations

from pathlib import Path

from driftd.controller.outage import opened
from driftd.store.sql import SqlStore
from driftd.telemetry.metrics import Metrics
from tests.unit.reports import START, VirtualClock, after, report, resource
from tests.unit.store.test_sql import quiet


def value(metrics: Metrics, line: str) -> bool:
    """Whether a series is exposed with its value."""
    return line in metrics.exposition().decode().splitlines()


async def test_metrics_go_on_where_the_process_before_was(tmp_path: Path) -> None:
    """Verdicts are as old as they are, and the store counts as one that records."""
    path = tmp_path / "driftd.db"
    store = await SqlStore.open(f"sqlite:///{path}")
    await store.record(report(resource("web")), START, quiet)
    await store.close()
    metrics = Metrics("0", monotonic=lambda: 5.0)
    async with opened(f"sqlite:///{path}", metrics, VirtualClock(after(90))):
        assert value(metrics, 'driftd_verdict_age_seconds{cluster="production"} 90.0')
        assert value(metrics, "driftd_store_up 1.0")
        assert value(metrics, "driftd_store_losses_total 0.0")


async def test_a_loss_is_counted_and_everything_looked_at_again(tmp_path: Path) -> None:
    """One that the start finds, and one that a running daemon finds."""
    path = tmp_path / "driftd.db"
    store = await SqlStore.open(f"sqlite:///{path}")
    await store.record(report(resource("web")), START, quiet)
    await store.close()
    path.unlink()
    metrics = Metrics("0")
    async with opened(f"sqlite:///{path}", metrics, VirtualClock()) as backlog:
        assert value(metrics, "driftd_store_losses_total 1.0")
        assert not backlog.back.is_set()
        path.unlink()
        await backlog.record(report(resource("web")), after(1), quiet)
        assert value(metrics, "driftd_store_losses_total 2.0")
        assert backlog.back.is_set()
