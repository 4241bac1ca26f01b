"""Flux among what is declared: which roots are judged, on which cluster, and what is said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from driftd.clock import SystemClock
from driftd.cluster.hub import Hub
from driftd.cluster.reader import ApiResource
from driftd.controller.check import check
from driftd.controller.declared import (
    Declared,
    declare,
    looks_foreign,
    refuse_unmatched,
    unfit_contexts,
)
from driftd.controller.flux_mapped import WRONG_CLUSTER
from driftd.controller.flux_roots import FluxRoots
from driftd.controller.options import CheckOptions
from driftd.controller.rendered import RenderMemory
from driftd.controller.workspace import Workspace
from driftd.errors import ConfigError, Unreachable
from driftd.model.condition import Severity
from driftd.model.flux import FluxObject
from tests.unit.controller.builders import URL
from tests.unit.controller.conftest import CONTEXTS, World

pytestmark = pytest.mark.slow

KUSTOMIZATIONS = ApiResource(
    "kustomize.toolkit.fluxcd.io", "v1beta2", "Kustomization", "kustomizations", True, ("get",)
)
SYNC = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: fleet, namespace: flux-system}}
spec: {{url: "{url}", ref: {{branch: main}}}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: sync, namespace: flux-system}}
spec: {{path: ./clusters/{name}, prune: true, sourceRef: {{kind: GitRepository, name: fleet}}}}
"""
LIVE = {
    "apiVersion": "kustomize.toolkit.fluxcd.io/v1beta2",
    "kind": "Kustomization",
    "metadata": {"name": "sync", "namespace": "flux-system"},
}


@pytest.fixture
def fleet(world: World) -> World:
    """The world with two Flux roots, `east` and `west`, and no Application of Argo CD."""
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
    roots(world, "east", "west")
    return world


def roots(world: World, *names: str, url: str = URL) -> None:
    """Write the roots of some clusters and commit."""
    for name in names:
        world.repo.write(f"clusters/{name}/flux-system/sync.yaml", SYNC.format(url=url, name=name))
        world.repo.write(
            f"clusters/{name}/map.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map, namespace: shop}\n"
            "data: {colour: blue}\n",
        )
    world.repo.commit()


async def declared(world: World, contexts: Iterable[str], **options: Any) -> Declared:
    """What is declared with some contexts in the kubeconfig."""
    known = tuple(one for one in CONTEXTS if one.name in set(contexts))
    workspace = replace(world.workspace, contexts=known)
    return await declare(workspace, CheckOptions(**options), world.progress)


def clusters(found: Declared) -> dict[str, str]:
    """The context of each application, by name."""
    return {one.application.name: one.cluster for one in found.entries}


async def test_flags_settle_every_root(fleet: World) -> None:
    """--cluster NAME=CONTEXT maps a root; its note is told once, not for each application."""
    found = await declared(fleet, ["one", "two"], cluster_map={"east": "one", "west": "two"})
    assert clusters(found) == {"east/sync": "one", "west/sync": "two"}
    assert all(entry.application.flux for entry in found.entries)
    notes = [text for text in fleet.told if text.startswith("note: ")]
    assert notes == [
        "note: Flux root east is context one (--cluster)",
        "note: Flux root west is context two (--cluster)",
    ]


async def test_the_only_cluster_is_asked_which_root_it_is(fleet: World) -> None:
    """Its own Kustomization says; the other root is left out, and can be named nonetheless."""
    fleet.clusters.one.resources.append(KUSTOMIZATIONS)
    fleet.clusters.one.put({**LIVE, "spec": {"path": "./clusters/west"}})
    found = await declared(fleet, ["one"])
    assert clusters(found) == {"west/sync": "one"}
    assert any("left out: east; --cluster east=CONTEXT" in text for text in fleet.told)
    with pytest.raises(ConfigError, match="--cluster eats=one matches no destination") as caught:
        refuse_unmatched(CheckOptions(cluster_map={"eats": "one"}), fleet.progress, found)
    assert caught.value.hint.startswith("did you mean east? ")
    found = await declared(fleet, ["one"], applications=("east/*",))
    assert clusters(found) == {"east/sync": ""}
    assert found.entries[0].blocked


REPOSITORIES = ApiResource(
    "source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", True, ("get",)
)


