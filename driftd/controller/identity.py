"""Holds clusters to their identity: the uid of the namespace kube-system, pinned at first contact.

Where another cluster answers at a known address, nothing that it says counts, and nothing is
written to it, until the operator has accepted it in the settings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from driftd.clock import Clock
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.kube import KubeCluster
from driftd.cluster.reader import ApiResource
from driftd.cluster.writer import ClusterWriter
from driftd.errors import ClusterError, ClusterReplaced, ConfigError, Forbidden
from driftd.model.resource import LiveObject
from driftd.store.protocol import Pins
from driftd.telemetry.logs import get_logger

SETTING: Final = "clusters.identities"


class Opens(Protocol):
    """Opens clusters, each at most once."""

    def open(self, target: ClusterTarget) -> KubeCluster:
        """The cluster of `target`. Raises ConfigError."""
        ...

    def watched(self, target: ClusterTarget) -> KubeCluster:
        """The same over the connections that watches use. Raises ConfigError."""
        ...


class Identities:
    """Which cluster each address led to first, and whether it still does."""

    def __init__(
        self, clusters: Opens, pins: Pins, clock: Clock, accepted: Mapping[str, str]
    ) -> None:
        """`accepted` has the uids that the operator wrote into the settings, by cluster name."""
        self._clusters = clusters
        self._pins = pins
        self._clock = clock
        self._accepted = accepted
        self._pinned: dict[ClusterTarget, str] = {}
        self._sure: dict[ClusterTarget, int] = {}
        """How many connections a cluster had been given when it was verified last."""
        self._sure_of_watches: dict[ClusterTarget, int] = {}
        """The same of the connections that watches use."""
        self._told: set[ClusterTarget] = set()

    async def verify(self, target: ClusterTarget, *, strictly: bool = False) -> None:
        """Ask a cluster who it is, and pin it if nobody knew.

        Raises ClusterReplaced if it is another one, and another ClusterError if it cannot say. One
        that lets nobody read its identity passes, but `strictly` only if it never did.
        """
        await self._verify(target, self._clusters.open(target), self._sure, strictly=strictly)

    async def _verify(
        self,
        target: ClusterTarget,
        cluster: KubeCluster,
        sure: dict[ClusterTarget, int],
        *,
        strictly: bool = False,
    ) -> None:
        """As `verify`, over the connections of `cluster`, which `sure` counts."""
        connections = cluster.transport.connections
        expected = await self._expected(target)
        try:
            uid = await cluster.identity()
        except Forbidden as error:
            if strictly and expected:
                raise
            self._tell_unknown(target, error)
            uid = ""
        if uid and expected and uid != expected:
            sure.pop(target, None)
            raise _replaced(target, expected, uid)
        if uid and not expected:
            await self._pins.pin(target.name, target.server, uid, self._clock.now())
            self._pinned[target] = uid
        sure[target] = connections

    async def doubted(self, target: ClusterTarget, *, watched: bool = False) -> bool:
        """Whether what was just read may be another cluster's than the one verified before.

        A connection cannot change its cluster: only new ones have to be asked about. `watched`
        says that some of it came over the connections of watches.
        """
        try:
            if self._sure.get(target) != self._clusters.open(target).transport.connections:
                await self.verify(target)
            watches = self._clusters.watched(target) if watched else None
            if watches and self._sure_of_watches.get(target) != watches.transport.connections:
                await self._verify(target, watches, self._sure_of_watches)
        except (ClusterError, ConfigError):
            return True
        return False

    def guarded(self, target: ClusterTarget, writer: ClusterWriter) -> ClusterWriter:
        """A writer that asks who the cluster is before each write."""
        return _GuardedWriter(self, target, writer)

    async def _expected(self, target: ClusterTarget) -> str:
        """The pinned uid. What the operator has accepted is pinned in its place."""
        if target not in self._pinned:
            pinned = await self._pins.pinned(target.name, target.server)
            accepted = self._accepted.get(target.name, pinned)
            if accepted != pinned:
                await self._pins.pin(target.name, target.server, accepted, self._clock.now())
            if not accepted:
                return ""
            self._pinned[target] = accepted
        return self._pinned[target]

    def _tell_unknown(self, target: ClusterTarget, error: ClusterError) -> None:
        if target not in self._told:
            self._told.add(target)
            get_logger("driftd.controller").warning(
                "cluster identity is not known", cluster=target.name, problem=error.message
            )


def _replaced(target: ClusterTarget, expected: str, uid: str) -> ClusterReplaced:
    address = f" ({target.server})" if target.server else ""
    return ClusterReplaced(
        f"cluster {target.name}{address} is another one than before: its namespace kube-system has "
        f"the uid {uid}, not {expected}; nothing is judged and nothing is written there",
        hint=f"if it was replaced on purpose, set {SETTING}: {{{target.name}: {uid}}}",
    )


class _GuardedWriter:
    """See `Identities.guarded`."""

    def __init__(
        self, identities: Identities, target: ClusterTarget, writer: ClusterWriter
    ) -> None:
        self._identities = identities
        self._target = target
        self._writer = writer

    async def apply(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        *,
        field_manager: str,
        force: bool,
        dry_run: bool,
        quoted: Collection[bytes] = (),
    ) -> LiveObject:
        """See `ClusterWriter`. Raises ClusterReplaced."""
        await self._identities.verify(self._target, strictly=True)
        return await self._writer.apply(
            resource,
            namespace,
            name,
            body,
            field_manager=field_manager,
            force=force,
            dry_run=dry_run,
            quoted=quoted,
        )

    async def patch(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        operations: bytes,
        *,
        field_manager: str,
        dry_run: bool,
        quoted: Collection[bytes] = (),
    ) -> LiveObject:
        """See `ClusterWriter`. Raises ClusterReplaced."""
        await self._identities.verify(self._target, strictly=True)
        return await self._writer.patch(
            resource,
            namespace,
            name,
            operations,
            field_manager=field_manager,
            dry_run=dry_run,
            quoted=quoted,
        )
