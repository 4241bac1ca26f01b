"""The live sources and ConfigMaps that an application of Flux is made from, beside Git's.

An edit of one of them changes what the application is as an edit of its own object does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.edited import edited_used, edits_beside_flux, edits_used
from driftd.cluster.fluxobjects import applied_by
from driftd.cluster.operations import flux_object
from driftd.cluster.reader import ApiResource, ClusterReader
from driftd.controller.live_applications import Difference, edit_condition, writers
from driftd.controller.live_flux import EDITED, differences, how_it_came
from driftd.controller.workspace import Workspace
from driftd.errors import ClusterError, NotServed
from driftd.flux.applications import Place, to_application
from driftd.flux.objects import FluxObjects, Reader
from driftd.flux.specs import SOURCE_GROUP
from driftd.flux.uses import Use, decisive, uses_of
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.flux import SOURCES, FluxObject, LiveEdit
from driftd.model.resource import Json, LiveObject
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool

_PROJECT: Final = "driftd-catalog"
_PLURALS: Final = {kind: f"{kind.lower()}s" for kind in SOURCES} | {
    "GitRepository": "gitrepositories",
    "HelmRepository": "helmrepositories",
    "OCIRepository": "ocirepositories",
}
_RESOURCES: Final[Mapping[str, tuple[ApiResource, ...]]] = {
    "ConfigMap": (ApiResource("", "v1", "ConfigMap", "configmaps", True, ("get",)),),
    **{
        kind: tuple(
            ApiResource(SOURCE_GROUP, version, kind, plural, True, ("get",))
            for version in ("v1", "v1beta2")
        )
        for kind, plural in _PLURALS.items()
    },
}


class LiveConfigMaps:
    """Reads ConfigMaps of a cluster for one look, each once, and keeps them."""

    def __init__(self, workspace: Workspace, target: ClusterTarget | None) -> None:
        """`target` is None where the cluster is not known."""
        self._workspace = workspace
        self._target = target
        self.objects = FluxObjects()

    async def __call__(self, namespace: str, name: str) -> dict[str, str] | None:
        """The data of a ConfigMap; None if there is none. Raises DriftdError."""
        found = self.objects.find("ConfigMap", namespace, name)
        if found is None:
            if self._target is None:
                raise ClusterError("which context the cluster is is not known")
            reader = self._workspace.clusters.open(self._target)
            use = Use(kind="ConfigMap", namespace=namespace, name=name)
            found = await _read(reader, use, self._target.name)
            if found is None:
                return None
            self.objects.add(found)
        return _data(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideGit:
    """A cluster's live objects and what the checkout has of them."""

    reader: Reader
    maps: LiveConfigMaps
    place: Place
    sandbox: SandboxPool
    git: FluxObjects = field(default_factory=FluxObjects)
    """What the checkout declares for the cluster; nothing without one."""
    replaced: frozenset[tuple[str, str, str]] = frozenset()
    """Kind, namespace and name of what `reader` does not have as it is live."""

    async def with_used(self, application: Application, live: FluxObject) -> Application:
        """The application of a live object, with a condition for each edit of what it uses."""
        flux = application.flux
        if flux is None:
            return application
        told: list[Condition] = []
        edits: list[LiveEdit] = []
        for use, now in self._used(live):
            git = self.git.find(use.kind, use.namespace, use.name)
            for condition, how in await self._beside(application, live, use, now, git):
                told.append(condition)
                edits.append(_edit(use, how, now.applied_by or (git.applied_by if git else "")))
        if not told:
            return application
        flux = msgspec.structs.replace(flux, edited=(*flux.edited, *edits))
        conditions = (*application.conditions, *told)
        return msgspec.structs.replace(application, flux=flux, conditions=conditions)

    def _used(self, live: FluxObject) -> Iterator[tuple[Use, FluxObject]]:
        for use in dict.fromkeys(uses_of(live)):
            objects = self.reader.objects if use.kind in SOURCES else self.maps.objects
            now = objects.find(use.kind, use.namespace, use.name)
            if now is not None and (use.kind, use.namespace, use.name) not in self.replaced:
                yield use, now
                if now.kind == "HelmChart":
                    yield from self._used(now)

    async def _beside(
        self,
        application: Application,
        live: FluxObject,
        use: Use,
        now: FluxObject,
        git: FluxObject | None,
    ) -> list[tuple[Condition, str]]:
        """What is to be told of an object that is used, and how it came about."""
        which = f" {use.namespace}/{use.name}"
        found = None if git is None else await self._differences(live, use, now, git)
        if git is None or found is None:
            owned = edited_used(f"{use.kind}{which}", now.body, use.part, use.counts)
            return [(one, EDITED) for one in owned]
        if not found or not await self._decides(application, live, git):
            return []
        how = how_it_came([writers(now.body, place, use.part) for place, _, _ in found])
        which += ", which decides what is deployed here,"
        return [
            (
                edit_condition(
                    use.key, git.origin, git.body, now.body, found, part=use.part, which=which
                ),
                how,
            )
        ]

    async def _decides(self, application: Application, live: FluxObject, git: FluxObject) -> bool:
        """Whether the application would be another one with Git's object in the live one's place.

        A value may be overridden by a later one, and of a source's refs only one counts.
        """
        if application.flux is None or not application.flux.render:
            return True
        # Where an object was read is no part of what it says.
        objects = self.reader.objects.instead(msgspec.structs.replace(git, origin=""))
        would_be = await to_application(live, Reader(objects, self.maps), self.place)
        return would_be.flux is None or (would_be.spec.source, would_be.flux.render) != (
            application.spec.source,
            application.flux.render,
        )

    async def _differences(
        self, live: FluxObject, use: Use, now: FluxObject, git: FluxObject
    ) -> list[Difference] | None:
        """Places that decide and differ; None where one side cannot be read."""
        if use.kind in SOURCES:
            one, other = decisive(git), decisive(now)
            if one is None or other is None:
                return None
            return list(differences((), one, other))
        written, data = _data(git), _data(now)
        if not use.values_key:
            return list(differences((), written, data))
        texts = (written.get(use.values_key), data.get(use.values_key))
        if texts[0] == texts[1]:
            return []
        if use.is_document and None not in texts:
            documents = await self._parsed(*map(str, texts))
            if documents is not None:
                own = (live.body.get("spec") or {}).get("values")
                return [
                    found
                    for found in differences((use.values_key,), *documents)
                    if not _overridden(own, found[0][1:])
                ]
        return [((use.values_key,), *texts)]

    async def _parsed(self, *texts: str) -> tuple[Json, ...] | None:
        """Documents of values, decoded; None where one of them is no mapping."""
        files = {f"{number}.yaml": text.encode() for number, text in enumerate(texts)}
        digest = hashlib.blake2b(msgspec.json.encode(files), digest_size=20).hexdigest()
        parsed = await self.sandbox.parse(Tree(digest, files), list(files), project=_PROJECT)
        decoded = {one.file: msgspec.json.decode(one.object) for one in parsed.documents}
        found = tuple(decoded.get(name) for name in files)
        whole = len(parsed.documents) == len(files) and not parsed.errors
        return found if whole and all(isinstance(one, dict) for one in found) else None


