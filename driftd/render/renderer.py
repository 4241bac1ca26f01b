"""Renders all sources of an Application in the sandbox and addresses what comes out."""

from __future__ import annotations

import asyncio
import difflib
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from driftd.errors import DriftdError, RenderError
from driftd.model.application import Application, ApplicationSource
from driftd.model.condition import Condition, Severity
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.tree import ResolvedSource, Tree
from driftd.render import file_says, kustomize_says, secrets
from driftd.render.build_options import build_options
from driftd.render.flux import hook_annotations, lacks_namespace, left_alone
from driftd.render.hooks import HOOKS
from driftd.render.lines import document_lines
from driftd.render.manifests import RenderedDocument, Scopes, process
from driftd.render.subcharts import Written
from driftd.render.undefined import undefined_variables
from driftd.render.written import written_at
from driftd.sandbox.pool import RenderApplication, SandboxPool
from driftd.sandbox.results import RenderResult

_VALUE_FILE = re.compile(r"value file (\S+): ")
_KEPT_TREES = 8
_PLAIN_SUFFIXES = (".yaml", ".yml", ".json")
_MANIFEST_SUFFIXES = (*_PLAIN_SUFFIXES, ".jsonnet")


class Rendered(msgspec.Struct, frozen=True):
    """What Git declares for one application."""

    manifests: tuple[Manifest, ...]
    """Every object that is compared, each key once."""
    not_compared: tuple[Manifest, ...]
    """Hooks and Jobs with `ttlSecondsAfterFinished`."""
    conditions: tuple[Condition, ...]
    types: tuple[str, ...]
    """Per source: `Helm`, `Kustomize`, `Directory` …; empty where nothing was rendered."""
    repeated: frozenset[ResourceKey] = frozenset()
    """Keys declared more than once; they are compared but never healed."""

    @property
    def hooks(self) -> int:
        """How many objects were rendered but are never compared."""
        return len(self.not_compared)

    @property
    def complete(self) -> bool:
        """Whether everything that the sources declare was rendered."""
        return all(c.severity is not Severity.ERROR for c in self.conditions)


class _SourceResult(msgspec.Struct, frozen=True):
    type: str = ""
    documents: tuple[RenderedDocument, ...] = ()
    conditions: tuple[Condition, ...] = ()
    skipped: bool = False
    """A source that only lends its files to others."""


async def render_application(
    app: Application,
    sources: Sequence[ResolvedSource],
    sandbox: SandboxPool,
    scopes: Scopes,
    *,
    kube_version: str = "",
    api_versions: Sequence[str] = (),
) -> Rendered:
    """Render an application. Never raises for what its sources contain.

    `scopes` tells whether a kind is namespaced on the destination cluster; `kube_version`
    and `api_versions` are that cluster's, for charts that ask. What fails is a condition,
    the rest is rendered.
    """
    refs = {s.source.ref: s for s in sources if s.source.ref}
    renderer = _Renderer(app, refs, sandbox, kube_version, tuple(api_versions))
    results = await asyncio.gather(*(renderer.source(source) for source in sources))
    documents = [document for result in results for document in result.documents]
    processed = process(
        documents,
        namespace=app.spec.destination.namespace,
        scopes=scopes,
        hooks=HOOKS if app.flux is None else hook_annotations(app.flux),
        lacks=lacks_namespace(app.flux, app.namespace),
    )
    conditions = [c for result in results for c in result.conditions]
    conditions.extend(processed.conditions)
    rendered = [(s, r) for s, r in zip(sources, results, strict=True) if not r.skipped]
    failed = any(c.severity is Severity.ERROR for c in conditions)
    missing = len(sources) < len(app.spec.all_sources)
    if not documents and not failed and not missing:
        conditions.append(_empty(app, rendered))
    types = [""] * max(len(app.spec.all_sources), len(sources))
    for source, result in zip(sources, results, strict=True):
        types[source.index] = result.type
    return Rendered(
        processed.manifests if app.flux is None else left_alone(processed.manifests, app.flux),
        processed.not_compared,
        tuple(conditions),
        tuple(types),
        processed.repeated,
    )


class _WrongPath(RenderError):
    """The folder of a source is not there; its message has paths alone."""


