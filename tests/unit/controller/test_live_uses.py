"""Live sources and ConfigMaps that an application of Flux uses, beside what Git declares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from msgspec import structs

from driftd.cluster.operations import FLUX
from driftd.cluster.reader import ApiResource
from driftd.controller.live_uses import BesideGit, LiveConfigMaps, live_edits
from driftd.flux.applications import Place, to_application
from driftd.flux.objects import FluxObjects, Reader
from driftd.flux.specs import flux_object
from driftd.model.application import Application, Destination
from driftd.model.flux import FluxObject, FluxSpec
from driftd.sandbox.pool import SandboxPool
from tests.unit.controller.builders import application as of_argo
from tests.unit.controller.cluster import MemoryCluster

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

GIT = ApiResource(
    "source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", True, ("get",)
)
MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", True, ("get",))
PLACE = Place(destination=Destination(name="one"))


def fields(part: str, *names: str) -> dict[str, Any]:
    """The managed fields of these names."""
    return {f"f:{part}": {f"f:{name}": {} for name in names}}


def thing(
    kind: str, version: str, *writers: tuple[str, dict[str, Any]], origin: str = "", **parts: Any
) -> FluxObject:
    """An object `web/thing` with these managers."""
    managed = [
        {"manager": manager, "operation": "Update", "fieldsV1": owned} for manager, owned in writers
    ]
    metadata = {"name": "thing", "namespace": "web", "managedFields": managed}
    body = {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}
    found = flux_object(body, origin)
    assert found is not None
    return found


def source(origin: str, *writers: tuple[str, dict[str, Any]], **spec: Any) -> FluxObject:
    """A GitRepository."""
    version = "source.toolkit.fluxcd.io/v1"
    spec = {"url": "https://me:xyzzy@git.example.com/fleet", **spec}
    return thing("GitRepository", version, *writers, origin=origin, spec=spec)


def values(origin: str, *writers: tuple[str, dict[str, Any]], **data: str) -> FluxObject:
    """A ConfigMap."""
    data = {name.replace("_", "."): value for name, value in data.items()}
    return thing("ConfigMap", "v1", *writers, origin=origin, data=data)


def kustomization(**build: Any) -> FluxObject:
    """A live Kustomization of the source, with variables from the ConfigMap."""
    spec = {
        "path": "apps",
        "sourceRef": {"kind": "GitRepository", "name": "thing"},
        "postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "thing"}], **build},
    }
    return thing("Kustomization", "kustomize.toolkit.fluxcd.io/v1", spec=spec)


def release(**spec: Any) -> FluxObject:
    """A live HelmRelease of a chart in the source, with values from the ConfigMap."""
    chart = {"chart": "charts/x", "sourceRef": {"kind": "GitRepository", "name": "thing"}}
    given = {"chart": {"spec": chart}, "valuesFrom": [{"kind": "ConfigMap", "name": "thing"}]}
    return thing("HelmRelease", "helm.toolkit.fluxcd.io/v2", spec={**given, **spec})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[SandboxPool]:
    """What reads values; one worker for all tests."""
    async with SandboxPool(size=1) as pool:
        yield pool


async def told(
    live: FluxObject, objects: Sequence[FluxObject], git: Sequence[FluxObject], sandbox: SandboxPool
) -> tuple[list[str], list[str]]:
    """How each object that is used was edited, and the conditions."""
    maps = LiveConfigMaps(None, None)  # type: ignore[arg-type] - everything is there already
    for one in objects:
        maps.objects.add(one)
    reader = Reader(FluxObjects([one for one in objects if one.kind != "ConfigMap"]), maps)
    beside = BesideGit(
        reader=reader, maps=maps, place=PLACE, sandbox=sandbox, git=FluxObjects(git)
    )  # fmt: skip
    found = await beside.with_used(await to_application(live, reader, PLACE), live)
    assert found.flux is not None
    edits = [f"{one.kind} {one.namespace}/{one.name} {one.how}" for one in found.flux.edited]
    return edits, [f"{one.type}: {one.message}" for one in found.conditions]


async def test_a_branch_that_git_does_not_name(sandbox: SandboxPool) -> None:
    """The Kustomization of an edited source is told the field, both values and who wrote."""
    git = source("clusters/sync.yaml", ref={"branch": "main"})
    by_hand = ("kubectl-edit", {"f:spec": {"f:ref": {"f:branch": {}}}})
    by_flux = ("kustomize-controller", fields("spec", "url", "ref"))
    live = source("hub one", by_flux, by_hand, ref={"branch": "hotfix"})
    edits, conditions = await told(kustomization(), [live, values("hub one")], [git], sandbox)
    assert edits == ["GitRepository web/thing was edited beside Git"]
    [condition] = conditions
    assert condition == (
        "LiveApplicationDiffers: the live GitRepository web/thing, which decides what is deployed "
        "here, is not as clusters/sync.yaml declares it, and the findings here compare with what "
        'the live GitRepository says, not with Git alone: spec.ref.branch is "hotfix" '
        '(Git: "main"), written by kubectl-edit'
    )


async def test_the_password_of_a_url_is_not_shown(sandbox: SandboxPool) -> None:
    """Nor that of Git's URL; what Flux itself wrote may be an older commit."""
    git = source("clusters/sync.yaml", url="https://me:plugh@git.example.com/other")
    live = source("hub one", ("kustomize-controller", fields("spec", "url")))
    [edit], [condition] = await told(release(valuesFrom=[]), [live], [git], sandbox)
    assert edit == "GitRepository web/thing is not what Git declares"
    assert 'spec.url is "https://me@git.example.com/fleet" (Git: "https://me@git' in condition
    assert "xyzzy" not in condition
    assert "plugh" not in condition