def _overridden(own: Json, place: tuple[str, ...]) -> bool:
    """Whether `spec.values` has a value of its own at a place, or above it."""
    for name in place:
        if not isinstance(own, dict) or own.get(name) is None:
            return False
        own = own[name]
        if not isinstance(own, dict):
            return True
    return False


def _data(found: FluxObject) -> dict[str, str]:
    data = found.body.get("data")
    if not isinstance(data, dict):
        return {}
    return {key: value for key, value in data.items() if isinstance(value, str)}


def _edit(use: Use, how: str, by: str) -> LiveEdit:
    return LiveEdit(kind=use.kind, namespace=use.namespace, name=use.name, how=how, applied_by=by)


async def with_live_edits(reader: ClusterReader, application: Application) -> Application:
    """The application with `live_edits`; as it is without any. Raises ClusterError."""
    edits = await live_edits(reader, application)
    if not edits or application.flux is None:
        return application
    flux = msgspec.structs.replace(application.flux, edited=edits)
    return msgspec.structs.replace(application, flux=flux)


async def live_edits(reader: ClusterReader, application: Application) -> tuple[LiveEdit, ...]:
    """What somebody edited beside Git of an application's live object and of what that uses.

    `reader` is of the cluster that holds Flux's object. What it uses and cannot be read counts
    as it is in Git. Raises ClusterError where the object itself cannot be read.
    """
    flux = application.flux
    if flux is None:
        return ()
    found = await flux_object(reader, flux, application.namespace)
    live = None if found is None else _decoded(found, flux.kind, "")
    if live is None:
        return ()
    edits: list[LiveEdit] = []
    try:
        if told := edits_beside_flux(live.body):
            own = Use(kind=live.kind, namespace=live.namespace, name=live.name)
            edits.append(_edit(own, f"{EDITED} ({told})", flux.applied_by))
    except (AttributeError, TypeError):
        return ()  # whoever reads the object itself says what is wrong with it
    waiting = list(dict.fromkeys(uses_of(live)))
    while waiting:
        use = waiting.pop(0)
        try:
            now = await _read(reader, use, "")
        except ClusterError:
            continue
        if now is None:
            continue
        if told := edits_used(now.body, use.part, use.counts):
            edits.append(_edit(use, f"{EDITED} ({told})", now.applied_by))
        waiting += uses_of(now) if now.kind == "HelmChart" else ()
    return tuple(edits)


async def _read(reader: ClusterReader, use: Use, context: str) -> FluxObject | None:
    """A live object that an application uses; None if there is none. Raises ClusterError."""
    for resource in _RESOURCES[use.kind]:
        try:
            live = await reader.get(resource, use.namespace, use.name)
        except NotServed:
            continue
        return None if live is None else _decoded(live, use.kind, f"hub {context}")
    return None


def _decoded(live: LiveObject, kind: str, origin: str) -> FluxObject | None:
    try:
        body: dict[str, Any] = msgspec.json.decode(live.body, type=dict)
    except msgspec.MsgspecError:
        return None
    return FluxObject(
        kind=kind,
        namespace=live.key.namespace,
        name=live.key.name,
        body=body,
        origin=origin,
        applied_by=applied_by(body),
    )
