"""Settings that are read anew: when, and what is done with bad ones."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from driftd.reloading import Reloading
from driftd.settings.load import load
from driftd.settings.types import Log, Settings
from driftd.telemetry.logs import configure
from driftd.telemetry.metrics import Metrics

DEADLINE = 30


@pytest.fixture
def file(tmp_path: Path, private_logging: None) -> Path:
    """A settings file."""
    path = tmp_path / "driftd.yaml"
    path.write_text("sweep: {workers: 2}\n")
    return path


def reloading_of(file: Path, metrics: Metrics, *, interval: float = 0.01) -> Reloading:
    """What reads the file anew, with flags that add nothing."""
    return Reloading(file, load(file), metrics, completed=same, interval=interval)


def same(settings: Settings) -> Settings:
    """No flag says anything."""
    return settings


def write(file: Path, text: str) -> None:
    """Another file of the same name, as Kubernetes brings one."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The lines of the log."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


class Watched(Metrics):
    """Metrics whose gauge of the settings can be waited for."""

    def __init__(self) -> None:
        super().__init__("0")
        self.refused = asyncio.Event()

    def settings_current(self, *, current: bool) -> None:
        """Set the gauge, and say so if the file is not in force."""
        super().settings_current(current=current)
        if not current:
            self.refused.set()

    @property
    def current(self) -> float | None:
        """The gauge that says whether the file is in force."""
        return self.registry.get_sample_value("driftd_settings_current")


async def test_a_file_that_changes_is_read(file: Path) -> None:
    """New settings come back as a whole, and once."""
    configure(Log())
    metrics = Watched()
    reloading = reloading_of(file, metrics)
    async with asyncio.timeout(DEADLINE):
        waiting = asyncio.create_task(reloading.changed())
        await asyncio.sleep(0)
        assert not waiting.done()
        write(file, "sweep: {workers: 3}\n")
        settings = await waiting
    assert settings.sweep.workers == 3
    assert metrics.current == 1


async def test_a_bad_file_is_told_whole_and_leaves_what_is(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each error is a line; a good file later is taken."""
    configure(Log())
    metrics = Watched()
    reloading = reloading_of(file, metrics)
    async with asyncio.timeout(DEADLINE):
        waiting = asyncio.create_task(reloading.changed())
        write(file, "sweep: {workers: 0}\nbaselines: [none.yaml]\nsweeep: 1\n")
        await metrics.refused.wait()
        write(file, "sweep: {workers: 4}\n")
        assert (await waiting).sweep.workers == 4
    lines = told(capsys)
    refused = [line["problem"] for line in lines if line["message"] == "settings refused"]
    assert [problem.partition(":")[0] for problem in refused[:3]] == [
        "sweep.workers",
        "baselines[0]",
        "sweeep",
    ]
    assert metrics.current == 1


async def test_sighup_reads_at_once(file: Path) -> None:
    """The signal does not wait for the next look at the file."""
    metrics = Watched()
    reloading = reloading_of(file, metrics, interval=3600)
    reloading.listen()
    try:
        async with asyncio.timeout(DEADLINE):
            waiting = asyncio.create_task(reloading.changed())
            write(file, "sweep: {workers: 5}\n")
            os.kill(os.getpid(), signal.SIGHUP)
            assert (await waiting).sweep.workers == 5
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


async def test_what_waits_for_a_start_is_named(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another store alone changes nothing, and the gauge says that the file is not in force."""
    configure(Log())
    metrics = Watched()
    reloading = reloading_of(file, metrics)
    async with asyncio.timeout(DEADLINE):
        waiting = asyncio.create_task(reloading.changed())
        write(file, f"store: {{dsn: 'sqlite:///{file.parent}/b.db'}}\nsweep: {{workers: 2}}\n")
        await metrics.refused.wait()
        assert not waiting.done()
        write(file, "sweep: {workers: 3}\n")
        assert (await waiting).sweep.workers == 3
    lines = told(capsys)
    (line,) = [line for line in lines if line["message"] == "settings wait for a restart"]
    assert line["keys"] == ["store.dsn"]
