"""The lines of what an application itself sets: a real repository, a real sandbox."""

from __future__ import annotations

import pytest

from driftd.model.report import Change, ReportOrigin
from tests.unit.controller.builders import URL
from tests.unit.controller.conftest import World
from tests.unit.controller.test_check import by_name, checked

pytestmark = pytest.mark.slow

APPLICATION = f"""\
# Of the shop.
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: other, namespace: argocd}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: shop, namespace: argocd}}
spec:
  destination: {{name: one, namespace: shop}}
  sources:
  - repoURL: {URL}
    path: apps/shop
    kustomize:
      patches:
      - target: {{kind: ConfigMap}}
        patch: |
          - op: replace
            path: /data/colour
            value: green
"""
KUSTOMIZATION = "resources: [map.json]\n"
ROOT = """\
resources: [../../base]
patches:
- target: {kind: Application, name: shop}
  patch: |
    - op: add
      path: /spec/source/kustomize
      value:
        patches:
        - target: {kind: ConfigMap}
          patch: '[{"op": "replace", "path": "/data/colour", "value": "green"}]'
"""


async def changes_of(world: World) -> list[Change]:
    """The changes of `shop`, after somebody painted it red."""
    world.repo.write("apps/shop/kustomization.yaml", KUSTOMIZATION)
    world.repo.commit()
    world.paint("shop", "red")
    (resource,) = by_name(await checked(world))["shop"].resources
    return list(resource.changes)


async def test_in_its_file(world: World) -> None:
    """A field has the line of the Application's own patch in its file."""
    world.repo.remove("argocd/shop.json")
    world.repo.write("argocd/shop.yaml", APPLICATION)
    (change,) = await changes_of(world)
    assert change.origin == ReportOrigin(file="argocd/shop.yaml", line=21)


async def test_in_an_overlay(world: World) -> None:
    """So has one that a kustomization patches into an Application, in that."""
    declared = world.repo.path / "argocd/shop.json"
    world.repo.write("base/shop.yaml", declared.read_text())
    world.repo.write("base/kustomization.yaml", "resources: [shop.yaml]\n")
    world.repo.remove("argocd/shop.json")
    world.repo.write("prod/apps/kustomization.yaml", ROOT)
    world.declare("root", source={"repoURL": URL, "path": "prod/apps"})
    (change,) = await changes_of(world)
    assert change.origin == ReportOrigin(file="prod/apps/kustomization.yaml", line=10)
