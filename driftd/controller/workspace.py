"""What a look works with: repositories, the sandbox, clusters and the hub, behind Protocols."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.hub import Hub
from driftd.cluster.kubeconfig import KubeContext
from driftd.cluster.oracle import Oracle
from driftd.cluster.reader import ClusterReader
from driftd.controller.comparisons import Comparisons
from driftd.controller.flux_roots import FluxRoots
from driftd.controller.integrity import Integrity
from driftd.controller.rendered import RenderMemory
from driftd.controller.shared import Claims
from driftd.controller.unchanged import Unchanged
from driftd.diff.schema import SchemaSet
from driftd.model.severities import SeverityRules
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories
from driftd.store.protocol import Memory

OpenOracle: TypeAlias = Callable[[ClusterTarget], Oracle]
"""Opens the client that can only send dry runs, and nothing else."""

Progress: TypeAlias = Callable[[str], None]
"""Takes what the look is doing; a text that begins with `note: ` is meant to stay."""


_COMPARING = 4
"""Whole applications that are compared at a time."""


class Clusters(Protocol):
    """Opens clusters, each at most once."""

    def open(self, target: ClusterTarget) -> ClusterReader:
        """A reader of the cluster; raises ConfigError for a wrong description."""
        ...


class SchemaMemory:
    """Compiled schemas of earlier looks; documents are many megabytes and seldom change.

    Clusters whose documents have the same bytes share what is made of them. What a server says
    of its own content, the hash, counts for that server alone.
    """

    def __init__(self) -> None:
        self._sets: dict[ClusterTarget, tuple[dict[str, str], SchemaSet]] = {}
        self._digests: dict[ClusterTarget, dict[str, bytes]] = {}
        """The documents that each set is made of: group version to digest."""
        self._parsed: dict[bytes, dict[str, Any]] = {}

    def hashes(self, target: ClusterTarget) -> dict[str, str]:
        """The documents that are known of a cluster: group version to content hash."""
        return self._sets[target][0] if target in self._sets else {}

    def known(self, target: ClusterTarget) -> SchemaSet:
        """The compiled schemas of those documents."""
        return self._sets[target][1] if target in self._sets else SchemaSet(())

    def parsed(
        self, body: bytes, parse: Callable[[bytes], dict[str, Any]]
    ) -> tuple[bytes, dict[str, Any]]:
        """The digest of a document and what `parse` makes of it, once for all clusters."""
        digest = hashlib.blake2b(body, digest_size=32).digest()
        found = self._parsed.get(digest)
        if found is None:
            found = self._parsed[digest] = parse(body)
        return digest, found

    def keep(
        self,
        target: ClusterTarget,
        hashes: dict[str, str],
        schemas: SchemaSet,
        digests: Mapping[str, bytes],
    ) -> SchemaSet:
        """Remember what a look has compiled; the same that another cluster has, if it has it.

        `digests` are those of the documents that are new in it.
        """
        own = {**self._digests.get(target, {}), **digests}
        for other, (_, same) in self._sets.items():
            alike = other != target and self._digests.get(other) == own
            if alike and same.kubernetes == schemas.kubernetes:
                schemas = same
                break
        self._sets[target], self._digests[target] = (hashes, schemas), own
        used = {digest for known in self._digests.values() for digest in known.values()}
        self._parsed = {digest: one for digest, one in self._parsed.items() if digest in used}
        return schemas


class OracleMemory:
    """Answers of earlier looks, at most `size`; those that were used last stay."""

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._answers: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, question: Hashable) -> bytes | None:
        """The answer to a question that was asked before."""
        found = self._answers.get(question)
        if found is not None:
            self._answers.move_to_end(question)
        return found

    def keep(self, question: Hashable, answer: bytes) -> None:
        """Remember an answer."""
        self._answers[question] = answer
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The opened resources of one or many looks."""

    repositories: Repositories
    sandbox: SandboxPool
    clusters: Clusters
    contexts: tuple[KubeContext, ...] = ()
    current_context: str = ""
    kubeconfig_problem: str = ""
    """Why there are no contexts, for the condition of applications that need one."""
    in_cluster: bool = False
    unverified: Callable[[ClusterTarget], str] = lambda _target: ""
    """Why nobody knows that the right server answers; empty where TLS proves it."""
    expiring: Callable[[ClusterTarget], str] = lambda _target: ""
    """That a cluster's credential ends soon; empty while it does not."""
    hub: Hub | None = None
    argocd_namespace: str = "argocd"
    """Where Argo CD runs, as it was said."""
    schemas: SchemaMemory = field(default_factory=SchemaMemory)
    severities: SeverityRules | None = None
    """An operator's severity rules above the shipped ones; None for these alone."""
    rendered: RenderMemory | None = None
    """Renderings that later looks use again; None where there is one look."""
    claims: Claims | None = None
    """What each application declared when it was rendered last; None where there is one look."""
    memory: Memory | None = None
    """What earlier looks left behind; None where a look stands alone."""
    unchanged: Unchanged | None = None
    """The objects that the last look found clean; None compares everything anew."""
    open_oracle: OpenOracle | None = None
    """How to ask clusters by dry runs; None where nobody has opted in."""
    oracles: OracleMemory | None = None
    """Answers that later looks use again; None where there is one look."""
    comparing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_COMPARING))
    """Held while the objects of an application are compared, which takes the processor alone.

    Many at a time would all be late, each with its objects in memory and a read of the store.
    """
    comparisons: Comparisons | None = None
    """Compares in a second process while there is much to compare; None never does."""
    flux_roots: FluxRoots = field(default_factory=FluxRoots)
    """Which root of Flux the hub's cluster was found to be."""
    integrity: Integrity = field(default_factory=Integrity)
    """Verifies the signatures that projects demand."""
