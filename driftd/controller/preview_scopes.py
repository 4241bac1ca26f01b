"""Kinds whose definition another application of the cluster brings: only it tells their scope."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

import msgspec
import orjson

from driftd.cluster.reader import Discovery
from driftd.controller.desired import Desired
from driftd.controller.preview_pairs import Pair
from driftd.model.resource import Manifest
from driftd.render.manifests import fitting

Kind: TypeAlias = tuple[str, str]
"""Group and kind."""


def settle_scopes(pairs: Collection[Pair], discovery: Discovery | None) -> None:
    """Remove the namespaces that objects without one were given for want of a definition.

    A rendering knows the kinds that the cluster serves and those that it defines itself.
    """
    sides = [side for pair in pairs for side in (pair.old, pair.new) if side is not None]
    kinds = {
        kind
        for side in sides
        for kind in _defined(side.manifests)
        if discovery is None or discovery.scope(*kind) is None
    }
    if not kinds:
        return
    for pair in pairs:
        pair.old = _settled(pair.old, kinds)
        pair.new = _settled(pair.new, kinds)


def _defined(manifests: Iterable[Manifest]) -> Iterator[Kind]:
    """The cluster-scoped kinds that definitions among the objects declare."""
    for one in manifests:
        if one.key.kind != "CustomResourceDefinition":
            continue
        spec = orjson.loads(one.body).get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        if isinstance(names, dict) and spec.get("scope") == "Cluster":
            yield str(spec.get("group")), str(names.get("kind"))


def _settled(side: Desired | None, kinds: Collection[Kind]) -> Desired | None:
    if side is None:
        return None
    return replace(
        side,
        manifests=tuple(_without_namespace(one, kinds) for one in side.manifests),
        not_compared=tuple(_without_namespace(one, kinds) for one in side.not_compared),
    )


def _without_namespace(manifest: Manifest, kinds: Collection[Kind]) -> Manifest:
    key = manifest.key
    if not key.namespace or (key.group, key.kind) not in kinds:
        return manifest
    value = orjson.loads(manifest.body)
    value["metadata"].pop("namespace", None)
    body = fitting(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
    return msgspec.structs.replace(
        manifest, key=msgspec.structs.replace(key, namespace=""), body=body
    )
