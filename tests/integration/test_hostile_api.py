"""API servers that flood and lie: bounded memory, a reason, and nobody else's credential (S-77)."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.kube import KubeCluster
from driftd.cluster.limits import Limits
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport, TransportOptions
from driftd.errors import ClusterError
from tests.testbed.hostile_api import hostile_api

CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", True, ("get", "list"))
MOST = 100 * 1024 * 1024
"""Bytes that the memory may grow by at any moment."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    """The address of the hostile servers."""
    with hostile_api() as address:
        yield address


class Peak:
    """How far the memory of this process grew at most since it was made."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def grown(self) -> int:
        """Bytes."""
        return self._read("VmHWM") - self._before

    def _read(self, field: str) -> int:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise AssertionError(field)


def cluster_at(address: str, **limits: int) -> KubeCluster:
    """A cluster as the daemon reads it."""
    access = ClusterAccess(name="hostile", server=address, user={"token": "t0ken"})
    options = TransportOptions(timeout=3, limits=Limits(**limits))
    return KubeCluster(Transport(access, options=options))


@pytest.mark.parametrize(
    ("behaviour", "reason", "said"),
    [
        ("redirect", "Redirected", "it redirects to another server"),
        ("endless-list", "LimitExceeded", "clusters.limits.answer"),
        ("endless-chunk", "LimitExceeded", "clusters.limits.answer"),
        ("dripping", "Unreachable", "no answer within 3 s"),
        ("endless-pages", "LimitExceeded", "clusters.limits.pages"),
        ("same-page", "InvalidResponse", "its next page is the same one again"),
        ("bomb", "LimitExceeded", "clusters.limits.answer"),
        ("wrong-kinds", "InvalidResponse", "1 object of"),
        ("slashes", "InvalidResponse", "3 objects of"),
        ("status", "InvalidResponse", "cannot be read"),
    ],
)
async def test_a_list_is_bounded_and_named(
    hostile: str, behaviour: str, reason: str, said: str
) -> None:
    """The list is incomplete for a reason, and the memory stays where it was."""
    async with cluster_at(f"{hostile}/{behaviour}", pages=300) as cluster:
        discovered = await cluster.discover()
        assert [one.kind for one in discovered.resources] == ["ConfigMap"]
        peak = Peak()
        listing = await asyncio.wait_for(cluster.list(CONFIG_MAPS), 60)
        grown = peak.grown()
    error = listing.errors[""]
    assert (error.reason, said in error.message) == (reason, True), error.message
    assert not listing.complete
    assert not listing.covers("shop")
    assert len(listing.objects) <= 1
    assert grown < MOST


@pytest.mark.parametrize("behaviour", ["many-kinds", "everything"])
async def test_discovery_is_bounded(hostile: str, behaviour: str) -> None:
    """A million kinds, and a server that only floods, are an error of the whole cluster."""
    async with cluster_at(f"{hostile}/{behaviour}") as cluster:
        peak = Peak()
        with pytest.raises(ClusterError, match="has more than") as caught:
            await asyncio.wait_for(cluster.discover(), 60)
        assert caught.value.reason == "LimitExceeded"
        assert peak.grown() < MOST


async def test_more_kinds_than_the_limit(hostile: str) -> None:
    """What is small enough to be read may still have too many entries."""
    async with cluster_at(f"{hostile}/good", kinds=0) as cluster:
        with pytest.raises(ClusterError, match="1 entries, more than 0"):
            await cluster.discover()


async def test_many_floods_at_once(hostile: str) -> None:
    """Eight lists of one cluster that flood together take no more memory than one."""
    async with cluster_at(f"{hostile}/endless-chunk") as cluster:
        peak = Peak()
        listings = await asyncio.gather(*(cluster.list(CONFIG_MAPS) for _ in range(8)))
        grown = peak.grown()
    assert grown < MOST, grown
    assert all(not listing.complete for listing in listings)


def test_no_credential_goes_elsewhere(hostile: str) -> None:
    """Nobody whom a server redirects to has been asked anything."""
    address = urlsplit(hostile)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", "/redirect/stolen")
    assert json.loads(connection.getresponse().read()) == []
    connection.close()
