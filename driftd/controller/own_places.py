"""The lines of Git that give fields of an application's own document: of its file, or a patch."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from driftd.controller.declared import Declared
from driftd.controller.rendered import rendering
from driftd.controller.renders import application_above
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.render.locate import field_places
from driftd.render.trace import declaring_file
from driftd.sandbox.pool import RenderApplication, Wanted
from driftd.sandbox.results import Place

_TIMEOUT = 10.0


async def own_places(
    workspace: Workspace, declared: Declared, application: Application, paths: Sequence[str]
) -> Mapping[str, Place]:
    """The lines that set some fields (`ssaPath`s) of an application's document.

    What renders the document is rendered once more: an overlay may have changed what its file
    says. Nothing for live documents, for those that a set generates, and where the sources cannot
    be read.
    """
    if not paths or not declaring_file(application):
        return {}
    above = application_above(declared.applications, application)
    try:
        if above is None:
            return await _in_file(workspace, application, paths)
        return await _below(workspace, declared, above, application, paths)
    except DriftdError:
        return {}


async def _below(
    workspace: Workspace,
    declared: Declared,
    above: Application,
    application: Application,
    paths: Sequence[str],
) -> Mapping[str, Place]:
    sources = (await workspace.repositories.resolve(above, declared.urls)).sources
    rendered = await rendering(above, sources, workspace.sandbox, None, "")
    wanted = _named(application)
    for one in rendered.manifests:
        key = one.key
        if (key.kind, key.name) == wanted and key.namespace in ("", application.namespace):
            found = await field_places(above, sources, {key: paths}, {key: one}, workspace.sandbox)
            return {path: place for (_, path), place in found.items()}
    return {}


async def _in_file(
    workspace: Workspace, application: Application, paths: Sequence[str]
) -> Mapping[str, Place]:
    """The lines in the file itself, which nothing is known to render."""
    file = declaring_file(application)
    kind, name = _named(application)
    document: dict[str, Any] = {"kind": kind, "metadata": {"name": name}}
    body = msgspec.Raw(msgspec.json.encode(document))
    readings, _ = await workspace.repositories.homes()
    for reading in readings:
        if file not in reading.tree.files:
            continue
        answer = await workspace.sandbox.locate(
            reading.tree,
            {"path": posixpath.dirname(file) or ".", "directory": {}},
            [Wanted(file, -1, body, tuple(paths))],
            application=RenderApplication.of(application),
            timeout=_TIMEOUT,
        )
        (places,) = answer.places
        return {path: at for path, at in zip(paths, places, strict=True) if at is not None}
    return {}


def _named(application: Application) -> tuple[str, str]:
    flux = application.flux
    return ("Application", application.name) if flux is None else (flux.kind, flux.object_name)


def path_of(steps: Sequence[str | int]) -> str:
    """The `ssaPath` of steps of names and positions.

    >>> path_of(("spec", "images", 0))
    'f:spec/f:images/i:0'
    """
    return "/".join(
        f"i:{step}" if isinstance(step, int) else f"f:{step.replace('~', '~0').replace('/', '~1')}"
        for step in steps
    )
