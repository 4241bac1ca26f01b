"""The value of a chart beside each field that differs: a real repository, a real sandbox."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from driftd.model.report import Change, ReportOrigin
from driftd.sandbox.pool import SandboxPool
from tests.unit.controller.conftest import World
from tests.unit.controller.test_check import by_name, checked

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
