"""An application's own images and patches that a change makes idle: a real repository, sandbox."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftd.controller.options import CheckOptions
from driftd.controller.preview import preview
from driftd.source.repositories import Repositories
from tests.unit.controller.builders import URL
from tests.unit.controller.conftest import World
from tests.unit.controller.test_flux import SYNC
from tests.unit.reports import START, VirtualClock

POD = "spec: {template: {spec: {containers: [{name: web, image: example.com/web}]}}}\n"
WEB = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n{POD}"
PATCH = "- {op: add, path: /spec/replicas, value: 2}"
APPLICATION = f"""apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: shop, namespace: argocd}}
spec:
  destination: {{name: one, namespace: shop}}
  sources:
  - repoURL: {URL}
    path: apps/shop
    kustomize:
      images:
      - example.com/old:1
      - example.com/web:1
      - example.com/web=example.com/mirror:1
      patches:
      - target: {{kind: Deployment}}
        patch: '{PATCH}'
"""
FLUX = """apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  path: ./apps
  prune: true
  sourceRef: {kind: GitRepository, name: fleet}
  images:
  - name: example.com/web
    newTag: "1"
  patches:
  - target: {kind: Deployment}
    patch: '[{"op": "add", "path": "/spec/replicas", "value": 2}]'
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: shop}
spec:
  chart:
    spec:
      chart: chart
      sourceRef: {kind: GitRepository, name: fleet, namespace: flux-system}
"""
RENDERED = f"""resources: [release.yaml]
patches:
- target: {{kind: HelmRelease}}
  patch: |
    - op: add
      path: /spec/postRenderers
      value:
      - kustomize:
          patches:
          - target: {{kind: Deployment}}
            patch: '{PATCH}'
"""


async def told(world: World, changes: dict[str, str]) -> dict[str, list[str]]:
    """What a preview of some changed files tells of entries, by application."""
    world.repo.git("checkout", "--quiet", "-b", "change")
    for name, text in changes.items():
        world.repo.write(name, text)
    world.repo.commit()
    return await previewed(world)


async def previewed(world: World) -> dict[str, list[str]]:
    """What a preview of the checkout tells of entries, by application."""
    workspace = replace(
        world.workspace, repositories=await Repositories.open([str(world.repo.path)])
    )
    report = await preview(
        workspace, CheckOptions(cluster_map={"one": "one"}), "main",
        progress=world.progress, clock=VirtualClock(START),
    )  # fmt: skip
    found = {
        app.name: [one.message for one in app.conditions if one.type == "IdleEntryWarning"]
        for app in report.applications
    }
    return {name: messages for name, messages in found.items() if messages}


@pytest.mark.slow
async def test_of_argo_cd(world: World) -> None:
    """An image and a target of an Application that match nothing any more are told with their
    line; what was idle before, and an image that a later one replaces, are not.
    """
    world.repo.write("apps/shop/kustomization.yaml", "resources: [web.yaml]\n")
    world.repo.write("apps/shop/web.yaml", WEB)
    world.repo.remove("argocd/shop.json")
    world.repo.write("argocd/shop.yaml", APPLICATION)
    world.repo.commit()
    after = APPLICATION.replace("web=", "wep=").replace("{kind: Deployment}", "{kind: Deploymnet}")
    after = after.replace("old:1", "old:2").replace("      - example.com/web:1\n", "")
    section = "spec.sources[0].kustomize"
    assert await told(world, {"argocd/shop.yaml": after}) == {
        "shop": [
            (
                "argocd/shop.yaml:12: no image is called example.com/wep: this entry of "
                f"{section}.images changes nothing; did you mean example.com/web?"
            ),
            (
                "argocd/shop.yaml:14: no object fits the target kind=Deploymnet: this entry of "
                f"{section}.patches changes nothing; did you mean Deployment?"
            ),
        ]
    }
    same = APPLICATION.replace("mirror:1", "mirror:2").replace("value: 2", "value: 3")
    world.repo.git("checkout", "--quiet", "main")
    world.repo.git("branch", "--quiet", "-D", "change")
    assert await told(world, {"argocd/shop.yaml": same}) == {}


@pytest.mark.slow
async def test_of_flux(world: World) -> None:
    """So are those of a Kustomization, and of post renderers the entry of the patch that gives
    them to a HelmRelease.
    """
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
        world.repo.remove(f"apps/{name}/map.json")
    apps, release = FLUX.split("---\n")
    world.repo.write("clusters/one/flux-system/sync.yaml", SYNC.format(url=URL, name="one"))
    world.repo.write("clusters/one/apps.yaml", apps)
    world.repo.write("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    world.repo.write("chart/templates/web.yaml", WEB)
    world.repo.write("apps/web.yaml", WEB.replace("{name: web}", "{name: web, namespace: shop}"))
    world.repo.write("apps/release/release.yaml", release)
    world.repo.write("apps/release/kustomization.yaml", RENDERED)
    world.repo.commit()
    changed = apps.replace("com/web", "com/wep").replace("2}", "3}")
    changes = {
        "clusters/one/apps.yaml": changed,
        "apps/release/kustomization.yaml": RENDERED.replace("Deployment", "Deploiment"),
    }
    assert await told(world, changes) == {
        "apps": [
            (
                "clusters/one/apps.yaml:9: no image is called example.com/wep: this entry of "
                "spec.images changes nothing; did you mean example.com/web?"
            ),
        ],
        "shop": [
            (
                "apps/release/kustomization.yaml:10: no object fits the target kind=Deploiment: "
                "this entry of spec.postRenderers[0].kustomize.patches changes nothing; did you "
                "mean Deployment?"
            ),
        ],
    }


@pytest.mark.slow
async def test_that_others_have(world: World) -> None:
    """What a set gives to several applications need match in one of them, and is not told."""
    world.repo.write("apps/shop/kustomization.yaml", "resources: [web.yaml]\n")
    world.repo.write("apps/shop/web.yaml", WEB)
    world.repo.write("apps/kept/kustomization.yaml", "resources: [map.json]\n")
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
    world.repo.write("argocd/set.yaml", SET % "example.com/web:1")
    world.repo.commit()
    assert await told(world, {"argocd/set.yaml": SET % "example.com/wep:1"}) == {}
    world.repo.write("argocd/set.yaml", (SET % "example.com/wep:1").replace("{app: kept}, ", ""))
    world.repo.commit()
    text = "no image is called example.com/wep: this entry of spec.source.kustomize.images"
    (message,) = (await previewed(world))["shop"]
    assert message.startswith(f"ApplicationSet shops: {text} changes nothing")


SET = f"""apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: shops, namespace: argocd}}
spec:
  generators: [{{list: {{elements: [{{app: kept}}, {{app: shop}}]}}}}]
  template:
    metadata: {{name: "{{{{app}}}}"}}
    spec:
      project: default
      destination: {{name: one, namespace: shop}}
      source:
        repoURL: {URL}
        path: "apps/{{{{app}}}}"
        kustomize: {{images: ["%s"]}}
"""
