"""What becomes of objects that Git no longer declares: who deletes them, if anybody does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from driftd.controller.annotated import annotations_of, sync_options_of
from driftd.controller.declared import Declared, Entry
from driftd.controller.preview_apply import is_certain
from driftd.controller.tracking import FLUX_KEEPS
from driftd.diff.between import overlap
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxSpec
from driftd.model.preview import FieldChange, FieldKind, OnCluster
from driftd.model.report import (
    Change,
    ChangeClass,
    ChangeKind,
    Invalid,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import Manifest
from driftd.sync.engine import ENGINES

ABSENT: Final = "it is not on the cluster"
"""What the reason begins with of an object that there is nothing of to delete."""
KIND_NOT_SERVED: Final = "KindNotServed"
"""The condition of an object that the API server refuses, since it has no such kind."""
PRUNES: Final = "syncPolicy.automated.prune deletes it"
_FINALIZER = "resources-finalizer.argocd.argoproj.io"
_HELM_POLICY: Final = "helm.sh/resource-policy"
FIELD_KINDS: Final = {
    ChangeKind.MISSING: FieldKind.ADDED,
    ChangeKind.ADDED: FieldKind.REMOVED,
    ChangeKind.FORMERLY_DECLARED: FieldKind.REMOVED,
    ChangeKind.MODIFIED: FieldKind.MODIFIED,
    ChangeKind.REORDERED: FieldKind.REORDERED,
    ChangeKind.RENAMED: FieldKind.RENAMED,
}
"""The comparison takes the new object as desired: what it misses in the old one is added."""


def survives(
    before: Entry | None, after: Entry | None, manifest: Manifest | None = None
) -> tuple[bool, str]:
    """Whether an object stays on the cluster once Git no longer has it, and why.

    `before` and `after` are its application on both sides.
    """
    entry = after or before
    if manifest is not None and entry and (kept_by := _kept_by(entry, manifest, after is None)):
        return True, kept_by
    if after is None:
        return outlives(before) if before else (True, "")
    application = after.application
    if application.flux is not None:
        prunes = application.flux.prune
        return (False, "Flux prunes it") if prunes else (True, "spec.prune is off")
    if not is_automated(after):
        return True, "it stays until somebody syncs with prune: syncPolicy is not automated"
    automated = application.spec.sync_policy.automated
    if automated is None or not automated.prune:
        return True, "it stays until somebody prunes it: syncPolicy.automated.prune is off"
    return False, PRUNES


def keeps_its_own(entry: Entry | None, manifest: Manifest) -> bool:
    """Whether an object says by itself that its application neither prunes nor deletes it."""
    return entry is not None and any(_kept_by(entry, manifest, gone) for gone in (False, True))


def _kept_by(entry: Entry, manifest: Manifest, gone: bool) -> str:
    """What keeps an object once Git no longer has it, or its application if `gone`; else empty."""
    application = entry.application
    annotations = annotations_of(manifest)
    if application.flux is not None:
        if application.flux.kind == "HelmRelease":
            keeps = annotations.get(_HELM_POLICY) == "keep"
            return f"its annotation {_HELM_POLICY}: keep keeps it" if keeps else ""
        kept = [name for name in FLUX_KEEPS if annotations.get(name) == "disabled"]
        return f"its annotation {kept[0]}: disabled keeps it" if kept else ""
    option = "Delete=false" if gone else "Prune=false"
    if option in sync_options_of(manifest):
        return f"its sync option {option} keeps it"
    if (manifest.key.group, manifest.key.kind) == ("", "Namespace") and not gone:
        # Argo CD then takes the destination's namespace for declared.
        policy = spec_of(entry).get("syncPolicy")
        managed = isinstance(policy, dict) and policy.get("managedNamespaceMetadata") is not None
        if managed and manifest.key.name == application.spec.destination.namespace:
            return "spec.syncPolicy.managedNamespaceMetadata keeps it"
    return ""


def unseen(entry: Entry, base: Declared, change: Declared) -> Condition | None:
    """Why it is not known whether a change still declares an application of the base.

    None where everything that the change declares is known: then it does not. What cannot be
    read or rendered hides applications, as an app of apps that fails hides its children, and a
    Kustomization whose source is not known here.
    """
    hidden = change.unseen.get(entry.application.qualified_name)
    if hidden is not None:
        return hidden
    above = _unread_above(entry, base, change)
    if above:
        text = f"whether the change still declares it is not known: {above}"
        return Condition("ComparisonError", text)
    if change.names is not None:
        return None
    errors = [c.message for c in change.conditions if c.severity is Severity.ERROR]
    root = entry.application.origin.partition(" (")[0]
    why = errors[0] if errors else "not all of its Applications were read"
    if any(message.startswith(f"{root} ") for message in errors):
        # Why, the report says once, and not again at each child.
        why = f"{root}, which declares it at the base, cannot be rendered in full with the change"
    elif any(f": {root}: " in message for message in errors):
        why = f"{root}, which declares it at the base, cannot be read with the change"
    return Condition("ComparisonError", f"whether the change still declares it is not known: {why}")


def _unread_above(entry: Entry, base: Declared, change: Declared) -> str:
    """The Kustomization that declares an application of Flux at the base and tells nothing now."""
    seen: set[str] = set()
    by = entry.application.flux.applied_by if entry.application.flux else ""
    while by and by not in seen:
        seen.add(by)
        now, before = (_kustomization(by, entry, side) for side in (change, base))
        if now is not None and now.unread:
            return f"Kustomization {by}, which declares it at the base, cannot be read"
        by = before.applied_by if before is not None else ""
    return ""


def _kustomization(name: str, like: Entry, side: Declared) -> FluxSpec | None:
    """The Kustomization `NAMESPACE/NAME` of the same root as another application of Flux."""
    root = like.application.flux.context if like.application.flux else ""
    for entry in side.entries:
        flux = entry.application.flux
        if flux is None or flux.kind != "Kustomization" or flux.context != root:
            continue
        if f"{entry.application.namespace}/{flux.object_name}" == name:
            return flux
    return None


def outlives(entry: Entry) -> tuple[bool, str]:
    """Whether the objects of an application stay when the application goes, and why."""
    application = entry.application
    if application.flux is not None:
        if application.flux.prune:
            return False, "Flux deletes what it has applied"
        return True, "spec.prune is off"
    metadata = application.raw.get("metadata")
    finalizers = (metadata.get("finalizers") if isinstance(metadata, dict) else None) or ()
    if any(str(one).startswith(_FINALIZER) for one in finalizers):
        return False, "the Application's finalizer deletes them when it is deleted"
    if application.origin.startswith("ApplicationSet"):
        return False, "an ApplicationSet deletes its Applications with their objects"
    return True, "the Application has no resources-finalizer"


def is_automated(entry: Entry) -> bool:
    """Whether Argo CD or Flux syncs an application by itself."""
    if entry.application.flux is not None:
        return True
    automated = entry.application.spec.sync_policy.automated
    return automated is not None and automated.enabled is not False


def is_no_kind(seen: ResourceReport | None) -> bool:
    """Whether the cluster serves no such kind, and no definition that is to come mends that."""
    if seen is None or seen.status is not ResourceStatus.UNKNOWN or seen.reason is UNSET:
        return False
    return "does not serve" in seen.reason and "CustomResourceDefinition" not in seen.reason


def is_refused(seen: ResourceReport | None, invalid: Invalid | UnsetType) -> bool:
    """Whether the API server refuses a new object: its kind or one of its values.

    A field that its kind lacks need not be refused: it is dropped where nobody asks for more.
    """
    return is_no_kind(seen) or is_certain(invalid)


def refuses(
    fields: Iterable[FieldChange], seen: ResourceReport | None, invalid: Invalid | UnsetType
) -> bool:
    """Whether the API server refuses an object with what changes: its kind or one of its values."""
    return any(is_certain(one.invalid) for one in fields) or is_refused(seen, invalid)


def without_effects(fields: Iterable[FieldChange]) -> tuple[FieldChange, ...]:
    """The changes of an object that the API server refuses: they set nothing off."""
    return tuple(msgspec.structs.replace(one, effect=UNSET, effect_reason=UNSET) for one in fields)


def is_compared(resource: ResourceReport | None) -> bool:
    """Whether the object was looked at on the cluster, and is there."""
    return resource is not None and resource.status in (
        ResourceStatus.SYNCED,
        ResourceStatus.OUT_OF_SYNC,
    )


def on_cluster(
    before: ResourceReport | None,
    after: ResourceReport | None,
    change: Change,
    *,
    ignored: bool = False,
) -> tuple[OnCluster | UnsetType, Change | None]:
    """How live stands to a field that Git changes, and the drift that merging would overwrite.

    `before` and `after` are live against Git on both sides of the change. What differs there and
    is no drift (an autoscaler's replicas, a commit that is not synced yet) is nobody's to lose:
    nothing is said of it. With `ignored`, what ignore rules let pass is overwritten, too.
    """
    if not is_compared(before) or not is_compared(after):
        return UNSET, None
    with_base, with_change = _changes_at(before, change), _changes_at(after, change)
    if not with_change:
        return OnCluster.ALREADY, None
    if not with_base:
        return OnCluster.AS_BASE, None
    drift = [
        one
        for one in with_base
        if (one.is_drift or (ignored and is_ignored(one))) and one.manager not in ENGINES
    ]
    if not drift:
        return UNSET, None
    # Of an item that Git replaces as a whole, its writer says nothing of who drifted inside.
    theirs = next((one for one in drift if one.ssa_path == change.ssa_path), drift[0])
    exact = next((one for one in with_change if one.ssa_path == change.ssa_path), theirs)
    return OnCluster.DRIFTED, msgspec.structs.replace(
        exact, manager=theirs.manager, ignored_by=theirs.ignored_by
    )


def is_ignored(change: Change) -> bool:
    """Whether a field differs from what Git declares, and an ignore rule lets that pass."""
    return change.change_class is ChangeClass.DECLARED and change.ignored_by is not UNSET


def _changes_at(resource: ResourceReport | None, change: Change) -> list[Change]:
    """The differences between live and one side at the place of a change, whatever their class.

    Another order of a list says nothing about what is in its items.
    """
    place = str(change.ssa_path)
    listed = resource.changes if resource else ()
    return [
        one
        for one in listed
        if overlap(str(one.ssa_path), place)
        and (one.kind is not ChangeKind.REORDERED or one.ssa_path == change.ssa_path)
    ]


def spec_of(entry: Entry) -> dict[str, Any]:
    """The spec of an Application as it is written, else as it is understood."""
    spec = entry.application.raw.get("spec")
    if isinstance(spec, dict):
        return spec
    plain: dict[str, Any] = msgspec.to_builtins(entry.application.spec)
    return plain
