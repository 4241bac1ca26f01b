"""Marks of Argo CD and Flux: which application an object is of, and whose hand counts as Git's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from driftd.cluster.poison import metadata_of
from driftd.diff.compare import DEPLOYERS
from driftd.model.application import Application
from driftd.model.flux import CONTROLLERS, owner_mark
from driftd.model.flux import mark_of as flux_mark
from driftd.model.resource import GVK, LiveObject, ResourceKey
from driftd.render.hooks import hook_of

DEPLOYERS_ANNOTATION: Final = "driftd.io/deployers"
"""On an Application: the field managers that count as Git's hand, separated by commas."""
TRACKING_ID: Final = "argocd.argoproj.io/tracking-id"
INSTALLATION: Final = "argocd.argoproj.io/installation-id"
"""Which Argo CD wrote the mark, where several share a cluster and each has an id."""
FLUX_KEEPS: Final = ("kustomize.toolkit.fluxcd.io/prune", "kustomize.toolkit.fluxcd.io/reconcile")
_BYTES: Final = (TRACKING_ID.encode(), b".toolkit.fluxcd.io/namespace")


@dataclass(frozen=True, slots=True)
class Tracked:
    """A live object with the tracking mark that it carries."""

    gvk: GVK
    live: LiveObject
    metadata: dict[str, Any]
    mark: str

    @property
    def annotations(self) -> dict[str, Any]:
        """The object's annotations."""
        return self.metadata.get("annotations") or {}

    @property
    def installation(self) -> str:
        """The Argo CD that wrote the mark; empty where it does not say."""
        return str(self.annotations.get(INSTALLATION) or "")

    @property
    def creator(self) -> str:
        """The manager of the oldest entry in `managedFields`; empty where two are as old."""
        times = {
            (entry.get("time") or "", entry.get("manager") or "")
            for entry in self.metadata.get("managedFields") or ()
            if not entry.get("subresource")
        }
        oldest = min((time for time, _ in times), default="")
        managers = {manager for time, manager in times if time == oldest}
        return managers.pop() if len(managers) == 1 else ""


def marks_of(application: Application) -> tuple[str, ...]:
    """The owners that tracking marks of an application's objects may name."""
    if application.flux is not None:
        name = application.flux.object_name
        return (owner_mark(application.flux.kind, application.namespace, name),)
    return (application.name, f"{application.namespace}_{application.name}")


def owners_of(annotations: dict[str, Any], labels: dict[str, Any]) -> dict[str, str]:
    """The owners that an object's marks name, each with its mark."""
    found: dict[str, str] = {}
    owner = flux_mark(labels)
    if owner:
        found[owner] = owner
    mark = annotations.get(TRACKING_ID)
    if isinstance(mark, str):
        found[mark.partition(":")[0]] = mark
    return found


def tracked(gvk: GVK, live: LiveObject) -> dict[str, Tracked]:
    """An object as its marks give it to owners; only bodies that hold a mark are decoded."""
    if not any(text in live.body for text in _BYTES):
        return {}
    metadata = metadata_of(live.body)
    owners = owners_of(metadata.get("annotations") or {}, metadata.get("labels") or {})
    return {owner: Tracked(gvk, live, metadata, mark) for owner, mark in owners.items()}


def describes(mark: str, key: ResourceKey) -> bool:
    """Whether a mark of Argo CD names the very object that carries it (copies keep the mark).

    That of a cluster-scoped object has the namespace of the application's destination.
    """
    _, _, rest = mark.partition(":")
    kind, _, place = rest.partition(":")
    group, _, kind = kind.rpartition("/")
    namespace, _, name = place.partition("/")
    here = not key.namespace or namespace == key.namespace
    return here and (group, kind, name) == (key.group, key.kind, key.name)


def left_behind(
    application: Application, found: Iterable[Tracked], declared: Collection[ResourceKey]
) -> list[Tracked]:
    """The objects that are an application's by their marks, and that Git does not declare.

    `found` are all that were seen with its marks, declared ones too: which Argo CD wrote those
    tells which one this application is of.
    """
    if application.flux is not None and not application.flux.prune:
        return []
    marked = list(found)
    homes = {one.installation for one in marked if one.live.key in declared}
    return [
        one
        for one in marked
        if one.live.key not in declared
        and not one.metadata.get("ownerReferences")
        and (_is_of_argo(one, homes) if application.flux is None else _is_of_flux(one, application))
    ]


def _is_of_argo(one: Tracked, homes: Collection[str]) -> bool:
    """Whether a mark names its object, is no other Argo CD's, and Argo CD compares the object."""
    if not describes(one.mark, one.live.key) or hook_of(one.annotations) is not None:
        return False
    return not (homes and one.installation) or one.installation in homes


def _is_of_flux(one: Tracked, application: Application) -> bool:
    assert application.flux is not None  # noqa: S101 - the caller has asked
    if any(one.annotations.get(name) == "disabled" for name in FLUX_KEEPS):
        return False
    # Controllers copy labels (of a Service to its Endpoints): only what Flux wrote is Flux's.
    writers = {entry.get("manager") for entry in one.metadata.get("managedFields") or ()}
    return CONTROLLERS[application.flux.kind] in writers


def deployers_of(application: Application) -> frozenset[str]:
    """The field managers that count as Git's hand for an application."""
    text = application.annotations.get(DEPLOYERS_ANNOTATION, "")
    named = frozenset(name.strip() for name in text.split(",") if name.strip())
    return named or DEPLOYERS


def instances_of(application: Application) -> frozenset[str]:
    """What Argo CD writes into its tracking label; `NAMESPACE_NAME` outside its own namespace."""
    if application.flux is not None:
        return frozenset()
    return frozenset({application.name, f"{application.namespace}_{application.name}"})
