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
from driftd.model.resource import Json, Manifest
from driftd.render.manifests import fitting

Kind: TypeAlias = tuple[str, str]
"""Group and kind."""


def settle_scopes(
    pairs: Collection[Pair], discovery: Discovery | None, further: Collection[Kind] = ()
) -> None:
    """Remove the namespaces that objects without one were given for want of a definition.

    A rendering knows the kinds that the cluster serves and those that it defines itself;
    `further` are cluster-scoped kinds that are known otherwise.
    """
    sides = [side for pair in pairs for side in (pair.old, pair.new) if side is not None]
    kinds = {
        kind
        for side in sides
        for kind in _defined(side.manifests)
        if discovery is None or discovery.scope(*kind) is None
    } | set(further)
    if not kinds:
        return
    for pair in pairs:
        pair.old = without_namespaces(pair.old, kinds) if pair.old is not None else None
        pair.new = without_namespaces(pair.new, kinds) if pair.new is not None else None


def _defined(manifests: Iterable[Manifest]) -> Iterator[Kind]:
    """The cluster-scoped kinds that definitions among the objects declare."""
    for one in manifests:
        if one.key.kind != "CustomResourceDefinition":
            continue
        kind = cluster_scoped(orjson.loads(one.body))
        if kind is not None:
            yield kind


def cluster_scoped(definition: Json) -> Kind | None:
    """The kind that a document defines for the whole cluster; None if it defines none such."""
    if not isinstance(definition, dict) or definition.get("kind") != "CustomResourceDefinition":
        return None
    spec = definition.get("spec")
    if not isinstance(spec, dict) or spec.get("scope") != "Cluster":
        return None
    names = spec.get("names")
    if isinstance(names, dict):
        return str(spec.get("group")), str(names.get("kind"))
    return None


def without_namespaces(side: Desired, kinds: Collection[Kind]) -> Desired:
    """What is declared, objects of these kinds without the namespace that they were given."""
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
