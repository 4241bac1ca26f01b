"""Why an object or a place is drift: one look at one application, told in full."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from driftd.cluster.operations import FLUX
from driftd.controller.explain import Explanation, explain
from driftd.controller.explain_question import Question
from driftd.controller.options import CheckOptions
from driftd.errors import ConfigError, Forbidden, Unreachable
from driftd.model.report import ResourceStatus
from tests.unit.controller.cluster import SCHEMAS
from tests.unit.controller.conftest import CONTEXTS, World
from tests.unit.controller.test_flux import LIVE, roots

pytestmark = pytest.mark.slow


class Clock:
    """Always noon."""

    def now(self) -> datetime:
        """See `driftd.clock.Clock`."""
        return datetime(2026, 3, 4, 12, tzinfo=UTC)


async def ask(world: World, resource: str, path: str = "", *, app: str = "shop") -> Explanation:
    """The explanation of an object of an application."""
    return await explain(
        world.workspace,
        CheckOptions(repo=world.repo.path, applications=(app,)),
        Question(application=app, resource=resource, path=path),
        progress=world.progress,
        clock=Clock(),
    )


async def test_edited_field(world: World) -> None:
    """A field edited by hand is drift, with both values and its owner."""
    world.paint("shop", "red")
    found = await ask(world, "configmap/shop", "data.colour")
    (place,) = found.places
    assert (place.path, place.verdict) == ("/data/colour", "drift")
    assert (place.desired, place.live) == ("blue", "red")
    assert [(one.manager, one.deployer) for one in place.owners] == [("kubectl-edit", False)]
    assert [str(change.change_class) for change in place.changes] == ["declared"]
    assert found.healing.startswith("nothing: the Application does not ask")


async def test_ignored_field(world: World) -> None:
    """A field that a rule ignores is no drift; the rule says what it selects and ignores."""
    rule = {"kind": "ConfigMap", "jsonPointers": ["/data/colour"]}
    world.declare("shop", ignoreDifferences=[rule])
    world.repo.commit()
    world.paint("shop", "red")
    found = await ask(world, "ConfigMap/shop/shop")
    assert [place.verdict for place in found.places] == ["ignored"]
    ((name, selects, ignores),) = [(r.name, r.selects, r.ignores) for r in found.rules]
    assert name == "spec.ignoreDifferences[0].jsonPointers[0]"
    assert (selects, ignores) == ("/data/colour", ("/data/colour",))


async def test_healing_as_the_plan_decides(world: World) -> None:
    """Where the Application asks for self-healing, what the rung would do is told."""
    world.declare("shop", syncPolicy={"automated": {"selfHeal": True}})
    world.repo.commit()
    world.paint("shop", "red")
    assert (
        await ask(world, "configmaps/shop")
    ).healing == "apply the declared object (sync wave 0)"
    world.clusters.one.delete("ConfigMap", "shop", "shop")
    found = await ask(world, "configmap/shop")
    assert found.resource.status is ResourceStatus.MISSING
    assert (found.places, found.healing) == ((), "create the object (sync wave 0)")


async def test_unreachable_cluster_is_unknown(world: World) -> None:
    """Nothing is claimed of an object whose cluster does not answer, but why it is not."""
    world.clusters.one.down = Unreachable("no route", hint="is a VPN needed?")
    found = await ask(world, "configmap/shop", "data.colour")
    assert found.resource.status is ResourceStatus.UNKNOWN
    assert "no route" in str(found.resource.reason)
    assert found.places == ()
    assert found.healing == f"nothing: it could not be judged: {found.resource.reason}"


async def test_an_object_that_may_not_be_read_is_not_called_gits(world: World) -> None:
    """Of a Secret that nobody may list it is said that it was not compared, and why."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}}
    world.repo.write("apps/shop/key.json", json.dumps(secret))
    world.repo.commit()
    world.clusters.one.refused["Secret", "shop"] = Forbidden("list secrets")
    world.clusters.one.refused["Secret", ""] = Forbidden("list secrets")
    for path in ("", "data.password"):
        found = await ask(world, "secret/key", path)
        assert found.resource.status is ResourceStatus.NOT_CHECKED
        why = "nothing: the object was not compared: no permission to list Secrets"
        assert found.healing.startswith(why)


async def test_places_of_an_object_that_is_left_alone(world: World) -> None:
    """Where the content is not compared on purpose, a place of it is not called no drift."""
    roots(world, "east")
    body = (
        "apiVersion: v1\nkind: ConfigMap\ndata: {colour: blue}\nmetadata:\n  name: map\n"
        "  namespace: shop\n  annotations: {kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}\n"
    )
    world.repo.write("clusters/east/map.yaml", body)
    world.repo.commit()
    metadata = {"name": "map", "namespace": "shop"}
    live = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    world.clusters.one.put({**live, "data": {"colour": "red"}}, manager="me", operation="Update")
    found = await explain(
        replace(world.workspace, contexts=CONTEXTS[:1]),
        CheckOptions(repo=world.repo.path, applications=("sync",)),
        Question(application="sync", resource="configmap/map", path="data.colour"),
        progress=world.progress,
        clock=Clock(),
    )
    assert found.resource.status is ResourceStatus.NOT_CHECKED
    assert [(one.verdict, one.live) for one in found.places] == [("not compared", "red")]
    assert "IfNotPresent" in found.healing


