"""The value of a chart beside each field that differs: a real repository, a real sandbox."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from driftd.model.report import Change, ReportOrigin
from driftd.sandbox.pool import SandboxPool
from tests.unit.controller.builders import URL
from tests.unit.controller.conftest import World
from tests.unit.controller.test_check import by_name, checked
from tests.unit.controller.test_flux import SYNC

pytestmark = pytest.mark.slow

TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: shop
data:
  colour: {{ .Values.paint.colour }}
"""


def chart(world: World) -> None:
    """Make `shop` a chart whose values set the colour."""
    world.repo.write("apps/shop/map.json", "{}")
    world.repo.write("apps/shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    world.repo.write("apps/shop/values.yaml", "paint:\n  colour: blue\n")
    world.repo.write("apps/shop/templates/map.yaml", TEMPLATE)
    world.repo.commit()


async def change_of(world: World, **options: Any) -> Change:
    """The one change of `shop`, after somebody painted it red."""
    world.paint("shop", "red")
    (resource,) = by_name(await checked(world, **options))["shop"].resources
    (change,) = resource.changes
    return change


async def test_line_of_a_value(world: World) -> None:
    """A drifted field of a template has the line and the name of the value that decides it."""
    chart(world)
    change = await change_of(world, values=True)
    assert change.origin == ReportOrigin(file="apps/shop/values.yaml", line=2, value="paint.colour")


@pytest.mark.parametrize(("written", "read"), [("1.10", "1.1"), ("'1.10'", "")])
async def test_a_number_where_a_text_was_meant(world: World, written: str, read: str) -> None:
    """A text that YAML has made a number is told with how it is written, and with its line."""
    chart(world)
    world.repo.write("apps/shop/values.yaml", f"paint:\n  colour: {written}\n")
    world.repo.write("apps/shop/templates/map.yaml", TEMPLATE.replace("}}", "| quote }}"))
    world.repo.commit()
    change = await change_of(world, values=True)
    place = ReportOrigin(file="apps/shop/values.yaml", line=2, value="paint.colour")
    told = msgspec.structs.replace(place, written=written, number=read)
    assert change.origin == (told if read else place)


async def test_only_drift_of_who_asks_costs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is rendered more for a daemon's look, nor for an application without drift."""
    asked = []
    trace = SandboxPool.trace_values

    async def counted(pool: SandboxPool, *arguments: Any, **options: Any) -> Any:
        answer = await trace(pool, *arguments, **options)
        asked.append(answer.renderings)
        return answer

    monkeypatch.setattr(SandboxPool, "trace_values", counted)
    chart(world)
    await checked(world, values=True)
    assert asked == []
    assert (await change_of(world)).origin is UNSET
    assert asked == []
    await change_of(world, values=True)
    assert asked == [2]


APP_OF_APPS = """\
resources: [../../base]
patches:
  - target: {kind: Application, name: shop}
    patch: |
      - op: add
        path: /spec/source/helm
        value:
          valuesObject:
            paint: {colour: green}
"""


async def test_line_of_a_patch(world: World) -> None:
    """A value that a kustomization patches into an Application has the line of the patch."""
    chart(world)
    declared = world.repo.path / "argocd/shop.json"
    world.repo.write("base/shop.yaml", declared.read_text())
    world.repo.write("base/kustomization.yaml", "resources: [shop.yaml]\n")
    world.repo.remove("argocd/shop.json")
    world.repo.write("prod/apps/kustomization.yaml", APP_OF_APPS)
    world.declare("root", source={"repoURL": URL, "path": "prod/apps"})
    world.repo.commit()
    change = await change_of(world, values=True)
    assert change.origin == ReportOrigin(
        file="prod/apps/kustomization.yaml", line=9, value="paint.colour"
    )


APPS = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {path: ./prod, prune: true, sourceRef: {kind: GitRepository, name: fleet}}
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: paint, namespace: shop}
spec:
  chart:
    spec:
      chart: apps/shop
      sourceRef: {kind: GitRepository, name: fleet, namespace: flux-system}
"""


async def test_line_of_a_patched_release(world: World) -> None:
    """So has one that a patch file gives to a HelmRelease of Flux."""
    chart(world)
    for name in ("shop", "kept"):
        world.repo.remove(f"argocd/{name}.json")
    world.repo.write("clusters/one/flux-system/sync.yaml", SYNC.format(url=URL, name="one"))
    world.repo.write("clusters/one/apps.yaml", APPS)
    world.repo.write("base/paint.yaml", RELEASE)
    world.repo.write("base/kustomization.yaml", "resources: [paint.yaml]\n")
    patch = RELEASE.split("  chart:")[0] + "  values:\n    paint:\n      colour: green\n"
    world.repo.write("prod/patch.yaml", patch)
    overlay = "resources: [../base]\npatches: [{path: patch.yaml}]\n"
    world.repo.write("prod/kustomization.yaml", overlay)
    world.repo.commit()
    world.paint("shop", "red")
    found = await checked(world, values=True, cluster_map={"one": "one"})
    (resource,) = by_name(found)["paint"].resources
    (change,) = resource.changes
    assert change.origin == ReportOrigin(file="prod/patch.yaml", line=7, value="paint.colour")
