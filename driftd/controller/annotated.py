"""What the annotations of a declared object say to Argo CD and Flux. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from driftd.model.resource import Manifest

SYNC_OPTIONS: Final = "argocd.argoproj.io/sync-options"


def annotations_of(manifest: Manifest | None) -> Mapping[str, Any]:
    """The annotations that Git declares; none where there is no object."""
    if manifest is None:
        return {}
    found = (orjson.loads(manifest.body).get("metadata") or {}).get("annotations")
    return found if isinstance(found, dict) else {}


def sync_options_of(manifest: Manifest | None) -> frozenset[str]:
    """The sync options of one object (Argo CD, sync options), each as `NAME=VALUE`."""
    text = str(annotations_of(manifest).get(SYNC_OPTIONS, ""))
    return frozenset(one.strip() for one in text.split(","))
