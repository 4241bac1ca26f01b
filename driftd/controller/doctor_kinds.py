"""Kinds that Git declares and a cluster does not serve, as `driftd doctor` tells them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from driftd.cluster.reader import Discovery
from driftd.controller.desired import Desired, definitions
from driftd.controller.places import field_path, located, place_of, places_named
from driftd.controller.unserved import Unserved, unserved
from driftd.controller.workspace import Workspace
from driftd.model.counts import counted
from driftd.model.resource import GVK, Manifest

_NAMED = 5
_INSTALL = (
    "install the CustomResourceDefinitions, correct apiVersion and kind in Git, or name the right "
    "cluster with --context or --cluster"
)


@dataclass(slots=True)
class _Kind:
    found: Unserved
    first: Manifest
    places: list[str] = field(default_factory=list)


async def kind_problems(
    workspace: Workspace,
    desired: Sequence[Desired],
    discovery: Discovery,
    *,
    urls: frozenset[str],
) -> list[tuple[str, str]]:
    """What is wrong and what to do, for each kind that was misspelt and for all others together.

    `desired` are the applications of the cluster. Kinds that one of them declares the definition
    of, and those whose discovery failed, are none.
    """
    kinds: dict[GVK, _Kind] = {}
    defined = definitions(manifest for one in desired for manifest in one.manifests)
    for one in desired:
        wanted = _unserved(one.manifests, discovery, defined)
        paths = {manifest.key: [field_path(found)] for manifest, found in wanted}
        lines = await located(workspace, one, paths, urls=urls)
        for manifest, found in wanted:
            kind = kinds.setdefault(manifest.gvk, _Kind(found, manifest))
            kind.places.append(place_of(manifest, lines.get((manifest.key, field_path(found)))))
    return list(_told(dict(sorted(kinds.items()))))


def _unserved(
    manifests: Iterable[Manifest],
    discovery: Discovery,
    defined: Mapping[tuple[str, str], Manifest],
) -> list[tuple[Manifest, Unserved]]:
    found = []
    for manifest in manifests:
        key = manifest.key
        if (key.group, key.kind) in defined or discovery.failure(key.group, manifest.version):
            continue
        why = unserved(manifest.gvk, discovery)
        if why is not None:
            found.append((manifest, why))
    return found


def _told(kinds: Mapping[GVK, _Kind]) -> Iterable[tuple[str, str]]:
    lacking: dict[str, str] = defaultdict(str)
    for gvk, kind in kinds.items():
        places = places_named(kind.places)
        if kind.found.is_slip:
            name = f"{kind.first.key.kind} {kind.first.key.name}"
            more = f" and {len(kind.places) - 1} more" if len(kind.places) > 1 else ""
            where = f"{places}: " if places else ""
            yield f"{where}{kind.found.what} ({name}{more})", kind.found.remedy
        else:
            lacking[f"{gvk.api_version} {gvk.kind}"] = f" ({places})" if places else ""
    if lacking:
        names = [f"{name}{places}" for name, places in lacking.items()]
        rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        listed = ", ".join(names[:_NAMED]) + rest
        yield f"{counted(len(names), 'declared kind')} not served: {listed}", _INSTALL
