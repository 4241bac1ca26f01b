"""Looks that know of the looks before them, through a state file and through the store."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.controller.check import check, look
from driftd.controller.declared import declare
from driftd.controller.healing import Healing
from driftd.controller.memory import left, recalled
from driftd.controller.options import CheckOptions
from driftd.controller.reconciler import Reconciler
from driftd.diff.history import History, Look, encode
from driftd.errors import StateError
from driftd.model.report import Change, ChangeClass, DriftReport, ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.settings.types import Settings
from driftd.store.sql import SqlStore
from driftd.store.state_file import StateFile
from driftd.store.types import ApplicationMemory
from driftd.telemetry.metrics import Metrics
from tests.unit.controller.builders import application
from tests.unit.controller.cluster import MemoryWriter
from tests.unit.controller.conftest import World
from tests.unit.reports import START, VirtualClock, change, resource

pytestmark = pytest.mark.slow

KEY = ResourceKey("", "ConfigMap", "shop", "shop")
TARGET = ClusterTarget(TargetKind.CONTEXT, "one", "HTTPS://one.example:443/")


class Looks:
    """Looks at a world, a quarter of an hour apart, through one state file."""

    def __init__(self, world: World, path: Path) -> None:
        self.world = world
        self.path = path
        self.clock = VirtualClock(START)
        self.progress = world.progress

    async def look(self, *names: str) -> DriftReport:
        """The report on what is committed now."""
        self.clock.advance(900)
        self.world.workspace.repositories.forget()
        options = CheckOptions(state=self.path, applications=names)
        return await check(self.world.workspace, options, progress=self.progress, clock=self.clock)

    async def changes(self) -> list[tuple[str, str, str]]:
        """Kind, class and path of every change of the application `shop`."""
        return told(await self.look())


def told(report: DriftReport) -> list[tuple[str, str, str]]:
    """Kind, class and path of every change of the application `shop`."""
    found: list[Change] = [
        one
        for application in report.applications
        if application.name == "shop"
        for resource in application.resources
        for one in resource.changes
    ]
    return [(str(one.kind), str(one.change_class), one.path) for one in found]


@pytest.fixture
def looks(world: World, tmp_path: Path) -> Looks:
    """A world with a state file that is not there yet."""
    return Looks(world, tmp_path / "state")


def hide(world: World, **data: str) -> None:
    """Put data into the ConfigMap `shop` that nobody owns."""
    cluster = world.clusters.one
    body = cluster.read("ConfigMap", "shop", "shop")
    cluster.put({**body, "data": {**body["data"], **data}})


EVIL = [("added", "undeclared", "/data/evil")]


async def test_state_file(looks: Looks) -> None:
    """What nobody owns is drift if it came after a look; the first look says that it is one."""
    assert await looks.changes() == []
    assert [text for text in looks.world.told if str(looks.path) in text] == [
        f"note: {looks.path} holds no look yet: this one is the first"
    ]
    hide(looks.world, evil="1")
    for _ in range(2):
        assert await looks.changes() == EVIL
    assert sum(str(looks.path) in text for text in looks.world.told) == 1
    options = CheckOptions()
    alone = await check(
        looks.world.workspace, options, progress=looks.world.progress, clock=looks.clock
    )
    assert told(alone) == [("added", "injected", "/data/evil")]


async def test_state_of_chosen_applications(looks: Looks) -> None:
    """A look at one application leaves what is known of the others."""
    await looks.look()
    hide(looks.world, evil="1")
    await looks.look("kept")
    assert await looks.changes() == EVIL


async def test_git_is_ahead(looks: Looks) -> None:
    """Without Argo CD's word, live that equals the last clean revision waits for a sync."""
    await looks.look()
    looks.world.repo.write(
        "apps/shop/map.json",
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, '
        '"data": {"colour": "green"}}',
    )
    looks.world.repo.commit()
    for _ in range(2):
        assert await looks.changes() == [("modified", "pending", "/data/colour")]
    looks.world.paint("shop", "red")
    assert await looks.changes() == [("modified", "declared", "/data/colour")]
    looks.world.paint("shop", "blue")
    assert await looks.changes() == [("modified", "pending", "/data/colour")]
    looks.world.paint("shop", "green")
    assert await looks.changes() == []
    looks.world.paint("shop", "blue")
    assert await looks.changes() == [("modified", "declared", "/data/colour")]


