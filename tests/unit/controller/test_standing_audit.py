"""A daemon's audit logs: read when a change is new, remembered, and mended without harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from driftd.controller.check import Looked, look
from driftd.controller.declared import declare
from driftd.controller.options import CheckOptions
from driftd.controller.standing_audit import StandingAudit
from driftd.settings.types import AuditLogFile, Settings
from tests.unit.controller.conftest import World
from tests.unit.controller.test_audit import WRITE, log_of
from tests.unit.reports import START, VirtualClock


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
