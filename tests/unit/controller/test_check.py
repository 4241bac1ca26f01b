"""One look at every application: isolated from each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from driftd.cluster.hub import Hub, Tracking
from driftd.controller import check as module
from driftd.controller.check import check
from driftd.controller.declared import declare
from driftd.controller.manifests import manifests
from driftd.controller.options import CheckOptions
from driftd.errors import ConfigError, Forbidden, Unreachable
from driftd.model.condition import Condition
from driftd.model.report import ApplicationReport, DriftReport
from driftd.source.repositories import Repositories
from tests.unit.controller.builders import application
from tests.unit.controller.conftest import World
from tests.unit.reports import START, VirtualClock

pytestmark = pytest.mark.slow


async def checked(world: World, **options) -> DriftReport:
    """The report on what is committed now."""
    world.workspace.repositories.forget()
    return await check(
        world.workspace, CheckOptions(**options), progress=world.progress, clock=VirtualClock(START)
    )


def verdicts(report: DriftReport) -> dict[str, str]:
    """The statuses of the applications."""
    return {one.name: str(one.status) for one in report.applications}


def by_name(report: DriftReport) -> dict[str, ApplicationReport]:
    """The applications by name."""
    return {one.name: one for one in report.applications}


async def test_clean(world: World) -> None:
    """Everything is as Git says: complete, Synced, counted."""
    report = await checked(world)
    assert verdicts(report) == {"kept": "Synced", "shop": "Synced"}
    assert report.complete
    assert report.generated_at == "2026-03-01T12:00:00Z"
    assert report.summary.applications == {"Synced": 2}
    assert report.summary.resources == {"Synced": 2}
    assert report.summary.changes == {}
    assert by_name(report)["shop"].revisions == (world.repo.head,)


async def test_one_drift(world: World) -> None:
    """A changed object makes its application OutOfSync and is counted by class."""
    world.paint("shop", "red")
    report = await checked(world)
    assert verdicts(report) == {"kept": "Synced", "shop": "OutOfSync"}
    assert report.summary.changes == {"declared": 1}
    assert report.complete


async def test_ignored_changes_are_counted_apart(world: World) -> None:
    """An ignored change is listed and counted, and its application is Synced."""
    world.paint("shop", "red")
    rule = {"group": "", "kind": "ConfigMap", "jqPathExpressions": [".data"]}
    world.declare("shop", ignoreDifferences=[rule])
    world.repo.commit()
    report = await checked(world)
    assert verdicts(report) == {"kept": "Synced", "shop": "Synced"}
    assert report.summary.changes == {"ignored": 1}


async def test_one_cluster_is_down(world: World) -> None:
    """The applications of a cluster that is down are Unknown with the reason, others judged."""
    world.declare("far", "two")
    world.repo.commit()
    world.clusters.two.down = Unreachable("cluster two: timed out", hint="is it up?")
    world.paint("shop", "red")
    report = await checked(world)
    assert verdicts(report) == {"far": "Unknown", "kept": "Synced", "shop": "OutOfSync"}
    assert not report.complete
    far = by_name(report)["far"]
    assert [one.message for one in far.conditions] == ["cluster two: timed out; is it up?"]
    assert [str(one.status) for one in far.resources] == ["Unknown"]


async def test_two_of_the_same_objects_on_a_cluster_that_is_down(world: World) -> None:
    """Git alone tells that two applications declare one object, though nothing can be compared."""
    body = (world.repo.path / "argocd/shop.json").read_text()
    world.repo.write("argocd/copy.json", body.replace('"name": "shop"', '"name": "copy"', 1))
    world.repo.commit()
    world.clusters.one.down = Unreachable("cluster one: timed out", hint="is it up?")
    found = by_name(await checked(world))
    told = {name: [c.type for c in one.conditions] for name, one in found.items()}
    assert told == {
        "copy": ["SharedResourceWarning", "ComparisonError"],
        "kept": ["ComparisonError"],
        "shop": ["SharedResourceWarning", "ComparisonError"],
    }
    assert "ConfigMap shop/shop" in found["copy"].conditions[0].message


async def test_a_version_that_may_not_be_read_makes_nothing_unknown(world: World) -> None:
    """Only `/version` is refused: the verdicts stay, and say so."""
    world.clusters.one.versionless = Forbidden("one: cannot read the server's version")
    report = await checked(world)
    assert (report.complete, verdicts(report)) == (True, {"kept": "Synced", "shop": "Synced"})
    for one in report.applications:
        assert [told.type for told in one.conditions] == ["VersionUnknown"]


async def test_one_cluster_cannot_be_opened(world: World) -> None:
    """A cluster whose description is wrong blinds its applications alone."""
    world.declare("far", "two")
    world.repo.commit()
    world.clusters.broken.add("two")
    report = await checked(world)
    assert verdicts(report) == {"far": "Unknown", "kept": "Synced", "shop": "Synced"}
    (condition,) = by_name(report)["far"].conditions
    assert condition.message == "context two has no user; correct the kubeconfig"


async def test_one_application_does_not_render(world: World) -> None:
    """What is broken in one folder is that application's; the others keep their verdicts."""
    world.repo.write("apps/shop/map.json", "{")
    world.repo.commit()
    report = await checked(world)
    assert verdicts(report) == {"kept": "Synced", "shop": "Unknown"}
    assert not report.complete