async def test_damaged_state_is_refused(looks: Looks) -> None:
    """A state that cannot be read stops the look and is left as it is."""
    await looks.look()
    content = looks.path.read_bytes()
    looks.path.write_bytes(content[:-1])
    with pytest.raises(StateError, match="is damaged"):
        await looks.look()
    assert looks.path.read_bytes() == content[:-1]


async def test_history_of_another_format_is_refused(looks: Looks) -> None:
    """A sound file with an unreadable history is refused, with the object."""
    state = StateFile(looks.path)
    state.remember("argocd/shop", ApplicationMemory(cluster="one", objects={KEY: b"\x92\x09\x80"}))
    state.save(START)
    with pytest.raises(StateError, match=r"argocd/shop: ConfigMap shop/shop: .*format 9"):
        await looks.look()


async def test_state_that_cannot_be_saved(looks: Looks, tmp_path: Path) -> None:
    """The report is made all the same, says so, and counts as incomplete."""
    looks.path = tmp_path / "folder" / "state"
    looks.path.parent.mkdir()
    progress = looks.world.progress

    def remove(text: str) -> None:
        shutil.rmtree(looks.path.parent, ignore_errors=True)
        progress(text)

    looks.progress = remove
    report = await looks.look()
    assert not report.complete
    assert [one.type for one in report.conditions] == ["StateNotSaved"]
    assert {one.name for one in report.applications} == {"shop", "kept"}


class Broken:
    """A memory of which one object cannot be read."""

    async def recall(
        self, cluster: str, application: str, keys: Collection[ResourceKey] | None = None
    ) -> ApplicationMemory:
        """See `Memory`."""
        objects = {KEY: b"nonsense", replace_name("other"): encode(History(uid="u"))}
        return ApplicationMemory(cluster=cluster, objects=objects)


def replace_name(name: str) -> ResourceKey:
    """The key of another ConfigMap."""
    return ResourceKey(KEY.group, KEY.kind, KEY.namespace, name)


async def test_unreadable_history_is_told(world: World) -> None:
    """An object without readable history is judged as at a first look, and the look says so."""
    workspace = replace(world.workspace, memory=Broken())
    declared = await declare(workspace, CheckOptions(), world.progress)
    clock = VirtualClock(START)
    looked = await look(workspace, declared, CheckOptions(), progress=world.progress, clock=clock)
    shop = next(one for one in looked if one.report.name == "shop")
    assert [one.type for one in shop.report.conditions] == ["HistoryUnreadable"]
    assert "ConfigMap shop/shop" in shop.report.conditions[0].message
    assert [str(one.status) for one in shop.report.resources] == ["Synced"]
    assert shop.memory is not None
    assert set(shop.memory.objects) == {KEY}


class Busy:
    """A memory that answers once so many ask it, and knows how many asked it together."""

    def __init__(self, together: int) -> None:
        self.asking = self.most = 0
        self._together = together
        self._full = asyncio.Event()

    async def recall(
        self, cluster: str, application: str, keys: Collection[ResourceKey] | None = None
    ) -> ApplicationMemory:
        """See `Memory`."""
        self.asking += 1
        self.most = max(self.most, self.asking)
        if self.asking >= self._together:
            self._full.set()
        await asyncio.wait_for(self._full.wait(), 20)
        # One too many would come now.
        for _ in range(100):
            await asyncio.sleep(0)
        self.asking -= 1
        return ApplicationMemory(cluster=cluster)


