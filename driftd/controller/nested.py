"""Applications that exist only after rendering: what the Applications of Git declare themselves.

An Application whose source may hold objects of Argo CD (an app of apps) is rendered, and what
it renders of them joins the catalog, again and again until nothing new appears. The rules:

* A rendered document replaces one of the same kind, namespace and name in a file.
* A file that a rendered kustomization takes in counts as rendered, never as it stands: a base
  whose name an overlay changes is no Application. So does a file rendered from a directory.
* A file beside those, which their kustomization does not list, is no Application: a condition
  names it. What renders others, its set and its project are made by hand and stay.
* An Application alone does not remove the document that declares it, unless it renders itself.
* When a source cannot be rendered, a condition names it. Its files count as they stand, except
  those that a kustomization takes in: what it would have made of them is not known.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson

from driftd.applicationset.catalog import (
    KUSTOMIZATIONS,
    Catalog,
    Document,
    Documents,
    argo_objects,
    build_catalog,
    read_documents,
)
from driftd.applicationset.documents import DEFAULT_NAMESPACE
from driftd.applicationset.inputs import Inputs
from driftd.applicationset.kustomizations import Kustomizations, read_kustomizations
from driftd.controller.integrity import REFUSED
from driftd.controller.unlisted import Built, unlisted
from driftd.controller.workspace import Workspace
from driftd.errors import SourceError
from driftd.model.application import Application, ApplicationSource, ApplicationSpec
from driftd.model.condition import Condition, Severity
from driftd.model.project import PERMISSIVE, AppProject
from driftd.model.resource import Json, Manifest
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.renderer import Rendered, render_application
from driftd.source.repositories import Reading, git_urls

MAX_DEPTH = 10
"""Levels of Applications that render Applications."""

_OPENSHIFT = "openshift-gitops"
_BUILD_OPTIONS = {"": "--enable-helm"}
_NAMED = 3
"""Files that a condition names."""

_File = tuple[str, str]
"""A tree's id and a path in it."""


@dataclass(frozen=True, slots=True)
class _Nest:
    """What one Application renders of Argo CD's kinds."""

    root: Application
    documents: tuple[Document, ...] = ()
    files: frozenset[_File] = frozenset()
    """Files that count as rendered."""
    built: tuple[Built, ...] = ()
    """The kustomizations that were built for it, where everything was rendered."""
    conditions: tuple[Condition, ...] = ()


async def read_catalogs(workspace: Workspace, readings: Sequence[Reading]) -> list[Catalog]:
    """What each repository declares, with everything that its Applications render.

    Raises DriftdError only when the sandbox cannot work at all.
    """
    homes = [await read_documents(reading.tree, workspace.sandbox) for reading in readings]
    roots = _Roots(workspace)
    nests: list[list[_Nest]] = [[] for _ in homes]
    known: list[tuple[str, ...]] = []
    catalogs: list[Catalog] = []
    for _ in range(MAX_DEPTH + 1):
        catalogs = [
            await _catalog(home, inner, nests, workspace)
            for home, inner in zip(homes, nests, strict=True)
        ]
        catalogs = _of_argo_cd(catalogs, workspace.argocd_namespace)
        urls = git_urls(app for catalog in catalogs for app in catalog.applications)
        found = [await roots.nests(catalog, urls) for catalog in catalogs]
        keys = [tuple(nest) for nest in found]
        nests = [list(nest.values()) for nest in found]
        if keys == (known or [()] * len(homes)):
            return catalogs
        known = keys
    return [_unsettled(catalog, inner) for catalog, inner in zip(catalogs, nests, strict=True)]


def _of_argo_cd(catalogs: Sequence[Catalog], said: str) -> list[Catalog]:
    """The same catalogs, each Application with what is known of its Argo CD without a hub.

    Its namespace is what was said, unless that is the default and AppProjects, which lie there
    alone, are all declared in another; OpenShift's Argo CD is known by its namespace. Whether
    kustomizations may inflate charts, only a hub could tell: they may.
    """
    own = said
    applications = {app.namespace for one in catalogs for app in one.applications}
    if said == DEFAULT_NAMESPACE and DEFAULT_NAMESPACE not in applications:
        projects = {
            project.namespace
            for one in catalogs
            for project in one.projects.values()
            if project is not PERMISSIVE
        }
        if len(projects) == 1:
            (own,) = projects
        elif not projects and _OPENSHIFT in applications:
            own = _OPENSHIFT
    return [
        msgspec.structs.replace(
            one,
            applications=tuple(
                msgspec.structs.replace(app, argocd_namespace=own, build_options=_BUILD_OPTIONS)
                for app in one.applications
            ),
        )
        for one in catalogs
    ]


