"""Audit logs in a look: which cluster they are of, whom they name, what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driftd.controller.audit import sources_of
from driftd.controller.check import check
from driftd.controller.options import AuditSource, CheckOptions
from driftd.errors import ConfigError
from driftd.model.report import DriftReport
from tests.unit.cluster.audited import event, text
from tests.unit.controller.conftest import World
from tests.unit.reports import START, VirtualClock

pytestmark = pytest.mark.slow

WRITE = event(
    requestURI="/api/v1/namespaces/shop/configmaps/shop?fieldManager=kubectl-edit",
    objectRef={"resource": "configmaps", "namespace": "shop", "name": "shop"},
    requestObject={"data": {"colour": "red"}},
    requestReceivedTimestamp="2026-03-01T11:00:00.100000Z",
    stageTimestamp="2026-03-01T11:00:00.200000Z",
)
"""What the test's cluster says that `kubectl-edit` did, an hour before the look."""


async def looked(world: World, *logs: AuditSource, **options: Any) -> DriftReport:
    """The report of a look with audit logs."""
    world.workspace.repositories.forget()
    return await check(
        world.workspace,
        CheckOptions(audit_logs=logs, **options),
        progress=world.progress,
        clock=VirtualClock(START),
    )


def authors(report: DriftReport) -> dict[str, Any]:
    """The attribution of each changed object."""
    return {
        resource.name: change.attribution
        for one in report.applications
        for resource in one.resources
        for change in resource.changes
    }


def log_of(path: Path, *events: Any) -> Path:
    """A log of lines."""
    path.write_text("".join(f"{text(one)}\n" for one in events))
    return path


async def test_a_person_is_named(world: World, tmp_path: Path) -> None:
    """The log of the only cluster needs no name; what was sent is not in the report."""
    world.paint("shop", "red")
    report = await looked(world, AuditSource(log_of(tmp_path / "audit.log", WRITE)))
    assert authors(report)["shop"]["user"] == "alice@example.com"
    assert "requestObject" not in json.dumps(authors(report))
    assert report.conditions == ()
    assert "reading the audit log of one" in world.told


async def test_each_cluster_has_its_own_log(world: World, tmp_path: Path) -> None:
    """The same object on two clusters: each log speaks of its own cluster alone."""
    world.declare("shop-two", "two")
    world.repo.write("apps/shop-two/map.json", (world.repo.path / "apps/shop/map.json").read_text())
    world.repo.commit()
    world.paint("shop", "red")
    world.paint("shop", "red", cluster="two")
    bob = {**WRITE, "user": {"username": "bob"}}
    report = await looked(
        world,
        AuditSource(log_of(tmp_path / "one.log", WRITE), "one"),
        AuditSource(log_of(tmp_path / "two.log", bob), "two"),
    )
    named = {
        one.cluster: resource.changes[0].attribution["user"]  # type: ignore[index]
        for one in report.applications
        for resource in one.resources
        if resource.changes
    }
    assert named == {"one": "alice@example.com", "two": "bob"}


async def test_who_deleted_an_object(world: World, tmp_path: Path) -> None:
    """A Missing object says who deleted it."""
    world.declare("gone")
    world.repo.commit()
    deletion = event(
        verb="delete", objectRef={"resource": "configmaps", "namespace": "shop", "name": "gone"}
    )
    report = await looked(world, AuditSource(log_of(tmp_path / "audit.log", deletion)))
    (gone,) = (r for one in report.applications for r in one.resources if r.name == "gone")
    assert gone.status == "Missing"
    assert gone.attribution["user"] == "alice@example.com"  # type: ignore[index]


async def test_what_is_wrong_with_a_log(world: World, tmp_path: Path) -> None:
    """Broken lines, empty logs and logs of clusters without applications are warnings."""
    broken = log_of(tmp_path / "broken.log", WRITE)
    broken.write_text(broken.read_text() + "{\n[\n")
    report = await looked(
        world,
        AuditSource(broken),
        AuditSource(log_of(tmp_path / "empty.log", {"kind": "Event", "apiVersion": "v1"})),
        AuditSource(log_of(tmp_path / "far.log", WRITE), "far"),
    )
    assert [one.message for one in report.conditions] == [
        f"{broken}: 2 lines are no audit event (the first is line 2)",
        f"{tmp_path}/empty.log has no audit events",
        f"{tmp_path}/far.log is of far, and no application is there",
    ]
    assert {one.severity for one in report.conditions} == {"warning"}
    assert report.complete


async def test_an_unreadable_log(world: World, tmp_path: Path) -> None:
    """A log that is not there is an error with its name, not a look without people."""
    with pytest.raises(ConfigError, match=r"absent\.log cannot be read"):
        await looked(world, AuditSource(tmp_path / "absent.log"))


async def test_a_window(world: World, tmp_path: Path) -> None:
    """Events before the window do not count."""
    world.paint("shop", "red")
    source = AuditSource(log_of(tmp_path / "audit.log", WRITE))
    assert not authors(await looked(world, source, audit_window=3000.0))["shop"]
    assert authors(await looked(world, source, audit_window=4000.0))["shop"]


def test_sources() -> None:
    """A log without cluster is of the only one; among several, its cluster is asked for."""
    one, other = AuditSource(Path("a.log")), AuditSource(Path("b.log"), "two")
    assert sources_of([one], ["", "one"]) == {"one": [Path("a.log")]}
    assert sources_of([other], ["one", "two"]) == {"two": [Path("b.log")]}
    with pytest.raises(ConfigError, match=r"which cluster is the audit log a\.log of") as told:
        sources_of([one], ["one", "two"])
    assert told.value.hint == "say CLUSTER=a.log, with one of: one, two"
