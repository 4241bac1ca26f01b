"""Clusters are who they were at first contact, or nothing is believed and nothing written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from driftd.clock import SystemClock
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.kube import KubeCluster
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport
from driftd.controller.identity import Identities
from driftd.errors import ClusterReplaced, Forbidden, Unreachable
from driftd.store.sql import SqlStore
from tests.unit.cluster.conftest import ScriptedServer, answer, refusal, server

pytestmark = pytest.mark.slow

__all__ = ["server"]

PATH = "/api/v1/namespaces/kube-system"
TARGET = ClusterTarget(TargetKind.CONTEXT, "production", "https://one")
CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", True)


def known_as(uid: str) -> Any:
    """The answer of a cluster with this identity."""
    return answer({"kind": "Namespace", "metadata": {"name": "kube-system", "uid": uid}})


class Bench:
    """One cluster, a store, and a writer that only counts."""

    def __init__(self, server: ScriptedServer, store: SqlStore) -> None:
        self.server = server
        self.store = store
        self.cluster = KubeCluster(Transport(server.access))
        self.watches = KubeCluster(Transport(server.access))
        self.written = 0

    def open(self, _target: ClusterTarget) -> KubeCluster:
        """See `Opens`."""
        return self.cluster

    def watched(self, _target: ClusterTarget) -> KubeCluster:
        """See `Opens`."""
        return self.watches

    def identities(self, **accepted: str) -> Identities:
        """As a daemon makes them when it starts, or when its settings are others."""
        return Identities(self, self.store, SystemClock(), accepted)

    async def apply(self, *_: Any, **__: Any) -> None:
        """See `ClusterWriter`."""
        self.written += 1


@pytest.fixture
async def bench(server: ScriptedServer, tmp_path) -> AsyncIterator[Bench]:
    """A cluster whose identity is `first`."""
    server.on(PATH, known_as("first"))
    store = await SqlStore.open(f"sqlite:///{tmp_path}/driftd.db")
    made = Bench(server, store)
    yield made
    await made.cluster.close()
    await made.watches.close()
    await store.close()


async def write(bench: Bench, identities: Identities) -> None:
    """One write through the guard."""
    await identities.guarded(TARGET, bench).apply(
        CONFIG_MAPS, "n", "a", b"{}", field_manager="driftd", force=True, dry_run=False
    )


async def test_another_cluster_is_believed_nothing(bench: Bench) -> None:
    """After a restart too: neither looks nor writes pass, until the operator has accepted it."""
    await bench.identities().verify(TARGET)
    bench.server.on(PATH, known_as("second"))
    again = bench.identities()
    with pytest.raises(ClusterReplaced) as caught:
        await again.verify(TARGET)
    assert "clusters.identities: {production: second}" in caught.value.message
    assert await again.doubted(TARGET)
    with pytest.raises(ClusterReplaced):
        await write(bench, again)
    assert bench.written == 0
    accepted = bench.identities(production="second")
    await write(bench, accepted)
    assert (bench.written, await accepted.doubted(TARGET)) == (1, False)
    # What was accepted stays so without the setting.
    await bench.identities().verify(TARGET)


async def test_only_new_connections_are_asked(bench: Bench) -> None:
    """Looks over a connection that was verified cost no request; one over a new one is doubted."""
    identities = bench.identities()
    await identities.verify(TARGET)
    assert not await identities.doubted(TARGET)  # the connection that was made for it
    asked = len(bench.server.requests)
    assert not await identities.doubted(TARGET)
    assert len(bench.server.requests) == asked
    await bench.cluster.close()
    bench.server.on(PATH, known_as("second"))
    bench.server.on("/version", answer({"gitVersion": "v1.36.3"}))
    await bench.cluster.version()
    assert await identities.doubted(TARGET)


async def test_new_connections_of_watches_are_asked_where_they_told_something(
    bench: Bench,
) -> None:
    """What a watch told is doubted over a connection that nobody asked about, and only that."""
    identities = bench.identities()
    await identities.verify(TARGET)
    assert not await identities.doubted(TARGET)
    bench.server.on("/version", answer({"gitVersion": "v1.36.3"}))
    await bench.watches.version()
    for _ in range(2):  # over the connection that is open, then over none
        assert not await identities.doubted(TARGET, watched=True)
    asked = len(bench.server.requests)
    assert not await identities.doubted(TARGET, watched=True)
    assert len(bench.server.requests) == asked
    await bench.watches.close()
    bench.server.on(PATH, known_as("second"))
    await bench.watches.version()
    assert not await identities.doubted(TARGET)
    assert await identities.doubted(TARGET, watched=True)


async def test_a_cluster_that_hides_who_it_is(bench: Bench) -> None:
    """Looks go on; what was pinned before is written to no more, what never was, as ever."""
    bench.server.on(PATH, refusal(403, "Forbidden", "no"))
    never = bench.identities()
    await never.verify(TARGET)
    await write(bench, never)
    assert bench.written == 1
    bench.server.on(PATH, known_as("first"))
    pinned = bench.identities()
    await pinned.verify(TARGET)
    bench.server.on(PATH, refusal(403, "Forbidden", "no"))
    await pinned.verify(TARGET)
    with pytest.raises(Forbidden):
        await write(bench, pinned)
    assert bench.written == 1


async def test_a_cluster_that_has_no_such_namespace(bench: Bench) -> None:
    """It has no identity to hold it to."""
    bench.server.on(PATH, refusal(404, "NotFound", "not found"))
    identities = bench.identities()
    await identities.verify(TARGET)
    assert await bench.store.pinned(TARGET.name, TARGET.server) == ""


async def test_what_cannot_be_asked_is_doubted(bench: Bench) -> None:
    """Where the answer does not come, nobody knows whose list it was."""
    identities = bench.identities()
    bench.cluster.transport.access = type(bench.server.access)(
        name="test", server="http://127.0.0.1:1"
    )
    assert await identities.doubted(TARGET)
    with pytest.raises(Unreachable):
        await identities.verify(TARGET)