async def _catalog(
    home: Documents, inner: Sequence[_Nest], nests: Sequence[Sequence[_Nest]], workspace: Workspace
) -> Catalog:
    """The documents of a repository, without those that are rendered anywhere."""
    everywhere = [nest for group in nests for nest in group]
    rendered = {document.identity for nest in everywhere for document in nest.documents}
    takers: dict[_File, set[tuple[str, str, str]]] = {}
    for nest in everywhere:
        root = ("Application", nest.root.namespace, nest.root.name)
        for file in nest.files:
            takers.setdefault(file, set()).add(root)
    standing = [
        document
        for document in home.found
        if document.identity not in rendered
        and not takers.get((home.tree.id, document.file), set()) - {document.identity}
    ]
    left_out = list(
        unlisted(
            standing,
            home,
            (one for nest in everywhere for one in nest.built),
            {file for tree, file in takers if tree == home.tree.id},
            [nest.root for nest in everywhere if nest.documents],
        )
    )
    gone = {id(document) for document, _ in left_out}
    standing = [document for document in standing if id(document) not in gone]
    children = [document for nest in inner for document in nest.documents]
    conditions = [*home.conditions, *(c for nest in inner for c in nest.conditions)]
    conditions += [condition for _, condition in left_out]
    return await build_catalog([*standing, *children], conditions, _inputs(workspace, home.found))


def _inputs(workspace: Workspace, documents: Iterable[Document]) -> Inputs:
    """What sets read: the repositories, where a generator's URL is one among all that count."""
    urls = frozenset(url for document in documents for url in _urls(document.value.get("spec")))

    async def read_tree(repo_url: str, revision: str) -> Tree:
        source = ApplicationSource(repo_url=repo_url, target_revision=revision)
        asking = Application(name="git", namespace="", spec=ApplicationSpec(source=source))
        resolution = await workspace.repositories.resolve(asking, urls)
        if not resolution.sources:
            raise SourceError(resolution.conditions[0].message)
        return resolution.sources[0].tree

    return Inputs(workspace.sandbox, read_tree)


def _urls(value: Json) -> Iterator[str]:
    """Every text under `repoURL`, at any depth; those of charts' repositories are none."""
    if isinstance(value, dict):
        url = value.get("repoURL")
        if isinstance(url, str) and "{{" not in url and not value.get("chart"):
            yield url
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _urls(item)


def _unsettled(catalog: Catalog, inner: Sequence[_Nest]) -> Catalog:
    names = ", ".join(sorted(nest.root.name for nest in inner))
    text = (
        f"Applications render Applications on more than {MAX_DEPTH} levels, or rename each other "
        f"without end; what lies deeper is left out (they are {names})"
    )
    conditions = (*catalog.conditions, Condition("ComparisonError", text))
    return msgspec.structs.replace(catalog, conditions=conditions)


