"""Finds the applications of a Flux repository by rendering, as Flux itself finds them.

The documents of a cluster's folder declare Kustomizations, whose renders hold further ones and
HelmReleases. Bases and overlays that nothing applies are never taken for applications.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import orjson

from driftd.errors import DriftdError
from driftd.flux.applications import Place, to_application
from driftd.flux.dependencies import unmet_dependencies
from driftd.flux.hidden import hidden_below, hidden_by
from driftd.flux.layout import Root, applies_itself, find_roots, flux_files, path_of
from driftd.flux.objects import FluxObjects, LiveConfigMap, Reader
from driftd.flux.slips import Slip, slip_of
from driftd.flux.specs import flux_object
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject
from driftd.model.remedies import own_words
from driftd.model.tree import Tree
from driftd.render.file_says import in_words
from driftd.render.renderer import render_application
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories

_SANDBOX_PROJECT = "driftd-catalog"
_NAMED = 3
MAX_KUSTOMIZATIONS = 1000
"""Kustomizations that are followed for one cluster."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The entries of a repository, and what could not be read."""

    roots: tuple[Root, ...]
    urls: frozenset[str]
    """The URLs of all Git repositories that the documents name."""
    objects: tuple[FluxObject, ...] = ()
    """Everything of Flux that a file declares, applied or not."""
    conditions: tuple[Condition, ...] = ()
    tree: Tree | None = None
    """The files of the repository."""


@dataclass(slots=True)
class Found:
    """What one cluster's entry leads to."""

    root: Root
    objects: FluxObjects = field(default_factory=FluxObjects)
    applications: dict[tuple[str, str, str], Application] = field(default_factory=dict)
    """By kind, namespace and name of the Flux object."""
    seen: set[tuple[str, str, str]] = field(default_factory=set)
    """Namespace, name and path of every Kustomization that a render has led to."""
    conditions: list[Condition] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Unread:
    """A Kustomization or HelmRelease that cannot be used, or does not render in full."""

    kind: str
    name: str
    origin: str
    reason: str
    application: Application | None = None
    """None where the document is none of Flux's as it is written."""
    tree: Tree | None = None
    """The files that it is read from, if these are known."""
    document: FluxObject | None = None
    """What is written, where no more than that is known."""


async def read_layout(tree: Tree, sandbox: SandboxPool) -> Layout:
    """The entries among the plain documents of a repository; none if there is no Flux in it."""
    files = flux_files(tree)
    if not files:
        return Layout((), frozenset())
    parsed = await sandbox.parse(tree, files, project=_SANDBOX_PROJECT)
    objects = [
        found
        for document in parsed.documents
        if (found := flux_object(msgspec.json.decode(document.object), document.file, "default"))
    ]
    urls = {
        url
        for one in objects
        if one.kind == "GitRepository"
        and isinstance(spec := one.body.get("spec"), dict)
        and isinstance(url := spec.get("url"), str)
    }
    # A misspelt entry does not make another cluster's the only one: it is taken as it is meant.
    meant = [
        slip.meant
        for document in parsed.documents
        if (slip := slip_of(msgspec.json.decode(document.object), document.file, "default"))
        and slip.meant.kind == "Kustomization"
        and applies_itself(slip.meant)
    ]
    roots = find_roots([*objects, *meant])
    folders = tuple(f"{root.path}/" for root in roots)
    conditions = tuple(
        Condition(
            "ParseWarning",
            in_words(f"{failure.file}, document {failure.index + 1}: {failure.message}", tree),
            Severity.WARNING,
        )
        for failure in parsed.errors
        if failure.file.startswith(folders)
    )
    return Layout(roots, frozenset(urls), tuple(objects), conditions, tree)


