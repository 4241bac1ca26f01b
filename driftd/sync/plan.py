"""Which writes would put an application back, decided as data. Pure: no input or output.

On the rung `fields`, driftd creates what is missing and applies the whole declared object where
declared fields drifted. It deletes nothing, and what Git does not mention stays: an apply
cannot remove fields that other managers own. Such fields are named as `remains`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from driftd.model.application import Application
from driftd.model.report import (
    ApplicationReport,
    Change,
    ChangeClass,
    ChangeKind,
    Invalid,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import GVK, Manifest, ResourceKey
from driftd.settings.healing import Rung
from driftd.sync.order import order_key, wave_of
from driftd.sync.removal import Removal

FIELD_MANAGER = "driftd"
HEAL_ANNOTATION = "driftd.io/heal"
SKIP_RECONCILE_ANNOTATION = "argocd.argoproj.io/skip-reconcile"

ENGINES = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}
"""Field managers of engines that put things back themselves."""

_REPLICAS_LOST = (
    "Git declares no replicas any more, and an apply would set them to 1: declare them, "
    "or let what scales the object apply them first"
)


class SyncTask(msgspec.Struct, frozen=True, kw_only=True):
    """One object to apply."""

    key: ResourceKey
    gvk: GVK
    body: bytes
    """The declared object as JSON, with the uid and resourceVersion that must still hold."""
    wave: int
    create: bool
    """The object is missing; nothing is taken over if somebody has made it meanwhile."""
    removals: tuple[Removal, ...] = ()
    """The patch that removes what an apply would leave; empty where an apply is enough."""
    remains: tuple[str, ...] = ()
    """Paths of drift that this write cannot remove."""


class Skipped(msgspec.Struct, frozen=True):
    """A drifted or unjudged object that is not written, and why."""

    key: ResourceKey
    reason: str
    remains: tuple[str, ...] = ()
    guard: str = ""
    """The guard that holds it back, such as `G-03`; empty where the plan itself does."""
    until: datetime | None = None
    """When the guard lets it pass, where that is a matter of time."""


class SyncPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The writes for one application, in order."""

    application: str
    """`namespace/name`."""
    rung: Rung
    refusal: str = ""
    """Why nothing may be written to this application at all; empty if writes are allowed."""
    tasks: tuple[SyncTask, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def plan(
    application: Application,
    report: ApplicationReport,
    manifests: Iterable[Manifest],
    *,
    rung: Rung,
    held: Collection[ResourceKey] = (),
    shared: Mapping[ResourceKey, str] | None = None,
    complete: bool = True,
    managers: Collection[str] = (),
) -> SyncPlan:
    """The writes that would put `application` back to what Git declares.

    `rung` is what the operator has opened; `held` are objects that must not be written, such
    as those declared more than once; `shared` are those that other applications declare too,
    with the words for these. `complete` says whether `manifests` are all that Git declares,
    `managers` are all field managers of the live objects, deployers or not.
    """
    name = application.qualified_name
    refusal = _refusal(application, {*report.deployers, *managers}, rung, complete=complete)
    if refusal:
        return SyncPlan(application=name, rung=rung, refusal=refusal)
    declared: dict[ResourceKey, Manifest] = {}
    repeated: set[ResourceKey] = set(held)
    for manifest in manifests:
        if manifest.key in declared:
            repeated.add(manifest.key)
        declared[manifest.key] = manifest
    tasks: list[SyncTask] = []
    skipped: list[Skipped] = []
    for resource in report.resources:
        found = _decide(resource, declared, repeated, shared or {})
        if isinstance(found, SyncTask):
            tasks.append(found)
        elif found is not None:
            skipped.append(found)
    return SyncPlan(application=name, rung=rung, tasks=_ordered(tasks), skipped=tuple(skipped))


def _refusal(
    application: Application, managers: Collection[str], rung: Rung, *, complete: bool
) -> str:
    """Why driftd keeps its hands off the whole application."""
    if rung is Rung.OBSERVE:
        return "the operator has not opened healing for this application"
    if application.flux is not None:
        kind = application.flux.kind
        return f"Flux manages this application as a {kind}; let it reconcile"
    automated = application.spec.sync_policy.automated
    if automated is None or automated.enabled is False or not automated.self_heal:
        return "the Application does not ask for syncPolicy.automated.selfHeal"
    if application.annotations.get(SKIP_RECONCILE_ANNOTATION) == "true":
        return f"the Application is paused by {SKIP_RECONCILE_ANNOTATION}"
    if application.origin.startswith("hub "):
        return f"Argo CD manages this application ({application.origin}); let it sync"
    for manager in sorted(managers):
        if manager in ENGINES:
            return f"{ENGINES[manager]} is active on this application (as {manager}); let it sync"
    if not complete:
        # What is missing may declare the same objects otherwise: the last source wins.
        return "not everything that Git declares could be read"
    return ""


def _decide(
    resource: ResourceReport,
    declared: dict[ResourceKey, Manifest],
    repeated: Collection[ResourceKey],
    shared: Mapping[ResourceKey, str],
) -> SyncTask | Skipped | None:
    """The task for one object, or why there is none; None where nothing is to be said."""
    key = resource.key
    status = resource.status
    if kept := _kept(resource):
        return Skipped(key, kept)
    if status not in (ResourceStatus.MISSING, ResourceStatus.OUT_OF_SYNC):
        return None
    manifest = declared.get(key)
    if manifest is None:
        return Skipped(key, "its manifest is not at hand")
    if key in repeated:
        return Skipped(key, "it is declared more than once")
    if key in shared:
        return Skipped(key, f"it is declared by {shared[key]} too")
    if manifest.unstable:
        return Skipped(key, "it is rendered otherwise each time")
    body = msgspec.json.decode(manifest.body)
    if _annotations(body).get(HEAL_ANNOTATION) == "never":
        return Skipped(key, f"its manifest says {HEAL_ANNOTATION}: never")
    if status is ResourceStatus.MISSING:
        return _task(manifest, body, resource, create=True, remains=())
    reason, remains = _hold(resource.changes)
    if not reason and not (
        isinstance(resource.evidence.uid, str)
        and isinstance(resource.evidence.resource_version, str)
    ):
        reason = "the verdict does not say which live object it was made from"
    if reason:
        return Skipped(key, reason, remains)
    return _task(manifest, body, resource, create=False, remains=remains)


def _kept(resource: ResourceReport) -> str:
    """Why an object is left alone whatever its manifest is; empty if it is not."""
    status = resource.status
    fixed = {
        ResourceStatus.UNKNOWN: "it could not be judged",
        ResourceStatus.PENDING: "Git is ahead of what was synced last; that is not drift",
        ResourceStatus.EXTRA: "it is not in Git; driftd never deletes",
    }
    if status in fixed:
        return fixed[status]
    if isinstance(resource.ignored_by, str):
        return f"that it is {status} is accepted by {resource.ignored_by}"
    return _correction(resource.invalid) if resource.invalid else ""


def _correction(wrong: Invalid) -> str:
    """Why an apply is of no use: the API server drops or refuses what Git declares."""
    return f"Git is to be corrected at {wrong.path}: {wrong.message}"


def _hold(changes: Iterable[Change]) -> tuple[str, tuple[str, ...]]:
    """Why an OutOfSync object is not applied (empty if it is), and what an apply would leave."""
    every = tuple(changes)
    drift = [change for change in every if change.is_drift]
    remains = tuple(change.path for change in drift if _stays(change))
    wrong = next((change.invalid for change in drift if change.invalid), None)
    if wrong is not None:
        return _correction(wrong), remains
    if any(change.change_class is ChangeClass.PENDING for change in every):
        return "Git is ahead of what was synced last; applying would roll that out", remains
    ignored = [c.path for c in every if isinstance(c.ignored_by, str) and not _stays(c)]
    if ignored:
        return f"applying would overwrite ignored differences ({ignored[0]})", remains
    if any(_loses_replicas(change) for change in drift):
        return _REPLICAS_LOST, remains
    if all(_stays(change) and change.kind is not ChangeKind.RENAMED for change in drift):
        return "an apply cannot remove fields that other managers added", remains
    return "", remains


def _stays(change: Change) -> bool:
    """Whether the live field is still there after an apply of what Git declares."""
    if change.kind is ChangeKind.FORMERLY_DECLARED:
        return not (change.manager == FIELD_MANAGER and change.operation == "Apply")
    return change.kind in (ChangeKind.ADDED, ChangeKind.RENAMED)


def _loses_replicas(change: Change) -> bool:
    """Whether an apply takes away the replicas that driftd had applied, so that one is left."""
    formerly = change.kind is ChangeKind.FORMERLY_DECLARED and not _stays(change)
    return formerly and change.path == "/spec/replicas" and change.live != 1


def _task(
    manifest: Manifest,
    body: dict[str, Any],
    resource: ResourceReport,
    *,
    create: bool,
    remains: tuple[str, ...],
) -> SyncTask:
    key = manifest.key
    metadata = {
        name: value
        for name, value in body.get("metadata", {}).items()
        if name not in ("managedFields", "uid", "resourceVersion")
    }
    metadata["name"] = key.name
    if key.namespace:
        metadata["namespace"] = key.namespace
    if not create:
        metadata["uid"] = resource.evidence.uid
        metadata["resourceVersion"] = resource.evidence.resource_version
    return SyncTask(
        key=key,
        gvk=manifest.gvk,
        body=msgspec.json.encode({**body, "metadata": metadata}),
        wave=wave_of(_annotations(body)),
        create=create,
        remains=remains,
    )


def _annotations(body: dict[str, Any]) -> dict[str, Any]:
    found = (body.get("metadata") or {}).get("annotations")
    return found if isinstance(found, dict) else {}


def _ordered(tasks: list[SyncTask]) -> tuple[SyncTask, ...]:
    """By wave, kind and name; namespaces and definitions come before what needs them."""
    waves = {task.key: task.wave for task in tasks}
    for task in tasks:
        needed = _defines(task)
        users = [t.wave for t in tasks if needed is not None and needed == _needs(t, needed)]
        waves[task.key] = min([task.wave, *users])
    return tuple(sorted(tasks, key=lambda task: order_key(waves[task.key], task.key)))


def _defines(task: SyncTask) -> tuple[str, ...] | None:
    """What other objects need this one for: a namespace, or a kind."""
    if task.key.kind == "Namespace" and not task.key.group:
        return (task.key.name,)
    if task.key.kind == "CustomResourceDefinition":
        spec = msgspec.json.decode(task.body).get("spec") or {}
        return str(spec.get("group")), str((spec.get("names") or {}).get("kind"))
    return None


def _needs(task: SyncTask, needed: tuple[str, ...]) -> tuple[str, ...]:
    return (task.key.namespace,) if len(needed) == 1 else (task.key.group, task.key.kind)
