"""Which writes would put an application back, decided as data. Pure: no input or output.

On the rung `fields`, driftd creates what is missing and applies the whole declared object where
declared fields drifted. What Git declared formerly is removed by a patch, for an apply leaves
what others own; what somebody else added only where the rule says `undeclared`, else it is named
as `remains`. No object is ever deleted. What is no drift keeps its live value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from driftd.diff.prepare import desired_view
from driftd.diff.schema import Node
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
from driftd.model.resource import GVK, LiveObject, Manifest, ResourceKey
from driftd.settings.healing import Rung
from driftd.sync import declared_body
from driftd.sync.engine import ENGINES, engine_of, puts_back
from driftd.sync.order import order_key, wave_of
from driftd.sync.removal import Removal, Unaddressable, removals

FIELD_MANAGER = "driftd"
HEAL_ANNOTATION = "driftd.io/heal"
SKIP_RECONCILE_ANNOTATION = "argocd.argoproj.io/skip-reconcile"

_REPLICAS_LOST = (
    "Git declares no replicas any more, and a write would set them to 1: declare them, "
    "or let what scales the object apply them first"
)

CORRECTION = "Git is to be corrected at"
"""How the reason begins why an object is left alone that has a mistake in Git."""
ADDITIONS_STAY = (
    "Git is silent about what was added; the healing rule does not say undeclared: true"
)
"""Why additions stay where a rule opens the application."""
_COMPUTED = (
    "its rules are computed from other ClusterRoles, as its aggregationRule says: the controller "
    "that does so puts them back"
)


def _no_schema(_gvk: GVK) -> Node | None:
    return None


class SyncTask(msgspec.Struct, frozen=True, kw_only=True):
    """One object to apply."""

    key: ResourceKey
    gvk: GVK
    body: bytes
    """The declared object as JSON, with the uid and resourceVersion that must still hold."""
    wave: int
    create: bool
    """The object is missing; nothing is taken over if somebody has made it meanwhile."""
    heals: tuple[Change, ...] = ()
    """The changes that this write puts back, as the report has them: with masked values."""
    removals: tuple[Removal, ...] = ()
    """The patch that is sent before `body`, as that would leave something; empty if it would not.

    Its values are the cluster's own and Git's, secrets too.
    """
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
    """Why nothing may be written to this application at all; empty if writes are allowed. Tasks
    beside it are what it would take, to be shown: `run` sends none of them."""
    undeclared: bool = False
    """Whether what others added and Git is silent about is removed, too."""
    tasks: tuple[SyncTask, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class _Scope(NamedTuple):
    """Which drift of an object a write puts back."""

    undeclared: bool
    computed: tuple[str, ...]
    """Pointers of the fields that are a controller's to write, whoever changed them."""

    def heals(self, change: Change) -> bool:
        """Whether a field is put back: what Git says or said, additions only if wanted."""
        if change.path in self.computed:
            return False
        if change.change_class is ChangeClass.DECLARED:
            return True
        return self.undeclared and change.kind in (ChangeKind.ADDED, ChangeKind.MODIFIED)


