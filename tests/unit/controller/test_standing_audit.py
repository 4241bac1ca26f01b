"""A daemon's audit logs: read when a change is new, remembered, and mended without harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from driftd.cluster.auditevents import of_list
from driftd.cluster.auditstream import AuditStream, AuditStreams, Limits
from driftd.controller.check import Looked, look
from driftd.controller.declared import declare
from driftd.controller.options import CheckOptions
from driftd.controller.standing_audit import StandingAudit
from driftd.settings.types import AuditLogFile, Settings
from tests.unit.cluster.test_auditstream import posted
from tests.unit.controller.conftest import World
from tests.unit.controller.test_audit import WRITE, log_of
from tests.unit.reports import START, VirtualClock

pytestmark = pytest.mark.slow


async def looked(world: World) -> Looked:
    """A look at the application `shop`."""
    world.workspace.repositories.forget()
    options = CheckOptions(applications=("shop",))
    declared = await declare(world.workspace, options, world.progress)
    clock = VirtualClock(START)
    (found,) = await look(world.workspace, declared, options, progress=world.progress, clock=clock)
    return found


def author(found: Looked) -> str:
    """The user who is told of the only change; empty if nobody is."""
    (change,) = (change for one in found.report.resources for change in one.changes)
    told: Any = change.attribution or {}
    return str(told.get("user", ""))


class Daemon:
    """A standing audit, with what it says."""

    def __init__(self, *files: AuditLogFile) -> None:
        self.audit = StandingAudit(Settings(audit_logs=files))
        self.told: list[str] = []

    async def sees(self, found: Looked, *clusters: str) -> Looked:
        """What becomes of a look."""
        return await self.audit.attributed(
            found, clusters or ("one",), now=START.timestamp(), tell=self.told.append
        )


async def test_authors_are_remembered(world: World, tmp_path: Path) -> None:
    """Once a person is known the log is not needed again; another change is searched anew."""
    world.paint("shop", "red")
    log = log_of(tmp_path / "audit.log", WRITE)
    daemon = Daemon(AuditLogFile(file=str(log)))
    assert author(await daemon.sees(await looked(world))) == "alice@example.com"
    log.unlink()
    assert author(await daemon.sees(await looked(world))) == "alice@example.com"
    assert daemon.told == []
    world.paint("shop", "green")
    assert author(await daemon.sees(await looked(world))) == ""
    assert len(daemon.told) == 1


async def test_a_log_that_comes_late(world: World, tmp_path: Path) -> None:
    """The log is read at three looks, since it may be written late, and then left alone."""
    world.paint("shop", "red")
    path = tmp_path / "audit.log"
    other = {**WRITE, "objectRef": {"resource": "configmaps", "namespace": "shop", "name": "x"}}
    log_of(path, other)
    daemon, never = Daemon(AuditLogFile(file=str(path))), Daemon(AuditLogFile(file=str(path)))
    for _ in range(2):
        assert author(await daemon.sees(await looked(world))) == ""
    for _ in range(3):
        assert author(await never.sees(await looked(world))) == ""
    log_of(path, other, WRITE)
    assert author(await daemon.sees(await looked(world))) == "alice@example.com"
    assert author(await never.sees(await looked(world))) == ""


async def test_rotated_files(world: World, tmp_path: Path) -> None:
    """A `*` names rotated files, whichever has the event."""
    world.paint("shop", "red")
    log_of(tmp_path / "audit-2026-02-28.log", WRITE)
    log_of(tmp_path / "audit.log", {**WRITE, "verb": "get"})
    daemon = Daemon(AuditLogFile(file=f"{tmp_path}/audit*.log", cluster="one"))
    assert author(await daemon.sees(await looked(world))) == "alice@example.com"


async def test_what_is_wrong_is_told_once(world: World, tmp_path: Path) -> None:
    """A missing log and one of no known cluster are told once, and the look stays whole."""
    world.paint("shop", "red")
    before = await looked(world)
    daemon = Daemon(AuditLogFile(file=str(tmp_path / "absent.log")))
    for _ in range(2):
        assert (await daemon.sees(before)).report == before.report
    assert len(daemon.told) == 1
    assert "absent.log cannot be read" in daemon.told[0]
    log = log_of(tmp_path / "audit.log", WRITE)
    daemon = Daemon(AuditLogFile(file=str(log)))
    assert author(await daemon.sees(before, "one", "two")) == ""
    assert daemon.told == [f"which cluster is the audit log {log} of?"]


async def test_another_clusters_log(world: World, tmp_path: Path) -> None:
    """The log of another cluster says nothing of this one's objects."""
    world.paint("shop", "red")
    log = log_of(tmp_path / "audit.log", WRITE)
    daemon = Daemon(AuditLogFile(file=str(log), cluster="two"))
    assert author(await daemon.sees(await looked(world), "one", "two")) == ""
    assert daemon.told == []


