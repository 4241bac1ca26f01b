"""Which files the kustomizations of a repository take in: resources, bases and components."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

import msgspec

from driftd.applicationset.catalog import KUSTOMIZATIONS
from driftd.applicationset.inputs import SANDBOX_PROJECT
from driftd.model.resource import Json
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool

_FIELDS = ("resources", "bases", "components")
_ITEM = re.compile(
    r"(?:^|[\[,])[ \t]*(?:-[ \t]+)?(?:path:[ \t]+)?[\"']?([^\s\"',\[\]#]+)", re.MULTILINE
)
"""What may be an item of a list, in a file that cannot be parsed."""


class Kustomizations:
    """The kustomizations of one tree, by folder: what each one names."""

    def __init__(self, named: dict[str, tuple[str, ...]]) -> None:
        self._named = named

    def __contains__(self, folder: str) -> bool:
        return folder in self._named

    def files(self, folder: str) -> frozenset[str]:
        """Every file that the build of a folder takes in as a resource, bases included."""
        named = (path for one in self.folders(folder) for path in self._named.get(one, ()))
        return frozenset(path for path in named if path not in self._named)

    def folders(self, folder: str) -> frozenset[str]:
        """The folder itself and those of every base and component that its build takes in."""
        seen: set[str] = set()
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += (path for path in self._named.get(current, ()) if path in self._named)
        return frozenset(seen)


async def read_kustomizations(
    tree: Tree, files: Iterable[str], sandbox: SandboxPool
) -> Kustomizations:
    """The kustomizations of a tree, if one of them names one of `files`; else only their folders.

    Nothing is parsed when no kustomization can reach a file, which is the usual case.
    """
    paths = sorted(path for path in tree.files if posixpath.basename(path) in KUSTOMIZATIONS)
    named: dict[str, tuple[str, ...]] = {posixpath.dirname(path): () for path in paths}
    names = {posixpath.basename(path).encode() for path in files}
    if names and any(name in tree.files[path] for path in paths for name in names):
        parsed = await sandbox.parse(tree, paths, project=SANDBOX_PROJECT)
        for document in parsed.documents:
            folder = posixpath.dirname(document.file)
            named[folder] = _named(folder, msgspec.json.decode(document.object))
        for failure in parsed.errors:
            folder = posixpath.dirname(failure.file)
            found = _mentioned(folder, tree.files[failure.file])
            named[folder] = tuple(one for one in found if one in tree.files or one in named)
    return Kustomizations(named)


def _mentioned(folder: str, content: bytes) -> list[str]:
    """What a kustomization that cannot be parsed may take in: everything like an item of a list."""
    items = _ITEM.findall(content.decode("utf-8", "replace"))
    return _paths(folder, items)


def _named(folder: str, value: Json) -> tuple[str, ...]:
    """The files and folders of the tree that a kustomization names."""
    if not isinstance(value, dict):
        return ()
    entries: list[Json] = []
    for field in _FIELDS:
        listed = value.get(field)
        entries += listed if isinstance(listed, list) else []
    return tuple(_paths(folder, entries))


def _paths(folder: str, entries: Iterable[Json]) -> list[str]:
    """Entries of a kustomization that name no address, as paths of the tree."""
    paths = (
        posixpath.normpath(posixpath.join(folder, entry))
        for entry in entries
        if isinstance(entry, str) and "://" not in entry and "\n" not in entry
    )
    return ["" if path == "." else path for path in paths]
