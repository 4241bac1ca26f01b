"""What is wrong with a manifest itself, whatever the cluster has in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import UNSET, UnsetType

from driftd.controller.observed import Observation
from driftd.diff import refused
from driftd.diff.invalid import first
from driftd.diff.paths import escape
from driftd.diff.schema import Node
from driftd.flux.fields import misspelt, unknown
from driftd.model.report import Invalid
from driftd.model.resource import Manifest


def mistake_of(manifest: Manifest, observation: Observation | None) -> Invalid | UnsetType:
    """The first mistake that the cluster's schema of the kind shows, else what every API server
    refuses, else a slip in a field of Flux's; UNSET without any.

    Without the cluster, or its schema of the kind, the first is not known.
    """
    node = observation.schemas.node(manifest.gvk) if observation is not None else None
    try:
        body = orjson.loads(manifest.body)
        found = first(body, node) if node is not None else None
        return found or refused.first(body, manifest.key) or _of_flux(body, node) or UNSET
    except RecursionError:
        return UNSET


def _of_flux(body: Mapping[str, Any], node: Node | None) -> Invalid | None:
    """A field that Flux does not know; `node` is what the cluster says of the kind."""

    def served(path: tuple[str, ...]) -> tuple[str, ...]:
        if node is None:
            return ()
        inner = node
        for step in path:
            inner = inner.item if step.isdigit() else inner.child(step)
        return inner.fields

    found = misspelt(body) or unknown(body, served)
    if found is None:
        return None
    place = ".".join(found.path[:-1])
    above = "".join(f"/{escape(step)}" for step in found.path[:-1])
    what = f"{body['kind']} of Flux has no field {found.path[-1]} in {place}"
    if found.meant:
        what += f": Flux never reads it; did you mean {found.meant}?"
    else:
        what += " in any version known here: it is dropped or refused; correct or remove it"
    return Invalid(
        cause="UnknownField",
        path=f"{above}/{escape(found.path[-1])}",
        message=what,
        meant=f"{above}/{found.meant}" if found.meant else UNSET,
    )


def is_valid(manifest: Manifest) -> bool:
    """Whether no rule beyond the schema is known by which the API server refuses a manifest."""
    try:
        return refused.first(orjson.loads(manifest.body), manifest.key) is None
    except RecursionError:
        return True
