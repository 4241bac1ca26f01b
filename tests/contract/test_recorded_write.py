"""The one write that the demonstration replays is answered as a real API server answers it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport
from driftd.cluster.writer import KubeWriter
from driftd.demo.recording import State, load
from driftd.demo.server import SimulatedApiServer
from driftd.demo.story import CI, HEALED, HEALING, STEPS
from driftd.errors import ClusterError
from driftd.model.resource import LiveObject
from driftd.sync.plan import FIELD_MANAGER
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", namespaced=True)
(STEP,) = (step for step in STEPS if step.healed)
NAME = STEP.at.name
PATH = f"/api/v1/namespaces/{HEALED}/configmaps/{NAME}"
NOW = datetime(2026, 5, 4, tzinfo=UTC)


def recorded() -> tuple[SimulatedApiServer, State]:
    """The cluster after all steps, and what driftd's write made of it."""
    server = SimulatedApiServer(load(NOW)[STEP.at.cluster])
    moments = [NOW + timedelta(minutes=number) for number in range(HEALING + 1)]
    for number in range(HEALING):
        server.state = server.recording.played(server.state, number, moments)
    return server, server.recording.played(server.state, HEALING, moments)


def declared(object_: Any) -> Any:
    """What Git declares, read from what the first applier applied."""
    metadata = object_["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": kept,
        "data": object_["data"] | {"WORKERS": "4"},
    }


@dataclass(frozen=True)
class Side:
    """One of both servers."""

    cluster: KubeCluster
    body: Any

    async def live(self) -> LiveObject:
        """The ConfigMap as it is."""
        found = await self.cluster.get(CONFIG_MAPS, HEALED, NAME)
        assert found is not None
        return found

    async def apply(self, live: LiveObject, *, dry_run: bool) -> LiveObject:
        """What driftd writes, made from a look that saw `live`."""
        conditions = {"uid": live.uid, "resourceVersion": live.resource_version}
        body = {**self.body, "metadata": {**self.body["metadata"], **conditions}}
        return await KubeWriter(self.cluster.transport).apply(
            *(CONFIG_MAPS, HEALED, NAME, json.dumps(body).encode()),
            field_manager=FIELD_MANAGER,
            force=True,
            dry_run=dry_run,
        )


@pytest.fixture(scope="module")
def namespace(api_server: ControlPlane) -> ControlPlane:
    """The real server with the namespace of the write."""
    api_server.create_namespace(HEALED)
    return api_server


@pytest.fixture
async def sides(namespace: ControlPlane) -> AsyncIterator[tuple[Side, Side]]:
    """A real and a simulated server with the ConfigMap as alice left it."""
    simulated, healed = recorded()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(simulated)
        access = ClusterAccess(name="sim", server=simulated.server, user={"token": simulated.token})
        replay = await stack.enter_async_context(KubeCluster(Transport(access)))
        found = await replay.get(CONFIG_MAPS, HEALED, NAME)
        assert found is not None
        body = declared(json.loads(found.body))
        simulated.expected = healed
        namespace.call(
            *("PATCH", f"{PATH}?fieldManager={CI}&force=true", body),
            content_type="application/apply-patch+yaml",
        )
        namespace.call(
            *("PATCH", f"{PATH}?fieldManager=kubectl-patch", {"data": {"WORKERS": "64"}}),
            content_type="application/merge-patch+json",
        )
        real = load_kubeconfig(str(namespace.kubeconfig("admin"))).access()
        cluster = await stack.enter_async_context(KubeCluster(Transport(real)))
        yield Side(cluster, body), Side(replay, body)
        namespace.call("DELETE", PATH)


def comparable(live: LiveObject) -> Any:
    """An object without what no two servers share; owners with their fields, but without times."""
    document = json.loads(live.body)
    metadata = document["metadata"]
    owners = {
        entry["manager"]: (entry["operation"], entry["fieldsV1"])
        for entry in metadata["managedFields"]
    }
    labels = metadata.get("labels")
    return document["kind"], document["apiVersion"], document["data"], labels, owners


async def test_the_write_and_its_dry_run(sides: tuple[Side, Side]) -> None:
    """Dry run: nothing changes, the version stays; write: value and owners are the real ones."""
    for side in sides:
        before = await side.live()
        tried = await side.apply(before, dry_run=True)
        assert json.loads(tried.body)["data"]["WORKERS"] == "4"
        assert tried.resource_version == before.resource_version
        assert (await side.live()).body == before.body
        written = await side.apply(before, dry_run=False)
        assert written.resource_version != before.resource_version
        assert (await side.live()).body == written.body
    real, simulated = [comparable(await side.live()) for side in sides]
    assert real == simulated


async def test_a_write_from_an_older_look(sides: tuple[Side, Side]) -> None:
    """A write that names another version than the live one is a conflict in the same words."""
    refusals = []
    for side in sides:
        live = await side.live()
        older = LiveObject(live.key, live.version, live.uid, "1", live.body)
        with pytest.raises(ClusterError) as refused:
            await side.apply(older, dry_run=True)
        message = refused.value.message.partition(": ")[2]
        refusals.append((refused.value.reason, message))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == "Conflict"


async def test_every_other_write_is_not_implemented() -> None:
    """A PATCH that is not the recorded write is 501 and changes nothing."""
    simulated, healed = recorded()
    headers = {
        "Authorization": "",
        "Content-Type": "application/apply-patch+yaml",
    }
    async with simulated, aiohttp.ClientSession(simulated.server) as session:
        headers["Authorization"] = f"Bearer {simulated.token}"
        before = simulated.state
        other = {"metadata": {"name": NAME}, "data": {"WORKERS": "5"}}
        for expected, body, query in (
            (None, {"metadata": {"name": NAME}}, "?fieldManager=driftd&force=true"),
            (healed, other, "?fieldManager=driftd&force=true"),
            (healed, {"metadata": {"name": NAME}}, "?fieldManager=driftd"),
            (healed, {"metadata": {"name": NAME}}, "?force=true&pretty=true"),
        ):
            simulated.expected = expected
            async with session.patch(f"{PATH}{query}", json=body, headers=headers) as answer:
                assert answer.status == 501
        assert simulated.state is before