async def follow(
    root: Root,
    place: Place,
    repositories: Repositories,
    sandbox: SandboxPool,
    *,
    urls: frozenset[str],
    live: LiveConfigMap,
    written: Sequence[FluxObject] = (),
    home: Tree | None = None,
) -> Found:
    """Every application that a root leads to. Never raises for what is in the repository.

    `written` is everything of Flux that files declare, `home` the files: of these come the names
    of what is not seen because a Kustomization above it cannot be read.
    """
    found = Found(root)
    for one in root.sources:
        found.objects.add(one)
    walk = _Walk(found, place, repositories, sandbox, urls, live, home)
    await walk.run(root.entries)
    known = {(kind, name) for kind, _, name in found.applications}
    for gap in walk.unread:
        open_ones = [other for other in written if (other.kind, other.name) not in known]
        if gap.application is not None and gap.application.spec.source is not None:
            # What was moved to a repository that is not known here had most likely the same folder.
            lost = hidden_below(gap.application, gap.tree or home, open_ones)
        elif gap.document is not None and gap.kind == "Kustomization":
            lost = hidden_by(gap.document, home, open_ones)
        else:
            lost = []
        if lost or gap.application is None:
            found.conditions.append(_not_seen(gap, lost))
    hidden = written if walk.unread else None
    found.conditions += unmet_dependencies(found.objects, home, hidden)
    return found


def _not_seen(one: _Unread, lost: Sequence[FluxObject]) -> Condition:
    # A base and the patch of it are two documents of one object.
    names = list(dict.fromkeys(f"{other.kind} {other.name}" for other in lost))
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    listed = ", ".join(names[:_NAMED]) + rest
    what = f"{one.kind} {one.name} ({one.origin})"
    why = own_words(one.reason)  # the Kustomization's own condition tells the rest
    if one.application is None and not lost:
        return Condition("ComparisonError", f"{what} is not looked at: {why}")
    text = f"{what} cannot be read, so that what it leads to is not looked at ({listed}): {why}"
    return Condition("ComparisonError", text)


def without_nested(found: Iterable[Found]) -> list[Found]:
    """The roots that no other root's Kustomizations apply."""
    every = list(found)
    kept: list[Found] = []
    for one in every:
        own = {_identity(entry) for entry in one.root.entries}
        others = (other for other in every if other is not one)
        if not any(own <= other.seen and other.root.path != one.root.path for other in others):
            kept.append(one)
    return kept


def _identity(one: FluxObject) -> tuple[str, str, str]:
    return one.namespace, one.name, path_of(one)


async def _nothing_live(_namespace: str, _name: str) -> dict[str, str] | None:
    """What is asked first: Git alone."""
    raise DriftdError("not asked yet")


