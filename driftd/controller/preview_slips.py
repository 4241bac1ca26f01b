"""Documents whose kind a change misspells: what they were meant to declare is not deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from driftd.flux.slips import slip_of
from driftd.model.flux import GROUPS
from driftd.model.resource import Manifest, ResourceKey


def keep_misspelt(gone: dict[ResourceKey, Any], come: Iterable[Manifest | None]) -> None:
    """Take out of `gone` what a document with a slip in its kind was meant to declare.

    Flux refuses such a document, and with it the whole apply: nothing is pruned.
    """
    for manifest in come:
        slip = slip_of(orjson.loads(manifest.body), "") if manifest is not None else None
        if slip is None or manifest is None:
            continue
        key = manifest.key
        meant = ResourceKey(GROUPS[slip.meant.kind], slip.meant.kind, key.namespace, key.name)
        gone.pop(meant, None)