@pytest.mark.parametrize(
    ("git", "live"),
    [
        ({"ref": {"tag": "v1", "branch": "a"}}, {"ref": {"tag": "v1", "branch": "b"}}),
        ({"interval": "1m"}, {"interval": "9m"}),
        ({}, {"ref": {}, "suspend": True}),
    ],
)
async def test_what_changes_nothing_of_a_source(
    git: dict[str, Any], live: dict[str, Any], sandbox: SandboxPool
) -> None:
    """A ref that does not count, and when it is fetched, decide nothing that is deployed."""
    objects = [source("hub one", **live), values("hub one")]
    assert await told(kustomization(), objects, [source("a.yaml", **git)], sandbox) == ([], [])


async def test_variables(sandbox: SandboxPool) -> None:
    """A variable from a ConfigMap counts unless it is overridden; secret names are masked."""
    git = values("vars.yaml", host="a", db_password="xyzzy")
    live = values("hub one", host="b", db_password="plugh")
    objects = [live, source("hub one")]
    _, [condition] = await told(kustomization(), objects, [git], sandbox)
    assert 'data.host is "b" (Git: "a"); data.db.password is «masked» (Git: «m' in condition
    overridden = kustomization(substitute={"host": "c", "db.password": "c"})
    assert await told(overridden, objects, [git], sandbox) == ([], [])


LEVEL = "# five\nreplicas: {}\nlog: {{level: info}}\n"


async def test_values_of_a_release(sandbox: SandboxPool) -> None:
    """Of a document of values the places that differ are told, and who wrote the document."""
    git = values("apps/values.yaml", values_yaml=LEVEL.format(2))
    by_hand = ("Mozilla", fields("data", "values.yaml"))
    objects = [values("hub one", by_hand, values_yaml=LEVEL.format(5)), source("hub one")]
    edits, [condition] = await told(release(), objects, [git], sandbox)
    assert edits == ["ConfigMap web/thing was edited beside Git"]
    assert condition.endswith("data.values.yaml.replicas is 5 (Git: 2), written by Mozilla")
    own = release(values={"replicas": 3})
    assert await told(own, objects, [git], sandbox) == ([], [])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("log:   {level: info} # two\nreplicas: 2\n", ""),
        ("secrets: {x: xyzzy}", "data.values.yaml.secrets.x is «masked» (Git: not set)"),
        ("xyzzy", "data.values.yaml is «masked» (Git: «masked»)"),
    ],
)
async def test_documents_of_values(text: str, shown: str, sandbox: SandboxPool) -> None:
    """What only looks otherwise is no difference; what is no document is not shown."""
    git = values("apps/values.yaml", values_yaml=LEVEL.format(2))
    objects = [values("hub one", values_yaml=text), source("hub one")]
    edits, conditions = await told(release(), objects, [git], sandbox)
    assert bool(edits) is bool(shown)
    assert shown in "".join(conditions)
    assert "xyzzy" not in "".join(conditions)


