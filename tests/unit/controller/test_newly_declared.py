"""Which Missing objects may be a commit that is not deployed yet."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from driftd.cluster.hub import Hub
from driftd.controller.check import check
from driftd.controller.newly_declared import newly_declared
from driftd.controller.options import CheckOptions
from driftd.model.gitobject import Addition
from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Evidence,
    ReportDestination,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
)
from tests.unit.controller.builders import application
from tests.unit.controller.conftest import World
from tests.unit.reports import START, VirtualClock

URL, REVISION = "https://git.example.com/gitops.git", "1" * 40
HISTORY = {
    (URL, REVISION): (
        Addition("c" * 40, "2026-01-03", frozenset({"banner.yaml", "notes.md"})),
        Addition("b" * 40, "2026-01-02", frozenset({"b.yaml", "c.yaml"})),
        Addition("a" * 40, "2026-01-01", frozenset({"web.yaml", "old.yaml"})),
    )
}


def resource(file: str, status: str, **more: object) -> ResourceReport:
    """An object of that file, there unless it is Missing."""
    uid = msgspec.UNSET if status == "Missing" else file
    one = ResourceReport(
        group="", version="v1", kind="ConfigMap", namespace="shop", name=file.partition(".")[0],
        status=ResourceStatus(status), origin=ReportOrigin(repo_url=URL, file=file),
        evidence=Evidence(revision=REVISION, uid=uid),
    )  # fmt: skip
    return msgspec.structs.replace(one, **more)


def found(*resources: ResourceReport, deployers: tuple[str, ...] = ("argocd",)) -> list[str]:
    """The objects that may wait for a sync, with the commits that they came with."""
    report = ApplicationReport(
        name="shop", namespace="argocd", project="default", cluster="one",
        destination=ReportDestination(server="", namespace="shop"), revisions=(REVISION,),
        deployers=deployers, status=ApplicationStatus.OUT_OF_SYNC, conditions=(),
        resources=resources,
    )  # fmt: skip
    return [f"{one.name} {commit.commit[0]}" for one, commit in newly_declared(report, HISTORY)]


WEB = resource("web.yaml", "Synced")
BANNER = resource("banner.yaml", "Missing")


def test_a_newer_commit_without_a_trace_may_wait() -> None:
    """Only what came later than everything that is there can be a commit that waits."""
    assert found(WEB, BANNER) == ["banner c"]
    assert found(WEB, resource("old.yaml", "Missing")) == []
    assert found(WEB, resource("b.yaml", "Missing"), resource("c.yaml", "OutOfSync")) == []
    later = resource("notes.md", "Synced")
    assert found(WEB, later, BANNER, resource("b.yaml", "Missing")) == []


@pytest.mark.parametrize(
    ("one", "deployers"),
    [
        (BANNER, ()),
        (resource("banner.yaml", "Missing", ignored_by="baseline a#1"), ("argocd",)),
        (resource("banner.yaml", "Missing", attribution={"user": "eve"}), ("argocd",)),
        (resource("older-than-looked-at.yaml", "Missing"), ("argocd",)),
        (resource("banner.yaml", "Extra"), ("argocd",)),
    ],
)
def test_what_is_known_otherwise_is_no_commit(
    one: ResourceReport, deployers: tuple[str, ...]
) -> None:
    """Not deployed at all, accepted, deleted by somebody known, old, or no Missing object."""
    assert found(WEB, one, deployers=deployers) == []


@pytest.mark.slow
async def test_a_look_notes_it_unless_a_hub_tells(world: World) -> None:
    """`check` names object and commit; through a hub it is known, and nothing is noted."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "banner"}}
    world.repo.write("apps/shop/banner.json", json.dumps(body))
    commit = world.repo.commit("A banner", date="2026-01-09T00:00:00Z")
    options = CheckOptions(repo=world.repo.path)
    clock = VirtualClock(START)
    await check(world.workspace, options, progress=world.progress, clock=clock)
    (note,) = (text for text in world.told if "Missing" in text)
    assert note.startswith(
        f"note: 1 Missing object (ConfigMap banner) came into Git with {commit[:8]} of 2026-01-09, "
        "and nothing"
    )
    # kubectl deployed it, so a hub has no live Application that could tell.
    assert note.endswith("; a --state FILE kept since before tells that (Pending) from drift")
    world.told.clear()
    world.workspace = replace(world.workspace, hub=Hub("one", applications=(application(),)))
    report = await check(world.workspace, options, progress=world.progress, clock=clock)
    assert report.summary.resources == {"Synced": 1, "Missing": 1}
    assert not any("Missing" in text for text in world.told)
