"""Looks that a store cannot record wait in memory, in order, and detection goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from driftd.errors import StoreError
from driftd.model.report import ApplicationStatus
from driftd.store.backlog import MOST, Backlog
from driftd.store.sql import SqlStore
from driftd.store.types import EpisodeQuery, StateChange, Transition
from tests.unit.reports import START, after, change, report, resource
from tests.unit.store.test_sql import CLEAN, DRIFTED, NAME, left, loud, quiet

pytestmark = pytest.mark.slow

OTHER = report(resource("web", change("/spec/paused", desired=False, live=True)))


class Disk:
    """A store whose disk is full until it is not."""

    def __init__(self, store: SqlStore, patch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.told: list[tuple[bool, int]] = []
        put, recall = store.put, store.recall

        async def fail(*arguments: object) -> object:
            if self.full:
                raise StoreError("the store cannot record: database or disk is full")
            return await put(*arguments)

        async def no_recall(*arguments: str) -> object:
            if self.full:
                raise StoreError("the store cannot read: connection refused")
            return await recall(*arguments)

        patch.setattr(store, "put", fail)
        patch.setattr(store, "recall", no_recall)
        self.store = store
        self.waited: list[float] = []
        self.backlog = Backlog(store, lambda *what: self.told.append(what), sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
async def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Disk]:
    """A store that can be filled."""
    store = await SqlStore.open(f"sqlite:///{tmp_path}/driftd.db")
    found = Disk(store, monkeypatch)
    await found.backlog.begin()
    yield found
    await found.backlog.close()
    await store.close()


async def test_what_began_and_ended_meanwhile_is_recorded_when_the_store_is_back(
    disk: Disk,
) -> None:
    """An episode within the outage has its times and its messages; none is doubled."""
    await disk.backlog.record(CLEAN, START, loud("one"))
    disk.full = True
    looks = [(DRIFTED, 10), (DRIFTED, 20), (DRIFTED, 30), (CLEAN, 40), (OTHER, 50)]
    found = [await disk.backlog.record(one, after(at), loud("one")) for one, at in looks]
    told = [(str(one.transition), one.recorded) for one in found]
    assert told == [
        ("drifted", False),
        ("none", False),
        ("none", False),
        ("recovered", False),
        ("drifted", False),
    ]
    assert disk.backlog.failing
    with pytest.raises(StoreError):
        await disk.backlog.reach()
    assert await disk.store.episodes(EpisodeQuery()) == ()
    (still,) = await disk.backlog.open_drifts()
    assert (still.application, still.drift.key.path) == (NAME, "/spec/paused")
    disk.full = False
    async with asyncio.timeout(10):
        await disk.backlog.back.wait()
    await disk.backlog.reach()
    now, then = await disk.store.episodes(EpisodeQuery())
    assert (then.drift.first_seen, then.drift.last_seen, then.closed_at) == (
        after(10),
        after(30),
        after(40),
    )
    assert (now.drift.first_seen, now.closed_at) == (after(50), None)
    assert await disk.store.waiting() == 3
    assert disk.told[0] == disk.told[-1] == (True, 0)
    assert (False, 4) in disk.told
    assert max(disk.waited) <= 5


async def test_memory_is_bounded_however_long_it_takes(disk: Disk) -> None:
    """A fight during an outage keeps its first looks and its last one."""
    disk.full = True
    for second in range(100):
        look = DRIFTED if second % 2 else CLEAN
        await disk.backlog.record(look, after(second), quiet, memory=left(web=b"%d" % second))
    assert disk.backlog.waiting == MOST
    assert (await _known(disk)).objects == left(web=b"99").objects
    disk.full = False
    async with asyncio.timeout(10):
        await disk.backlog.back.wait()
    (last, *_) = await disk.store.episodes(EpisodeQuery())
    assert last.drift.last_seen == after(99)
    assert await disk.backlog.recall("https://one", NAME) == left(web=b"99")


async def _known(disk: Disk):
    """What a look is told while the store is away; it has been read before."""
    disk.full = False
    failing, disk.backlog.failing = disk.backlog.failing, False
    await disk.backlog.recall("https://one", NAME)
    disk.backlog.failing, disk.full = failing, True
    return await disk.backlog.recall("https://one", NAME)


async def test_a_past_that_nobody_knows_is_an_error(disk: Disk) -> None:
    """A look is not told that it is the first one because the store cannot be read."""
    disk.full = True
    with pytest.raises(StoreError):
        await disk.backlog.recall("https://one", NAME)


async def test_the_last_verdicts_are_known_at_the_start(disk: Disk) -> None:
    """One that could not be judged is as old as its status."""
    await disk.backlog.record(DRIFTED, START, quiet)
    await disk.backlog.record(report(resource("a"), name="api"), START, quiet)
    for second in (10, 20):
        await disk.backlog.record(report(name="api", complete=False), after(second), quiet)
    again = Backlog(disk.store)
    api, shop = await again.begin()
    assert (api.application, api.status) == ("argocd/api", ApplicationStatus.UNKNOWN)
    assert (api.observed_at, api.judged_at) == (after(20), after(10))
    assert (shop.application, shop.cluster, shop.judged_at) == (NAME, "production", START)
    disk.full = True
    found = await again.record(DRIFTED, after(30), quiet)
    assert (found.transition, found.opened) == (Transition.NONE, ())
    await again.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB, where one can be mounted; else a folder like any other."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "driftd-test", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def fill(store: SqlStore, folder: Path) -> Callable[[], Awaitable[None]]:
    """Let the store have no room; what gives it room again.

    Without a file system of its own SQLite itself is told where its file has to end.
    """
    if folder.is_mount():  # noqa: ASYNC240
        filler = folder / "filler"
        _write_until_full(filler)

        async def remove() -> None:
            filler.unlink()

        return remove

    async def limit(pages: int) -> None:
        async with store.database.writer.connect() as connection:
            await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    await limit(1)  # no less than it has by now
    return lambda: limit(1 << 20)


def _write_until_full(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue


async def test_a_full_disk(small_disk: Path) -> None:
    """Looks wait while no byte is left, and are recorded when there is room again."""
    store = await SqlStore.open(f"sqlite:///{small_disk}/driftd.db")
    backlog = Backlog(store)
    changes: list[StateChange] = [await backlog.record(CLEAN, START, quiet)]
    make_room = await fill(store, small_disk)
    for second in range(1, 60):
        look = report(
            resource("web", change("/data/text", desired="", live="x" * 4000)),
            name=f"app{second:03}",
        )
        changes.append(await backlog.record(look, after(second), quiet))
    assert backlog.failing
    recorded = [one.application for one in changes if one.recorded]
    assert 0 < len(recorded) < len(changes)
    assert {one.application for one in await store.episodes(EpisodeQuery())} <= set(recorded)
    await make_room()
    async with asyncio.timeout(30):
        await backlog.back.wait()
    assert not backlog.failing
    found = [one.application for one in await store.episodes(EpisodeQuery())]
    assert sorted(found) == [f"argocd/app{second:03}" for second in range(1, 60)]
    await backlog.close()
    await store.close()
