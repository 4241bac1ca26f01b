"""Entries of kustomizations that match nothing: `images` and `patches` with a target.

Kustomize says nothing of them. Whether one matches is found by rendering once more with something
in its place that would be seen, as what it matches is made by the layers below it.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import orjson
import yaml

from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.build_options import build_options
from driftd.render.reach import Reach
from driftd.render.renderer import source_document
from driftd.sandbox.pool import RenderApplication, SandboxPool
from driftd.sandbox.results import RenderResult

_NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_ENTRIES: Final = 200
_PROBED: Final = 8
"""How many entries are looked at one by one."""
_BYTES: Final = 32 << 20
_LARGEST: Final = 256 << 10
_TIMEOUT: Final = 10.0
_MARK: Final = "driftd.invalid/entry-"
_FAILS: Final = '[{"op": "test", "path": "/kind", "value": "driftd.invalid"}]'


class Entry(msgspec.Struct, frozen=True):
    """An entry of a kustomization's `images` or `patches`."""

    file: str
    line: int
    section: str
    index: int
    value: dict[str, Any]
    component: bool
    """Whether the file is a Component, which others use too and where less need match."""


def entries_of(tree: Tree, path: str) -> list[Entry]:
    """The entries that a kustomization in the folder `path` leads to, those below it too."""
    found = [one for file in kustomizations_of(tree, path) for one in _entries(tree, file)]
    return found[:_ENTRIES]


def kustomizations_of(tree: Tree, path: str) -> list[str]:
    """The kustomization in the folder `path`, if there is one, and those that it leads to."""
    folder = posixpath.normpath(path or ".")
    names = [name if folder == "." else f"{folder}/{name}" for name in _NAMES]
    top = next((name for name in names if name in tree.files), "")
    return Reach(tree, top).kustomizations if top else []


def _entries(tree: Tree, file: str) -> Iterable[Entry]:
    data = bytes(tree.files.get(file, b""))
    if len(data) > _LARGEST:
        return
    try:
        document, root = yaml.safe_load(data), yaml.compose(data, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    if not isinstance(document, dict) or not isinstance(root, yaml.MappingNode):
        return
    nodes = {key.value: value for key, value in root.value if isinstance(key, yaml.ScalarNode)}
    component = document.get("kind") == "Component"
    for section in ("images", "patches"):
        items, node = document.get(section), nodes.get(section)
        if not isinstance(items, list) or not isinstance(node, yaml.SequenceNode):
            continue
        for index, (item, at) in enumerate(zip(items, node.value, strict=True)):
            wanted = "name" if section == "images" else "target"
            if isinstance(item, dict) and item.get(wanted):
                line = at.start_mark.line + 1
                yield Entry(file, line, section, index, item, component)


class Probe:
    """Renders one source with changed kustomizations."""

    def __init__(
        self,
        app: Application,
        source: ResolvedSource,
        sandbox: SandboxPool,
        *,
        kube_version: str = "",
        api_versions: Sequence[str] = (),
    ) -> None:
        """Nothing is rendered before it is asked for."""
        self._app, self._source, self._sandbox = app, source, sandbox
        self._kube_version, self._api_versions = kube_version, api_versions

    async def idle(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of some entries that surely match nothing; none where it cannot be told.

        All are tried together, and those that leave no trace one by one.
        """
        tree = self._source.tree
        if not entries or sum(map(len, tree.files.values())) > _BYTES:
            return []
        together = await self._rendered(_marked(tree, entries))
        plain = await self._rendered(tree)
        if together is None or plain is None or plain.type != "Kustomize":
            return []
        text = b"\n".join(bytes(one.object) for one in together.documents)
        left = [
            one for number, one in enumerate(entries) if f"{_MARK}{number}.".encode() not in text
        ]
        return [one for one in left[:_PROBED] if await self._is_idle(one, plain)]

    async def _is_idle(self, one: Entry, plain: RenderResult) -> bool:
        if one.section == "patches":
            failing = {"target": one.value["target"], "patch": _FAILS}
            changed = _with_patches(self._source.tree, [(one, failing)])
            return await self._rendered(changed) is not None
        found = await self._rendered(_marked(self._source.tree, [one]))
        return found is not None and _bodies(found) == _bodies(plain)

    async def _rendered(self, tree: Tree) -> RenderResult | None:
        """What is rendered of a tree; None where anything of it fails."""
        app, source = self._app, self._source
        options = build_options(app.build_options, source.source.kustomize)
        try:
            result = await self._sandbox.render(
                tree,
                source_document(app, source),
                application=RenderApplication.of(app),
                revision=source.revision,
                repo_url=source.repo_url,
                kube_version=self._kube_version,
                api_versions=self._api_versions,
                build_options=msgspec.to_builtins(options),
                flux=app.flux.render if app.flux else None,
                timeout=_TIMEOUT,
            )
        except DriftdError:
            return None
        return None if result.errors else result


def _bodies(result: RenderResult) -> list[bytes]:
    return [bytes(one.object) for one in result.documents]


def _marked(tree: Tree, entries: Sequence[Entry]) -> Tree:
    """A tree in which each entry leaves its number in what it matches."""
    patches: list[tuple[Entry, dict[str, Any]]] = []
    documents: dict[str, Any] = {}
    for number, one in enumerate(entries):
        mark = f"{_MARK}{number}."
        if one.section == "images":
            document = _document(documents, tree, one.file)
            document["images"][one.index]["newName"] = mark
            continue
        meta = {"name": "any", "annotations": {mark: ""}}
        patch = {"apiVersion": "v1", "kind": "Any", "metadata": meta}
        told = {"target": one.value["target"], "patch": orjson.dumps(patch).decode()}
        patches.append((one, told))
    return _with_patches(_with(tree, documents), patches)


def _with_patches(tree: Tree, patches: Sequence[tuple[Entry, dict[str, Any]]]) -> Tree:
    """A tree with other patches before some, which stay: what comes later may need them."""
    documents: dict[str, Any] = {}
    for one, patch in sorted(patches, key=lambda pair: -pair[0].index):
        _document(documents, tree, one.file)["patches"].insert(one.index, patch)
    return _with(tree, documents)


def _document(documents: dict[str, Any], tree: Tree, file: str) -> Any:
    if file not in documents:
        documents[file] = yaml.safe_load(bytes(tree.files[file]))
    return documents[file]


def _with(tree: Tree, documents: dict[str, Any]) -> Tree:
    if not documents:
        return tree
    files = {file: orjson.dumps(body) for file, body in documents.items()}
    digest = hashlib.sha256(tree.id.encode())
    for file, data in sorted(files.items()):
        digest.update(file.encode() + b"\0" + data + b"\0")
    return msgspec.structs.replace(
        tree, id=digest.hexdigest(), files={**tree.files, **files}, folders={}, git=""
    )
