"""Variables of Flux that nothing sets: mostly a name that is misspelt. Pure.

Flux says nothing of them and puts nothing in their place.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from driftd.model.application import Application
from driftd.model.choices import nearest
from driftd.model.condition import Condition, Severity
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.reach import Reach
from driftd.sandbox.results import Document, RenderResult

UNDEFINED: Final = "UndefinedVariableWarning"
_NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_SHOWN: Final = 10
_OBJECTS: Final = 3
_LARGEST: Final = 1 << 20
_COMMENT: Final = re.compile(r"^\s*#")


def undefined_variables(
    app: Application, source: ResolvedSource, result: RenderResult
) -> list[Condition]:
    """A warning for each variable that objects of a source use and that nothing sets."""
    if not result.undefined or app.flux is None:
        return []
    used: dict[str, list[Document]] = {}
    for document in result.documents:
        for name in result.undefined.get(document.index, ()):
            used.setdefault(name, []).append(document)
    known = sorted(app.flux.render["kustomization"]["substitute"]["vars"])
    owner = f"{app.flux.kind} {app.namespace}/{app.flux.object_name}"
    told = []
    for name in list(used)[:_SHOWN]:
        place = _place(name, used[name], source, app)
        near = nearest(known, name).strip().replace(" mean ", " mean ${").replace("?", "}?")
        remedy = near or f"set it there, or write ${{{name}:=DEFAULT}}"
        text = (
            f"{f'{place}: ' if place else ''}${{{name}}} is not set by spec.postBuild of {owner}: "
            f"Flux puts nothing in its place in {_objects(used[name])}; {remedy}"
        )
        told.append(Condition(UNDEFINED, text, Severity.WARNING))
    if len(used) > _SHOWN:
        names = ", ".join(f"${{{name}}}" for name in list(used)[_SHOWN:])
        text = f"spec.postBuild of {owner} does not set these either: {names}"
        told.append(Condition(UNDEFINED, text, Severity.WARNING))
    return told


def _objects(documents: Sequence[Document]) -> str:
    names = []
    for one in documents[:_OBJECTS]:
        body = orjson.loads(bytes(one.object))
        names.append(f"{body.get('kind')} {(body.get('metadata') or {}).get('name')}")
    rest = len(documents) - _OBJECTS
    return f"{', '.join(names)}{f' and {rest} more' if rest > 0 else ''}"


def _place(
    name: str, documents: Sequence[Document], source: ResolvedSource, app: Application
) -> str:
    """`FILE:LINE` that uses a variable: of an object, of what is built with it, or of the owner."""
    wanted = re.compile(rf"(?<!\$)\$\{{#?{re.escape(name)}(?![A-Za-z0-9_])")
    for file in _files(documents, source, app):
        line = _line(source.tree, file, wanted)
        if line:
            return f"{file}:{line}"
    return ""


def _files(
    documents: Sequence[Document], source: ResolvedSource, app: Application
) -> Iterator[str]:
    yield from (one.file for one in documents if one.file)
    folder = posixpath.normpath(source.source.path or ".")
    tops = [posixpath.join("" if folder == "." else folder, name) for name in _NAMES]
    reach = Reach(source.tree, next((top for top in tops if top in source.tree.files), tops[0]))
    yield from reach.kustomizations
    yield from reach.files
    yield app.origin


def _line(tree: Tree, file: str, wanted: re.Pattern[str]) -> int:
    data = tree.files.get(file, b"")
    if len(data) > _LARGEST:
        return 0
    for number, line in enumerate(bytes(data).decode(errors="replace").splitlines(), 1):
        if wanted.search(line) and not _COMMENT.match(line):
            return number
    return 0