class _Known(NamedTuple):
    """What decides on an object beside its verdict."""

    declared: Mapping[ResourceKey, Manifest]
    repeated: Collection[ResourceKey]
    shared: Mapping[ResourceKey, str]
    live: Mapping[ResourceKey, LiveObject]
    node: Callable[[GVK], Node | None]
    undeclared: bool


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
    live: Mapping[ResourceKey, LiveObject] | None = None,
    node: Callable[[GVK], Node | None] = _no_schema,
    undeclared: bool = False,
    foreseen: bool = False,
    halted: str = "",
) -> SyncPlan:
    """The writes that would put `application` back to what Git declares.

    `rung` is what the operator has opened; `held` are objects that must not be written, such
    as those declared more than once; `shared` are those that other applications declare too,
    with the words for these. `complete` says whether `manifests` are all that Git declares,
    `managers` are all field managers of the live objects, deployers or not. `live` are the objects
    that the report was made from and `node` gives the schema of a kind: without them nothing is
    patched. `undeclared` says whether additions that Git is silent about are removed, too.
    `foreseen` lists the tasks of an application that is refused as a whole, too, to be shown.
    `halted` says why Flux does nothing about an application that it manages, if that is so.
    """
    name = application.qualified_name
    refusal = _refusal(
        application, {*report.deployers, *managers}, rung, complete=complete, halted=halted
    )
    if refusal and not (foreseen and complete):
        return SyncPlan(application=name, rung=rung, refusal=refusal)
    declared: dict[ResourceKey, Manifest] = {}
    repeated: set[ResourceKey] = set(held)
    for manifest in manifests:
        if manifest.key in declared:
            repeated.add(manifest.key)
        declared[manifest.key] = manifest
    known = _Known(declared, repeated, shared or {}, live or {}, node, undeclared)
    tasks: list[SyncTask] = []
    skipped: list[Skipped] = []
    for resource in report.resources:
        found = _decide(resource, known)
        if isinstance(found, SyncTask):
            tasks.append(found)
        elif found is not None:
            skipped.append(found)
    return SyncPlan(
        application=name,
        rung=rung,
        refusal=refusal,
        undeclared=undeclared,
        tasks=_ordered(tasks),
        skipped=tuple(skipped),
    )


def _refusal(
    application: Application,
    managers: Collection[str],
    rung: Rung,
    *,
    complete: bool,
    halted: str,
) -> str:
    """Why driftd keeps its hands off the whole application."""
    if rung is Rung.OBSERVE:
        return "the operator has not opened healing for this application"
    if application.flux is not None:
        if halted:
            return f"Flux manages this application, and {halted}"
        kind = application.flux.kind
        return f"Flux manages this application as a {kind}: {puts_back(application, 'Flux')}"
    if application.annotations.get(SKIP_RECONCILE_ANNOTATION) == "true":
        return f"the Application is paused by {SKIP_RECONCILE_ANNOTATION}"
    engine = engine_of(application, managers)
    if engine:
        how = f"is active on this application (as {_writer(managers)})"
        if application.origin.startswith("hub "):
            how = f"manages this application ({application.origin})"
        return f"{engine} {how}: {puts_back(application, engine)}"
    automated = application.spec.sync_policy.automated
    if automated is None or automated.enabled is False or not automated.self_heal:
        return "the Application does not ask for syncPolicy.automated.selfHeal"
    if not complete:
        # What is missing may declare the same objects otherwise: the last source wins.
        return "not everything that Git declares could be read"
    return ""


def _writer(managers: Collection[str]) -> str:
    """The field manager by which an engine is known."""
    return next((name for name in sorted(managers) if name in ENGINES), "")


def _decide(resource: ResourceReport, known: _Known) -> SyncTask | Skipped | None:
    """The task for one object, or why there is none; None where nothing is to be said."""
    key = resource.key
    status = resource.status
    if kept := _kept(resource):
        return Skipped(key, kept)
    if status not in (ResourceStatus.MISSING, ResourceStatus.OUT_OF_SYNC):
        return None
    manifest = known.declared.get(key)
    if manifest is None:
        return Skipped(key, "its manifest is not at hand")
    body = msgspec.json.decode(manifest.body)
    if why := _untouchable(manifest, body, known):
        return Skipped(key, why)
    if status is ResourceStatus.MISSING:
        return _task(manifest, declared_body.folded(body), wave_of(_annotations(body)), create=True)
    scope = _Scope(known.undeclared, declared_body.computed(body))
    reason, remains = _hold(resource.changes, scope)
    if not reason and not (
        isinstance(resource.evidence.uid, str)
        and isinstance(resource.evidence.resource_version, str)
    ):
        reason = "the verdict does not say which live object it was made from"
    if not reason and not resource.changes:
        told = isinstance(resource.reason, str)
        nothing = "its verdict names no field that could be put back"
        reason = f"the live object is {resource.reason}" if told else nothing
    if reason:
        return Skipped(key, reason, remains)
    try:
        return _mended(manifest, body, resource, known, scope, remains)
    except Unaddressable as error:
        return Skipped(key, f"it cannot be put back without a doubt: {error}", remains)


