"""What a Kustomization that cannot be read would declare, as far as files tell without it. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from driftd.flux.layout import path_of
from driftd.model.application import Application
from driftd.model.flux import FluxObject
from driftd.model.tree import Tree
from driftd.render.reach import Reach

_APPLIED = ("Kustomization", "HelmRelease")


def hidden_below(
    application: Application, tree: Tree | None, written: Iterable[FluxObject]
) -> list[FluxObject]:
    """Those of `written` that an application's folder leads to.

    Where there is no such folder it is that one whose name is nearly its own. `tree` are the
    files that the application is read from, None if these are not known.
    """
    source = application.spec.source
    return _below(source.path or ".", tree, written) if source is not None else []


def hidden_by(
    kustomization: FluxObject, home: Tree | None, written: Iterable[FluxObject]
) -> list[FluxObject]:
    """Those of `written` that a Kustomization would lead to whose document is not usable.

    What its source is may not be known: then it is taken to be the repository that it lies in.
    """
    return _below(path_of(kustomization) or ".", home, written)


def _below(path: str, tree: Tree | None, written: Iterable[FluxObject]) -> list[FluxObject]:
    """What a folder leads to, directly or through the Kustomizations that lie in it."""
    candidates = [one for one in written if one.kind in _APPLIED]
    found: list[FluxObject] = []
    waiting = [path]
    while waiting and candidates:
        fresh = _in_folder(waiting.pop(), tree, candidates)
        candidates = [one for one in candidates if one not in fresh]
        found += fresh
        waiting += [path_of(one) or "." for one in fresh if one.kind == "Kustomization"]
    return found


def _in_folder(path: str, tree: Tree | None, candidates: Sequence[FluxObject]) -> list[FluxObject]:
    folder = posixpath.normpath(path).lstrip("/")
    if tree is not None:
        folder = _near(folder, tree, candidates)
    reached = _reached(folder, tree)
    # Of the whole repository a folder tells nothing: overlays lie in it that nobody applies.
    below = () if folder == "." else (f"{folder}/",)
    return [one for one in candidates if one.origin in reached or one.origin.startswith(below)]


def _near(folder: str, tree: Tree, candidates: Sequence[FluxObject]) -> str:
    if folder == "." or any(file.startswith(f"{folder}/") for file in tree.files):
        return folder
    folders = {posixpath.dirname(file) for file in tree.files}
    folders |= {posixpath.dirname(one.origin) for one in candidates}
    near = get_close_matches(folder, sorted(folders), n=1, cutoff=0.6)
    return near[0] if near else folder


def _reached(folder: str, tree: Tree | None) -> frozenset[str]:
    """The files that the kustomization of a folder leads to."""
    if tree is None:
        return frozenset()
    top = Reach(tree, "").kustomization_of(folder)
    return frozenset(Reach(tree, top).files) if top else frozenset()