FLUX_WROTE = ("kustomize-controller", fields("data", "values.yaml"))


@pytest.mark.parametrize(
    ("writers", "edited"),
    [
        ([FLUX_WROTE, ("kubectl-edit", fields("data", "other"))], False),
        ([("kustomize-controller", fields("data", "x")), ("me", fields("data", "x", "y"))], False),
        ([("terraform", fields("data", "x")), ("me", fields("data", "values.yaml"))], False),
        ([("kustomize-controller", fields("data", "x")), ("me", FLUX_WROTE[1])], True),
        ([("kustomize-controller", fields("metadata", "labels")), ("me", FLUX_WROTE[1])], True),
    ],
)
async def test_without_git_the_owners_say_it(
    writers: list[tuple[str, dict[str, Any]]], edited: bool, sandbox: SandboxPool
) -> None:
    """Of what Flux applies, others' part of the key that is read; of other objects nothing."""
    objects = [values("hub one", *writers, values_yaml="a: 1", other="b"), source("hub one")]
    edits, conditions = await told(release(), objects, [], sandbox)
    assert bool(edits) is edited
    if edited:
        [condition] = conditions
        assert condition == (
            "LiveApplicationEdited: the live ConfigMap web/thing was edited: data.values.yaml by "
            "me; kustomize-controller wrote the rest. What is deployed, and called Git's value "
            "here, follows the live ConfigMap web/thing"
        )


def named(kind: str, name: str) -> Application:
    """An application of Flux in a look at a checkout alone."""
    flux = FluxSpec(kind=kind, object_name=name, render={})  # type: ignore[arg-type]
    return structs.replace(of_argo(), namespace="web", flux=flux)


async def test_edits_are_found_in_the_cluster_alone() -> None:
    """Before Flux is asked, its own object, the source and the ConfigMap are looked at."""
    cluster = MemoryCluster()
    cluster.resources += [FLUX["HelmRelease"][0], GIT, MAPS]
    owned = ("kustomize-controller", {**fields("spec", "url"), **fields("data", "x")})
    hand = ("kubectl-edit", {**fields("spec", "ref"), **fields("data", "values.yaml")})
    for one in (release(), source("", owned, hand), values("", owned, hand, values_yaml="a: 1")):
        cluster.put(one.body)
    edits = await live_edits(cluster, named("HelmRelease", "thing"))
    assert [(one.kind, one.how) for one in edits] == [
        ("GitRepository", "was edited beside Git (spec.ref by kubectl-edit)"),
        ("ConfigMap", "was edited beside Git (data.values.yaml by kubectl-edit)"),
    ]
    assert await live_edits(cluster, named("HelmRelease", "gone")) == ()
    assert await live_edits(cluster, of_argo()) == ()


OWNED = {"manager": "kustomize-controller", "fieldsV1": {"f:spec": {"f:chart": {}}}}
EDIT = {"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:values": {}}}}


@pytest.mark.parametrize(
    ("managed", "how"),
    [
        ([OWNED, EDIT], ["was edited beside Git (spec.values by kubectl-edit)"]),
        ([OWNED], []),
        ([7], []),
    ],
)
async def test_edits_of_the_live_object(managed: list[Any], how: list[str]) -> None:
    """What somebody set beside kustomize-controller in Flux's own object is told."""
    cluster = MemoryCluster()
    cluster.resources.append(FLUX["HelmRelease"][0])
    body = release().body
    cluster.put({**body, "metadata": {**body["metadata"], "managedFields": managed}})
    edits = await live_edits(cluster, named("HelmRelease", "thing"))
    assert [one.how for one in edits] == how