class Posted:
    """A standing audit that API servers post to."""

    def __init__(self) -> None:
        limits = Limits(events=100, size=1 << 20, age=0.0)
        self.streams = AuditStreams(["one"], limits, START.timestamp)
        self.audit = StandingAudit(Settings(), self.streams)

    @property
    def stream(self) -> AuditStream:
        """The stream of the cluster."""
        found = self.streams.of("one")
        assert found is not None
        return found

    def post(self, *events: dict[str, Any]) -> None:
        """What an API server posts."""
        self.stream.take(of_list(posted(*(dict(one) for one in events))))

    async def sees(self, found: Looked, *, seconds: float = 0.0) -> Looked:
        """What becomes of a look."""
        return await self.audit.attributed(
            found, ("one",), now=START.timestamp() + seconds, tell=lambda _text: None
        )


ELSEWHERE = {
    **WRITE,
    "auditID": "elsewhere",
    "objectRef": {"resource": "leases", "namespace": "kube-system", "name": "x"},
}


async def test_what_is_posted_names_people(world: World) -> None:
    """An event that is there when the look ends names the person, as a file would."""
    world.paint("shop", "red")
    daemon = Posted()
    daemon.post(WRITE)
    assert author(await daemon.sees(await looked(world))) == "alice@example.com"
    assert daemon.audit.due() == []


async def test_an_event_that_comes_later_asks_for_another_look(world: World) -> None:
    """The application is due once when a write to its object is posted, not for other events."""
    world.paint("shop", "red")
    daemon = Posted()
    found = await looked(world)
    assert author(await daemon.sees(found)) == ""
    assert daemon.audit.due() == []
    daemon.post(ELSEWHERE)
    assert daemon.audit.due() == []
    daemon.post(WRITE)
    assert daemon.audit.due() == ["argocd/shop"]
    assert author(await daemon.sees(found, seconds=1)) == "alice@example.com"
    assert daemon.audit.due() == []


async def test_events_after_the_look_ask_three_times(world: World) -> None:
    """What is posted then shows that nothing came before; only writes to the object count later."""
    world.paint("shop", "red")
    daemon = Posted()
    found = await looked(world)
    asked = []
    for second in range(5):
        await daemon.sees(found, seconds=-3600 + second)
        stamp = f"2026-03-01T11:00:{second + 1:02}.500000Z"
        daemon.post({**ELSEWHERE, "auditID": stamp, "stageTimestamp": stamp})
        asked.append(bool(daemon.audit.due()))
    assert asked == [True, True, False, False, False]
    daemon.post(WRITE)
    assert daemon.audit.due() == ["argocd/shop"]


async def test_only_writes_where_applications_live_are_kept(world: World) -> None:
    """From the first look on the stream knows which kinds and namespaces count."""
    daemon = Posted()
    daemon.post(ELSEWHERE)
    assert len(daemon.stream) == 1
    await daemon.sees(await looked(world))
    assert daemon.stream.places is not None
    assert ("", "configmaps", "shop") in daemon.stream.places
    daemon.post({**ELSEWHERE, "auditID": "again"}, WRITE)
    assert len(daemon.stream) == 2


async def test_applications_that_are_gone_wait_for_nobody(world: World) -> None:
    """What Git declares no longer is not looked at for an event."""
    world.paint("shop", "red")
    daemon = Posted()
    await daemon.sees(await looked(world))
    daemon.audit.only([])
    daemon.post(WRITE)
    assert daemon.audit.due() == []


async def test_api_servers_that_are_silent_are_not_waited_for(world: World) -> None:
    """Authors are expected soon only while something is posted, and of that cluster."""
    daemon, noon = Posted(), START.timestamp()
    assert not daemon.audit.expected("one", noon)
    daemon.post({**WRITE, "stageTimestamp": "2026-03-01T11:59:00Z"})
    assert daemon.audit.expected("one", noon)
    assert not daemon.audit.expected("two", noon)
    assert not daemon.audit.expected("one", noon + 600)


async def test_a_file_and_a_stream_tell_one_write_once(world: World, tmp_path: Path) -> None:
    """Where an API server writes a log and posts, nothing counts twice."""
    world.paint("shop", "red")
    log = log_of(tmp_path / "audit.log", WRITE)
    daemon = Posted()
    daemon.post(WRITE)
    daemon.audit = StandingAudit(
        Settings(audit_logs=(AuditLogFile(file=str(log)),)), daemon.streams
    )
    found = await daemon.sees(await looked(world))
    (change,) = (change for one in found.report.resources for change in one.changes)
    assert change.attribution is not UNSET
    assert (change.attribution["user"], change.attribution.get("writes")) == (
        "alice@example.com",
        None,
    )
