"""What the looks of one sweep share, so that a cluster is discovered once and not by each look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, TypeAlias, TypeVar

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.reader import (
    ApiResource,
    ClusterReader,
    Discovery,
    Listing,
    Note,
    Noted,
    OpenApiDocument,
    Scan,
    Select,
)
from driftd.controller.identity import Identities
from driftd.controller.workspace import Clusters
from driftd.model.resource import LiveObject

Answer = TypeVar("Answer")
Verify: TypeAlias = Callable[[], Awaitable[None]]


class SweepReader:
    """A reader whose discovery, version and scans stay as they were first read.

    Lists and single objects are always read anew, so what a scan has shown is looked at again.
    Looks that ask at the same time share one request, its failure too; after a failure the next
    look asks again.
    """

    def __init__(self, reader: ClusterReader, verify: Verify | None = None) -> None:
        """`verify` raises where another cluster answers; asked before each discovery."""
        self._reader = reader
        self._verify = verify
        self._discovery: asyncio.Task[Discovery] | None = None
        self._version: asyncio.Task[str] | None = None
        self._scans: dict[tuple[Any, ...], asyncio.Task[Scan[Any]]] = {}

    async def discover(self) -> Discovery:
        """See `ClusterReader`."""
        if self._discovery is None or _failed(self._discovery):
            self._discovery = _started(self._discover)
        return await asyncio.shield(self._discovery)

    async def _discover(self) -> Discovery:
        if self._verify is not None:
            await self._verify()
        return await self._reader.discover()

    async def version(self) -> str:
        """See `ClusterReader`."""
        if self._version is None or _failed(self._version):
            self._version = _started(self._reader.version)
        return await asyncio.shield(self._version)

    async def list(
        self,
        resource: ApiResource,
        namespaces: Collection[str] | None = None,
        select: Select | None = None,
        *,
        label_selector: str = "",
    ) -> Listing:
        """See `ClusterReader`."""
        return await self._reader.list(resource, namespaces, select, label_selector=label_selector)

    async def scan(
        self,
        resource: ApiResource,
        note: Note[Noted],
        *,
        namespace: str = "",
        label_selector: str = "",
    ) -> Scan[Noted]:
        """See `ClusterReader`; what the same `note` has kept once is kept for the whole sweep."""
        question = (resource, note, namespace, label_selector)
        task = self._scans.get(question)
        if task is None or _failed(task):

            async def scan() -> Scan[Noted]:
                return await self._reader.scan(
                    resource, note, namespace=namespace, label_selector=label_selector
                )

            task = self._scans[question] = _started(scan)
        return await asyncio.shield(task)

    async def get(self, resource: ApiResource, namespace: str, name: str) -> LiveObject | None:
        """See `ClusterReader`."""
        return await self._reader.get(resource, namespace, name)

    async def openapi(self, group_version: str, *, known_hash: str = "") -> OpenApiDocument:
        """See `ClusterReader`."""
        return await self._reader.openapi(group_version, known_hash=known_hash)


class SweepClusters:
    """Opens clusters for the looks of one sweep after the other."""

    def __init__(self, clusters: Clusters, identities: Identities | None = None) -> None:
        self._clusters = clusters
        self._identities = identities
        self._readers: dict[ClusterTarget, SweepReader] = {}

    def open(self, target: ClusterTarget) -> SweepReader:
        """A reader that shares discovery; raises ConfigError for a wrong description."""
        if target not in self._readers:
            verify = None if self._identities is None else partial(self._identities.verify, target)
            self._readers[target] = SweepReader(self._clusters.open(target), verify)
        return self._readers[target]

    async def doubted(self, target: ClusterTarget, *, watched: bool = False) -> bool:
        """Whether what was just read may be another cluster's than the one discovered.

        `watched` says that a watch has told some of it.
        """
        if self._identities is None:
            return False
        return await self._identities.doubted(target, watched=watched)

    def forget(self, target: ClusterTarget | None = None) -> None:
        """Discover anew from the next look on: one cluster, or all of them."""
        if target is None:
            self._readers.clear()
        else:
            self._readers.pop(target, None)


def _started(ask: Callable[[], Awaitable[Answer]]) -> asyncio.Task[Answer]:
    async def run() -> Answer:
        return await ask()

    return asyncio.create_task(run())


def _failed(task: asyncio.Task[Answer]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
