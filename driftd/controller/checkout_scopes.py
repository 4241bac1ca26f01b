"""Scopes of kinds that neither a cluster tells nor the application: definitions in the checkout."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from driftd.cluster.reader import Discovery
from driftd.controller.desired import Desired, definitions
from driftd.controller.homes import trusted_homes
from driftd.controller.preview_scopes import Kind, cluster_scoped
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool

_PROJECT = "driftd-catalog"
_SUFFIXES = (".yaml", ".yml", ".json")
_DEFINITION = b"CustomResourceDefinition"


async def checkout_kinds(
    workspace: Workspace, sides: Iterable[Desired], discovery: Discovery | None
) -> frozenset[Kind]:
    """The cluster-scoped kinds among the objects that only definitions in the checkout tell.

    Definitions count in plain files, whichever application applies them; templates of charts are
    not read. Nothing is read where every kind is known.
    """
    wanted: set[Kind] = set()
    for side in sides:
        every = (*side.manifests, *side.not_compared)
        own = definitions(every)
        kinds = {(one.key.group, one.key.kind) for one in every if one.key.namespace}
        wanted |= {
            kind
            for kind in kinds
            if kind not in own
            and "." in kind[0]  # no definition can be of any other group
            and (discovery is None or discovery.scope(*kind) is None)
        }
    if not wanted:
        return frozenset()
    try:
        readings, _ = await trusted_homes(workspace)
        found = [await _defined(one.tree, wanted, workspace.sandbox) for one in readings]
    except DriftdError:
        return frozenset()
    return frozenset[Kind]().union(*found)


async def may_define(workspace: Workspace, wanted: Collection[Kind]) -> frozenset[Kind]:
    """Those of some kinds of which any file of the checkout may be a definition.

    Templates and texts count too, so that of the others it is certain. All where it cannot be read.
    """
    try:
        readings, _ = await trusted_homes(workspace)
    except DriftdError:
        return frozenset(wanted)
    files = [data for one in readings for data in one.tree.files.values() if _DEFINITION in data]
    return frozenset(
        (group, kind)
        for group, kind in wanted
        if any(group.encode() in data and kind.encode() in data for data in files)
    )


async def _defined(tree: Tree, wanted: Collection[Kind], sandbox: SandboxPool) -> set[Kind]:
    """The cluster-scoped ones among the wanted kinds, as plain files of a tree define them."""
    names = [(group.encode(), kind.encode()) for group, kind in wanted]
    files = sorted(
        path
        for path, data in tree.files.items()
        if path.endswith(_SUFFIXES)
        and _DEFINITION in data
        and any(group in data and kind in data for group, kind in names)
    )
    if not files:
        return set()
    parsed = await sandbox.parse(tree, files, project=_PROJECT)
    kinds = {
        kind
        for document in parsed.documents
        if (kind := cluster_scoped(msgspec.json.decode(document.object))) is not None
    }
    return kinds.intersection(wanted)