@pytest.mark.parametrize("together", [1, 2])
async def test_few_applications_are_compared_at_a_time(world: World, together: int) -> None:
    """Looks wait for each other before they read what is remembered, and all have a verdict."""
    world.declare("other", "two")
    world.paint("other", "blue", cluster="two")
    world.repo.commit()
    busy = Busy(together)
    comparing = asyncio.Semaphore(together)
    workspace = replace(world.workspace, memory=busy, comparing=comparing)
    declared = await declare(workspace, CheckOptions(), world.progress)
    clock = VirtualClock(START)
    looked = await look(workspace, declared, CheckOptions(), progress=world.progress, clock=clock)
    assert [str(one.report.status) for one in looked] == ["Synced"] * 3
    assert busy.most == together


async def test_past_of_a_cluster() -> None:
    """A cluster is known by its server, spelled in one way; without memory there is no past."""
    past = await recalled(Broken(), TARGET, application())
    assert past is not None
    assert past.cluster == "https://one.example"
    assert set(past.histories) == {replace_name("other")}
    assert past.synced_revisions(application(synced=("a",))) == ("a",)
    nameless = await recalled(Broken(), ClusterTarget(TargetKind.IN_CLUSTER, "in"), application())
    assert nameless is not None
    assert nameless.cluster == "in"
    assert await recalled(None, TARGET, application()) is None


def history(at: str, **fields: Any) -> History:
    """A history with a look at a time."""
    made = Look(at=at, resource_version="1", api_version="v1", schema_hash="", desired=7)
    return History(uid="u", look=made, **fields)


async def test_what_is_left_behind() -> None:
    """Only what changed is written anew; revisions only where nothing waits for a sync."""
    past = await recalled(Broken(), TARGET, application())
    assert past is not None
    old = history("2026-03-01T12:00:00Z")
    past = replace(past, histories={KEY: old})
    soon, later = history("2026-03-01T12:09:00Z"), history("2026-03-01T12:10:00Z")
    moved = history("2026-03-01T12:09:00Z", former={"f:data/f:a": 9})
    synced = resource("web")
    assert left(past, {KEY: soon}, (synced,), ("a",)).objects == {}
    assert left(past, {KEY: later}, (synced,), ("a",)).objects == {KEY: encode(later)}
    assert left(past, {KEY: moved}, (synced,), ("a",)).objects == {KEY: encode(moved)}

    def revisions(*resources: Any, revision: str = "a") -> tuple[str, ...]:
        return left(past, {}, resources, (revision,)).clean_revisions

    assert revisions(synced) == ("a",)
    assert revisions(synced, revision="a-dirty") == ()
    for change_class, expected in ((ChangeClass.INJECTED, ("a",)), (ChangeClass.PENDING, ())):
        odd = resource("b", change("/x", change_class=change_class), status=ResourceStatus.SYNCED)
        assert revisions(synced, odd) == expected
    for status in (ResourceStatus.UNKNOWN, ResourceStatus.PENDING):
        assert revisions(synced, resource("b", status=status)) == ()
    for status in (ResourceStatus.NOT_CHECKED, ResourceStatus.MISSING, ResourceStatus.EXTRA):
        assert revisions(synced, resource("b", status=status)) == ("a",)
    assert revisions(synced, resource("b", change("/x"))) == ("a",)


async def test_daemon_remembers_over_a_restart(world: World, database: str) -> None:
    """What only history can tell is found by a daemon that began after it had come."""
    clock = VirtualClock(START)

    async def sweep() -> None:
        clock.advance(900)
        store = await SqlStore.open(database)
        reconciler = Reconciler(
            workspace=world.workspace,
            options=CheckOptions(),
            settings=Settings(),
            store=store,
            compose=lambda _subject: lambda _change: (),
            healing=Healing(
                settings=Settings().healing,
                open_writer=lambda _target: MemoryWriter(world.clusters.one),
                clock=clock,
            ),
            metrics=Metrics("0"),
            clock=clock,
        )
        for name in await reconciler.declared_names():
            await reconciler.reconcile(name)
        drifts[:] = [one.drift.key.path for one in await store.open_drifts()]
        await store.close()

    drifts: list[str] = []
    await sweep()
    assert drifts == []
    hide(world, evil="1")
    await sweep()
    assert drifts == ["f:data/f:evil"]
    assert clock.now() - START == timedelta(minutes=30)
