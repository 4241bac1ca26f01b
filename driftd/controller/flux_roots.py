"""Which Flux root a hub's cluster is, by the repository that its own Kustomizations come from.

Applications are named by it as a look at that repository names them: rules, baselines and history
go by names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from driftd.errors import DriftdError
from driftd.flux.clusters import root_of
from driftd.flux.discover import read_layout
from driftd.flux.layout import Root
from driftd.model.application import Application
from driftd.model.flux import FluxObject
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories


@dataclass(slots=True)
class FluxRoots:
    """What the looks of one process have found out."""

    prefix: str | None = None
    """What the names begin with; None before it was known."""
    _layouts: dict[str, tuple[Root, ...]] = field(default_factory=dict)
    """The roots of each tree that was read last, by the tree's id."""

    async def look(
        self,
        live: Sequence[FluxObject],
        applications: Iterable[Application],
        urls: frozenset[str],
        repositories: Repositories,
        sandbox: SandboxPool,
    ) -> str:
        """What the names begin with: `ROOT/` where the repository has several; else empty.

        `live` are all Kustomizations of the cluster, `applications` what is made of them. Where a
        repository cannot be read, names stay as they were.
        """
        unread = False
        layouts: dict[str, tuple[Root, ...]] = {}
        found: str | None = None
        for application in entries(applications):
            resolution = await repositories.resolve(application, urls)
            if not resolution.sources:
                unread = True
                continue
            tree = resolution.sources[0].tree
            try:
                roots = await self._roots(tree, sandbox)
            except DriftdError:
                unread = True
                continue
            layouts[tree.id] = roots
            root = root_of(roots, live)
            if root is not None:
                found = f"{root.name}/" if len(roots) > 1 else ""
                break
        self._layouts = layouts
        if unread and self.prefix is not None:
            return self.prefix
        if found is not None:
            self.prefix = found
        return found or ""

    async def _roots(self, tree: Tree, sandbox: SandboxPool) -> tuple[Root, ...]:
        known = self._layouts.get(tree.id)
        return (await read_layout(tree, sandbox)).roots if known is None else known


def entries(applications: Iterable[Application]) -> list[Application]:
    """The Kustomizations that none other applies, one of each repository and revision."""
    found: dict[tuple[str, str], Application] = {}
    for one in applications:
        flux, source = one.flux, one.spec.source
        if flux is None or flux.kind != "Kustomization" or source is None:
            continue
        if flux.applied_by in ("", f"{one.namespace}/{flux.object_name}"):
            found.setdefault((source.repo_url, source.target_revision), one)
    return list(found.values())
