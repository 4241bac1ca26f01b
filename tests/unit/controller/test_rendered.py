"""Renderings that are used again, and everything that makes them new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from driftd.cluster.reader import Discovery
from driftd.controller.rendered import RenderMemory
from driftd.model.application import Application
from driftd.model.resource import Manifest
from driftd.store.sql import SqlStore
from tests.unit.controller.builders import URL
from tests.unit.controller.cluster import BUDGETS, CONFIG_MAPS
from tests.unit.controller.conftest import World
from tests.unit.controller.test_reconciler import Bench

pytestmark = pytest.mark.slow

SERVED = Discovery.of([CONFIG_MAPS])


def application(name: str = "shop", **source: Any) -> Application:
    """An Application of the world's repository, as a manifest of it would be read."""
    written = {"repoURL": URL, "path": f"apps/{name}", **source}
    spec = {"source": written, "destination": {"namespace": "shop"}}
    return msgspec.convert(
        {"name": name, "namespace": "argocd", "spec": spec, "raw": {"spec": spec}}, Application
    )


async def rendered(
    world: World,
    memory: RenderMemory,
    app: Application,
    discovery: Discovery | None = SERVED,
    version: str = "v1.36.0",
) -> tuple[Manifest, ...]:
    """The manifests of an application at the repository's present revision."""
    world.workspace.repositories.forget()
    found = await world.workspace.repositories.resolve(app, frozenset({URL}))
    sandbox = world.workspace.sandbox
    result = await memory.render(app, found.sources, sandbox, discovery, version)
    return result.manifests


async def test_the_same_is_rendered_once(world: World) -> None:
    """An unchanged application on an unchanged cluster needs no second rendering."""
    memory = RenderMemory()
    first = await rendered(world, memory, application())
    assert [one.key.name for one in first] == ["shop"]
    assert await rendered(world, memory, application()) is first
    assert memory.used == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda: {"discovery": Discovery.of([CONFIG_MAPS, BUDGETS])},
        lambda: {
            "discovery": Discovery.of([msgspec.structs.replace(CONFIG_MAPS, namespaced=False)])
        },
        lambda: {"discovery": None},
        lambda: {"version": "v1.37.0"},
        lambda: {"app": application(directory={"recurse": True})},
        lambda: {"app": application("kept")},
    ],
    ids=["kinds", "scopes", "unseen", "version", "application", "another"],
)
async def test_what_a_rendering_depends_on_makes_it_new(
    world: World, change: Callable[[], dict[str, Any]]
) -> None:
    """Another served kind, scope, version or Application is rendered by itself."""
    memory = RenderMemory()
    await rendered(world, memory, application())
    await rendered(world, memory, **({"app": application()} | change()))
    assert memory.used == 0


async def test_true_is_not_one(world: World) -> None:
    """Values that Python takes for equal are different to a chart."""
    memory = RenderMemory()
    await rendered(world, memory, application(helm={"valuesObject": {"on": True}}))
    await rendered(world, memory, application(helm={"valuesObject": {"on": 1}}))
    assert memory.used == 0


async def test_another_revision_is_rendered(world: World) -> None:
    """A commit makes the rendering new, and the manifests are the new ones."""
    memory = RenderMemory()
    first = await rendered(world, memory, application())
    text = world.repo.path / "apps" / "shop" / "map.json"
    text.write_text(text.read_text().replace("blue", "green"))
    world.repo.commit()
    second = await rendered(world, memory, application())
    assert b"blue" in first[0].body
    assert b"green" in second[0].body


async def test_what_failed_is_not_kept(world: World) -> None:
    """A rendering with an error is tried again by the next look."""
    memory = RenderMemory()
    for _ in range(2):
        assert await rendered(world, memory, application(path="apps/nonesuch")) == ()
    assert memory.used == 0


async def test_the_memory_is_bounded(world: World) -> None:
    """Beyond the limit the rendering that was used longest ago is forgotten."""
    memory = RenderMemory(limit=3)  # each one counts as two: itself and its object
    await rendered(world, memory, application())
    await rendered(world, memory, application("kept"))
    await rendered(world, memory, application("kept"))
    assert memory.used == 1
    await rendered(world, memory, application())
    assert memory.used == 1


async def test_a_second_sweep_neither_renders_nor_discovers_twice(
    world: World, database: str
) -> None:
    """Two sweeps over two applications: two discoveries, two renderings, live read each time."""
    store = await SqlStore.open(database)
    bench = Bench(world, store)
    await bench.sweep()
    lists = world.clusters.one.asked["list"]
    world.paint("shop", "red")
    await bench.sweep()
    await store.close()
    memory = bench.reconciler.workspace.rendered
    assert memory is not None
    assert memory.used == 2
    assert world.clusters.one.asked["discover"] == 2
    assert world.clusters.one.asked["list"] == 2 * lists
    assert bench.transitions() == [("shop", "drifted")]
