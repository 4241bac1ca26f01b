"""The lines of Git that give a HelmRelease its values: its own file, and patches of overlays."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from driftd.controller.declared import Declared
from driftd.controller.field_paths import field_paths
from driftd.controller.rendered import rendering
from driftd.controller.renders import application_above
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.render.locate import FIELDS, field_places

_VALUES = "f:spec/f:values"


async def release_lines(
    workspace: Workspace, declared: Declared, application: Application
) -> Mapping[str, tuple[int, ...]]:
    """By file the lines that set `spec.values` of a HelmRelease, as far as they can be found.

    The Kustomization that the release comes from is rendered once more. Nothing for any other
    application, for a live release, and where the sources cannot be read.
    """
    flux = application.flux
    if flux is None or flux.kind != "HelmRelease" or "spec.values" not in flux.values:
        return {}
    above = application_above(declared.applications, application)
    if above is None:
        return {}
    try:
        sources = (await workspace.repositories.resolve(above, declared.urls)).sources
        rendered = await rendering(above, sources, workspace.sandbox, None, "")
    except DriftdError:
        return {}
    release = next(
        (
            one
            for one in rendered.manifests
            if (one.key.kind, one.key.name) == ("HelmRelease", flux.object_name)
            and one.key.namespace in ("", application.namespace)
        ),
        None,
    )
    if release is None:
        return {}
    values = (orjson.loads(release.body).get("spec") or {}).get("values")
    paths = list(field_paths(values, _VALUES))[:FIELDS]
    places = await field_places(
        above, sources, {release.key: paths}, {release.key: release}, workspace.sandbox
    )
    found: dict[str, set[int]] = {}
    for place in places.values():
        found.setdefault(place.file, set()).add(place.line)
    return {file: tuple(sorted(lines)) for file, lines in sorted(found.items())}
