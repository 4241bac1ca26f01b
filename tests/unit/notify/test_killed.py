"""F-27: a process that is killed around deliveries, again and again."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from driftd.store.sql import SqlStore
from tests.unit.notify.receiver import Receiver
from tests.unit.notify.teller import LOOKS, POINTS

KILLS = int(os.environ.get("DELIVERY_KILLS", "4"))
EACH = 10
"""Kills of one test."""
ROOT = Path(__file__).parents[3]
SIGKILL = -9


async def told(*arguments: object) -> int:
    """Run a teller to its end; how it ended."""
    command = [sys.executable, "-m", "tests.unit.notify.teller", *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    return await process.wait()


def calls_of(hook: Receiver) -> list[tuple[str, list[str]]]:
    """What arrived: the id of each call, and the messages that it tells."""
    found = []
    for headers, body in hook.requests:
        data: Any = json.loads(body)
        data = data.get("data", data)
        ids = data["messages"] if data["kind"] == "Digest" else [data["id"]]
        found.append((headers["webhook-id"], ids))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, KILLS, EACH))
async def test_a_killed_process_loses_no_message_and_repeats_none_under_another_id(
    tmp_path: Path, hook: Receiver, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every message arrives; who knows ids takes none twice, others at most one per kill."""
    dsn, secret = f"sqlite:///{tmp_path}/driftd.db", tmp_path / "secret"
    secret.write_text(base64.b64encode(bytes(range(32))).decode())
    chance, runs = random.Random(seed), min(KILLS, EACH)  # noqa: S311 - no secret is made of it
    kills = 0
    for number in range(runs):
        point = POINTS[(seed + number * 3) % len(POINTS)]
        count = 1 if point.startswith("merge") else chance.randint(1, 3)
        code = await told(dsn, hook.url, secret, number * LOOKS * 10, point, count)
        assert code in (0, SIGKILL)
        kills += code == SIGKILL
    assert await told(dsn, hook.url, secret, runs * LOOKS * 10, "nowhere", 1) == 0
    store = await SqlStore.open(dsn)
    query = text("SELECT id FROM messages WHERE application != ''")
    async with store.database.reader.connect() as connection:
        recorded = {row.id for row in await connection.execute(query)}
    assert (await store.waiting(), await store.count_dead()) == (0, 0)
    await store.close()
    calls = calls_of(hook)
    honoured = Counter(one for ids in dict(calls).values() for one in ids)
    repeated = len(calls) - len(dict(calls))
    missing = recorded - set(honoured)
    doubled = [one for one, times in honoured.items() if times > 1]
    digests = sum(name.startswith("dig_") for name in dict(calls))
    assert (missing, doubled) == (set(), [])
    assert set(honoured) <= recorded
    assert repeated <= kills
    assert kills >= runs // 2
    assert digests > 0
    with capsys.disabled():
        print(  # noqa: T201
            f"\nkill -9 around delivery: {kills} kills, {len(recorded)} messages in {len(calls)} "
            f"calls ({digests} digests): missing 0, doubled 0 by id, {repeated} calls repeated"
        )
