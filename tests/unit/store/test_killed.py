"""A process that is killed while it records, again and again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from driftd.store.sql import SqlStore
from driftd.store.types import EpisodeQuery
from tests.unit.reports import START

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("STORE_KILLS", "3"))
EACH = 10
"""Kills of one test."""
ROOT = Path(__file__).parents[3]
STEP = 1_000_000
"""Seconds by which the looks of one process begin after those of the one before; even."""


def killed_at(moment: float, dsn: str, begin: int) -> list[tuple[str, int]]:
    """What a process said to be recorded, until it was killed so long after the first."""
    command = [sys.executable, "-m", "tests.unit.store.recorder", dsn, str(begin)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        threading.Timer(moment, process.kill).start()
        lines = [first, *process.stdout]
    found = [line.split() for line in lines if line.endswith("\n")]
    return [(name, int(second)) for name, second in found]


@pytest.mark.parametrize("seed", range(0, KILLS, EACH))
async def test_what_a_killed_process_acknowledged_is_there(
    dsn: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every look once, with its episode and its message, whatever moment it was killed at."""
    chance, kills = random.Random(seed), min(KILLS, EACH)  # noqa: S311 - no secret is made of it
    told: list[tuple[str, int]] = []
    for number in range(kills):
        told += killed_at(chance.uniform(0, 0.5), dsn, number * STEP)
    store = await SqlStore.open(dsn)
    assert store.database.losses == []
    found = Counter(
        (one.application.partition("/")[2], round((one.drift.first_seen - START).total_seconds()))
        for one in await store.episodes(EpisodeQuery(limit=1_000_000))
    )
    await store.close()
    onsets = {one for one in told if one[1] % 2}
    assert max(found.values()) == 1
    assert onsets <= set(found)
    # Of each application one look may have been recorded whose receipt nobody heard of.
    assert len(set(found) - onsets) <= 8 * kills
    with capsys.disabled():
        print(f"\n{kills} kills, {len(told)} looks acknowledged: lost 0, doubled 0")  # noqa: T201
