"""Tries whether dark clusters answer again, and asks for looks at them as soon as one does.

Looks at a dark cluster fail at once, so they cost the others nothing; nobody would find out that
it is back before the next sweep, but for the one request that is tried here after each pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

from driftd.aio import Sleep, sleep
from driftd.cluster.breaker import Breaker
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.reader import ClusterReader
from driftd.errors import ClusterError, ConfigError
from driftd.telemetry.logs import get_logger

MARGIN: Final = 0.01
"""Seconds after the pause, so that the try does not come a moment too early."""

Recovered: TypeAlias = Callable[[ClusterTarget], Awaitable[None]]
"""Told of a cluster that answers again."""


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


class Supervisor:
    """Watches over the clusters that do not answer, for as long as `run` runs."""

    def __init__(self, clusters: Breakers, recovered: Recovered, *, wait: Sleep = sleep) -> None:
        self._clusters = clusters
        self._recovered = recovered
        self._wait = wait
        self._dark: asyncio.Queue[ClusterTarget] = asyncio.Queue()
        self._tried: set[ClusterTarget] = set()
        clusters.dark = self._dark.put_nowait

    def dark(self, target: ClusterTarget) -> bool:
        """Whether a cluster does not answer at present."""
        breaker = self._clusters.breaker(target)
        return breaker is not None and breaker.is_open

    async def run(self) -> None:
        """Try dark clusters until cancelled; each one on its own."""
        async with asyncio.TaskGroup() as group:
            while True:
                target = await self._dark.get()
                if target not in self._tried:
                    self._tried.add(target)
                    group.create_task(self._try(target))

    async def _try(self, target: ClusterTarget) -> None:
        log = get_logger("driftd.controller")
        log.warning("cluster does not answer", cluster=target.name, server=target.server)
        try:
            while True:
                breaker = self._clusters.breaker(target)
                await self._wait((breaker.pause if breaker is not None else 0.0) + MARGIN)
                try:
                    await self._clusters.open(target).version()
                except (ClusterError, ConfigError):
                    # A refusal is an answer too; looks say what is wrong.
                    if self.dark(target):
                        continue
                break
        finally:
            self._tried.discard(target)
        log.info("cluster answers again", cluster=target.name, server=target.server)
        await self._recovered(target)
