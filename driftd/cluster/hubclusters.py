"""The clusters of a hub, watched: its cluster Secrets as they are now.

Only Secrets with Argo CD's label are asked for. What they hold goes into connections alone; what
is told of them is their name and which field is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from driftd.aio import Sleep, sleep
from driftd.cluster.clustersecret import LABEL, HubCluster, parse_cluster_secret
from driftd.cluster.hub import SECRETS
from driftd.cluster.kube import KubeCluster
from driftd.cluster.reader import Listing, ObjectMeta
from driftd.cluster.watch import Reflector
from driftd.errors import ClusterError, ConfigError, Forbidden, NotServed
from driftd.model.resource import LiveObject, ResourceKey
from driftd.telemetry.logs import get_logger

SELECTOR: Final = f"{LABEL}=cluster"
GATHERED: Final = 0.2
"""Seconds in which changes are gathered before they are told."""


async def _nobody() -> None:
    """Nobody is told."""


class HubClusters:
    """Follows the cluster Secrets of a hub for as long as `run` runs."""

    def __init__(
        self,
        hub: KubeCluster,
        namespace: str,
        *,
        allow_exec: bool = False,
        wait: Sleep = sleep,
    ) -> None:
        """`namespace` is Argo CD's; `allow_exec` as in `parse_cluster_secret`."""
        self._hub = hub
        self._namespace = namespace
        self._allow_exec = allow_exec
        self._wait = wait
        self._found: dict[ResourceKey, HubCluster] = {}
        self._broken: dict[ResourceKey, str] = {}
        self._listed = False
        self._news = asyncio.Event()
        self.told: Callable[[], Awaitable[None]] = _nobody
        """Called after changes, once for those that come together."""

    @property
    def clusters(self) -> tuple[HubCluster, ...] | None:
        """The clusters as they were seen last; None while the Secrets cannot be watched."""
        if not self._listed:
            return None
        return tuple(self._found[key] for key in sorted(self._found))

    async def run(self) -> None:
        """Watch until cancelled."""
        reflector = Reflector(
            self._hub,
            SECRETS,
            self._namespace,
            self,
            label_selector=SELECTOR,
            wait=self._wait,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(reflector.run())
            while True:
                await self._news.wait()
                await self._wait(GATHERED)
                self._news.clear()
                await self.told()

    def wants(self, _meta: ObjectMeta) -> bool:
        """Every Secret that the server selects."""
        return True

    async def listed(self, listing: Listing) -> None:
        """What is not listed is no cluster of the hub any more."""
        before, known = self._found, self._listed
        self._found = {}
        self._broken = {
            key: why
            for key, why in self._broken.items()
            if any(live.key == key for live in listing.objects)
        }
        for live in listing.objects:
            self._take(live)
        self._listed = True
        if not known or before != self._found:
            self._news.set()

    async def changed(self, live: LiveObject) -> bool:
        """A Secret was made or changed."""
        before = self._found.get(live.key)
        self._take(live)
        if before == self._found.get(live.key):
            return False
        self._news.set()
        return True

    async def gone(self, key: ResourceKey) -> None:
        """A Secret was deleted, or lost its label."""
        self._broken.pop(key, None)
        if self._found.pop(key, None) is not None:
            self._news.set()

    async def state(self, error: ClusterError | None) -> None:
        """Without the right to watch, the sweeps' own reading counts again."""
        if isinstance(error, Forbidden | NotServed):
            self._listed = False
        if error is not None:
            get_logger("driftd.cluster").warning(
                "cluster Secrets are not watched", reason=error.reason, problem=error.message
            )

    def _take(self, live: LiveObject) -> None:
        """Parse a Secret; a broken one is no cluster, and is told once."""
        try:
            self._found[live.key] = parse_cluster_secret(live.body, allow_exec=self._allow_exec)
        except ConfigError as error:
            why = error.message
        except msgspec.MsgspecError:
            # The parser's text is left out: it may quote a credential.
            why = f"{live.key} on the hub: it is not what Argo CD defines"
        else:
            self._broken.pop(live.key, None)
            return
        self._found.pop(live.key, None)
        if self._broken.get(live.key) != why:
            self._broken[live.key] = why
            get_logger("driftd.cluster").warning("cluster Secret not usable", problem=why)