class _Renderer:
    """One application's rendering: what all its sources share."""

    def __init__(
        self,
        app: Application,
        refs: Mapping[str, ResolvedSource],
        sandbox: SandboxPool,
        kube_version: str,
        api_versions: tuple[str, ...],
    ) -> None:
        self._app = app
        self._refs = refs
        self._sandbox = sandbox
        self._kube_version = kube_version
        self._api_versions = api_versions

    async def source(self, source: ResolvedSource) -> _SourceResult:
        """One source's documents; errors become conditions that name the source."""
        spec = source.source
        if spec.ref and not spec.path and not spec.chart:
            return _SourceResult(skipped=True)
        place = f"{_place(source, len(self._app.spec.all_sources))}: "
        try:
            return await self._render(source, place)
        except DriftdError as error:
            says = kustomize_says if error.reason == kustomize_says.ERROR else file_says
            named = _VALUE_FILE.match(error.message)
            text = says.in_words(error.message, self._tree_of(source, named[1] if named else ""))
            where = written_at(self._app, source, named[1]) if named else ""
            text = f"{where}: {text}" if where else text
            if not isinstance(error, _WrongPath):  # whose words are paths alone, ours or Git's
                text = self._scrubbed(source, text)
            return _SourceResult(conditions=(_error(place + text),))

    def _tree_of(self, source: ResolvedSource, value_file: str) -> Tree:
        """The tree that a values file is looked for in: that of another source where it says so."""
        ref = value_file.partition("/")[0].removeprefix("$")
        found = self._refs.get(ref) if value_file.startswith("$") else None
        return source.tree if found is None else found.tree

    def _scrubbed(self, source: ResolvedSource, text: str) -> str:
        """A renderer's words: templates quote the values that they fail at."""
        trees = (source.tree, *(ref.tree for ref in self._refs.values()))
        return secrets.scrubbed(text, trees, source_document(self._app, source))

    async def _render(self, source: ResolvedSource, place: str) -> _SourceResult:
        try:
            checked_source_path(source.source, source.tree)
        except RenderError as error:
            where = written_at(self._app, source)
            text = f"{where}: {error}" if where else str(error)
            raise _WrongPath(text, hint=error.hint) from error
        if source.source.plugin is not None:
            raise RenderError(
                "config management plugins are not supported",
                hint="render to plain manifests in CI, or use Kustomize, Helm or Jsonnet",
                reason="UnsupportedSource",
            )
        result = await self._sandbox.render(
            source.tree,
            source_document(self._app, source),
            refs={name: ref.tree for name, ref in self._refs.items()},
            application=RenderApplication.of(self._app),
            revision=source.revision,
            repo_url=source.repo_url,
            kube_version=self._kube_version,
            api_versions=self._api_versions,
            build_options=msgspec.to_builtins(
                build_options(self._app.build_options, source.source.kustomize)
            ),
            flux=self._app.flux.render if self._app.flux else None,
        )
        told = [file_says.in_words(text, source.tree) for text in result.errors]
        errors = [self._scrubbed(source, text) for text in told]
        warnings = [self._scrubbed(source, text) for text in result.warnings]
        conditions = [_error(f"{place}{text}; it is left out") for text in errors]
        conditions += [Condition("RenderWarning", place + w, Severity.WARNING) for w in warnings]
        conditions += undefined_variables(self._app, source, result)
        return _SourceResult(
            result.type,
            _documents(source, result),
            tuple(conditions),
        )


def _documents(source: ResolvedSource, result: RenderResult) -> tuple[RenderedDocument, ...]:
    """The documents of a result; those of plain manifests with the lines that they begin on."""
    lines: dict[str, tuple[int, ...]] = {}
    documents = []
    written = Written(source.source.path, source.tree.files) if result.type == "Helm" else None
    for position, item in enumerate(result.documents):
        line = 0
        file = written.file(item.file) if written is not None else item.file
        data = source.tree.files.get(item.file)
        if result.type == "Directory" and data and item.file.endswith(_PLAIN_SUFFIXES):
            if item.file not in lines:
                lines[item.file] = document_lines(data)
            starts = lines[item.file]
            line = starts[item.index] if item.index < len(starts) else 0
        documents.append(
            RenderedDocument(
                source.index,
                file,
                item.index,
                bytes(item.object),
                line,
                result.undecided.get(item.index, ""),
                result.unstable.get(position, ()),
                "" if file == item.file else item.file,
            )
        )
    return tuple(documents)


