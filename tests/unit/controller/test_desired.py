"""Desired state: rendered at a revision, held to the project, never raising for content."""

from __future__ import annotations

import json

import pytest

from driftd.cluster.reader import Discovery
from driftd.controller.declared import Entry, declare
from driftd.controller.desired import Desired, desired_state, synced_state
from driftd.controller.options import CheckOptions
from driftd.model.condition import Condition, Severity
from tests.unit.controller.builders import REVISION, URL, application, desired
from tests.unit.controller.conftest import World

pytestmark = pytest.mark.slow


async def entry_of(world: World, name: str = "shop") -> Entry:
    """The entry of an application as it is committed now."""
    world.repo.commit()
    world.workspace.repositories.forget()
    options = CheckOptions(applications=(name,))
    return (await declare(world.workspace, options, world.progress)).entries[0]


async def discovery(world: World) -> Discovery:
    """What cluster `one` serves."""
    return await world.clusters.one.discover()


async def rendered(world: World, name: str = "shop", *, forced: bool = False) -> Desired:
    """The desired state of an application."""
    entry = await entry_of(world, name)
    found = await discovery(world)
    urls = frozenset({URL})
    return await desired_state(world.workspace, entry, found, urls=urls, forced=forced)


async def test_manifests_and_revision(world: World) -> None:
    """Objects get the destination's namespace; the revision is the commit that was read."""
    found = await rendered(world)
    assert [str(one.key) for one in found.manifests] == ["ConfigMap shop/shop"]
    assert found.revisions == (world.repo.head,)
    assert found.complete


async def test_without_discovery(world: World) -> None:
    """An unreachable cluster does not keep an application from being rendered."""
    entry = await entry_of(world)
    found = await desired_state(world.workspace, entry, None, urls=frozenset({URL}))
    assert [one.key.name for one in found.manifests] == ["shop"]


async def test_a_broken_source_is_a_condition(world: World) -> None:
    """What does not render is said, and makes the desired state incomplete."""
    world.repo.write("apps/shop/map.json", "{")
    found = await rendered(world)
    assert found.manifests == ()
    assert not found.complete
    assert "apps/shop/map.json" in found.conditions[0].message


async def test_one_of_two_sources_is_broken(world: World) -> None:
    """The objects of the other source are there; the whole is incomplete."""
    sources = [{"repoURL": URL, "path": path} for path in ("apps/shop", "apps/nonesuch")]
    world.declare("shop", source=None, sources=sources)
    found = await rendered(world)
    assert [one.key.name for one in found.manifests] == ["shop"]
    assert not found.complete
    assert "apps/nonesuch does not exist" in found.conditions[0].message


async def test_forbidden_objects_are_left_out(world: World) -> None:
    """What the project forbids is a condition with object and rule, the rest is desired."""
    permitted = {"sourceRepos": ["*"], "destinations": [{"name": "one", "namespace": "*"}]}
    forbidding = {"namespaceResourceBlacklist": [{"group": "policy", "kind": "*"}]}
    project = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "team", "namespace": "argocd"},
        "spec": {**permitted, **forbidding},
    }
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "budget"},
    }
    world.repo.write("argocd/project.json", json.dumps(project))
    world.repo.write("apps/shop/budget.json", json.dumps(budget))
    world.declare("shop", project="team")
    found = await rendered(world)
    assert [one.key.name for one in found.manifests] == ["shop"]
    (condition,) = found.conditions
    told = "PodDisruptionBudget.policy shop/budget (apps/shop/budget.json) is not permitted in"
    assert f"{told} project team by " in condition.message
    assert not found.complete


async def test_a_blocked_application_is_not_rendered(world: World) -> None:
    """Without a permitted destination nothing is rendered, unless a preview forces it."""
    world.declare("shop", "nowhere")
    found = await rendered(world)
    assert (found.manifests, found.revisions) == ((), ())
    assert "nowhere" in found.conditions[0].message
    forced = await rendered(world, forced=True)
    assert [one.key.name for one in forced.manifests] == ["shop"]


async def test_synced_state(world: World) -> None:
    """The state at the revisions synced last is rendered from those commits."""
    before = world.repo.head
    world.repo.write("apps/shop/map.json", (world.repo.path / "apps/kept/map.json").read_text())
    entry = await entry_of(world)
    pinned = Entry(
        application=application(synced=(before,)),
        project=entry.project,
        target=entry.target,
        destination=entry.destination,
    )
    urls = frozenset({URL})
    found = await synced_state(
        world.workspace, pinned, await discovery(world), urls=urls, revisions=(before,)
    )
    assert found is not None
    assert [key.name for key in found] == ["shop"]


async def test_synced_state_that_cannot_be_rendered(world: World) -> None:
    """An unknown synced revision, or one too few, proves nothing: there is no synced state."""
    entry = await entry_of(world)
    found = await discovery(world)
    for synced in (("f" * 40,), (), (REVISION, REVISION)):
        pinned = Entry(
            application=application(synced=synced),
            project=entry.project,
            target=entry.target,
            destination=entry.destination,
        )
        urls = frozenset({URL})
        state = await synced_state(world.workspace, pinned, found, urls=urls, revisions=synced)
        assert state is None


def test_complete() -> None:
    """Only errors make a desired state incomplete."""
    assert desired(conditions=(Condition("W", "w", Severity.WARNING),)).complete
    assert not desired(conditions=(Condition("E", "e"),)).complete
