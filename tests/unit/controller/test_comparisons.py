"""Comparisons in a second process: a real one, and what happens where it fails."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from driftd.controller.comparisons import Comparisons, processors
from driftd.controller.memory import Past
from driftd.controller.unchanged import Unchanged
from driftd.controller.verdict import Verdict
from driftd.diff.batch import Answer
from driftd.diff.facts import Bounds, Facts
from driftd.diff.mask import Sealer
from driftd.model import sensitive
from driftd.model.resource import ResourceKey
from tests.unit.controller.builders import Desired, Look, config_map, desired, looked
from tests.unit.controller.cluster import MemoryCluster


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until something is so, 10 seconds at most."""
    deadline = asyncio.get_running_loop().time() + 10
    for _ in iter(condition, True):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0)


class Counted(Comparisons):
    """Counts what was compared elsewhere; starts with the first object."""

    def __init__(self, *, burst: int = 1, rest: float = 60.0, limit: float = 60.0) -> None:
        super().__init__(burst=burst, rest=rest, limit=limit)
        self._alone = False
        self.elsewhere: list[str] = []

    async def compared(self, context, schemas, pairs) -> Answer:  # type: ignore[no-untyped-def]
        answer = await super().compared(context, schemas, pairs)
        self.elsewhere += [
            pair.key.name for pair, one in zip(pairs, answer, strict=True) if one is not None
        ]
        return answer

    async def started(self) -> None:
        """Begin, and wait until it runs."""
        assert not self.has_time(1)
        self.made(1)
        await until(lambda: self.running)


async def shop(**more: str) -> tuple[Desired, Look]:
    """An application of 130 ConfigMaps, of which two have drifted and one is missing."""
    cluster = MemoryCluster()
    bodies = [config_map(f"config-{number:03}", color="blue", **more) for number in range(130)]
    for number, body in enumerate(bodies):
        if number != 7:
            cluster.put(body)
    for number in (3, 101):
        drifted = config_map(f"config-{number:03}", color="red", **more)
        cluster.put(drifted, manager="alice", operation="Update")
    wanted = desired(*bodies)
    return wanted, await looked(cluster, wanted)


async def test_verdicts_are_the_same_elsewhere() -> None:
    """130 objects have the same verdicts, histories and deployers, all compared elsewhere."""
    wanted, look = await shop()
    here, there = (Verdict(wanted, look, past=Past(cluster="one")) for _ in range(2))
    expected = await here.resources_with_pauses()
    async with Counted() as comparisons:
        await comparisons.started()
        found = await there.resources_with_pauses(comparisons)
        assert len(comparisons.elsewhere) == 129
    assert found == expected
    assert (there.histories, there.deployers) == (here.histories, here.deployers)
    assert set(there.live) == set(here.live)
    statuses = [one.status for one in found]
    assert (statuses.count("OutOfSync"), statuses.count("Missing")) == (2, 1)


async def test_a_killed_process_loses_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """Killed while it is asked: all is compared here, that is told once, none is started again."""
    wanted, look = await shop()
    async with Counted() as comparisons:
        await comparisons.started()
        process = comparisons._process
        assert process is not None
        os.kill(process._process.pid, signal.SIGSTOP)
        asked = asyncio.create_task(Verdict(wanted, look).resources_with_pauses(comparisons))
        await until(lambda: comparisons._waiting > 0)
        os.kill(process._process.pid, signal.SIGKILL)
        assert await asked == Verdict(wanted, look).resources()
        assert comparisons.elsewhere == []
        assert not comparisons.running
        comparisons.made(1000)
        assert comparisons._starting is None
    assert capsys.readouterr().err.count("comparing in one process") <= 1


async def test_a_process_that_hangs_is_given_up() -> None:
    """One that answers nothing within the limit is killed; the verdicts come from here."""
    wanted, look = await shop()
    async with Counted(limit=0.05) as comparisons:
        await comparisons.started()
        process = comparisons._process
        assert process is not None
        os.kill(process._process.pid, signal.SIGSTOP)
        try:
            found = await Verdict(wanted, look).resources_with_pauses(comparisons)
        finally:
            os.kill(process._process.pid, signal.SIGCONT)
        assert found == Verdict(wanted, look).resources()
        assert not comparisons.running


async def test_what_no_wire_carries_is_compared_here() -> None:
    """Facts with a number beyond 64 bits cannot be sent: that costs no verdict, and is told."""
    wanted, look = await shop()
    key = ResourceKey("apps", "Deployment", "shop", "web")
    facts = Facts(autoscaled={key: Bounds(1, 1 << 70, "web")})
    look = replace(look, observation=replace(look.observation, facts=facts))
    async with Counted() as comparisons:
        await comparisons.started()
        found = await Verdict(wanted, look).resources_with_pauses(comparisons)
        assert comparisons.elsewhere == []
        assert not comparisons.running
    assert found == Verdict(wanted, look).resources()


