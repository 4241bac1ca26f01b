"""The cluster in memory answers as a real API server does, as far as tests rely on it.

Every test runs twice: on a real API server, and on the one in memory.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.reader import ApiResource, ClusterReader, ObjectMeta
from driftd.cluster.transport import Transport
from driftd.cluster.writer import ClusterWriter, KubeWriter
from driftd.errors import ClusterError, Forbidden, NotServed, Unreachable
from driftd.model.resource import ResourceKey
from tests.testbed.cluster import ControlPlane
from tests.testbed.kubeconfig import Access, write_kubeconfig
from tests.testbed.processes import reserve_port
from tests.unit.controller.cluster import (
    CONFIG_MAPS,
    NAMESPACES,
    SECRETS,
    MemoryCluster,
    MemoryWriter,
)

pytestmark = pytest.mark.cluster

WIDGETS = ApiResource("example.com", "v1", "Widget", "widgets", True, ("get", "list"))


@dataclass(slots=True)
class Stage:
    """A cluster as the detector reads it, one as an administrator does, and a namespace."""

    reader: ClusterReader
    writer: ClusterWriter
    namespace: str
    other: str

    def body(self, name: str, namespace: str = "", **data: str) -> dict[str, Any]:
        """A ConfigMap of the stage's namespace."""
        metadata = {"name": name, "namespace": namespace or self.namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    async def apply(
        self, body: dict[str, Any], *, force: bool = True, dry_run: bool = False
    ) -> Any:
        """Server-side apply as driftd."""
        metadata = body["metadata"]
        return await self.writer.apply(
            CONFIG_MAPS,
            metadata["namespace"],
            metadata["name"],
            json.dumps(body).encode(),
            field_manager="driftd",
            force=force,
            dry_run=dry_run,
        )


@pytest.fixture(params=["real", "memory"])
async def stage(
    request: pytest.FixtureRequest, api_server: ControlPlane, namespace: str
) -> AsyncIterator[Stage]:
    """Both kinds of cluster. Secrets are forbidden to the reader."""
    other = api_server.create_namespace(f"{namespace}-other")
    if request.param == "memory":
        memory = MemoryCluster()
        memory.refused["Secret", ""] = Forbidden("cannot list secrets")
        yield Stage(memory, MemoryWriter(memory), namespace, other)
        return
    detector = load_kubeconfig(str(api_server.kubeconfig("detector"))).access()
    admin = load_kubeconfig(str(api_server.kubeconfig("admin"))).access()
    async with KubeCluster(Transport(detector)) as reader, KubeCluster(Transport(admin)) as writes:
        yield Stage(reader, KubeWriter(writes.transport), namespace, other)


async def test_discovery(stage: Stage) -> None:
    """Kinds are served with their scope; unknown ones are not."""
    found = await stage.reader.discover()
    assert found.served("", "v1", "ConfigMap") is not None
    assert found.scope("", "Namespace") is False
    assert found.scope("example.com", "Widget") is None
    assert found.served("policy", "v1beta1", "PodDisruptionBudget") is None
    preferred = found.preferred("policy", "PodDisruptionBudget")
    assert preferred is not None
    assert preferred.group_version == "policy/v1"
    assert (await stage.reader.version()).startswith("v1.")


async def test_list(stage: Stage) -> None:
    """A list of namespaces has their selected objects, covers them, and no other namespace."""
    await stage.apply(stage.body("a", colour="blue"))
    await stage.apply(stage.body("b"))
    await stage.apply(stage.body("a", stage.other))
    listing = await stage.reader.list(CONFIG_MAPS, [stage.namespace], lambda meta: meta.name == "a")
    (live,) = listing.objects
    assert live.key == ResourceKey("", "ConfigMap", stage.namespace, "a")
    document = json.loads(live.body)
    assert (document["kind"], document["data"]) == ("ConfigMap", {"colour": "blue"})
    assert live.uid == document["metadata"]["uid"]
    assert live.resource_version == document["metadata"]["resourceVersion"]
    (entry,) = document["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("driftd", "Apply")
    assert listing.complete
    assert listing.covers(stage.namespace)
    assert not listing.covers(stage.other)
    everywhere = await stage.reader.list(CONFIG_MAPS)
    assert everywhere.covers(stage.other)
    assert {live.key for live in everywhere.objects} >= {live.key}


async def test_scan(stage: Stage) -> None:
    """A scan shows the metadata of all objects, of a namespace or of all, to whoever notes it."""
    marked = stage.body("a", colour="blue")
    marked["metadata"]["annotations"] = {"mark": "one"}
    marked["metadata"]["labels"] = {"app": "web"}
    await stage.apply(marked)
    await stage.apply(stage.body("b"))
    await stage.apply(stage.body("a", stage.other))

    def note(resource: ApiResource, meta: ObjectMeta) -> tuple[str, str, str, str] | None:
        if meta.namespace not in (stage.namespace, stage.other):
            return None
        return resource.kind, meta.namespace, meta.name, meta.annotations.get("mark", "")

    everywhere = await stage.reader.scan(CONFIG_MAPS, note)
    assert everywhere.error is None
    assert sorted(everywhere.noted) == [
        ("ConfigMap", stage.namespace, "a", "one"),
        ("ConfigMap", stage.namespace, "b", ""),
        ("ConfigMap", stage.other, "a", ""),
    ]
    inside = await stage.reader.scan(CONFIG_MAPS, note, namespace=stage.other)
    assert inside.noted == (("ConfigMap", stage.other, "a", ""),)
    for selector, names in (("app", ["a"]), ("!app", ["b"])):
        found = await stage.reader.scan(
            CONFIG_MAPS, note, namespace=stage.namespace, label_selector=selector
        )
        assert [one[2] for one in found.noted] == names


async def test_scan_that_is_refused(stage: Stage) -> None:
    """A refusal and a kind that is not served are values of the scan."""
    refused = await stage.reader.scan(SECRETS, lambda _, meta: meta.name)
    assert (refused.noted, type(refused.error)) == ((), Forbidden)
    widgets = ApiResource("apps", "v1", "Widget", "widgets", True, ("get", "list"))
    unserved = await stage.reader.scan(widgets, lambda _, meta: meta.name)
    assert (unserved.noted, type(unserved.error)) == ((), NotServed)


async def test_list_that_is_refused(stage: Stage) -> None:
    """A refused list is no exception: it covers nothing and says why."""
    listing = await stage.reader.list(SECRETS)
    assert isinstance(listing.errors[""], Forbidden)
    assert not listing.complete
    assert not listing.covers(stage.namespace)


async def test_list_of_what_is_not_served(stage: Stage) -> None:
    """An unserved kind is an incomplete list with NotServed, not an empty one."""
    listing = await stage.reader.list(WIDGETS)
    assert isinstance(listing.errors[""], Forbidden | NotServed)
    assert not listing.complete


async def test_list_of_cluster_scoped_objects(stage: Stage) -> None:
    """Namespaces asked for do not limit a kind without namespaces."""
    listing = await stage.reader.list(NAMESPACES, [stage.namespace])
    assert listing.complete
    assert listing.covers("")


async def test_get(stage: Stage) -> None:
    """An absent object is None, a present one the same as listed."""
    await stage.apply(stage.body("a"))
    assert await stage.reader.get(CONFIG_MAPS, stage.namespace, "nonesuch") is None
    live = await stage.reader.get(CONFIG_MAPS, stage.namespace, "a")
    listing = await stage.reader.list(CONFIG_MAPS, [stage.namespace], lambda m: m.name == "a")
    assert live is not None
    (listed,) = listing.objects
    assert (listed.key, listed.uid, listed.resource_version) == (
        live.key,
        live.uid,
        live.resource_version,
    )


async def test_schema(stage: Stage) -> None:
    """A document comes with its hash, is not sent to who knows it, and may not exist."""
    document = await stage.reader.openapi("v1")
    assert document.body is not None
    assert json.loads(document.body)["components"]["schemas"]
    again = await stage.reader.openapi("v1", known_hash=document.schema_hash)
    assert (again.schema_hash, again.body) == (document.schema_hash, None)
    with pytest.raises(NotServed):
        await stage.reader.openapi("example.com/v1")


async def test_apply(stage: Stage) -> None:
    """A dry run leaves no trace; a stale resourceVersion is a conflict; an apply is a new one."""
    assert await stage.apply(stage.body("a"), dry_run=True)
    assert await stage.reader.get(CONFIG_MAPS, stage.namespace, "a") is None
    first = await stage.apply(stage.body("a", colour="blue"))
    current = stage.body("a", colour="red")
    current["metadata"] |= {"uid": first.uid, "resourceVersion": first.resource_version}
    second = await stage.apply(current)
    assert second.uid == first.uid
    assert second.resource_version != first.resource_version
    stale = stage.body("a", colour="green")
    stale["metadata"]["resourceVersion"] = first.resource_version
    with pytest.raises(ClusterError) as caught:
        await stage.apply(stale)
    assert caught.value.reason == "Conflict"
    live = await stage.reader.get(CONFIG_MAPS, stage.namespace, "a")
    assert live is not None
    assert json.loads(live.body)["data"] == {"colour": "red"}
    third = await stage.apply(stage.body("a", colour="grey"))
    assert third.uid == first.uid


@pytest.mark.parametrize("kind", ["real", "memory"])
async def test_a_cluster_that_is_down(kind: str, api_server: ControlPlane, tmp_path: Any) -> None:
    """Calls raise Unreachable, but a list returns it."""
    port, holder = reserve_port()
    with holder:
        reader: ClusterReader
        if kind == "memory":
            reader = MemoryCluster()
            reader.down = Unreachable("refused")
        else:
            down = Access("down", f"https://127.0.0.1:{port}", api_server.ca_file, "token")
            file = write_kubeconfig(tmp_path / "kubeconfig", [down])
            reader = KubeCluster(Transport(load_kubeconfig(str(file)).access()))
        for call in (reader.discover(), reader.version(), reader.openapi("v1")):
            with pytest.raises(Unreachable):
                await call
        listing = await reader.list(CONFIG_MAPS, ["default"])
        assert not listing.complete
        assert not listing.covers("default")
        assert all(isinstance(error, Unreachable) for error in listing.errors.values())
        if isinstance(reader, KubeCluster):
            await reader.close()
