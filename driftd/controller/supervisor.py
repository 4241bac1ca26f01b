"""Finds out when clusters go dark and when they are back, and asks for looks at both moments.

Looks at a dark cluster fail at once, so they cost the others nothing. Without the requests that
are tried here, nobody would find out before the next sweep that it is back, or that it has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

from driftd.aio import Sleep, sleep
from driftd.cluster.breaker import THRESHOLD, Breaker
from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.reader import ClusterReader
from driftd.cluster.registry import HubChange
from driftd.errors import ClusterError, ConfigError, Unreachable
from driftd.telemetry.logs import get_logger

MARGIN: Final = 0.01
"""Seconds after the pause, so that the try does not come a moment too early."""

Turned: TypeAlias = Callable[[ClusterTarget], Awaitable[None]]
"""Told of a cluster that has stopped answering, and of one that answers again."""


class Breakers(Protocol):
    """Opens clusters whose breakers say when they are dark."""

    dark: Callable[[ClusterTarget], None]
    """Called with each cluster that stops answering."""

    def open(self, target: ClusterTarget) -> ClusterReader:
        """The cluster of `target`. Raises ConfigError."""
        ...

    def breaker(self, target: ClusterTarget) -> Breaker | None:
        """Its breaker, if it has been opened."""
        ...

    async def use_hub_clusters(self, hub_clusters: Sequence[HubCluster]) -> HubChange:
        """Know these clusters of a hub, and no others; what is different about them."""
        ...


class Supervisor:
    """Watches over the clusters that do not answer, for as long as `run` runs."""

    def __init__(self, clusters: Breakers, turned: Turned, *, wait: Sleep = sleep) -> None:
        self._clusters = clusters
        self._turned = turned
        self._wait = wait
        self._reported: asyncio.Queue[ClusterTarget] = asyncio.Queue()
        self._tried: set[ClusterTarget] = set()
        clusters.dark = self._reported.put_nowait

    def dark(self, target: ClusterTarget) -> bool:
        """Whether a cluster does not answer at present."""
        breaker = self._clusters.breaker(target)
        return breaker is not None and breaker.is_open

    def suspect(self, target: ClusterTarget) -> None:
        """A watch of a cluster has broken off: try whether the cluster still answers."""
        self._reported.put_nowait(target)

    async def run(self) -> None:
        """Try clusters until cancelled; each one on its own."""
        async with asyncio.TaskGroup() as group:
            while True:
                target = await self._reported.get()
                if target not in self._tried:
                    self._tried.add(target)
                    group.create_task(self._try(target))

    async def _try(self, target: ClusterTarget) -> None:
        try:
            for _ in range(THRESHOLD):
                if self.dark(target) or await self._answers(target):
                    break
            if self.dark(target):
                await self._until_it_answers(target)
        finally:
            self._tried.discard(target)
        # It may have gone dark again before it was tried no more.
        if self.dark(target):
            self._reported.put_nowait(target)

    async def _until_it_answers(self, target: ClusterTarget) -> None:
        log = get_logger("driftd.controller")
        log.warning("cluster does not answer", cluster=target.name, server=target.server)
        await self._turned(target)
        while self.dark(target):
            breaker = self._clusters.breaker(target)
            await self._wait((breaker.pause if breaker is not None else 0.0) + MARGIN)
            await self._answers(target)
        log.info("cluster answers again", cluster=target.name, server=target.server)
        await self._turned(target)

    async def _answers(self, target: ClusterTarget) -> bool:
        """Ask once. A refusal is an answer too; looks say what is wrong."""
        try:
            await self._clusters.open(target).version()
        except Unreachable:
            return False
        except (ClusterError, ConfigError):
            return True
        return True
