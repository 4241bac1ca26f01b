"""Objects of applications that nothing declares: which ones there are, and how they are told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from driftd.cluster.hub import Hub
from driftd.controller import orphans as module
from driftd.controller.check import check
from driftd.controller.declared import declare
from driftd.controller.leftovers import Claimants, Marked
from driftd.controller.options import CheckOptions
from driftd.controller.orphans import orphan_conditions, orphaned_resources, orphans_among
from driftd.controller.tracking import tracked
from driftd.model.condition import Severity
from driftd.model.flux import FluxSpec
from driftd.model.report import DriftReport
from driftd.model.resource import ResourceKey
from tests.unit.controller.builders import application, config_map
from tests.unit.controller.cluster import CONFIG_MAPS, SERVICES, MemoryCluster
from tests.unit.controller.conftest import World
from tests.unit.reports import START, VirtualClock

pytestmark = pytest.mark.slow

MARK = "argocd.argoproj.io/tracking-id"
ORPHANED = "OrphanedResourceWarning"
FLUX = {
    "kustomize.toolkit.fluxcd.io/name": "gone",
    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
}
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kept", "uid": "1"}


def orphan(name: str, owner: str, *, kind: str = "ConfigMap", **metadata: Any) -> dict[str, Any]:
    """An object with the mark of an application, as Argo CD leaves it."""
    annotations = {MARK: f"{owner}:/{kind}:shop/{name}", **metadata.pop("annotations", {})}
    place = {"name": name, "namespace": "shop", "annotations": annotations, **metadata}
    return {"apiVersion": "v1", "kind": kind, "metadata": place}


async def report_of(world: World, *bodies: dict[str, Any], **options: Any) -> DriftReport:
    """The report on the world with these objects in its cluster."""
    for body in bodies:
        world.clusters.one.put(body)
    world.workspace.repositories.forget()
    return await check(
        world.workspace, CheckOptions(**options), progress=world.progress, clock=VirtualClock(START)
    )


def told(report: DriftReport) -> list[tuple[str, Severity]]:
    """What the report says of such objects, and how severe."""
    return [(one.message, one.severity) for one in report.conditions if one.type == ORPHANED]


async def test_they_are_one_line_and_change_no_verdict(world: World) -> None:
    """Marks of undeclared applications are counted by application, in listed and scanned kinds."""
    report = await report_of(
        world,
        orphan("a", "billing"),
        orphan("b", "billing", kind="Secret"),
        orphan("c", "audit"),
    )
    ((text, severity),) = told(report)
    assert text.startswith(
        "3 objects on one carry the mark of applications that Git does not declare: "
        "billing (2), audit (1); deleted applications leave such objects, "
    )
    assert severity is Severity.INFO
    assert report.complete
    assert report.summary.resources == {"Synced": 2}
    assert report.orphaned is not msgspec.UNSET
    assert [(one.application, one.kind, one.name) for one in report.orphaned] == [
        ("audit", "ConfigMap", "c"), ("billing", "ConfigMap", "a"), ("billing", "Secret", "b"),
    ]  # fmt: skip


async def test_a_clean_cluster_is_told_nothing(world: World) -> None:
    """Without such objects the report has no line and no field of them."""
    report = await report_of(world)
    assert told(report) == []
    assert report.orphaned is msgspec.UNSET


@pytest.mark.parametrize("metadata", [{"ownerReferences": [OWNER]}, {"annotations": {MARK: "gone:/ConfigMap:shop/other"}}, {"annotations": {"argocd.argoproj.io/hook": "PreSync"}}])  # fmt: skip  # noqa: E501
@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
async def test_marks_that_say_nothing(world: World, kind: str, metadata: dict[str, Any]) -> None:
    """Owned objects, copied marks and hooks are nobody's orphans, in lists as in scans."""
    # In more namespaces than are listed singly, the kind is listed in the whole cluster.
    for number in range(5):
        body = config_map("spread", namespace=f"n{number}")
        world.repo.write(f"apps/shop/spread{number}.json", msgspec.json.encode(body).decode())
    world.repo.commit()
    report = await report_of(world, orphan("one", "gone", kind=kind, **metadata))
    assert told(report) == []
    again = await report_of(world, orphan("two", "gone", kind=kind))
    assert [text[:8] for text, _ in told(again)] == ["1 object"]


