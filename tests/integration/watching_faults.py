"""A reflector on a simulated cluster, and what it tells while faults are in force."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.reader import ApiResource, Listing, ObjectMeta
from driftd.cluster.transport import Transport, TransportOptions
from driftd.cluster.watch import IDLE, Reflector
from driftd.errors import ClusterError
from driftd.model.resource import LiveObject, ResourceKey
from tests.testbed.simulation import MERGE, SimulatedCluster, Simulation

CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", True, ("get", "list", "watch"))
SPACE = "faults"
MAPS = f"/api/v1/namespaces/{SPACE}/configmaps"
DEADLINE = 30.0
"""Seconds that anything may take on a busy machine."""
STREAMED, LISTED = "sendInitialEvents", "limit=500"
"""In the query of a watch that begins with the state, and of a list."""


class Known:
    """What a reflector told: the state, and everything on the way to it."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.states: list[dict[str, str]] = []
        self.told: list[tuple[str, str]] = []
        self.errors: list[str] = []
        self.waited: list[float] = []
        self.lists = 0
        self._changed = asyncio.Event()

    def wants(self, _meta: ObjectMeta) -> bool:
        """Everything is of interest."""
        return True

    async def listed(self, listing: Listing) -> None:
        """The state at once."""
        self.lists += 1
        self.values = {one.key.name: value(one) for one in listing.objects}
        self._keep()

    async def changed(self, live: LiveObject) -> bool:
        """One object more or anew."""
        self.values[live.key.name] = value(live)
        self.told.append((live.key.name, value(live)))
        self._keep()
        return True

    async def gone(self, key: ResourceKey) -> None:
        """One object less."""
        self.values.pop(key.name, None)
        self.told.append((key.name, "gone"))
        self._keep()

    async def state(self, error: ClusterError | None) -> None:
        """A watch runs, or why it does not."""
        self.errors.append(error.reason if error else "")
        self._changed.set()

    async def wait(self, seconds: float) -> None:
        """Wait no longer than the loop takes to do something else."""
        self.waited.append(seconds)
        await asyncio.sleep(0)

    async def until(self, condition: Callable[[Known], bool]) -> None:
        """Wait for a state. TimeoutError if it does not come."""
        async with asyncio.timeout(DEADLINE):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def _keep(self) -> None:
        self.states.append(dict(self.values))
        self._changed.set()


def value(live: LiveObject) -> str:
    """The one value of a ConfigMap."""
    return str(json.loads(live.body).get("data", {}).get("v", ""))


def change(one: SimulatedCluster, name: str, content: str | None) -> None:
    """Make a ConfigMap, change it, or (None) delete it."""
    if content is None:
        one.call("DELETE", f"{MAPS}/{name}")
        return
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    body["data"] = {"v": content}
    if one.request("GET", f"{MAPS}/{name}")[0] == 404:
        one.call("POST", MAPS, body)
    else:
        one.call("PATCH", f"{MAPS}/{name}", {"data": {"v": content}}, content_type=MERGE)


@asynccontextmanager
async def opened(simulation: Simulation, **options: Any) -> AsyncIterator[KubeCluster]:
    """The first simulated cluster as driftd reads it."""
    access = load_kubeconfig(str(simulation.kubeconfig())).access()

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    options.setdefault("timeout", 10.0)
    transport = Transport(access, options=TransportOptions(**options), wait=at_once)
    async with KubeCluster(transport) as cluster:
        yield cluster


@asynccontextmanager
async def reflecting(cluster: KubeCluster, *, idle: float = IDLE) -> AsyncIterator[Known]:
    """A running reflector of the ConfigMaps of these tests; what it tells."""
    known = Known()
    reflector = Reflector(
        cluster,
        CONFIG_MAPS,
        SPACE,
        known,
        wait=known.wait,
        chance=lambda _low, high: high,
        idle=idle,
    )
    task = asyncio.create_task(reflector.run())
    try:
        yield known
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