@dataclass(slots=True)
class _Walk:
    """Follows Kustomizations; those that wait for something of a later one come again."""

    found: Found
    place: Place
    repositories: Repositories
    sandbox: SandboxPool
    urls: frozenset[str]
    live: LiveConfigMap
    home: Tree | None = None
    done: set[tuple[str, str, str]] = field(default_factory=set)
    """Namespace, name and path of the Kustomizations that have been rendered."""
    searched: set[tuple[str, str, str]] = field(default_factory=set)
    """Those whose own values have been looked through."""
    unread: list[_Unread] = field(default_factory=list)

    async def run(self, entries: Iterable[FluxObject]) -> None:
        waiting = list(entries)
        live = False
        while waiting:
            later: list[FluxObject] = []
            fresh: list[FluxObject] = []
            for one in waiting:
                if _identity(one) in self.done:
                    continue
                application = await self._application(one, live=live)
                if not live and _is_blocked(application):
                    later.append(one)
                    continue
                self.done.add(_identity(one))
                self.found.applications["Kustomization", one.namespace, one.name] = application
                fresh += await self._render(application, one)
                if len(self.done) >= MAX_KUSTOMIZATIONS:
                    text = f"more than {MAX_KUSTOMIZATIONS} Kustomizations; the others are left out"
                    self.found.conditions.append(Condition("ComparisonError", text))
                    waiting, later, fresh = [], [], []
                    break
            # Without progress, what the waiting ones declare themselves is looked through; then
            # what Git does not have is looked up in the cluster, and then given up.
            live = not fresh and not await self._own_values(later)
            waiting = fresh + later
        await self._releases()

    async def _application(self, one: FluxObject, *, live: bool) -> Application:
        reader = Reader(self.found.objects, self.live if live else _nothing_live, self.home)
        return await to_application(one, reader, self.place)

    async def _own_values(self, waiting: Iterable[FluxObject]) -> bool:
        """Whether Kustomizations that wait for values declare any that are new.

        Teams keep the variables of a cluster beside what uses them: bootstrap applies them first.
        """
        found = False
        for one in waiting:
            if _identity(one) in self.searched:
                continue
            self.searched.add(_identity(one))
            written = one.body.get("spec")
            if not isinstance(written, dict):
                continue
            spec = {k: v for k, v in written.items() if k != "postBuild"}
            plain = msgspec.structs.replace(one, body={**one.body, "spec": spec})
            told = len(self.unread)
            values, _ = await self._objects(await self._application(plain, live=False))
            del self.unread[told:]  # names may be without their variables yet
            for value in values:
                known = self.found.objects.find(value.kind, value.namespace, value.name)
                if value.kind in ("ConfigMap", "Secret") and known is None:
                    self.found.objects.add(value)
                    found = True
        return found

    async def _render(self, application: Application, document: FluxObject) -> list[FluxObject]:
        """The Kustomizations that one renders; all its objects are remembered."""
        kustomizations: list[FluxObject] = []
        objects, unread = await self._objects(application)
        if unread:
            self.unread.append(replace(unread, document=document))
            if application.flux is not None:
                flux = msgspec.structs.replace(application.flux, unread=unread.reason)
                key = ("Kustomization", document.namespace, document.name)
                self.found.applications[key] = msgspec.structs.replace(application, flux=flux)
        for one in objects:
            self.found.objects.add(one)
            if one.kind == "Kustomization":
                self.found.seen.add(_identity(one))
                kustomizations.append(one)
        return kustomizations

    async def _objects(self, application: Application) -> tuple[list[FluxObject], _Unread | None]:
        """What an application renders for the cluster that its Flux runs in, as far as known.

        Beside it the reason where that is not all.
        """
        if application.spec.destination.name != self.place.destination.name:
            return [], None
        if _is_blocked(application):
            conditions = application.flux.conditions if application.flux else ()
            return [], _unread(application, _first_error(conditions))
        resolution = await self.repositories.resolve(application, self.urls)
        if resolution.conditions:
            return [], _unread(application, _first_error(resolution.conditions))
        rendered = await render_application(
            application, resolution.sources, self.sandbox, lambda _group, _kind: None
        )
        by = f"{application.namespace}/{application.flux.object_name}" if application.flux else ""
        found: list[FluxObject] = []
        for manifest in rendered.manifests:
            if manifest.unchecked is not None and manifest.unchecked.unknown:
                continue
            body = orjson.loads(manifest.body)
            place = (manifest.origin.file or application.origin, manifest.key.namespace)
            one = flux_object(body, *place)
            if one is not None:
                found.append(msgspec.structs.replace(one, applied_by=by))
            elif slip := slip_of(body, *place):
                self.unread.append(_misspelt(slip))
        if rendered.complete:
            return found, None
        reason = _first_error(rendered.conditions)
        return found, _unread(application, reason, resolution.sources[0].tree)

    async def _releases(self) -> None:
        for one in self.found.objects.of_kind("HelmRelease"):
            application = await self._application(one, live=True)
            self.found.applications["HelmRelease", one.namespace, one.name] = application


def _misspelt(slip: Slip) -> _Unread:
    meant = slip.meant
    return _Unread(meant.kind, meant.name, meant.origin, slip.why, document=meant)


def _unread(application: Application, reason: str, tree: Tree | None = None) -> _Unread:
    return _Unread("Kustomization", application.name, application.origin, reason, application, tree)


def _first_error(conditions: Iterable[Condition]) -> str:
    return next((c.message for c in conditions if c.severity is Severity.ERROR), "")


def _is_blocked(application: Application) -> bool:
    conditions = application.flux.conditions if application.flux else ()
    return any(one.severity is Severity.ERROR for one in conditions)