@pytest.mark.parametrize(
    ("path", "url", "told"),
    [
        ("./clusters/west", URL, True),
        ("./clusters/east", URL, False),
        ("./clusters/west", "https://git.example/another", False),
        ("./elsewhere", URL, False),
    ],
)
async def test_a_flag_that_the_clusters_own_flux_contradicts(
    fleet: World, path: str, url: str, told: bool
) -> None:
    """The flag counts, with a warning where the cluster certainly is that of another root."""
    one = fleet.clusters.one
    one.resources += [KUSTOMIZATIONS, REPOSITORIES]
    source = {"kind": "GitRepository", "name": "fleet"}
    one.put({**LIVE, "spec": {"path": path, "sourceRef": source}})
    one.put(
        {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": "fleet", "namespace": "flux-system"},
            "spec": {"url": url},
        }
    )
    found = await declared(fleet, ["one", "two"], cluster_map={"east": "one", "west": "two"})
    assert clusters(found) == {"east/sync": "one", "west/sync": "two"}
    warned = [c.message for c in found.conditions if c.type == WRONG_CLUSTER]
    notes = [text for text in fleet.told if "but the Flux of that cluster syncs" in text]
    assert (len(warned), len(notes)) == (int(told), int(told))
    instead = "give --cluster west=one in place of --cluster east=one"
    assert all(text.endswith(instead) for text in warned + notes)


async def test_a_cluster_that_cannot_be_asked_is_the_cause(fleet: World) -> None:
    """Which root it is stays unknown: that says every application, and no kubeconfig is doubted."""
    fleet.clusters.one.ungettable = Unreachable("cluster one: connection refused", hint="a VPN?")
    found = await declared(fleet, ["one"])
    assert not [text for text in fleet.told if text.startswith("note: ")]
    cause = "which of the Flux roots is one is not known: cluster one: connection refused; a VPN?"
    for entry in found.entries:
        assert [one.message for one in entry.conditions] == [cause]
    assert len(found.entries) == 2
    workspace = replace(fleet.workspace, contexts=CONTEXTS[:1])
    assert unfit_contexts(workspace, found) == ()
    assert not looks_foreign(workspace, found)


async def test_roots_that_nothing_settles_say_which_flag_does(fleet: World) -> None:
    """Without Flux on the cluster, or with several contexts, nothing is guessed."""
    for contexts in (["one"], ["one", "two"]):
        found = await declared(fleet, contexts)
        assert clusters(found) == {"east/sync": "", "west/sync": ""}
        for entry, name in zip(found.entries, ("east", "west"), strict=True):
            (why,) = (c.message for c in entry.conditions if c.severity is Severity.ERROR)
            assert f"--cluster {name}=CONTEXT" in why


async def test_only_context_that_is_settled_leaves_the_others_out(fleet: World) -> None:
    """A flag for the only context says too that the other root is another cluster."""
    found = await declared(fleet, ["one"], cluster_map={"east": "one"})
    assert clusters(found) == {"east/sync": "one"}