def _untouchable(manifest: Manifest, body: dict[str, Any], known: _Known) -> str:
    """Why Git's word on an object is none to act on; empty if it is."""
    key = manifest.key
    if key in known.repeated:
        return "it is declared more than once"
    if key in known.shared:
        return f"it is declared by {known.shared[key]} too"
    if manifest.unstable:
        return "it is rendered otherwise each time"
    if _annotations(body).get(HEAL_ANNOTATION) == "never":
        return f"its manifest says {HEAL_ANNOTATION}: never"
    return ""


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
    return f"{CORRECTION} {wrong.path}: {wrong.message}"


def _hold(changes: Iterable[Change], scope: _Scope) -> tuple[str, tuple[str, ...]]:
    """Why an OutOfSync object is not written (empty if it is), and what a write would leave."""
    every = tuple(changes)
    drift = [change for change in every if change.is_drift]
    remains = tuple(change.path for change in drift if not scope.heals(change))
    wrong = next((change.invalid for change in drift if change.invalid), None)
    if wrong is not None:
        return _correction(wrong), remains
    if any(change.change_class is ChangeClass.PENDING for change in every):
        return "Git is ahead of what was synced last; applying would roll that out", remains
    if any(_loses_replicas(change, scope) for change in drift):
        return _REPLICAS_LOST, remains
    if drift and len(remains) == len(drift):
        return _COMPUTED if set(remains) & set(scope.computed) else ADDITIONS_STAY, remains
    return "", remains


def _is_taken_out(change: Change) -> bool:
    """Whether putting a field back means to remove what is live."""
    if change.change_class is ChangeClass.UNDECLARED:
        return True
    return change.kind in (ChangeKind.ADDED, ChangeKind.RENAMED, ChangeKind.FORMERLY_DECLARED)


def _loses_replicas(change: Change, scope: _Scope) -> bool:
    """Whether a write takes away the replicas that Git is silent about, so that one is left."""
    gone = scope.heals(change) and _is_taken_out(change)
    return gone and change.path == "/spec/replicas" and change.live != 1


def _mended(
    manifest: Manifest,
    body: dict[str, Any],
    resource: ResourceReport,
    known: _Known,
    scope: _Scope,
    remains: tuple[str, ...],
) -> SyncTask:
    """The writes to an object that is there. Raises Unaddressable where they cannot be told."""
    drift = [change for change in resource.changes if change.is_drift]
    heals = tuple(change for change in drift if scope.heals(change))
    spared = declared_body.kept(resource.changes)
    seen = known.live.get(manifest.key)
    sent = declared_body.folded(body)
    patched = [c for c in heals if _is_taken_out(c) or c.kind is ChangeKind.REORDERED]
    removed: tuple[Removal, ...] = ()
    if seen is None:
        if spared or patched:
            raise Unaddressable("its live object is not at hand")
    else:
        if seen.resource_version != resource.evidence.resource_version:
            raise Unaddressable("the live object at hand is another version of it")
        live = msgspec.json.decode(seen.body)
        sent = declared_body.with_kept(sent, live, spared)
        sent = declared_body.with_computed(sent, live)
        sent = declared_body.without_empty(sent, live, [change.path for change in drift])
        if patched:
            gone = [change.path for change in heals if _is_taken_out(change)]
            removed = removals(live, desired_view(sent), gone, known.node(manifest.gvk))
    identity = {"uid": resource.evidence.uid, "resourceVersion": resource.evidence.resource_version}
    task = _task(manifest, sent, wave_of(_annotations(body)), create=False, identity=identity)
    return msgspec.structs.replace(task, heals=heals, removals=removed, remains=remains)


def _task(
    manifest: Manifest,
    body: dict[str, Any],
    wave: int,
    *,
    create: bool,
    identity: Mapping[str, Any] | None = None,
) -> SyncTask:
    key = manifest.key
    metadata = {
        name: value
        for name, value in (body.get("metadata") or {}).items()
        if name not in ("managedFields", "uid", "resourceVersion")
    }
    metadata["name"] = key.name
    if key.namespace:
        metadata["namespace"] = key.namespace
    metadata.update(identity or {})
    return SyncTask(
        key=key,
        gvk=manifest.gvk,
        body=msgspec.json.encode({**body, "metadata": metadata}),
        wave=wave,
        create=create,
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
