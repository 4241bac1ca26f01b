"""The daemon's loops over a real reconciler: sweeps, proving looks, defects, and the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from driftd.controller import daemon as module
from driftd.controller.daemon import Daemon
from driftd.errors import SourceError
from driftd.notify.dispatch import Dispatcher
from driftd.settings.quantity import Duration
from driftd.settings.types import Log, Notifications, Settings, Sweep
from driftd.store.sql import SqlStore
from driftd.telemetry.logs import configure
from driftd.telemetry.metrics import Metrics
from tests.unit.controller.conftest import World
from tests.unit.controller.test_reconciler import SELF_HEAL, Bench

DEADLINE = 30


@pytest.fixture
async def bench(world: World, database: str) -> AsyncIterator[Bench]:
    """One application, `shop`, that the operator has opened."""
    world.repo.remove("argocd/kept.json")
    world.declare("shop", syncPolicy=SELF_HEAL)
    world.repo.commit()
    store = await SqlStore.open(database)
    bench = Bench(world, store)
    bench.open()
    yield bench
    await store.close()


def daemon_of(bench: Bench, *, interval: str = "1d", swept: Any = lambda: None) -> Daemon:
    """A daemon over the bench; it sweeps once at the start and then hardly ever."""
    sweep = Sweep(interval=Duration(interval), jitter=Duration("0s"), workers=2)
    dispatcher = Dispatcher(bench.store, {}, Notifications(), bench.clock, Metrics("0"))
    settings = Settings(sweep=sweep)
    return Daemon(bench.reconciler, bench.store, dispatcher, settings, swept=swept)


def looks(bench: Bench) -> int:
    """How many looks were recorded."""
    return len(bench.changes)


async def test_a_write_is_followed_by_one_proving_look(bench: Bench) -> None:
    """After a heal one more look shows that the drift is gone; it writes nothing."""
    bench.world.paint("shop", "red")
    async with asyncio.timeout(DEADLINE):
        assert await daemon_of(bench).once()
    assert bench.writer.applied == [("shop", True), ("shop", False)]
    assert bench.transitions() == [("shop", "drifted"), ("shop", "recovered")]


async def test_a_fight_is_not_fought(bench: Bench) -> None:
    """Where somebody undoes each write at once, the proving look is the last of the sweep."""
    bench.writer.fights = True
    bench.world.paint("shop", "red")
    daemon = daemon_of(bench)
    async with asyncio.timeout(DEADLINE):
        await daemon.once()
    assert looks(bench) == 2
    assert bench.writer.applied == [("shop", True), ("shop", False)] * 2


async def test_a_sweep_without_drift_looks_once(bench: Bench) -> None:
    """Without a write there is no second look."""
    async with asyncio.timeout(DEADLINE):
        await daemon_of(bench).once()
    assert looks(bench) == 1


async def test_once_cannot_read_anything(bench: Bench) -> None:
    """A single sweep of a repository that cannot be read is an error, not success."""
    (bench.world.repo.path / ".git" / "HEAD").write_text("ref: refs/heads/nonesuch\n")
    with pytest.raises(SourceError):
        await daemon_of(bench).once()


async def test_run_sweeps_until_it_is_stopped(bench: Bench) -> None:
    """The first sweep is at once and announced, later ones follow, and the stop ends it."""
    swept, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(daemon_of(bench, interval="1s", swept=swept.set).run(stop))
        await swept.wait()
        assert looks(bench) == 1
        bench.world.paint("shop", "red")
        await until(bench, lambda: ("shop", "recovered") in bench.transitions())
        stop.set()
        await running
    assert bench.transitions() == [("shop", "drifted"), ("shop", "recovered")]


async def test_a_repository_that_cannot_be_read_does_not_end_the_daemon(bench: Bench) -> None:
    """While Git cannot be read the daemon stays, and looks again once it can."""
    head = bench.world.repo.path / ".git" / "HEAD"
    good = head.read_text()
    head.write_text("ref: refs/heads/nonesuch\n")
    stop = asyncio.Event()
    tried = asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(daemon_of(bench, interval="1s", swept=tried.set).run(stop))
        await tried.wait()
        assert looks(bench) == 0
        head.write_text(good)
        await until(bench, lambda: bench.changes)
        stop.set()
        await running


async def test_known_applications_are_looked_at_while_git_cannot_be_read(bench: Bench) -> None:
    """Git that goes away makes known applications Unknown, with the reason, not silent."""
    head = bench.world.repo.path / ".git" / "HEAD"
    stop, swept = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(daemon_of(bench, interval="1s", swept=swept.set).run(stop))
        await swept.wait()
        head.write_text("ref: refs/heads/nonesuch\n")
        await until(bench, lambda: ("shop", "unknown") in bench.transitions())
        stop.set()
        await running
    told = next(one for one in bench.changes if str(one.transition) == "unknown")
    assert "the repository has no commit yet" in told.conditions[0].message


async def test_a_defect_at_one_application_stops_no_other(
    bench: Bench, capsys: pytest.CaptureFixture[str], private_logging: None
) -> None:
    """An unexpected exception is logged with its place and counted; the others are looked at."""
    bench.world.declare("kept")
    bench.world.repo.commit()
    original = bench.reconciler.store.record

    async def record(report: Any, *arguments: Any, **options: Any) -> Any:
        if report.name == "kept":
            raise ZeroDivisionError("secret value 42")
        return await original(report, *arguments, **options)

    bench.store.record = record  # type: ignore[method-assign]
    log()
    async with asyncio.timeout(DEADLINE):
        assert await daemon_of(bench).once()
    assert [one.name for one in bench.changes] == ["shop"]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [one for one in lines if one["message"] == "look failed"]
    assert (line["application"], line["reason"]) == ("argocd/kept", "Defect")
    assert line["error"].startswith("unexpected ZeroDivisionError at ")
    assert "secret value" not in json.dumps(line)
    exposition = bench.reconciler.metrics.exposition().decode()
    assert 'driftd_look_errors_total{reason="Defect"} 1.0' in exposition


async def test_a_hanging_cluster_does_not_hold_up_the_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that does not end within the grace is cut off; nothing half is recorded."""
    monkeypatch.setattr(module, "GRACE", 0.05)
    asked = asyncio.Event()

    async def hang() -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    bench.world.clusters.one.version = hang  # type: ignore[method-assign]
    stop = asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(daemon_of(bench).run(stop))
        await asked.wait()
        stop.set()
        await running
    assert await bench.store.applications() == ()


def log() -> None:
    """Log as the daemon does, to the standard error that the test reads."""
    configure(Log())


async def until(bench: Bench, condition: Callable[[], Any]) -> None:
    """Wait, within the test's deadline, until a recorded look makes a condition hold."""
    while not condition():
        bench.heard.clear()
        await bench.heard.wait()
