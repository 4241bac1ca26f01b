"""Which line of Git sets a field of a rendered object, as far as it can be known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import msgspec

from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.tree import ResolvedSource
from driftd.render.renderer import source_document
from driftd.sandbox.pool import RenderApplication, SandboxPool, Wanted
from driftd.sandbox.results import Place

FIELDS = 500
"""How many fields of one source are looked for; nobody reads the lines of more."""
_BYTES = 8 << 20
_TIMEOUT = 10.0


async def field_places(
    app: Application,
    sources: Sequence[ResolvedSource],
    fields: Mapping[ResourceKey, Sequence[str]],
    manifests: Mapping[ResourceKey, Manifest],
    sandbox: SandboxPool,
    *,
    own: bool = False,
) -> dict[tuple[ResourceKey, str], Place]:
    """The places of some fields (`ssaPath`s by object); what is not certain is not there.

    With `own` also those that are fields of the application's own document, from its top.
    Templates say nothing of single fields. A failure leaves out its source and is no error: a
    verdict never depends on these lines.
    """
    asked = sorted(
        ((manifests[key], tuple(paths)) for key, paths in fields.items() if key in manifests),
        key=lambda one: (one[0].origin.source, one[0].key),
    )
    by_index = {source.index: source for source in sources}
    found: dict[tuple[ResourceKey, str], Place] = {}
    for index, group in groupby(asked, key=lambda one: one[0].origin.source):
        source, wanted = by_index.get(index), _bounded(group)
        if source is None or not wanted:
            continue
        try:
            answer = await sandbox.locate(
                source.tree,
                source_document(app, source),
                [one for _, one in wanted],
                application=RenderApplication.of(app),
                flux=app.flux.render if app.flux else None,
                timeout=_TIMEOUT,
            )
        except DriftdError:
            continue
        for (key, one), places in zip(wanted, answer.places, strict=True):
            for path, place in zip(one.paths, places, strict=True):
                if place is not None and place.own and own:
                    named = f"{_prefix(app, index)}/{place.own}"
                    found[key, path] = msgspec.structs.replace(place, own=named)
                elif place is not None and not place.own:
                    found[key, path] = place
    return found


def _prefix(app: Application, index: int) -> str:
    """Where the application's document has what the sandbox is told of a source."""
    if app.flux is not None:
        return "f:spec"
    return f"f:spec/f:sources/i:{index}" if app.spec.sources else "f:spec/f:source"


def _bounded(
    asked: Iterable[tuple[Manifest, tuple[str, ...]]],
) -> list[tuple[ResourceKey, Wanted]]:
    """What is asked of one source: the first fields, up to a number and a size of objects."""
    wanted: list[tuple[ResourceKey, Wanted]] = []
    count = size = 0
    for manifest, paths in asked:
        kept = paths[: FIELDS - count]
        count += len(kept)
        size += len(manifest.body)
        if not kept or size > _BYTES:
            break
        origin = manifest.origin
        if origin.file:
            one = Wanted(origin.file, origin.index, msgspec.Raw(manifest.body), kept)
            wanted.append((manifest.key, one))
    return wanted
