"""Entries of kustomizations that a change makes idle: a real repository and sandbox."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftd.controller.options import CheckOptions
from driftd.controller.preview import preview
from driftd.model.tree import Tree
from driftd.render.idle_entries import entries_of
from driftd.source.repositories import Repositories
from tests.unit.controller.conftest import World
from tests.unit.reports import START, VirtualClock

POD = "spec: {template: {spec: {containers: [{name: web, image: example.com/web}]}}}\n"
WEB = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n{POD}"
PATCH = '[{"op": "add", "path": "/spec/replicas", "value": 2}]'
DELETES = '{"apiVersion": "v1", "kind": "Any", "metadata": {"name": "x"}, "$patch": "delete"}'
GONE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n"
COMPONENT = "kind: Component\ncommonAnnotations: {a: b}"
SHARED = f"""{COMPONENT}
patches:
- target: {{kind: StatefulSet}}
  patch: '{PATCH}'
"""
OVERLAY = f"""resources: [web.yaml, gone.yaml]
components: [../shared]
images:
- name: example.com/web
  newName: example.com/mirror
- name: example.com/mirror
  newTag: "1"
- name: example.com/unused
  newTag: "1"
patches:
- target: {{kind: ConfigMap, name: gone}}
  patch: '{DELETES}'
- target:
    kind: Deployment
    name: w.b
  patch: '{PATCH}'
"""


async def told(world: World, before: str, after: str) -> list[str]:
    """What is told of entries where the overlay of an application changes."""
    world.repo.write("apps/shared/kustomization.yaml", f"{COMPONENT}\n")
    world.repo.write("apps/shop/web.yaml", WEB)
    world.repo.write("apps/shop/gone.yaml", GONE)
    world.repo.write("apps/shop/kustomization.yaml", before)
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.write("apps/shared/kustomization.yaml", SHARED)
    world.repo.write("apps/shop/kustomization.yaml", after)
    world.repo.commit()
    return await previewed(world)


async def previewed(world: World) -> list[str]:
    """What a preview of the checkout tells of entries."""
    repositories = await Repositories.open([str(world.repo.path)])
    report = await preview(
        replace(world.workspace, repositories=repositories), CheckOptions(), "main",
        progress=world.progress, clock=VirtualClock(START),
    )  # fmt: skip
    (shop,) = [app for app in report.applications if app.name == "shop"]
    return [one.message for one in shop.conditions if one.type == "IdleEntryWarning"]


@pytest.mark.slow
async def test_misspelt_entries(world: World) -> None:
    """An image and a target that match nothing any more are told with their line; what was idle
    before, what a later entry overwrites and a Component's are not.
    """
    after = OVERLAY.replace('mirror\n  newTag: "1"', 'mirorr\n  newTag: "2"').replace("w.b", "wbe")
    assert await told(world, OVERLAY, after) == [
        (
            "apps/shop/kustomization.yaml:6: no image is called example.com/mirorr: this entry of "
            "images changes nothing; did you mean example.com/mirror?"
        ),
        (
            "apps/shop/kustomization.yaml:13: no object fits the target kind=Deployment, name=wbe: "
            "this entry of patches changes nothing; did you mean web?"
        ),
    ]


@pytest.mark.slow
async def test_alternatives(world: World) -> None:
    """Of a target's alternatives, those that are misspelt are told; those that another file's
    object has, a kind that may come, and those of a target that matches nothing are not.
    """
    files = "apps/shop/other.yaml"
    world.repo.write(files, "kind: ConfigMap\nmetadata:\n  name: api\n")
    after = OVERLAY.replace("kind: Deployment\n    name: w.b", "kind: %s\n    name: %s")
    entry = "apps/shop/kustomization.yaml:13: no object fits"
    rest = "this entry of patches changes only what else the target fits"
    both = after % ("Deployment|StatefulSet", "^(web|api|gon)$")
    assert await told(world, OVERLAY, both) == [
        f"{entry} gon of the target kind=Deployment|StatefulSet, name=^(web|api|gon)$: {rest}"
    ]
    world.repo.write("apps/shop/kustomization.yaml", after % ("Deploymnet|Deployment", "web"))
    world.repo.commit()
    assert await previewed(world) == [
        (
            f"{entry} Deploymnet of the target kind=Deploymnet|Deployment, name=web: {rest}; "
            "did you mean Deployment?"
        )
    ]
    world.repo.write("apps/shop/kustomization.yaml", after % ("Deployment", "kept|wbe"))
    world.repo.write("apps/shop/gone.yaml", f"{GONE}---\n{WEB.replace('web', 'kept', 1)}")
    world.repo.commit()
    assert await previewed(world) == [
        (f"{entry} wbe of the target kind=Deployment, name=kept|wbe: {rest}; did you mean web?")
    ]


@pytest.mark.slow
async def test_entries_that_match(world: World) -> None:
    """Other changes of entries that match something tell nothing."""
    assert await told(world, OVERLAY, OVERLAY.replace('"1"', '"2"').replace("2}", "3}")) == []


def test_entries_have_lines() -> None:
    """Entries without a name or target are none, and files that do not parse have none."""
    files = {
        "a/kustomization.yaml": b"resources: [../b]\nimages:\n- newTag: a\n- name: x\n",
        "b/kustomization.yaml": b"patches:\n- path: x.yaml\n- patch: y\n  target: {kind: Pod}\n",
    }
    found = [
        (one.file, one.line, one.section, one.index) for one in entries_of(Tree("t", files), "a")
    ]
    assert found == [
        ("a/kustomization.yaml", 4, "images", 1),
        ("b/kustomization.yaml", 3, "patches", 1),
    ]
    broken = {"kustomization.yaml": b"images: [\n"}
    assert entries_of(Tree("t", broken), "") == entries_of(Tree("t", files), "c") == []
