"""The watchdog of the event loop."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time

import pytest

from driftd.settings.types import Log
from driftd.telemetry.logs import configure
from driftd.telemetry.watchdog import Watchdog

pytestmark = pytest.mark.slow


async def test_a_blocked_loop_is_told_while_it_is_blocked(
    private_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within half a second over the limit there is one line, with the place and no values."""
    configure(Log())
    seen = threading.Event()
    with Watchdog(seen.set, limit=0.3):
        await asyncio.sleep(0)
        assert not seen.is_set()
        secret_value = "hunter2"
        began = time.monotonic()
        # Blocks the loop, as a bad regular expression would, until the thread has seen it.
        assert seen.wait(10), secret_value
        took = time.monotonic() - began
    (line,) = [json.loads(one) for one in capsys.readouterr().err.splitlines()]
    assert line["message"] == "event loop blocked"
    assert line["level"] == "warning"
    assert any("test_watchdog.py" in one for one in line["stack"])
    assert "hunter2" not in json.dumps(line)
    assert 0.3 <= took < 2.0


async def test_a_loop_that_stays_blocked_is_told_twice(
    private_logging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that liveness allows there is an error too; the block counts once."""
    written = io.StringIO()  # capsys empties what it reads, and what is written meanwhile is lost
    monkeypatch.setattr(sys, "stderr", written)
    configure(Log())
    blocks: list[None] = []
    with Watchdog(lambda: blocks.append(None), limit=0.3, long=0.8):
        await asyncio.sleep(0)
        deadline = time.monotonic() + 10
        while written.getvalue().count("\n") < 2 and time.monotonic() < deadline:
            pass  # blocks the loop
    lines = written.getvalue().splitlines()
    assert [json.loads(one)["level"] for one in lines] == ["warning", "error"]
    assert len(blocks) == 1


async def test_a_loop_that_turns_is_not_told(
    private_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Waiting is no blocking."""
    configure(Log())
    told = threading.Event()
    with Watchdog(told.set, limit=5.0):
        await asyncio.to_thread(told.wait, 0.6)
    assert not told.is_set()
    assert capsys.readouterr().err == ""
