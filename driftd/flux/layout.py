"""Where Flux begins in a repository: the Kustomizations that nothing else has to apply. Pure."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from driftd.model.flux import FluxObject
from driftd.model.tree import Tree

_SUFFIXES = (".yaml", ".yml")
_MARK = b".toolkit.fluxcd.io/"


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """The entry of one cluster: what is applied by hand (`flux bootstrap`), the rest follows."""

    name: str
    """What the cluster is called: the last part of its path that tells it from others."""
    path: str
    """The folder that holds the cluster's Flux objects, without `./`."""
    entries: tuple[FluxObject, ...]
    """The Kustomizations to begin with."""
    sources: tuple[FluxObject, ...] = ()
    """Everything else that lies in the folder as plain documents."""
    synced: bool = True
    """Whether the entries apply the folder that they lie in, so that its repository is theirs."""


def flux_files(tree: Tree) -> list[str]:
    """The files that may hold objects of Flux, sorted."""
    return sorted(
        path for path, data in tree.files.items() if path.endswith(_SUFFIXES) and _MARK in data
    )


def path_of(kustomization: FluxObject) -> str:
    """`spec.path` of a Kustomization, without `./`; empty for the whole repository."""
    spec = kustomization.body.get("spec")
    written = spec.get("path") if isinstance(spec, dict) else None
    path = posixpath.normpath(written.lstrip("/")) if isinstance(written, str) and written else "."
    return "" if path == "." else path


def applies_itself(kustomization: FluxObject) -> bool:
    """Whether a Kustomization applies the folder that it lies in, as `flux bootstrap` makes it."""
    return _is_below(posixpath.dirname(kustomization.origin), path_of(kustomization))


def find_roots(objects: Sequence[FluxObject]) -> tuple[Root, ...]:
    """The entries of all clusters among the plain documents of a repository.

    A Kustomization that applies the folder it lies in is what `flux bootstrap` makes. Without
    any, the Kustomizations that are there count, together by folder.
    """
    kustomizations = [one for one in objects if one.kind == "Kustomization"]
    entries: dict[str, list[FluxObject]] = {}
    for one in kustomizations:
        if applies_itself(one):
            entries.setdefault(path_of(one), []).append(one)
    synced = bool(entries)
    if not synced:
        for one in kustomizations:
            folder = posixpath.dirname(one.origin)
            if posixpath.basename(folder) == "flux-system":
                folder = posixpath.dirname(folder)
            entries.setdefault(folder, []).append(one)
    names = _names(entries)
    return tuple(
        Root(
            name=names[path],
            path=path,
            entries=tuple(found),
            sources=tuple(
                one
                for one in objects
                if one.kind not in ("Kustomization", "HelmRelease") and _is_below(one.origin, path)
            ),
            synced=synced,
        )
        for path, found in sorted(entries.items(), key=lambda item: (item[0].count("/"), item[0]))
    )


def _is_below(place: str, folder: str) -> bool:
    return not folder or f"{place}/".startswith(f"{folder}/")


def _names(paths: Iterable[str]) -> dict[str, str]:
    """The last part of each path, with the one before where that is no name of its own."""
    paths = list(paths)
    last = Counter(posixpath.basename(path) for path in paths)
    names: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        names[path] = parts[-1] if last[parts[-1]] == 1 else "-".join(parts[-2:])
        names[path] = names[path] or "flux"
    return names
