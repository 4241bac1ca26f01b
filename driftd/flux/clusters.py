"""Which context is the cluster of a Flux root. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from driftd.cluster.kubeconfig import KubeContext
from driftd.flux.layout import Root, path_of
from driftd.model.flux import FluxObject


class RootCluster(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a root's cluster."""

    context: str = ""
    """Empty if it is not known."""
    note: str = ""
    """How it was found, for people."""
    elsewhere: bool = False
    """Whether it is known to be none of the clusters at hand."""
    problem: str = ""
    """Why the cluster at hand could not be asked which root's it is; empty if it was."""


def by_name(
    roots: Sequence[Root], cluster_map: Mapping[str, str], contexts: Sequence[KubeContext]
) -> dict[str, RootCluster]:
    """The roots that `--cluster NAME=CONTEXT` or a context of their name settles, by name."""
    known = {context.name for context in contexts}
    found: dict[str, RootCluster] = {}
    for root in roots:
        if root.name in cluster_map:
            context = cluster_map[root.name]
            note = f"Flux root {root.name} is context {context} (--cluster)"
            found[root.name] = RootCluster(context=context, note=note)
        elif root.name in known:
            note = f"Flux root {root.name} is the context of that name"
            found[root.name] = RootCluster(context=root.name, note=note)
    return found


def own_context(contexts: Sequence[KubeContext], flag: str) -> KubeContext | None:
    """The context that is meant without saying so: that of `--context`, else the only one."""
    if flag:
        return next((one for one in contexts if one.name == flag), None)
    return contexts[0] if len(contexts) == 1 else None


def by_live(
    roots: Sequence[Root], own: KubeContext, synced: Sequence[FluxObject]
) -> dict[str, RootCluster]:
    """The roots told apart by the Kustomizations that the own cluster really has.

    Empty if none of them, or more than one, is a root's entry.
    """
    here = root_of(roots, synced)
    if here is None:
        return {}
    note = f"Flux root {here.name} is context {own.name}: its Flux syncs {here.path or '.'}"
    others = {root.name: RootCluster(elsewhere=True) for root in roots if root is not here}
    return {here.name: RootCluster(context=own.name, note=note), **others}


def root_of(roots: Sequence[Root], synced: Sequence[FluxObject]) -> Root | None:
    """The root whose entry is among a cluster's Kustomizations; None without one, or of several."""
    live = {(one.namespace, one.name, path_of(one)) for one in synced}
    matching = [
        root
        for root in roots
        if any((e.namespace, e.name, path_of(e)) in live for e in root.entries)
    ]
    return matching[0] if len(matching) == 1 else None
