"""Finds every Application, ApplicationSet and AppProject that a repository declares."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Any

import msgspec

from driftd.applicationset import misspelt
from driftd.applicationset.documents import (
    DEFAULT_NAMESPACE,
    InvalidDocument,
    application,
    project,
)
from driftd.applicationset.generate import expand
from driftd.applicationset.generators import GitChoice, git_choices, meant_pattern
from driftd.applicationset.inputs import SANDBOX_PROJECT, Inputs
from driftd.applicationset.known_fields import index_of, line_of, slips
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.project import PERMISSIVE, AppProject
from driftd.model.resource import Json
from driftd.model.tree import Tree
from driftd.render.file_says import in_words
from driftd.sandbox.pool import SandboxPool

_SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MAX_LIST_DEPTH = 5
_PLACED = ("destination", "project", "source", "sources")
"""Fields of an Application's spec that a message may be about."""
_INNER = ("targetRevision",)
"""Those of its sources."""


class Catalog(msgspec.Struct, frozen=True):
    """What a repository declares at one revision."""

    applications: tuple[Application, ...]
    """Sorted by name; each qualified name once."""
    projects: dict[str, AppProject]
    """By name; `default` is there unless its document cannot be used."""
    conditions: tuple[Condition, ...]
    """Documents that could not be used, and names that collide."""
    unexpanded: dict[str, Any] = {}
    """The documents of sets that could not be expanded, by `namespace/name`."""

    def project_of(self, app: Application) -> AppProject | None:
        """The project of an application; None if it does not exist."""
        return self.projects.get(app.spec.project or "default")


GENERATES_NOTHING = "ApplicationSetEmpty"
"""The condition of a set that makes no Application; that may be meant."""


