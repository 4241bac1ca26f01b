"""What is wrong with a manifest itself, whatever the cluster has in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import UNSET, UnsetType

from driftd.controller.observed import Observation
from driftd.diff import refused
from driftd.diff.incomplete import doubled, lacking, missing, with_lacking
from driftd.diff.invalid import first
from driftd.diff.paths import escape
from driftd.diff.schema import Node
from driftd.flux import fields
from driftd.model.report import Invalid
from driftd.model.resource import Manifest


def mistake_of(
    manifest: Manifest, observation: Observation | None, *, whole: bool = True
) -> Invalid | UnsetType:
    """The first mistake that the cluster's schema of the kind shows, else what every API server
    refuses, else a slip in a field of Flux's; UNSET without any.

    Without the cluster, or its schema of the kind, the first is not known. Required fields are
    asked for where the manifest is the `whole` object: what others own of a live one may have them.
    """
    node = observation.schemas.node(manifest.gvk) if observation is not None else None
    try:
        body = orjson.loads(manifest.body)
        found = mistake_in(body, node, whole=whole) if node is not None else None
        found = found or refused.first(body, manifest.key)
        return found or _of_flux(body, node, whole=whole) or UNSET
    except RecursionError:
        return UNSET


def mistake_in(body: Mapping[str, Any], node: Node, *, whole: bool = True) -> Invalid | None:
    """The first mistake that the schema of a kind shows in a declared object, `whole` or in part.

    A required field that is not there tells more than the slip that is the likely cause.
    """
    found = first(body, node)
    wanted = lacking(body, node) if whole else None
    if wanted is not None and (found is None or found.cause == "UnknownField"):
        return wanted if found is None else with_lacking(found, wanted)
    return found or doubled(body, node)


def _of_flux(body: Mapping[str, Any], node: Node | None, *, whole: bool) -> Invalid | None:
    """A field that Flux does not know or must have; `node` is the cluster's word on the kind."""
    strange, wanted = _strange(body, node), fields.lacking(body) if whole else ""
    if not wanted:
        return strange
    required = missing(("spec", wanted))
    return required if strange is None else with_lacking(strange, required)


def _strange(body: Mapping[str, Any], node: Node | None) -> Invalid | None:
    """A field that Flux does not know."""

    def served(path: tuple[str, ...]) -> tuple[str, ...]:
        if node is None:
            return ()
        inner = node
        for step in path:
            inner = inner.item if step.isdigit() else inner.child(step)
        return inner.fields

    found = fields.misspelt(body) or fields.unknown(body, served)
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
