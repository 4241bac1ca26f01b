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
from driftd.settings.notifications import Notifications
from driftd.settings.quantity import Duration
from driftd.settings.types import Log, Settings, Sweep
from driftd.store.sql import SqlStore
from driftd.telemetry.logs import configure
from driftd.telemetry.metrics import Metrics
from tests.unit.controller.conftest import World
from tests.unit.controller.test_reconciler import SELF_HEAL, Bench

pytestmark = pytest.mark.slow

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


def daemon_of(
    bench: Bench, *, interval: str = "1d", timeout: str = "1d", swept: Any = lambda: None
) -> Daemon:
    """A daemon over the bench; it sweeps once at the start and then hardly ever."""
    sweep = Sweep(
        interval=Duration(interval), jitter=Duration("0s"), workers=2, timeout=Duration(timeout)
    )
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
        summary = await daemon_of(bench).once()
    assert summary.complete
    assert (summary.applications, summary.open_drifts) == ({"Synced": 1}, 0)
    assert summary.objects == {"Synced": 1}
    assert summary.writes == {"applied": 1}
    assert bench.writer.applied == [("shop", True), ("shop", False)]
    assert bench.transitions() == [("shop", "drifted"), ("shop", "healed")]


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


async def test_who_shares_an_object_is_looked_at_again(bench: Bench) -> None:
    """The one that was looked at first learns of the other in the same sweep, and once."""
    bench.world.declare("late")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}}
    bench.world.repo.write("apps/late/too.json", json.dumps(body))
    bench.world.repo.commit()
    async with asyncio.timeout(DEADLINE):
        await daemon_of(bench).once()
    told = {
        one.report.name: [condition.type for condition in one.report.conditions]
        for one in await bench.store.applications()
    }
    assert told == {"late": ["SharedResourceWarning"], "shop": ["SharedResourceWarning"]}
    assert looks(bench) <= 4


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
        await until(bench, lambda: ("shop", "healed") in bench.transitions())
        stop.set()
        await running
    assert bench.transitions() == [("shop", "drifted"), ("shop", "healed")]


async def test_the_first_sweep_ends_though_others_follow_at_once(bench: Bench) -> None:
    """Each application looked at once is enough, even if the queue is never empty."""
    bench.world.declare("kept")
    bench.world.repo.commit()
    sweeps = Sweeps(bench)
    original = bench.store.record

    async def record(*arguments: Any, **options: Any) -> Any:
        await sweeps.more(2)  # each look ends with its name on the queue again
        return await original(*arguments, **options)

    bench.store.record = record  # type: ignore[method-assign]
    swept, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(daemon_of(bench, interval="10ms", swept=swept.set).run(stop))
        await swept.wait()
        assert {one.name for one in bench.changes} == {"shop", "kept"}
        stop.set()
        await running


async def test_a_sweep_that_takes_too_long_is_told_once_an_hour(
    bench: Bench, capsys: pytest.CaptureFixture[str], private_logging: None
) -> None:
    """One warning with figures, not one for each sweep; and the scheduler says nothing."""
    sweeps, release, stop = Sweeps(bench), asyncio.Event(), asyncio.Event()
    original = bench.store.record

    async def record(*arguments: Any, **options: Any) -> Any:
        await release.wait()
        return await original(*arguments, **options)

    bench.store.record = record  # type: ignore[method-assign]
    log()
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(daemon_of(bench, interval="10ms").run(stop))
        await sweeps.more(4)
        bench.clock.advance(module.TOLD_AGAIN.total_seconds() - 1)
        await sweeps.more(2)
        early = warnings(capsys)
        bench.clock.advance(1)
        await sweeps.more(2)
        release.set()
        stop.set()
        await running
    later = warnings(capsys)
    assert [one["message"] for one in early] == ["sweep takes longer than its interval"]
    assert [one["message"] for one in later] == ["sweep takes longer than its interval"]
    figures = ("interval_seconds", "applications", "workers")
    assert [later[0][key] for key in figures] == [0.01, 1, 2]


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


async def test_a_look_that_hangs_is_ended_and_the_next_sweep_looks_again(
    bench: Bench, capsys: pytest.CaptureFixture[str], private_logging: None
) -> None:
    """The worker is free again after `sweep.timeout`; liveness never doubts that."""
    hangs = iter([True])
    original = bench.world.clusters.one.version

    async def version() -> str:
        if next(hangs, False):
            await asyncio.Event().wait()
        return await original()

    bench.world.clusters.one.version = version  # type: ignore[method-assign]
    log()
    stop = asyncio.Event()
    daemon = daemon_of(bench, interval="1s", timeout="2s")
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(daemon.run(stop))
        await until(bench, lambda: looks(bench) == 2)
        assert daemon.progress.stuck() == ""
        stop.set()
        await running
    told = [one for one in warnings(capsys) if one["message"] == "look failed"]
    assert [(one["application"], one["reason"]) for one in told] == [("argocd/shop", "Timeout")]
    assert told[0]["error"] == "the look at argocd/shop took longer than 2s and was ended"
    (recovered, unknown) = await bench.store.history("argocd/shop", 10)
    assert (unknown.kind, recovered.kind) == ("unknown", "recovered")
    (condition,) = unknown.data["conditions"]
    assert condition["type"] == "Timeout"
    assert condition["message"].startswith(told[0]["error"])
    assert bench.transitions() == [("shop", "unknown"), ("shop", "recovered")]


async def test_a_slow_receiver_delays_no_look(bench: Bench) -> None:
    """Messages go out beside the looks; what is not sent when the daemon ends stays to be sent."""
    stop, telling = asyncio.Event(), asyncio.Event()
    daemon = daemon_of(bench, interval="1s")

    async def kick() -> None:
        telling.set()
        await asyncio.Event().wait()

    async def deliver_due(*, final: bool = False) -> int:
        await asyncio.Event().wait()
        return int(final)

    daemon.dispatcher.kick = kick  # type: ignore[method-assign]
    daemon.dispatcher.deliver_due = deliver_due  # type: ignore[method-assign]
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(daemon.run(stop))
        await telling.wait()
        await until(bench, lambda: looks(bench) >= 3)
        stop.set()
        await running


class Sweeps:
    """Counts how often the names of a sweep were read."""

    def __init__(self, bench: Bench) -> None:
        self._read = 0
        original = bench.reconciler.metrics.known

        def known(names: Any) -> None:
            original(names)
            self._read += 1
            self._news.set()

        self._news = asyncio.Event()
        bench.reconciler.metrics.known = known  # type: ignore[method-assign]

    async def more(self, times: int) -> None:
        """Wait for so many more readings; the names of all but the last are on the queue."""
        enough = self._read + times
        while self._read < enough:
            self._news.clear()
            await self._news.wait()


def warnings(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was logged as a warning or worse since the last call."""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return [line for line in lines if line["level"] not in ("debug", "info")]


def log() -> None:
    """Log as the daemon does, to the standard error that the test reads."""
    configure(Log())


async def until(bench: Bench, condition: Callable[[], Any]) -> None:
    """Wait, within the test's deadline, until a recorded look makes a condition hold."""
    while not condition():
        bench.heard.clear()
        await bench.heard.wait()