class Document(msgspec.Struct, frozen=True):
    """One object of Argo CD: as a file has it, or as an Application renders it."""

    file: str
    index: int
    """Position in the file; without meaning for a rendered one."""
    value: Any
    root: str = ""
    """Name of the Application that renders the document; empty for one of a file."""
    text: bytes = b""
    """What the file holds."""

    def __str__(self) -> str:
        return self.origin if self.root else f"{self.file}, document {self.index + 1}"

    @property
    def origin(self) -> str:
        """Where it is declared: a file, or an Application and the file that it renders."""
        if not self.root:
            return self.file
        return f"Application {self.root} ({self.file})" if self.file else f"Application {self.root}"

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, namespace (Argo CD's own if absent) and name, as far as they are given."""
        metadata = self.value.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
        return self.value["kind"], str(namespace), str(metadata.get("name"))


class Documents(msgspec.Struct, frozen=True):
    """The documents of Argo CD in the files of a tree, and what is wrong with some of them."""

    tree: Tree
    found: tuple[Document, ...]
    conditions: tuple[Condition, ...]


async def discover(tree: Tree, sandbox: SandboxPool) -> Catalog:
    """Everything of Argo CD's that the files of a repository declare as they stand."""
    documents = await read_documents(tree, sandbox)
    return await build_catalog(documents.found, documents.conditions, Inputs(sandbox))


async def build_catalog(
    documents: Iterable[Document], conditions: Iterable[Condition], inputs: Inputs
) -> Catalog:
    """The catalog of documents; `inputs` reads what sets ask for.

    A document that cannot be used is a condition; all others count.
    """
    builder = _Builder(conditions)
    for document in documents:
        builder.add(document)
    for document in builder.sets:
        await builder.expand(document, inputs)
    return builder.catalog()


async def read_documents(tree: Tree, sandbox: SandboxPool) -> Documents:
    """The documents of Argo CD in all files.

    All YAML and JSON files count except charts' templates, patches of kustomizations, and
    what lies outside plain documents. A file or document that cannot be read is a condition
    naming it.
    """
    paths = candidate_files(tree)
    kustomizations = _naming_patches(tree, paths)
    conditions: list[Condition] = []
    documents: list[Document] = []
    patches: set[str] = set()
    if kustomizations:
        parsed = await sandbox.parse(tree, kustomizations, project=SANDBOX_PROJECT)
        for found in parsed.documents:
            patches |= _patch_files(found.file, msgspec.json.decode(found.object))
    wanted = [path for path in paths if path not in patches]
    if wanted:
        parsed = await sandbox.parse(tree, wanted, project=SANDBOX_PROJECT)
        for failure in parsed.errors:
            text = f"{failure.file}, document {failure.index + 1}: {failure.message}"
            conditions.append(Condition("InvalidSpecError", in_words(text, tree)))
        for warning in parsed.warnings:
            # It may not be meant as it is read.
            text = f"{warning.file}, document {warning.index + 1}: {warning.message}"
            conditions.append(Condition("ParseWarning", text, Severity.WARNING))
        for found in parsed.documents:
            value = msgspec.json.decode(found.object)
            if slip := misspelt.slip(value):
                text = f"{found.file}, document {found.index + 1}: {_named(value)}: {slip}"
                conditions.append(Condition("UnknownDocument", text))
            documents += [
                Document(found.file, found.index, item, text=tree.files[found.file])
                for item in argo_objects(value)
            ]
    return Documents(tree, tuple(documents), tuple(conditions))


def candidate_files(tree: Tree) -> list[str]:
    """Files that may declare objects of Argo CD, sorted; charts' templates are none."""
    charts = {
        f"{posixpath.dirname(path)}/".lstrip("/")
        for path in tree.files
        if posixpath.basename(path) == "Chart.yaml"
    }
    return sorted(
        path
        for path, content in tree.files.items()
        if path.endswith(_SUFFIXES)
        and misspelt.mentions(content)
        and not _is_template(path, charts)
    )


def _is_template(path: str, charts: set[str]) -> bool:
    position = path.find("templates/")
    while position >= 0:
        if path[:position] in charts:
            return True
        position = path.find("templates/", position + 1)
    return False


def _naming_patches(tree: Tree, paths: Iterable[str]) -> list[str]:
    """Kustomizations that have patches and mention one of the files by its base name."""
    names = {posixpath.basename(path).encode() for path in paths}
    return sorted(
        path
        for path, content in tree.files.items()
        if posixpath.basename(path) in KUSTOMIZATIONS
        and b"patch" in content
        and any(name in content for name in names)
    )


def _patch_files(kustomization: str, value: Json) -> set[str]:
    """The files that a kustomization uses as patches: parts of objects, no objects."""
    if not isinstance(value, dict):
        return set()
    folder = posixpath.dirname(kustomization)
    named: list[Json] = []
    for field in ("patchesStrategicMerge", "patchesJson6902", "patches"):
        entries = value.get(field)
        if isinstance(entries, list):
            named.extend(e.get("path") if isinstance(e, dict) else e for e in entries)
    return {
        posixpath.normpath(posixpath.join(folder, name))
        for name in named
        if isinstance(name, str) and "\n" not in name
    }


def argo_objects(value: Json, depth: int = 0) -> list[dict[str, Json]]:
    """The objects of Argo CD in a document, lists unwrapped."""
    if not isinstance(value, dict):
        return []
    kind, items = value.get("kind"), value.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        if depth == _MAX_LIST_DEPTH:
            return []
        return [found for item in items for found in argo_objects(item, depth + 1)]
    group = value.get("apiVersion")
    if isinstance(group, str) and group.startswith(misspelt.GROUP + "/") and kind in misspelt.KINDS:
        return [value]
    return []


class _Builder:
    """Collects documents into a catalog."""

    def __init__(self, conditions: Iterable[Condition]) -> None:
        self.sets: list[Document] = []
        self._applications: dict[str, tuple[Application, Document]] = {}
        self._generated: dict[str, Application] = {}
        self._projects: dict[str, tuple[AppProject, Document]] = {}
        self._unread: set[str] = set()
        self._unexpanded: dict[str, Any] = {}
        self._conditions = list(conditions)

    def problem(self, message: str) -> None:
        """Note a document that cannot be used."""
        self._conditions.append(Condition("InvalidSpecError", message))

    def add(self, document: Document) -> None:
        """Take one Application, ApplicationSet or AppProject."""
        kind = document.value["kind"]
        told = _misspelt_fields(document)
        if kind != "Application":
            self._conditions += told
        if kind == "ApplicationSet":
            self.sets.append(document)
            return
        try:
            if kind == "Application":
                app = application(document.value, document.origin)
                app = msgspec.structs.replace(app, conditions=told, lines=_lines(document))
                self._note_duplicate(kind, app.qualified_name, self._applications, document)
                self._applications[app.qualified_name] = (app, document)
            else:
                found = project(document.value, document.origin)
                self._note_duplicate(kind, found.name, self._projects, document)
                self._projects[found.name] = (found, document)
        except InvalidDocument as error:
            if kind == "AppProject":
                metadata = document.value.get("metadata")
                self._unread.add(str(metadata.get("name") if isinstance(metadata, dict) else ""))
            else:
                self._conditions += told
            self.problem(f"{document}: {_named(document.value)}: {error}")

    def _note_duplicate(
        self, kind: str, name: str, known: dict[str, tuple[Any, Document]], document: Document
    ) -> None:
        if name not in known:
            return
        earlier = known[name][1]
        same = earlier.value == document.value
        self._conditions.append(
            Condition(
                "RepeatedResourceWarning",
                f"{kind} {name} is declared in {earlier} and again in {document}; "
                + ("both are equal" if same else "the last one counts; remove one of them"),
                Severity.WARNING if same else Severity.ERROR,
            )
        )

    async def expand(self, document: Document, inputs: Inputs) -> None:
        """Generate the Applications of a set; a name that exists stays with its Application."""
        try:
            generated = await expand(
                document.value, inputs, lambda tag: _written(document, InvalidDocument("", tag))
            )
        except InvalidDocument as error:
            self.problem(f"{_written(document, error)}: {_named(document.value)}: {error}")
            self._unexpanded["/".join(document.identity[1:])] = document.value
            return
        if not generated:
            text = f"{document}: {_named(document.value)} generates no Application"
            if choices := git_choices(document.value):
                text += ": nothing in the repository matches "
                text += ", ".join(one.pattern for one in choices)
                text += await _meant(choices, inputs)
            self._conditions.append(Condition(GENERATES_NOTHING, text, Severity.WARNING))
        taken: list[str] = []
        lines = _template_lines(document)
        for app in generated:
            name = app.qualified_name
            if name in self._applications:
                taken.append(f"{app.name} ({_place(self._applications[name][1])})")
            elif name in self._generated:
                taken.append(f"{app.name} ({self._generated[name].origin})")
            else:
                self._generated[name] = msgspec.structs.replace(
                    app, file=document.file, lines=lines
                )
        if taken:
            self._conditions.append(
                Condition(
                    "ApplicationSetCollision",
                    f"{document}: {_named(document.value)} generates names that are already taken, "
                    f"which count as they are: {', '.join(taken)}",
                    Severity.WARNING,
                )
            )

    def catalog(self) -> Catalog:
        """Everything collected."""
        apps = [app for app, _ in self._applications.values()] + list(self._generated.values())
        projects = {name: found for name, (found, _) in self._projects.items()}
        if PERMISSIVE.name not in self._unread:  # what it forbids is not known: not nothing
            projects.setdefault(PERMISSIVE.name, PERMISSIVE)
        return Catalog(
            tuple(sorted(apps, key=lambda app: (app.name, app.namespace))),
            projects,
            tuple(self._conditions),
            self._unexpanded,
        )


def _misspelt_fields(document: Document) -> tuple[Condition, ...]:
    """What Argo CD would not read of a document, where another field was probably meant."""
    # An Application has the condition itself.
    whose = "" if document.value["kind"] == "Application" else f"{_named(document.value)}: "
    told: list[Condition] = []
    for path, name, meant in slips(document.value):
        line = _line(name, document)
        place = f"{document.file}:{line}" if line else str(document)
        text = f"{place}: {whose}{path} has no field {name[:100]}; did you mean {meant}?"
        told.append(Condition("UnknownFieldWarning", text, Severity.WARNING))
    return tuple(told)


def _lines(document: Document) -> dict[str, int]:
    """The lines of an Application's `spec` and of its fields, as far as they are certain."""
    spec = document.value.get("spec")
    names = ["spec", *(name for name in _PLACED if isinstance(spec, dict) and name in spec)]
    names += _INNER
    return {name: line for name in names if (line := _line(name, document))}


def _template_lines(document: Document) -> dict[str, int]:
    """The lines of fields of an ApplicationSet's template, as those of an Application's `spec`."""
    names = {"spec": "template"} | {name: name for name in (*_PLACED, *_INNER)}
    return {one: line for one, name in names.items() if (line := _line(name, document))}


def _line(name: str, document: Document) -> int:
    """The line of a field's name in the file of a document; 0 where it is not certain."""
    index: int | None = document.index
    if document.root:
        metadata = document.value.get("metadata")
        called = metadata.get("name") if isinstance(metadata, dict) else None
        index = index_of(str(called), document.value["kind"], document.text)
    return line_of(name, document.text, index)


def _place(document: Document) -> str:
    return document.origin if document.root else f"the Application in {document.file}"


def _named(value: Any) -> str:
    """Kind and, if it has one, name of an object."""
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{value['kind']} {name}" if isinstance(name, str) else str(value["kind"])


def _written(document: Document, error: InvalidDocument) -> str:
    """The line that holds what is wrong with a document of a file, else the document."""
    text = error.written.encode()
    if document.root or not text or document.text.count(text) != 1:
        return str(document)
    before = document.text.partition(text)[0]
    line = 1 + before.count(b"\n")
    return f"{document.file}:{line}"


async def _meant(choices: Iterable[GitChoice], inputs: Inputs) -> str:
    """What the patterns that match nothing were probably meant to be, as a message ends with it."""
    near: list[str] = []
    for one in choices:
        try:
            tree = await inputs.tree(one.repo_url, one.revision)
        except InvalidDocument:
            continue  # a matrix may fill in which repository it is
        near.append(meant_pattern(one.pattern, tree.files))
    found = [one for one in near if one]
    return f"; did you mean {', '.join(found)}?" if found else ""
