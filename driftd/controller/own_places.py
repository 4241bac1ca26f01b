"""The lines of Git that give fields of an application's own document: of its file, or a patch."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from driftd.controller.declared import Declared
from driftd.controller.rendered import rendering
from driftd.controller.renders import application_above
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.resource import ResourceKey
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.locate import field_places
from driftd.render.trace import declaring_file
from driftd.sandbox.pool import RenderApplication, Wanted
from driftd.sandbox.results import Place
from driftd.source.url import identity

_TIMEOUT = 10.0
_BLOCK = re.compile(r":[ \t]+[|][-+]?[ \t]*(?:#.*)?$")
"""How a text begins of which each line is one of the file."""
Own = tuple[str, int]
"""A field (`ssaPath`) of an application's document, and how many lines below it in its text."""
_Found = tuple[Mapping[str, Place], Tree, str]
"""The places of some fields, the files that they are in, and the repository; empty for the first
checkout.
"""


async def with_own(
    workspace: Workspace,
    declared: Declared,
    application: Application,
    found: Mapping[tuple[ResourceKey, str], Place],
    sources: Mapping[ResourceKey, ResolvedSource],
) -> Mapping[tuple[ResourceKey, str], Place]:
    """Places, those in the application's own document as lines of Git; without them where unknown.

    `sources` are those of the objects: the repository is named where it is another one.
    """
    asked = {(one.own, one.line) for one in found.values() if one.own}
    if not asked:
        return found
    lines = await own_places(workspace, declared, application, sorted(asked))
    told = {}
    for (key, path), one in found.items():
        at = lines.get((one.own, one.line)) if one.own else one
        if at is None:
            continue
        if identity(at.repo_url) == identity(sources[key].repo_url):
            at = msgspec.structs.replace(at, repo_url="")
        told[key, path] = at
    return told


async def own_places(
    workspace: Workspace, declared: Declared, application: Application, asked: Sequence[Own]
) -> Mapping[Own, Place]:
    """The lines that set some fields of an application's document.

    What renders the document is rendered once more: an overlay may have changed what its file
    says. Nothing for live documents, for those that a set generates, and where the sources cannot
    be read.
    """
    if not asked or not declaring_file(application):
        return {}
    above = application_above(declared.applications, application)
    paths = list(dict.fromkeys(path for path, _ in asked))
    try:
        if above is None:
            found = await _in_file(workspace, application, paths)
        else:
            found = await _below(workspace, declared, above, application, paths)
    except DriftdError:
        return {}
    if found is None:
        return {}
    places, tree, url = found
    return {
        (path, below): msgspec.structs.replace(_moved(places[path], tree, below), repo_url=url)
        for path, below in asked
        if path in places
    }


def _moved(place: Place, tree: Tree, below: int) -> Place:
    """The line of a text that begins at a place; the place where its lines are not the file's."""
    lines = bytes(tree.files.get(place.file, b"")).decode(errors="replace").splitlines()
    if not below or place.line > len(lines) or not _BLOCK.search(lines[place.line - 1]):
        return place
    return msgspec.structs.replace(place, line=place.line + below)


async def _below(
    workspace: Workspace,
    declared: Declared,
    above: Application,
    application: Application,
    paths: Sequence[str],
) -> _Found | None:
    sources = (await workspace.repositories.resolve(above, declared.urls)).sources
    rendered = await rendering(above, sources, workspace.sandbox, None, "")
    wanted = _named(application)
    for one in rendered.manifests:
        key = one.key
        if (key.kind, key.name) == wanted and key.namespace in ("", application.namespace):
            found = await field_places(above, sources, {key: paths}, {key: one}, workspace.sandbox)
            source = next(each for each in sources if each.index == one.origin.source)
            places = {path: place for (_, path), place in found.items()}
            return places, source.tree, source.repo_url
    return None


async def _in_file(
    workspace: Workspace, application: Application, paths: Sequence[str]
) -> _Found | None:
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
        known = {path: at for path, at in zip(paths, places, strict=True) if at is not None}
        return known, reading.tree, reading.home.url if reading.home else ""
    return None


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