def source_document(app: Application, source: ResolvedSource) -> dict[str, Any]:
    """The source as the Application writes it, unknown fields included."""
    spec = app.raw.get("spec")
    if isinstance(spec, dict):
        written = spec.get("sources") or [spec.get("source")]
        if source.index < len(written) and isinstance(written[source.index], dict):
            return dict(written[source.index])
    document: dict[str, Any] = msgspec.to_builtins(source.source)
    return {key: value for key, value in document.items() if value not in (None, "")}


_known_folders: dict[str, frozenset[str]] = {}


def _folders(tree: Tree) -> frozenset[str]:
    """Every folder of a tree that holds files, directly or further below; kept for a few trees."""
    found = _known_folders.get(tree.id)
    if found is None:
        if len(_known_folders) >= _KEPT_TREES:
            _known_folders.clear()
        direct = {posixpath.dirname(file) for file in tree.files}
        found = frozenset(
            "/".join(parts[:n])
            for parts in (folder.split("/") for folder in direct)
            for n in range(1, len(parts) + 1)
        )
        _known_folders[tree.id] = found
    return found


def checked_source_path(source: ApplicationSource, tree: Tree) -> str:
    """The source's folder in the repository, `` for its root. Raises `RenderError`."""
    written = source.path
    path = posixpath.normpath(written) if written else "."
    if written.startswith("/") or path.startswith("../") or path == ".." or "\0" in written:
        raise RenderError(
            f"path {written!r} leaves the repository", hint="give a folder of the repository"
        )
    if path == ".":
        return ""
    if path in _folders(tree) or _through_link(path, tree):
        return path
    if path in tree.files:
        raise RenderError(f"path {path} is a file, not a folder", hint="name the folder it lies in")
    for submodule in tree.submodules:
        if f"{path}/".startswith(f"{submodule}/"):
            raise RenderError(
                f"path {path} lies in the submodule {submodule}, which is not read",
                hint="point the source at the submodule's own repository, or set submodules in "
                "repositoryAccess",
            )
    near = difflib.get_close_matches(path, sorted(_folders(tree)), n=1, cutoff=0.6)
    raise RenderError(
        f"path {path} does not exist at the revision",
        hint=f"did you mean {near[0]}?" if near else "correct spec.source.path",
    )


def _through_link(path: str, tree: Tree) -> bool:
    """Whether a part of the path is a symbolic link, which the sandbox resolves."""
    parts = path.split("/")
    return any("/".join(parts[:n]) in tree.links for n in range(1, len(parts) + 1))


def _empty(app: Application, rendered: Sequence[tuple[ResolvedSource, _SourceResult]]) -> Condition:
    """The condition of an application that renders no object at all."""
    hints = [hint for source, result in rendered if (hint := _empty_hint(source, result.type))]
    hint = f"; {'; '.join(hints)}" if hints else ""
    automated = app.spec.sync_policy.automated
    if automated is not None and automated.allow_empty:
        text = f"application {app.name} renders 0 objects, which its allowEmpty permits{hint}"
        return Condition("EmptyRender", text, Severity.INFO)
    return _error(f"application {app.name} renders 0 objects{hint}")


def _empty_hint(source: ResolvedSource, source_type: str) -> str:
    path = posixpath.normpath(source.source.path or ".")
    prefix = "" if path == "." else f"{path}/"
    inside = [file.removeprefix(prefix) for file in source.tree.files if file.startswith(prefix)]
    manifests = [file for file in inside if file.endswith(_MANIFEST_SUFFIXES)]
    directory = source.source.directory
    if source_type and source_type.lower() not in {"directory", "jsonnet"}:
        return f"{path} is rendered as {source_type}: check what it includes"
    if directory is not None and (directory.include or directory.exclude):
        return f"check directory.include and .exclude: they leave nothing of {path}"
    deeper = [file for file in manifests if "/" in file]
    if deeper and not (directory is not None and directory.recurse):
        return (
            f"{path} has no kustomization.yaml and its manifests lie in subfolders "
            f"(for example {deeper[0]}): add a kustomization.yaml or set directory.recurse: true"
        )
    what = f"{path} holds no manifest" if not manifests else f"the files of {path} hold no object"
    return f"{what}: add one, or correct the path"


def _place(source: ResolvedSource, count: int) -> str:
    what = source.source.path or source.source.ref or "."
    return f"source {source.index + 1} ({what})" if count > 1 else f"source {what}"


def _error(message: str) -> Condition:
    return Condition("ComparisonError", message)
