"""What a look works with: repositories, the sandbox, clusters and the hub, behind Protocols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.hub import Hub
from driftd.cluster.kubeconfig import KubeContext
from driftd.cluster.reader import ClusterReader
from driftd.controller.rendered import RenderMemory
from driftd.diff.schema import SchemaSet
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories
from driftd.store.protocol import Memory
from driftd.model.severities import SeverityRules

Progress: TypeAlias = Callable[[str], None]
"""Takes what the look is doing; a text that begins with `note: ` is meant to stay."""


class Clusters(Protocol):
    """Opens clusters, each at most once."""

    def open(self, target: ClusterTarget) -> ClusterReader:
        """A reader of the cluster; raises ConfigError for a wrong description."""
        ...


class SchemaMemory:
    """Compiled schemas of earlier looks; documents are many megabytes and seldom change."""

    def __init__(self) -> None:
        self._sets: dict[ClusterTarget, tuple[dict[str, str], SchemaSet]] = {}

    def hashes(self, target: ClusterTarget) -> dict[str, str]:
        """The documents that are known of a cluster: group version to content hash."""
        return self._sets[target][0] if target in self._sets else {}

    def known(self, target: ClusterTarget) -> SchemaSet:
        """The compiled schemas of those documents."""
        return self._sets[target][1] if target in self._sets else SchemaSet(())

    def keep(self, target: ClusterTarget, hashes: dict[str, str], schemas: SchemaSet) -> None:
        """Remember what a look has compiled."""
        self._sets[target] = (hashes, schemas)


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
    hub: Hub | None = None
    schemas: SchemaMemory = field(default_factory=SchemaMemory)
    rendered: RenderMemory | None = None
    """Renderings that later looks use again; None where there is one look."""
    memory: Memory | None = None
    """What earlier looks left behind; None where a look stands alone."""
    severities: SeverityRules | None = None
    """An operator's severity rules above the shipped ones; None for these alone."""
