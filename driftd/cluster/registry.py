"""The clusters in use: each opened at most once, all closed at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from driftd.clock import Clock, SystemClock
from driftd.cluster.access import ClusterAccess, in_cluster_access
from driftd.cluster.breaker import Breaker
from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.expiry import expiry_of, near, told
from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import Kubeconfig
from driftd.cluster.permitted import require_permitted, unverified
from driftd.cluster.scope import scope_of
from driftd.cluster.transport import Transport, TransportOptions
from driftd.errors import ConfigError
from driftd.settings.types import ClusterPermissions
from driftd.telemetry.logs import get_logger

LoadKubeconfig = Callable[[], Kubeconfig]


class HubChange(NamedTuple):
    """What is different about the clusters of a hub."""

    other: frozenset[ClusterTarget]
    """Those that are reached otherwise than before, or opened to another extent."""
    others: bool
    """Whether there are others than before, or more than credentials is different."""


def _meaning(cluster: HubCluster) -> tuple[object, ...]:
    """What beside its credential decides what an application may do with a cluster."""
    return cluster.project, cluster.namespaces, cluster.cluster_resources, cluster.secret


def _target_of(cluster: HubCluster) -> ClusterTarget:
    return ClusterTarget(TargetKind.HUB_CLUSTER, cluster.name, cluster.server)


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
        permitted: ClusterPermissions | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`breakers`: stop asking clusters that do not answer, for a while.

        `permitted`: what descriptions of clusters may ask for; None does as kubectl does.
        """
        self._permitted = permitted
        self._clock = clock or SystemClock()
        self._warned: dict[ClusterTarget, str] = {}
        self._load_kubeconfig = load_kubeconfig
        self._breakers: dict[ClusterTarget, Breaker] | None = {} if breakers else None
        self.dark: Callable[[ClusterTarget], None] = _nobody
        """Told of each cluster that stops answering."""
        self._hub_clusters = {_target_of(c): c for c in hub_clusters}
        self._options = options
        self._open: dict[ClusterTarget, KubeCluster] = {}
        self._watched: dict[ClusterTarget, KubeCluster] = {}

    @property
    def hub_clusters(self) -> tuple[HubCluster, ...]:
        """The clusters of the hub, as they were told last."""
        return tuple(self._hub_clusters.values())

    async def use_hub_clusters(self, hub_clusters: Sequence[HubCluster]) -> HubChange:
        """Make the clusters of a hub known, which was itself opened from here: these and no others.

        Those that are open are reached with their new credentials at once, those that are gone no
        more.
        """
        before, now = self._hub_clusters, {_target_of(c): c for c in hub_clusters}
        self._hub_clusters = now
        other = {target for target, one in now.items() if before.get(target, one) != one}
        for target in other | (now.keys() - before.keys()):
            for cluster in self._opened_as(target):
                cluster.scope = scope_of(now[target])
                try:
                    await cluster.transport.use(self._checked(now[target].access))
                except ConfigError as error:
                    await cluster.transport.end(error.message)
        for target in before.keys() - now.keys():
            for cluster in self._opened_as(target):
                await cluster.transport.end(f"the hub has no cluster {target.name} any more")
        meant = any(_meaning(before[target]) != _meaning(now[target]) for target in other)
        return HubChange(frozenset(other), others=meant or before.keys() != now.keys())

    def _opened_as(self, target: ClusterTarget) -> list[KubeCluster]:
        return [one[target] for one in (self._open, self._watched) if target in one]

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
        options = self._options or TransportOptions()
        options = msgspec.structs.replace(options, concurrency=options.watches)
        return self._opened(self._watched, target, options)

    def _opened(
        self,
        clusters: dict[ClusterTarget, KubeCluster],
        target: ClusterTarget,
        options: TransportOptions | None,
        breaker: Breaker | None = None,
    ) -> KubeCluster:
        hub_cluster = self._hub_clusters.get(target)
        if target.kind is TargetKind.HUB_CLUSTER and hub_cluster is None:
            raise ConfigError(f"the hub has no cluster {target.name} ({target.server})")
        cluster = clusters.get(target)
        if cluster is None:
            access, reload = self._access(target)
            cluster = KubeCluster(
                Transport(access, options=options, reload=reload, breaker=breaker)
            )
            cluster.scope = scope_of(hub_cluster) if hub_cluster is not None else None
            clusters[target] = cluster
        return cluster

    def _access(
        self, target: ClusterTarget
    ) -> tuple[ClusterAccess, Callable[[], ClusterAccess] | None]:
        if target.kind is TargetKind.CONTEXT:
            # Read again when the credential stops working: it may have been renewed there.
            return self._of_context(target.name), lambda: self._of_context(target.name)
        if target.kind is TargetKind.HUB_CLUSTER:
            return self._checked(self._hub_clusters[target].access), None
        access = in_cluster_access()
        if access is None:
            raise ConfigError(
                "driftd does not run inside a Pod with a service account",
                hint="name the cluster with --cluster SERVER=CONTEXT",
            )
        return access, None

    def _of_context(self, name: str) -> ClusterAccess:
        kubeconfig = self._load_kubeconfig()
        access = kubeconfig.access(name)
        folders = [Path(file).absolute().parent for file in kubeconfig.files]
        return self._checked(access, folders, own=True)

    def _checked(
        self, access: ClusterAccess, folders: Sequence[Path] = (), *, own: bool = False
    ) -> ClusterAccess:
        """What is permitted to be asked for. Raises ConfigError."""
        if self._permitted is not None:
            require_permitted(access, self._permitted, folders, own=own)
        return access

    def unverified(self, target: ClusterTarget) -> str:
        """Why nobody knows that the right server answers; empty where TLS proves it.

        Told where the settings say what is permitted: kubectl's ways tell nothing.
        """
        if self._permitted is None:
            return ""
        try:
            access = self.open(target).transport.access
        except ConfigError:
            return ""
        why = unverified(access)
        return f"{access.label}: {why}" if why else ""

    def expiring(self, target: ClusterTarget) -> str:
        """That a credential ends soon, or has ended; empty while it does not.

        Told as `unverified` is, and to the log once for each of the times that `expiry` names.
        """
        if self._permitted is None:
            return ""
        try:
            access = self.open(target).transport.access
        except ConfigError:
            return ""
        found, now = expiry_of(access), self._clock.now()
        limit = near(found, now) if found is not None else None
        if found is None or limit is None:
            self._warned.pop(target, None)
            return ""
        text = f"{access.label}: {told(found, limit, now, access.origin)}"
        if self._warned.get(target) != text:
            self._warned[target] = text
            get_logger("driftd.cluster").warning(
                "credential expires", cluster=target.name, problem=text
            )
        return text

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
