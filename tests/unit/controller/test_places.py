"""The line of Git beside each field that differs: a real repository, a real sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET

from driftd.controller.places import renamed_path
from driftd.errors import SandboxError
from driftd.model.report import ApplicationStatus, Change, ResourceReport
from driftd.sandbox.pool import SandboxPool
from tests.unit.controller.conftest import World
from tests.unit.controller.test_check import by_name, checked

pytestmark = pytest.mark.slow

PATCH = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: shop
data:
  colour: blue
"""


def overlay(world: World) -> None:
    """Make `shop` a Kustomize overlay whose patch sets the colour."""
    base = PATCH.replace("blue", "green")
    world.repo.write("base/map.yaml", base)
    world.repo.write("base/kustomization.yaml", "resources: [map.yaml]\n")
    world.repo.write("apps/shop/map.json", "{}")
    world.repo.write("apps/shop/patch.yaml", PATCH)
    world.repo.write(
        "apps/shop/kustomization.yaml",
        "resources: [../../base]\npatches:\n  - path: patch.yaml\n",
    )
    world.repo.commit()


async def drifted(world: World) -> tuple[ResourceReport, Change]:
    """The one object of `shop` and its one change, after somebody painted it red."""
    world.paint("shop", "red")
    report = await checked(world)
    (resource,) = by_name(report)["shop"].resources
    (change,) = resource.changes
    return resource, change


async def test_plain_line(world: World) -> None:
    """A field of a plain manifest has its own line; the object keeps that of its document."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}}
    text = json.dumps({**body, "data": {"colour": "blue"}}, indent=1)
    world.repo.write("apps/shop/map.json", text)
    world.repo.commit()
    resource, change = await drifted(world)
    assert resource.origin is not UNSET
    assert change.origin is not UNSET
    assert (resource.origin.file, resource.origin.line) == ("apps/shop/map.json", 1)
    assert change.origin.file == "apps/shop/map.json"
    assert text.splitlines()[change.origin.line - 1].strip() == '"colour": "blue"'


async def test_overlay_line(world: World) -> None:
    """A field that an overlay sets names the patch, the object still its base."""
    overlay(world)
    resource, change = await drifted(world)
    assert resource.origin is not UNSET
    assert change.origin is not UNSET
    assert (resource.origin.file, resource.origin.line) == ("base/map.yaml", 1)
    assert (change.origin.file, change.origin.line) == ("apps/shop/patch.yaml", 6)
    assert change.origin.repo_url is UNSET


async def test_the_line_of_a_missing_object_below_an_overlay(world: World) -> None:
    """An object that is missing has the line of its document, also in a file of several."""
    overlay(world)
    world.repo.write("base/map.yaml", f"{PATCH.replace('shop', 'kept')}---\n{PATCH}")
    world.repo.write("apps/shop/kustomization.yaml", "resources: [../../base]\nnamePrefix: my-\n")
    world.repo.commit()
    resources = by_name(await checked(world))["shop"].resources
    assert [(one.name, str(one.status)) for one in resources] == [
        ("my-kept", "Missing"),
        ("my-shop", "Missing"),
    ]
    lines = [one.origin.line for one in resources if one.origin is not UNSET]
    assert lines == [1, 8]


async def test_nothing_new(world: World) -> None:
    """A line that says no more than the object's own is not repeated."""
    _, change = await drifted(world)
    assert change.origin is UNSET


class Refusing:
    """Notes whether lines are asked for, and fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        monkeypatch.setattr(SandboxPool, "locate", self.locate)

    async def locate(self, *_arguments: Any, **_options: Any) -> None:
        """See `SandboxPool.locate`."""
        self.asked += 1
        raise SandboxError("the worker is gone")


async def test_failure_is_no_verdict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When lines cannot be found the verdict stands, without them and without a condition."""
    refusing = Refusing(monkeypatch)
    overlay(world)
    world.paint("shop", "red")
    shop = by_name(await checked(world))["shop"]
    assert refusing.asked == 1
    assert (shop.status, shop.complete, shop.conditions) == (
        ApplicationStatus.OUT_OF_SYNC,
        True,
        (),
    )
    assert shop.resources[0].changes[0].origin is UNSET


async def test_clean_costs_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of applications without findings nothing is asked, nor of fields that Git is silent on."""
    refusing = Refusing(monkeypatch)
    metadata = {"name": "shop", "namespace": "shop"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    world.clusters.one.put(
        {**body, "data": {"colour": "blue", "added": "x"}},
        manager="kubectl-edit",
        operation="Update",
    )
    await checked(world)
    assert refusing.asked == 0


async def test_the_line_of_a_kind_that_is_not_served(world: World) -> None:
    """The reason begins with the lines that name the kind: one reason for all such objects."""
    body = "kind: Configmap\napiVersion: v1\nmetadata: {{name: {}}}\n"
    world.repo.write("apps/shop/odd.yaml", f"{body.format('a')}---\n{body.format('b')}")
    world.repo.commit()
    resources = by_name(await checked(world))["shop"].resources
    odd = [one for one in resources if one.kind == "Configmap"]
    (reason,) = {str(one.reason) for one in odd}
    assert reason == (
        "apps/shop/odd.yaml:1, apps/shop/odd.yaml:5: the cluster does not serve v1 Configmap; "
        "did you mean ConfigMap (v1)? Correct kind in Git"
    )


async def test_the_line_of_a_kind_below_an_overlay(world: World) -> None:
    """Through an overlay the line of the base is named; of what a patch repeats, the object's."""
    overlay(world)
    world.repo.write("base/map.yaml", "# a comment\n" + PATCH.replace("ConfigMap", "Configmap"))
    world.repo.write("apps/shop/kustomization.yaml", "resources: [../../base]\n")
    world.repo.commit()
    (resource,) = by_name(await checked(world))["shop"].resources
    assert str(resource.reason).startswith("base/map.yaml:3: the cluster does not serve v1 Config")
    world.repo.write("apps/shop/patch.yaml", PATCH.replace("ConfigMap", "Configmap"))
    patched = "resources: [../../base]\npatches: [{path: patch.yaml}]\n"
    world.repo.write("apps/shop/kustomization.yaml", patched)
    world.repo.commit()
    (resource,) = by_name(await checked(world))["shop"].resources
    assert str(resource.reason).startswith("base/map.yaml:2: the cluster does not serve v1 Config")


@pytest.mark.parametrize(
    ("path", "item", "found"),
    [
        ('f:v/k:{"name":"a"}', {"name": "b/~"}, 'f:v/k:{"name":"b~1~0"}'),
        (
            'f:p/k:{"containerPort":80,"protocol":"TCP"}',
            {"containerPort": 81},
            'f:p/k:{"containerPort":81,"protocol":"TCP"}',
        ),
        ("f:v/i:1", {"name": "b"}, "f:v/i:1"),
        ('f:v/k:{"name":"a"}', {"masked": True}, 'f:v/k:{"name":"a"}'),
    ],
)
def test_a_renamed_item_is_looked_for_by_the_keys_that_git_has(
    path: str, item: dict[str, Any], found: str
) -> None:
    """The path of a rename has live's keys: those of the item in Git take their place."""
    assert renamed_path(path, item) == found