@pytest.mark.parametrize(
    ("resource", "path", "app", "hint"),
    [
        ("configmap/shp", "", "shop", "configmap/shop"),
        ("configmap/shop", "data.color", "shop", "are: data.colour"),
        ("configmap/shop", "/data/color", "shop", "are: /data/colour"),
        ("secret/shop", "", "shop", "configmap/shop"),
        ("shop", "", "shop", "deployment/web"),
        ("configmap/shop", "", "*", "argocd/kept"),
        ("configmap/shop", "", "shpo", "shop, kept"),
    ],
)
async def test_unknown_names(world: World, resource: str, path: str, app: str, hint: str) -> None:
    """What does not exist or is ambiguous is an error whose hint names what there is."""
    with pytest.raises(ConfigError) as caught:
        await ask(world, resource, path, app=app)
    assert hint in caught.value.hint


async def test_a_line_of_names_is_split_by_what_is_declared(world: World) -> None:
    """The longest application that a line begins with is its application."""
    world.paint("shop", "red")
    found = await explain(
        world.workspace,
        CheckOptions(repo=world.repo.path),
        Question(application="", resource="shop/cm/shop/shop"),
        progress=world.progress,
        clock=Clock(),
    )
    assert (found.application, found.resource.name) == ("shop", "shop")
    with pytest.raises(ConfigError, match="begins with no application's name") as caught:
        await explain(
            world.workspace,
            CheckOptions(repo=world.repo.path),
            Question(application="", resource="shpo/cm/shop/shop"),
            progress=world.progress,
            clock=Clock(),
        )
    assert caught.value.hint.startswith("declared are: ")


async def test_next_steps_of_drift(world: World) -> None:
    """Drift has steps: put back, keep in Git, accept, ignore; an object without drift has none."""
    assert (await ask(world, "configmap/shop")).next_steps == ()
    world.declare("shop", syncPolicy={"automated": {"selfHeal": True}})
    world.repo.commit()
    world.paint("shop", "red")
    steps = (await ask(world, "configmap/shop")).next_steps
    assert any(step.startswith("put it back: ") for step in steps)
    assert any(step.startswith("or keep it: commit the live value to apps/shop/") for step in steps)
    assert "or accept it for a while: driftd baseline shop --file FILE" in steps
    assert steps[-1] == "or ignore the place: driftd help suppressions"


async def test_a_kustomization_that_is_suspended_live(world: World) -> None:
    """Flux does not reconcile what somebody suspended, so steps and healing resume it."""
    roots(world, "east")
    kind = FLUX["Kustomization"][0]
    world.clusters.one.resources.append(kind)
    metadata = {"name": "map", "namespace": "shop"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    world.clusters.one.put(
        {**body, "data": {"colour": "red"}}, manager="kubectl-edit", operation="Update"
    )
    workspace = replace(world.workspace, contexts=CONTEXTS[:1])
    for told, verb in ((True, "resume"), (False, "reconcile")):
        world.clusters.one.put(
            {**LIVE, "apiVersion": f"{kind.group}/v1", "spec": {"suspend": told}}
        )
        found = await explain(
            workspace,
            CheckOptions(repo=world.repo.path, applications=("sync",)),
            Question(application="sync", resource="configmap/map"),
            progress=world.progress,
            clock=Clock(),
        )
        assert f"put it back: flux {verb} kustomization sync -n flux-system" in found.next_steps
        assert ("is suspended live" in "".join(found.next_steps)) is told
        resume = "is suspended live; flux resume kustomization sync -n flux-system comes first"
        assert found.healing.endswith(resume if told else "what kubectl wrote")


async def test_replicas_that_an_autoscaler_sets(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live autoscaler of a Deployment is named where somebody scaled that by hand."""
    gvk = {"group": "apps", "version": "v1", "kind": "Deployment"}
    count = {"type": "object", "properties": {"replicas": {"type": "integer"}}}
    schema = {
        "properties": {"spec": count, "metadata": {}},
        "x-kubernetes-group-version-kind": [gvk],
    }
    monkeypatch.setitem(SCHEMAS, "apps/v1", {"Deployment": {"type": "object", **schema}})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    world.repo.write("apps/shop/web.json", json.dumps({**body, "spec": {"replicas": 4}}))
    world.repo.commit()
    metadata = {"name": "web", "namespace": "shop"}
    world.clusters.one.put(
        {**body, "metadata": metadata, "spec": {"replicas": 15}}, manager="me", operation="Update"
    )
    bounds = {"scaleTargetRef": target, "minReplicas": 4, "maxReplicas": 12}
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata}
    world.clusters.one.put({**hpa, "spec": bounds})
    first, *others = (await ask(world, "deployment/web")).next_steps
    assert first.startswith("HorizontalPodAutoscaler web, which no application looked at declares,")
    assert "does not belong in Git at apps/shop/web.json" in first
    assert not any("put it back" in one or "keep it" in one for one in others)