async def test_one_root_is_the_only_context(world: World) -> None:
    """Beside Applications of Argo CD, and with an URL that no remote has: it lies there itself."""
    roots(world, "east", url="ssh://git@elsewhere.example/fleet")
    found = await declared(world, ["one"])
    assert clusters(found)["sync"] == "one"
    assert "note: Flux root east is taken to be one, the only context" in world.told
    workspace = replace(world.workspace, contexts=CONTEXTS[:1])
    world.clusters.one.resources += [
        ApiResource("source.toolkit.fluxcd.io", "v1", "GitRepository", "x", True, ("list",)),
        ApiResource("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "y", True, ("list",)),
    ]
    report = await check(
        workspace, CheckOptions(applications=("sync",)), progress=world.progress,
        clock=SystemClock(),
    )  # fmt: skip
    (application,) = report.applications
    assert {(one.kind, str(one.status)) for one in application.resources} == {
        ("ConfigMap", "Missing"),
        ("GitRepository", "Missing"),
        ("Kustomization", "Missing"),
    }
    assert application.kind == "Kustomization"


async def test_project_of_argo_cd_does_not_limit_flux(world: World) -> None:
    """Flux knows no projects: a strict `default` forbids none of its sources or clusters."""
    roots(world, "east")
    world.repo.write(
        "argocd/default.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: default}\nspec: {}\n",
    )
    world.repo.commit()
    found = await declared(world, ["one"])
    blocked = {entry.application.name: entry.blocked for entry in found.entries}
    assert blocked == {"kept": True, "shop": True, "sync": False}


async def test_hub_has_its_own_flux(world: World) -> None:
    """Live Kustomizations of a hub are applications of the hub's cluster."""
    objects = (
        FluxObject(
            kind="Kustomization",
            namespace="flux-system",
            name="live",
            body={"spec": {"sourceRef": {"kind": "GitRepository", "name": "fleet"}}},
            origin="hub one",
        ),
        FluxObject(
            kind="GitRepository",
            namespace="flux-system",
            name="fleet",
            body={"spec": {"url": URL}},
            origin="hub one",
        ),
    )
    workspace = replace(world.workspace, hub=Hub("one", flux=objects))
    found = await declare(workspace, CheckOptions(hub="one"), world.progress)
    assert clusters(found) == {"live": "one"}
    assert not found.entries[0].blocked


def hub_of(world: World, name: str) -> Workspace:
    """A daemon's workspace whose hub has the entry of a root, and a Kustomization below it."""
    spec = {"sourceRef": {"kind": "GitRepository", "name": "fleet"}}
    objects = tuple(
        FluxObject(
            kind=kind, namespace="flux-system", name=called, body={"spec": body}, origin="hub one",
            applied_by="flux-system/sync",
        )
        for kind, called, body in (
            ("Kustomization", "sync", {**spec, "path": f"./clusters/{name}"}),
            ("Kustomization", "apps", {**spec, "path": "./apps"}),
            ("GitRepository", "fleet", {"url": URL, "ref": {"branch": "main"}}),
        )
    )  # fmt: skip
    return replace(world.workspace, hub=Hub("one", flux=objects), rendered=RenderMemory())


@pytest.mark.parametrize(
    ("names", "prefix"), [(("east", "west"), "west/"), (("west",), ""), (("east", "north"), "")]
)
async def test_names_of_a_daemon_on_a_hub(
    world: World, names: tuple[str, ...], prefix: str
) -> None:
    """They say the root where the repository that the cluster's Flux syncs has several."""
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
    roots(world, *names)
    workspace = hub_of(world, "west")
    found = await declare(workspace, CheckOptions(hub="one"), world.progress)
    assert set(clusters(found)) == {f"{prefix}sync", f"{prefix}apps"}


async def test_names_stay_while_the_repository_cannot_be_read(fleet: World, tmp_path: Path) -> None:
    """What an earlier look has found out counts then; without one nothing comes first."""
    workspace = hub_of(fleet, "west")
    options = CheckOptions(hub="one")
    await declare(workspace, options, fleet.progress)
    table = fleet.workspace.repositories.table
    gone = str(tmp_path / "gone")
    fleet.workspace.repositories.table = structs.replace(table, pairs={URL: gone})
    found = await declare(workspace, options, fleet.progress)
    assert set(clusters(found)) == {"west/sync", "west/apps"}
    fresh = replace(workspace, flux_roots=FluxRoots())
    found = await declare(fresh, options, fleet.progress)
    assert set(clusters(found)) == {"sync", "apps"}


async def test_names_are_the_same_through_a_hub(fleet: World) -> None:
    """Live applications are named as without the hub; an edited one is told with Git's values."""
    spec = {
        "path": "./clusters/west",
        "prune": False,
        "sourceRef": {"kind": "GitRepository", "name": "fleet"},
    }
    live = FluxObject(
        kind="Kustomization", namespace="flux-system", name="sync", body={**LIVE, "spec": spec},
        origin="hub one",
    )  # fmt: skip
    workspace = replace(fleet.workspace, hub=Hub("one", flux=(live,)))
    found = await declare(workspace, CheckOptions(hub="one"), fleet.progress)
    assert clusters(found) == {"west/sync": "one"}
    (told,) = found.entries[0].application.conditions
    assert told.type == "LiveApplicationDiffers"
    assert "spec.prune is false (Git: true)" in told.message
    assert "clusters/west/flux-system/sync.yaml declares it" in told.message
