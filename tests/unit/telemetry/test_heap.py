"""Memory that was freed goes back to the system."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from driftd.telemetry.heap import SELDOM, Heap, give_back
from tests.testbed.processes import wait_until

MEGABYTE = 1_000_000


def resident() -> int:
    """The bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def scattered() -> list[bytes]:
    """One block of each hundred that lie between them: 150 MB that are free, but in pieces."""
    blocks = [bytes(4000) for _ in range(40_000)]
    return blocks[::100]


def test_free_memory_goes_back() -> None:
    """What lies free between blocks in use is returned, once it is worth it."""
    assert not give_back(1 << 60)
    kept = scattered()
    before = resident()
    assert give_back(50 * MEGABYTE)
    assert resident() < before - 50 * MEGABYTE
    assert len(kept) == 400


def test_it_is_done_from_time_to_time() -> None:
    """A thread looks after it until the daemon ends."""
    kept = scattered()
    before = resident()
    with Heap(every=0.05) as heap:
        wait_until(lambda: resident() < before - 50 * MEGABYTE, what="less memory", timeout=30)
    assert not heap._thread.is_alive()
    assert len(kept) == 400


def test_the_collector_runs_seldom_meanwhile() -> None:
    """Its thresholds are as they were once the daemon has ended."""
    before = gc.get_threshold()
    with Heap(every=60):
        assert gc.get_threshold() == SELDOM != before
    assert gc.get_threshold() == before