async def test_who_names_applications_is_told_nothing(world: World) -> None:
    """`driftd check shop` asks about shop, not about the cluster."""
    body = orphan("a", "billing")
    assert told(await report_of(world, body, applications=("shop",))) == []
    assert len(told(await report_of(world))) == 1


async def test_an_unread_document_may_declare_them(world: World) -> None:
    """Where a document cannot be read, nothing is said of applications that Git does not have."""
    world.repo.write(
        "argocd/broken.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: [\n"
    )
    world.repo.commit()
    report = await report_of(world, orphan("a", "billing"))
    assert not report.complete
    assert told(report) == []


async def test_a_hub_knows_all_applications(world: World) -> None:
    """What no live Application has is nobody's: a warning, with what to do."""
    declared = await declare(world.workspace, CheckOptions(), world.progress)
    live = tuple(one.application for one in declared.entries)
    world.workspace = replace(world.workspace, hub=Hub("one", applications=live))
    ((text, severity),) = told(await report_of(world, orphan("a", "billing")))
    assert text == (
        "1 object on one carries the mark of an application that hub one does not have: "
        "billing (1); delete them, or declare them in Git (-o wide lists them)"
    )
    assert severity is Severity.WARNING


async def test_flux_labels_count_too(world: World) -> None:
    """What Flux labelled for a Kustomization that nothing declares is told by its name."""
    metadata = {"namespace": "shop", "labels": FLUX}
    bodies = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {**metadata, "name": "left"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                **metadata,
                "name": "kept",
                "annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"},
            },
        },
    ]
    ((text, _),) = told(await report_of(world, *bodies))
    assert "Kustomization/flux-system/gone (1);" in text


def of(name: str, owner: str, **more: Any) -> Marked:
    """A marked Service."""
    return Marked(SERVICES, owner, "shop", name, f"uid-{name}", **more)


def among(found: Iterable[Marked], *declared: ResourceKey, **more: Any) -> list[str]:
    """The names that are chosen where `shop` alone is declared."""
    claimants = Claimants(
        declared=[(application(), frozenset(declared))], marks=frozenset({"shop", "argocd_shop"})
    )
    chosen = orphans_among(found, claimants, declared, more.get("tracked", {}))
    return [one.name for one in chosen]


def test_what_somebody_owns_is_no_orphan() -> None:
    """A second mark of a declared application, or a declaration under a new name, is an owner."""
    both = [of("both", "gone"), of("both", "argocd_shop")]
    assert among([*both, of("renamed", "gone"), of("left", "gone"), of("left", "gone")],
                 ResourceKey("", "Service", "shop", "renamed")) == ["left"]  # fmt: skip


def test_where_flux_deploys_all_the_marks_of_argo_cd_are_not_counted() -> None:
    """Kinds that are listed anyway would show some of them, the scan by Flux's labels none."""
    mine = FluxSpec(kind="Kustomization", object_name="shop", render={})
    claimants = Claimants(
        declared=[(msgspec.structs.replace(application(), flux=mine), frozenset())],
        marks=frozenset(),
    )
    found = [of("a", "gone"), of("b", "Kustomization/shop/gone"), of("c", "HelmRelease/shop/gone")]
    assert [one.name for one in orphans_among(found, claimants, (), {})] == ["b"]


async def test_another_argo_cd_has_its_own() -> None:
    """An installation id that declared objects do not carry is another Argo CD's."""
    cluster = MemoryCluster()
    mine = {"argocd.argoproj.io/installation-id": "mine"}
    cluster.put(orphan("kept", "shop", annotations=mine))
    live = await cluster.get(CONFIG_MAPS, "shop", "kept")
    assert live is not None
    marks = {"shop": [tracked(CONFIG_MAPS.gvk, live)["shop"]]}
    found = [of("a", "gone", installation="mine"), of("b", "gone", installation="theirs")]
    assert among(found, live.key, tracked=marks) == ["a"]
    assert among(found) == ["a", "b"]


def test_many_are_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names eight applications, the report lists so many objects of each cluster."""
    monkeypatch.setattr(module, "LISTED", 3)
    found = [of(f"s{number}", f"gone{number}") for number in range(12)]
    (condition,) = orphan_conditions({"one": found, "two": ()})
    assert condition.message.startswith("12 objects on one carry the mark of applications")
    assert "gone7 (1) and 4 more;" in condition.message
    assert len(orphaned_resources({"one": found, "two": found[:2]})) == 5