async def test_one_application_has_no_cluster(world: World) -> None:
    """An application without mapping is Unknown, in its place among the others."""
    world.declare("shop", "nowhere")
    world.repo.commit()
    report = await checked(world)
    assert verdicts(report) == {"kept": "Synced", "shop": "Unknown"}
    assert by_name(report)["shop"].cluster == ""


@pytest.mark.parametrize("step", ["desired_state", "judge"])
async def test_a_defect_at_one_application(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """An exception that nobody foresaw makes its application Unknown, and quotes nothing."""
    original = getattr(module, step)

    async def failing(*arguments: Any, **options: Any) -> Any:
        subject = arguments[1].application if step == "desired_state" else arguments[0]
        if subject.name == "shop":
            raise ZeroDivisionError("a secret value")
        return await original(*arguments, **options)

    monkeypatch.setattr(module, step, failing)
    report = await checked(world)
    assert verdicts(report) == {"kept": "Synced", "shop": "Unknown"}
    (condition,) = by_name(report)["shop"].conditions
    assert condition.message.startswith("unexpected ZeroDivisionError at ")
    assert "this is a defect of driftd" in condition.message
    assert "a secret value" not in condition.message


async def test_a_document_that_does_not_parse_makes_the_report_incomplete(world: World) -> None:
    """An Application document that cannot be read belongs to no application, but to the report."""
    world.repo.write("argocd/bad.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: {\n")
    world.repo.commit()
    report = await checked(world)
    assert verdicts(report) == {"kept": "Synced", "shop": "Synced"}
    assert not report.complete
    assert "argocd/bad.yaml" in report.conditions[0].message


async def test_who_names_applications_asks_about_these(world: World) -> None:
    """A broken document elsewhere is told, but does not make the named verdict incomplete."""
    world.repo.write("argocd/broken.yaml", "kind: Application\napiVersion: argoproj.io/v1: [\n")
    world.repo.commit()
    report = await checked(world, applications=("shop",))
    assert (verdicts(report), report.complete) == ({"shop": "Synced"}, True)
    assert any("broken.yaml" in condition.message for condition in report.conditions)
    with pytest.raises(ConfigError, match="no application matches absent") as caught:
        await checked(world, applications=("absent",))
    assert "broken.yaml" in caught.value.hint


async def test_a_mapping_that_means_no_destination_is_refused(world: World) -> None:
    """A mistyped --cluster is an error with the destinations that there are."""
    with pytest.raises(ConfigError, match="--cluster typo=one matches no destination") as caught:
        await checked(world, cluster_map={"typo": "one"})
    assert caught.value.hint == "destinations of the applications are: one"


async def test_a_mapping_may_be_of_applications_that_are_not_asked_for(world: World) -> None:
    """A --cluster of a destination that only other applications have is no error."""
    world.declare("shop", "two")
    world.repo.commit()
    report = await checked(world, applications=("kept",), cluster_map={"two": "two"})
    assert [one.name for one in report.applications] == ["kept"]


async def test_a_mapping_may_be_of_what_could_not_be_read(world: World) -> None:
    """Where a document is broken its destination may be meant: a note, no error."""
    world.repo.write("argocd/broken.yaml", "kind: Application\napiVersion: argoproj.io/v1: [\n")
    world.repo.commit()
    await checked(world, cluster_map={"typo": "one"})
    assert any("--cluster typo=one matches no destination" in text for text in world.told)


async def test_the_own_cluster_may_be_named_both_ways(world: World) -> None:
    """`in-cluster` means the destination https://kubernetes.default.svc too."""
    own = "https://kubernetes.default.svc"
    world.declare("shop", destination={"server": own, "namespace": "shop"})
    world.repo.commit()
    report = await checked(world, cluster_map={"in-cluster": "two"})
    assert {one.name: one.cluster for one in report.applications}["shop"] == "two"


async def test_git_ahead_of_the_last_sync_is_pending(world: World) -> None:
    """Live that equals the revision Argo CD synced last is Pending, by rendering that revision."""
    world.repo.write(
        "apps/shop/map.json",
        (world.repo.path / "apps/shop/map.json").read_text().replace("blue", "green"),
    )
    synced = world.repo.head
    world.repo.commit()
    world.workspace.repositories.forget()
    declared = await declare(world.workspace, CheckOptions(), world.progress)
    live = tuple(
        msgspec.structs.replace(one.application, synced_revisions=(synced,))
        for one in declared.entries
    )
    world.workspace = replace(world.workspace, hub=Hub("one", applications=live))
    report = await checked(world)
    shop = by_name(report)["shop"]
    assert [str(one.status) for one in shop.resources] == ["Pending"]
    assert str(shop.status) == "Synced"


@pytest.mark.parametrize("excluded", [True, False])
async def test_what_argo_cd_excludes_is_not_searched(world: World, excluded: bool) -> None:
    """What Git dropped is Extra, but not in kinds that `argocd-cm` excludes for the cluster."""
    mark = {"argocd.argoproj.io/tracking-id": "shop:/Secret:shop/left"}
    metadata = {"name": "left", "namespace": "shop", "annotations": mark}
    world.clusters.one.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
    declared = await declare(world.workspace, CheckOptions(), world.progress)
    live = tuple(one.application for one in declared.entries)
    entry = '- kinds: [Secret]\n  clusters: ["https://one.example.com"]\n'
    tracking = Tracking(settings={"resource.exclusions": entry} if excluded else {})
    hub = Hub("one", applications=live, tracking=tracking)
    world.workspace = replace(world.workspace, hub=hub)
    shop = by_name(await checked(world))["shop"]
    found = {one.name for one in shop.resources if one.status == "Extra"}
    assert found == (set() if excluded else {"left"})


async def test_notes_of_the_repositories_are_told(world: World) -> None:
    """What was assumed about repositories is a note of the look."""
    world.repo.write("README.md", "changed, not committed\n")
    await checked(world)
    assert any(one.startswith("note: uncommitted files in ") for one in world.told)


async def test_render_needs_no_cluster(world: World) -> None:
    """A preview renders without the cluster, and says that it did."""
    world.clusters.one.down = Unreachable("cluster one: timed out")
    world.workspace.repositories.forget()
    shown = await manifests(world.workspace, CheckOptions(), progress=world.progress)
    found = [one.desired for one in shown]
    assert [one.manifests[0].key.name for one in found] == ["kept", "shop"]
    assert "note: rendered without the cluster's APIs: cluster one: timed out" in world.told


async def test_repositories_of_a_hub_may_be_unknown(world: World) -> None:
    """A source that no checkout has is its application's condition."""
    repositories = await Repositories.open([])
    world.workspace = replace(world.workspace, repositories=repositories)
    told = Condition("HubWarning", "AppProjects cannot be listed")
    hub = Hub("one", applications=(application(),), conditions=(told,))
    world.workspace = replace(world.workspace, hub=hub)
    report = await checked(world)
    assert verdicts(report) == {"shop": "Unknown"}
    assert [one.message for one in report.conditions] == [told.message]
    assert not report.complete