async def test_large_objects_stay() -> None:
    """An object of more than 128 KiB is compared here; its neighbour is not."""
    cluster = MemoryCluster()
    bodies = config_map("large", color="x" * (130 << 10)), config_map("small", color="blue")
    for body in bodies:
        cluster.put(body)
    wanted = desired(*bodies)
    async with Counted() as comparisons:
        await comparisons.started()
        found = await Verdict(wanted, await looked(cluster, wanted)).resources_with_pauses(
            comparisons
        )
        assert comparisons.elsewhere == ["small"]
    assert [one.status for one in found] == ["Synced", "Synced"]


async def test_a_look_that_is_ended_disturbs_no_other() -> None:
    """An answer that nobody waits for any more goes to nobody; the next one to whom it is for."""
    wanted, look = await shop()
    async with Counted() as comparisons:
        await comparisons.started()
        ended = asyncio.create_task(Verdict(wanted, look).resources_with_pauses(comparisons))
        await until(lambda: comparisons._waiting > 0)
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        assert comparisons._waiting == 0
        found = await Verdict(wanted, look).resources_with_pauses(comparisons)
        assert found == Verdict(wanted, look).resources()
        assert comparisons.running


async def test_the_key_of_secrets_stays() -> None:
    """With a key, Secrets are compared here, with their seals; other kinds go elsewhere."""
    cluster = MemoryCluster()
    secret = {**config_map("token", password="blue"), "kind": "Secret", "type": "Opaque"}
    cluster.put({**secret, "data": {"password": "cmVk"}}, manager="alice", operation="Update")
    other = config_map("plain", color="blue")
    cluster.put(other)
    wanted = desired(secret, other)
    look = replace(await looked(cluster, wanted), sealer=Sealer(b"k" * 32))
    async with Counted() as comparisons:
        await comparisons.started()
        verdict = Verdict(wanted, look)
        found = await verdict.resources_with_pauses(comparisons)
        assert comparisons.elsewhere == ["plain"]
    assert found == Verdict(wanted, look).resources()
    assert verdict.seals


@pytest.fixture
def hidden() -> Iterator[None]:
    """Other places are hidden than the shipped ones; undone afterwards."""
    yield
    sensitive.use(())


@pytest.mark.usefixtures("hidden")
async def test_other_hidden_places_need_another_process() -> None:
    """Values that new settings hide are hidden elsewhere, too: the old process is ended."""
    wanted, look = await shop(token="abc")
    async with Counted() as comparisons:
        await comparisons.started()
        sensitive.use(("ConfigMap:data.color",))
        assert not comparisons.has_time(1)
        comparisons.made(1)
        await until(lambda: comparisons.running)
        found = await Verdict(wanted, look).resources_with_pauses(comparisons)
        assert len(comparisons.elsewhere) == 129
    (change,) = found[3].changes
    assert change.live == {"masked": True}


async def test_it_ends_when_nothing_is_left_to_do() -> None:
    """After its rest the process is gone, and its place free for another one."""
    async with Counted(rest=0.01) as comparisons:
        await comparisons.started()
        await until(lambda: not comparisons.running)


async def test_few_objects_start_nothing() -> None:
    """What one processor does in a second or two is done by one."""
    async with Comparisons() as comparisons:
        for _ in range(7):
            comparisons.made(200)
        assert comparisons._starting is None


async def test_many_objects_start_one() -> None:
    """130 comparisons of an application count as such."""
    wanted, look = await shop()
    async with Counted(burst=129) as comparisons:
        await Verdict(wanted, look).resources_with_pauses(comparisons)
        await until(lambda: comparisons.running)


async def test_objects_that_stand_still_start_nothing() -> None:
    """A sweep that finds everything as it was compares nothing, and needs no second process."""
    wanted, look = await shop()
    unchanged, past = Unchanged(), Past(cluster="one")
    async with Counted(burst=50) as comparisons:
        first = Verdict(wanted, look, past=past, unchanged=unchanged)
        await first.resources_with_pauses()
        later = Past(cluster="one", histories=first.histories)
        again = Verdict(wanted, look, past=later, unchanged=unchanged)
        await again.resources_with_pauses(comparisons)
        assert (comparisons.running, comparisons._starting) == (False, None)


@pytest.mark.parametrize(
    ("quota", "expected"), [("50000 100000", 0.5), ("max 100000", None), ("nonsense", None)]
)
def test_a_control_group_bounds_the_processors(
    tmp_path: Path, quota: str, expected: float | None
) -> None:
    """Half a processor is half a one; without a quota the affinity counts."""
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    own = processors(tmp_path / "none")
    assert processors(file) == (own if expected is None else expected)
    assert own >= 1