@dataclass(slots=True)
class _Roots:
    """Finds and renders the Applications that may declare others; each of them once."""

    _workspace: Workspace
    _known: dict[str, _Nest | None] = field(default_factory=dict)
    _trees: dict[str, _Contents] = field(default_factory=dict)

    async def nests(self, catalog: Catalog, urls: frozenset[str]) -> dict[str, _Nest]:
        """What the applications render of Argo CD's kinds, by a digest of the application."""
        found: dict[str, _Nest] = {}
        # By project, since a worker of the sandbox is never shared between projects.
        for app in sorted(catalog.applications, key=lambda app: app.spec.project):
            project = catalog.project_of(app)
            key = _digest(app, project)
            if key not in self._known:
                self._known[key] = await self._nest(app, project, urls)
            nest = self._known[key]
            if nest is not None:
                found[key] = nest
        return found

    async def _nest(
        self, app: Application, project: AppProject | None, urls: frozenset[str]
    ) -> _Nest | None:
        resolution = await self._workspace.repositories.resolve(app, urls)
        declaring = [one for one in resolution.sources if await self._may_declare(one)]
        if not declaring:
            return None
        # What else the application has is rendered for itself; here it would only cost time.
        lending = [one for one in resolution.sources if one.source.ref and one not in declaring]
        rendered = await self._refused(app, project, resolution.sources, urls)
        if rendered is None:
            rendered = await render_application(
                app, [*declaring, *lending], self._workspace.sandbox, lambda _group, _kind: None
            )
        documents: list[Document] = []
        files: set[_File] = set()
        trees = {one.index: one.tree for one in declaring}
        for manifest in rendered.manifests:
            for value in _argo_objects(manifest):
                file = manifest.origin.file
                tree = trees[manifest.origin.source]
                text = tree.files.get(file, b"")
                documents.append(Document(file, 0, value, app.name, text))
                if file:
                    files.add((tree.id, file))
        lost: set[str] = set()
        built: list[Built] = []
        for one in declaring:
            kind = rendered.types[one.index]
            if kind == "Kustomize" or (not kind and _may_be_overlay(one.source)):
                taken = await self._taken_in(one)
                files |= taken
                built += await self._built(app, one)
                if not kind:
                    lost |= {file for _, file in taken} & (await self._contents(one.tree)).marked
        problems = _problems(app, rendered, lost)
        return _Nest(app, tuple(documents), frozenset(files), tuple(built), problems)

    async def _refused(
        self,
        app: Application,
        project: AppProject | None,
        sources: Sequence[ResolvedSource],
        urls: frozenset[str],
    ) -> Rendered | None:
        """What counts of sources that are not signed as the project demands: nothing."""
        if project is None or app.flux is not None:
            return None
        workspace = self._workspace
        told = await workspace.integrity.conditions(
            app, project, sources,
            repositories=workspace.repositories, hub=workspace.hub, urls=urls,
        )  # fmt: skip
        refused = tuple(one for one in told if one.type == REFUSED)
        types = ("",) * len(app.spec.all_sources)
        return Rendered((), (), refused, types) if refused else None

    async def _may_declare(self, source: ResolvedSource) -> bool:
        """Whether a file that a source may render mentions a kind of Argo CD's."""
        contents = await self._contents(source.tree)
        return bool(contents.marked) and contents.reaches(_folder(source))

    async def _taken_in(self, source: ResolvedSource) -> set[_File]:
        contents = await self._contents(source.tree)
        folder = _folder(source)
        return {(source.tree.id, file) for file in contents.kustomizations.files(folder)}

    async def _built(self, app: Application, source: ResolvedSource) -> list[Built]:
        """The kustomizations that the build of a source's folder goes through."""
        options = source.source.kustomize
        if options is not None and options.components:
            return []  # they take in more than the kustomizations name
        table = (await self._contents(source.tree)).kustomizations
        return [
            Built(app, source.tree.id, posixpath.join(folder, name), table.files(folder))
            for folder in sorted(table.folders(_folder(source)))
            for name in KUSTOMIZATIONS
            if posixpath.join(folder, name) in source.tree.files
        ]

    async def _contents(self, tree: Tree) -> _Contents:
        if tree.id not in self._trees:
            marked = frozenset(path for path, data in tree.files.items() if _mentions(path, data))
            table = await read_kustomizations(tree, marked, self._workspace.sandbox)
            self._trees[tree.id] = _Contents(marked, table)
        return self._trees[tree.id]


@dataclass(frozen=True, slots=True)
class _Contents:
    """What matters of a tree here."""

    marked: frozenset[str]
    """Files that mention a kind of Argo CD's."""
    kustomizations: Kustomizations

    def reaches(self, folder: str) -> bool:
        """Whether rendering a folder may use one of the files."""
        prefix = f"{folder}/" if folder else ""
        if any(file.startswith(prefix) for file in self.marked):
            return True
        return folder in self.kustomizations and not self.marked.isdisjoint(
            self.kustomizations.files(folder)
        )


def _mentions(path: str, data: bytes) -> bool:
    if posixpath.basename(path) == "Chart.yaml":
        # The packed chart that people depend on for this has its documents compressed.
        return b"argocd-apps" in data
    return b"argoproj.io" in data and (b"Application" in data or b"AppProject" in data)


def _may_be_overlay(source: ApplicationSource) -> bool:
    """Whether Argo CD would build a folder with a kustomization by it: nothing says otherwise."""
    return not (source.directory or source.helm or source.plugin is not None)


def _folder(source: ResolvedSource) -> str:
    path = posixpath.normpath(source.source.path or ".")
    return "" if path == "." else path


def _argo_objects(manifest: Manifest) -> list[dict[str, object]]:
    if manifest.key.group != "argoproj.io":
        return []
    return argo_objects(orjson.loads(manifest.body))


def _problems(app: Application, rendered: Rendered, lost: Iterable[str]) -> tuple[Condition, ...]:
    """One condition for everything that kept an application from being rendered in full.

    `lost` are files whose Applications are not known, since their overlay was not rendered.
    """
    errors = [c.message for c in rendered.conditions if c.severity is Severity.ERROR]
    if not errors:
        return ()
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    files = sorted(lost)
    rest = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    what = (
        f"cannot be rendered, so that those that it makes of {', '.join(files[:_NAMED])}{rest} "
        "are Unknown and not listed"
        if files
        else "cannot be rendered in full, so that some of them may be missing"
    )
    text = f"Application {app.name} declares Applications and {what}: {errors[0]}{more}"
    return (Condition("ComparisonError", text),)


def _digest(app: Application, project: AppProject | None) -> str:
    """Names everything that the rendering of an application depends on, beside the trees."""
    demanded = project and msgspec.to_builtins(project.spec)
    body = (
        app.qualified_name,
        app.instance_name,
        msgspec.to_builtins(app.spec),
        app.raw.get("spec"),
        demanded,
    )
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
