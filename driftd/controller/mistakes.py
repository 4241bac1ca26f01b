"""What is wrong with a manifest itself, whatever the cluster has in its place."""

from __future__ import annotations

import orjson
from msgspec import UNSET, UnsetType

from driftd.controller.observed import Observation
from driftd.diff import refused
from driftd.diff.invalid import first
from driftd.model.report import Invalid
from driftd.model.resource import Manifest


def mistake_of(manifest: Manifest, observation: Observation) -> Invalid | UnsetType:
    """The first mistake that the cluster's schema of the kind shows, else what it refuses all the
    same; UNSET without either, and where the cluster publishes no schema.
    """
    node = observation.schemas.node(manifest.gvk)
    if node is None:
        return UNSET
    try:
        body = orjson.loads(manifest.body)
        return first(body, node) or refused.first(body, manifest.key) or UNSET
    except RecursionError:
        return UNSET


def is_valid(manifest: Manifest) -> bool:
    """Whether no rule beyond the schema is known by which the API server refuses a manifest."""
    try:
        return refused.first(orjson.loads(manifest.body), manifest.key) is None
    except RecursionError:
        return True
