"""Files beside those that an app of apps renders, which its kustomizations do not list. Pure.

Argo CD never sees such a file: an Application that was taken off the list, or never put on it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from driftd.applicationset.catalog import KUSTOMIZATIONS, Document, Documents
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity

UNLISTED = "UnlistedDocument"
"""The condition of a document that no kustomization lists, beside others that one does."""


@dataclass(frozen=True, slots=True)
class Built:
    """One kustomization that the build of an app of apps goes through."""

    root: Application
    tree: str
    """Id of the tree that it lies in."""
    kustomization: str
    """Its file."""
    files: frozenset[str]
    """Everything that it takes in, bases included."""


def unlisted(
    documents: Iterable[Document],
    home: Documents,
    built: Iterable[Built],
    taken: Container[str],
    roots: Iterable[Application],
) -> Iterator[tuple[Document, Condition]]:
    """Those of a home's documents that are no objects, each with the condition that says why.

    These lie in the folder of a kustomization that makes others of Argo CD's objects, or below it
    in folders without a kustomization of their own, and are not among the files that are `taken`
    in anywhere. Of what begins a chain somebody has made the object by hand: `roots`
    (Applications that render others), their sets and their projects stay.
    """
    declaring = {document.file for document in home.found}
    folders: dict[str, Built] = {}
    for one in built:
        if one.tree == home.tree.id and not declaring.isdisjoint(one.files):
            folders.setdefault(posixpath.dirname(one.kustomization), one)
    if not folders:
        return
    kustomized = {
        posixpath.dirname(path)
        for path in home.tree.files
        if posixpath.basename(path) in KUSTOMIZATIONS
    }
    first = {name for root in roots for name in _by_hand(root)}
    for document in documents:
        by = folders.get(_nearest(posixpath.dirname(document.file), kustomized))
        kind, _, name = document.identity
        if by is None or document.file in taken or not first.isdisjoint(_names(document)):
            continue
        text = (
            f"{document.file} declares {kind} {name}, but {by.kustomization}, which "
            f"{by.root.name} renders, does not list it: it is not looked at; add it to resources, "
            "or delete the file"
        )
        yield document, Condition(UNLISTED, text, Severity.WARNING)


def _nearest(folder: str, kustomized: Container[str]) -> str:
    """The folder whose kustomization would list what lies in `folder`: itself or one above.

    Of a whole repository with a kustomization at its top, files in folders are none of its own.
    """
    while folder and folder not in kustomized:
        folder = posixpath.dirname(folder)
        if not folder:
            return "."
    return folder


def _names(document: Document) -> set[tuple[str, ...]]:
    kind, namespace, name = document.identity
    return {(kind, name)} if kind != "Application" else {(kind, namespace, name)}


def _by_hand(root: Application) -> Iterator[tuple[str, ...]]:
    yield ("Application", root.namespace, root.name)
    yield ("AppProject", root.spec.project or "default")
    kind, _, name = root.origin.partition(" ")
    if kind == "ApplicationSet":
        yield (kind, name)
