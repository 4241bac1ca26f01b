"""Roots of Flux that a flag or a name gives to a cluster whose own Flux syncs another root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from driftd.aio import gather_isolated
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.kubeconfig import KubeContext
from driftd.cluster.reader import ApiResource, ClusterReader
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError, NotServed
from driftd.flux.clusters import RootCluster, root_of
from driftd.flux.layout import Root
from driftd.flux.specs import flux_object
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject
from driftd.source.url import identity

WRONG_CLUSTER: Final = "ClusterMismatchWarning"
"""The type of the condition that a cluster's own Flux syncs another root than it was given."""


def _served(group: str, kind: str, plural: str, *versions: str) -> tuple[ApiResource, ...]:
    return tuple(
        ApiResource(f"{group}.toolkit.fluxcd.io", version, kind, plural, True, ("get",))
        for version in versions
    )


_KUSTOMIZATIONS = _served("kustomize", "Kustomization", "kustomizations", "v1", "v1beta2")
_REPOSITORIES = _served("source", "GitRepository", "gitrepositories", "v1", "v1beta2")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A root that was given to a cluster which another root is of."""

    root: Root
    context: str
    here: Root
    """The root that the cluster's Flux syncs."""
    flagged: bool
    """Whether a flag says so; else the context's name does."""

    def note(self) -> str:
        """The root's mapping and what contradicts it, in one line."""
        how = "--cluster" if self.flagged else "the context of that name"
        return (
            f"Flux root {self.root.name} is context {self.context} ({how}), but the Flux of that "
            f"cluster syncs {self.here.path or '.'}, which is root {self.here.name}: "
            f"{self._instead()}"
        )

    def condition(self) -> Condition:
        """The same for reports, with what it means for them."""
        text = (
            f"Flux root {self.root.name} is compared with context {self.context}, whose Flux syncs "
            f"{self.here.path or '.'} (root {self.here.name}): what is told of {self.root.name} "
            f"may be nothing but how the two roots differ; {self._instead()}"
        )
        return Condition(WRONG_CLUSTER, text, Severity.WARNING)

    def _instead(self) -> str:
        right = f"--cluster {self.here.name}={self.context}"
        if self.flagged:
            return f"give {right} in place of --cluster {self.root.name}={self.context}"
        return f"give {right}, and --cluster {self.root.name}=CONTEXT for this one"


async def mismatches(
    workspace: Workspace,
    roots: Sequence[Root],
    mapped: Mapping[str, RootCluster],
    flags: Mapping[str, str],
) -> dict[str, Mismatch]:
    """By name the roots whose cluster certainly is that of another root of the repository.

    That is: its Flux has the entry of the other one alone, from the repository that Git names
    there. What cannot be asked contradicts nothing.
    """
    # Of the others, the cluster's own Flux has told which they are.
    given = {
        root: mapped[root].context
        for root in mapped
        if mapped[root].context and (root in flags or mapped[root].context == root)
    }
    used = set(given.values())
    contexts = [one for one in workspace.contexts if one.name in used]
    if len(roots) < 2 or not contexts:
        return {}

    async def ask(context: KubeContext) -> Root | None:
        reader = workspace.clusters.open(target_of(context))
        synced = await live_entries(reader, roots, context.name)
        here = root_of(roots, synced)
        return here if here is not None and await _is_its(here, synced, reader) else None

    answers = await gather_isolated(ask, contexts, limit=len(contexts), isolate=DriftdError)
    here = {
        context.name: answer
        for context, answer in zip(contexts, answers, strict=True)
        if isinstance(answer, Root)
    }
    found: dict[str, Mismatch] = {}
    for root in roots:
        context = given.get(root.name, "")
        other = here.get(context)
        if other is not None and other is not root:
            found[root.name] = Mismatch(root, context, other, root.name in flags)
    return found


async def live_entries(
    reader: ClusterReader, roots: Sequence[Root], cluster: str
) -> list[FluxObject]:
    """The entries of roots as a cluster has them. Raises ClusterError if it cannot be asked."""
    names = {(entry.namespace, entry.name) for root in roots for entry in root.entries}
    found = [
        await _live(reader, _KUSTOMIZATIONS, namespace, name, cluster)
        for namespace, name in sorted(names)
    ]
    return [one for one in found if one is not None]


async def _live(
    reader: ClusterReader,
    versions: Sequence[ApiResource],
    namespace: str,
    name: str,
    cluster: str,
) -> FluxObject | None:
    for resource in versions:
        try:
            live = await reader.get(resource, namespace, name)
        except NotServed:
            continue
        one = flux_object(msgspec.json.decode(live.body), cluster) if live else None
        if one is not None:
            return one
    return None


async def _is_its(root: Root, synced: Sequence[FluxObject], reader: ClusterReader) -> bool:
    """Whether a live entry of a root has the repository that Git gives it: many have one path."""
    declared = {
        (one.namespace, one.name): url
        for one in root.sources
        if one.kind == "GitRepository" and (url := _url(one))
    }
    names = {(entry.namespace, entry.name) for entry in root.entries}
    for entry in synced:
        if (entry.namespace, entry.name) not in names:
            continue
        place = _source(entry)
        wanted = declared.get(place)
        live = await _live(reader, _REPOSITORIES, *place, entry.origin) if wanted else None
        if wanted and live is not None and _url(live) == wanted:
            return True
    return False


def _source(entry: FluxObject) -> tuple[str, str]:
    """Namespace and name of what a Kustomization takes."""
    spec = entry.body.get("spec")
    reference = spec.get("sourceRef") if isinstance(spec, dict) else None
    if not isinstance(reference, dict):
        return "", ""
    return str(reference.get("namespace") or entry.namespace), str(reference.get("name") or "")


def _url(source: FluxObject) -> str:
    spec = source.body.get("spec")
    url = spec.get("url") if isinstance(spec, dict) else None
    return identity(url) if isinstance(url, str) else ""


def target_of(context: KubeContext) -> ClusterTarget:
    """The cluster of a context."""
    return ClusterTarget(TargetKind.CONTEXT, context.name, context.server)
