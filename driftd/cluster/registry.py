"""The clusters in use: each opened at most once, all closed at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import msgspec

from driftd.cluster.access import ClusterAccess, in_cluster_access
from driftd.cluster.breaker import Breaker
from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import Kubeconfig
from driftd.cluster.transport import Transport, TransportOptions
from driftd.errors import ConfigError

LoadKubeconfig = Callable[[], Kubeconfig]
WATCHES = 1000
"""Watches of one cluster at the same time; each holds a connection."""


def _nobody(_target: ClusterTarget) -> None:
    """Nobody is told."""


class ClusterRegistry:
    """Opens targets; usable by many tasks at once. Use it as an async context manager."""

    def __init__(
        self,
        load_kubeconfig: LoadKubeconfig,
        *,
        hub_clusters: Sequence[HubCluster] = (),
        options: TransportOptions | None = None,
        breakers: bool = False,
    ) -> None:
        """`breakers`: stop asking clusters that do not answer, for a while."""
        self._load_kubeconfig = load_kubeconfig
        self._breakers: dict[ClusterTarget, Breaker] | None = {} if breakers else None
        self.dark: Callable[[ClusterTarget], None] = _nobody
        """Told of each cluster that stops answering."""
        self._hub_clusters = {(c.name, c.server): c for c in hub_clusters}
        self._options = options
        self._open: dict[ClusterTarget, KubeCluster] = {}
        self._watched: dict[ClusterTarget, KubeCluster] = {}

    def add_hub_clusters(self, hub_clusters: Sequence[HubCluster]) -> None:
        """Make the clusters of a hub known, which was itself opened from here."""
        self._hub_clusters |= {(c.name, c.server): c for c in hub_clusters}

    def open(self, target: ClusterTarget) -> KubeCluster:
        """The cluster of `target`, the same one each time.

        It connects at its first request, so only a wrong description fails here
        (ConfigError); an unreachable server or a refused credential fails there.
        """
        return self._opened(self._open, target, self._options, self._breaker(target))

    def breaker(self, target: ClusterTarget) -> Breaker | None:
        """What keeps looks from waiting for a dark cluster; None before it was opened."""
        return (self._breakers or {}).get(target)

    def _breaker(self, target: ClusterTarget) -> Breaker | None:
        if self._breakers is None:
            return None
        if target not in self._breakers:
            self._breakers[target] = Breaker(time.monotonic, opened=lambda: self.dark(target))
        return self._breakers[target]

    def watched(self, target: ClusterTarget) -> KubeCluster:
        """The cluster of `target` over connections of its own: a watch holds one all the time.

        Else many watches would leave none for looks. Raises ConfigError as `open`.
        """
        options = msgspec.structs.replace(self._options or TransportOptions(), concurrency=WATCHES)
        return self._opened(self._watched, target, options)

    def _opened(
        self,
        clusters: dict[ClusterTarget, KubeCluster],
        target: ClusterTarget,
        options: TransportOptions | None,
        breaker: Breaker | None = None,
    ) -> KubeCluster:
        cluster = clusters.get(target)
        if cluster is None:
            access, reload = self._access(target)
            cluster = KubeCluster(
                Transport(access, options=options, reload=reload, breaker=breaker)
            )
            clusters[target] = cluster
        return cluster

    def _access(
        self, target: ClusterTarget
    ) -> tuple[ClusterAccess, Callable[[], ClusterAccess] | None]:
        if target.kind is TargetKind.CONTEXT:
            return (
                self._load_kubeconfig().access(target.name),
                # Read again when the credential stops working: it may have been renewed there.
                lambda: self._load_kubeconfig().access(target.name),
            )
        if target.kind is TargetKind.HUB_CLUSTER:
            known = self._hub_clusters.get((target.name, target.server))
            if known is None:
                raise ConfigError(f"the hub has no cluster {target.name} ({target.server})")
            return known.access, None
        access = in_cluster_access()
        if access is None:
            raise ConfigError(
                "driftd does not run inside a Pod with a service account",
                hint="name the cluster with --cluster SERVER=CONTEXT",
            )
        return access, None

    async def close(self) -> None:
        """Close every cluster."""
        clusters = [*self._open.values(), *self._watched.values()]
        self._open, self._watched = {}, {}
        await asyncio.gather(*(cluster.close() for cluster in clusters))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
