"""Entries that match nothing: `images` and `patches` with a target, of kustomizations and of the
application itself.

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
from driftd.render import idle_own
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
    """An entry of a kustomization's `images` or `patches`, or of the application's own."""

    file: str
    line: int
    """0 where that is not known."""
    section: str
    index: int
    value: dict[str, Any]
    component: bool
    """Whether the file is a Component, which others use too and where less need match."""
    at: tuple[str | int, ...] = ()
    """The steps to the list in the application's document; empty for an entry of a file."""

    @property
    def is_image(self) -> bool:
        """Whether it renames images; else it is a patch."""
        return self.section.endswith("images")

    @property
    def wanted(self) -> Any:
        """What it matches: the name of an image, or a target."""
        return self.value["name" if self.is_image else "target"]


Change = tuple[Entry, dict[str, Any]]
"""An entry with what an image gets, or with the patch to put before it."""


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


class _Variant(msgspec.Struct, frozen=True):
    """What is rendered: the files, and what the application says."""

    tree: Tree
    source: dict[str, Any]
    flux: dict[str, Any] | None


class Probe:
    """Renders one source with changed kustomizations, or of a changed application."""

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
        release = self._app.flux is not None and self._app.flux.kind == "HelmRelease"
        together = await self._rendered(self._marked(entries))
        plain = await self._rendered(self._variant(()))
        if together is None or plain is None or (plain.type == "Kustomize") is release:
            return []
        text = b"\n".join(bytes(one.object) for one in together.documents)
        left = [
            one for number, one in enumerate(entries) if f"{_MARK}{number}.".encode() not in text
        ]
        return [one for one in left[:_PROBED] if await self._is_idle(one, plain)]

    async def _is_idle(self, one: Entry, plain: RenderResult) -> bool:
        if not one.is_image:
            failing = {"target": one.wanted, "patch": _FAILS}
            return await self._rendered(self._variant([(one, failing)])) is not None
        found = await self._rendered(self._marked([one]))
        return found is not None and _bodies(found) == _bodies(plain)

    def _marked(self, entries: Sequence[Entry]) -> _Variant:
        """A variant in which each entry leaves its number in what it matches."""
        changes: list[Change] = []
        for number, one in enumerate(entries):
            mark = f"{_MARK}{number}."
            if one.is_image:
                changes.append((one, {"newName": mark}))
                continue
            meta = {"name": "any", "annotations": {mark: ""}}
            patch = {"apiVersion": "v1", "kind": "Any", "metadata": meta}
            told = {"target": one.wanted, "patch": orjson.dumps(patch).decode()}
            changes.append((one, told))
        return self._variant(changes)

    def _variant(self, changes: Sequence[Change]) -> _Variant:
        app, source = self._app, self._source
        document, flux = idle_own.varied(
            source_document(app, source),
            app.flux.render if app.flux else None,
            [(one.at, one.index, change) for one, change in changes if one.at],
        )
        tree = _varied(source.tree, [each for each in changes if not each[0].at])
        return _Variant(tree, document, flux)

    async def _rendered(self, variant: _Variant) -> RenderResult | None:
        """What is rendered of a variant; None where anything of it fails."""
        app, source = self._app, self._source
        options = build_options(app.build_options, source.source.kustomize)
        try:
            result = await self._sandbox.render(
                variant.tree,
                variant.source,
                application=RenderApplication.of(app),
                revision=source.revision,
                repo_url=source.repo_url,
                kube_version=self._kube_version,
                api_versions=self._api_versions,
                build_options=msgspec.to_builtins(options),
                flux=variant.flux,
                timeout=_TIMEOUT,
            )
        except DriftdError:
            return None
        return None if result.errors else result


def _bodies(result: RenderResult) -> list[bytes]:
    return [bytes(one.object) for one in result.documents]


def _varied(tree: Tree, changes: Sequence[Change]) -> Tree:
    """A tree with other images, and other patches before some: what comes later may need them."""
    documents: dict[str, Any] = {}
    for one, change in sorted(changes, key=lambda pair: -pair[0].index):
        idle_own.vary(_document(documents, tree, one.file)[one.section], one.index, change)
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
