"""What is wrong with a manifest itself, of an object that is not compared with a live one."""

from __future__ import annotations

import orjson
from msgspec import UNSET, UnsetType

from driftd.controller.observed import Observation
from driftd.diff.invalid import first
from driftd.model.report import Invalid
from driftd.model.resource import Manifest


def mistake_of(manifest: Manifest, observation: Observation) -> Invalid | UnsetType:
    """The first mistake, as the cluster's schema of the kind shows it; UNSET if it shows none."""
    node = observation.schemas.node(manifest.gvk)
    if node is None:
        return UNSET
    try:
        return first(orjson.loads(manifest.body), node) or UNSET
    except RecursionError:
        return UNSET
