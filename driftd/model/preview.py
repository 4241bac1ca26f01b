"""What `driftd check --preview -o json` prints: what merging a change would do to each cluster.

Part of the machine interface `driftd.io/v1`; `docs/reference/preview-report.schema.json` is
generated from these types. An absent value is an absent key, a masked one `{"masked": true}`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from driftd.model.report import (
    API_VERSION,
    Invalid,
    ReportCondition,
    ReportDestination,
    ReportOrigin,
    WireStruct,
)
from driftd.model.resource import ResourceKey


class Action(StrEnum):
    """What merging does to an object."""

    CREATE = "create"
    REFUSE = "refuse"
    """It is new or changed in Git, and the API server refuses it: merging does nothing to it."""
    CHANGE = "change"
    MOVE = "move"
    """Another application declares it from then on."""
    DELETE = "delete"
    LEAVE = "leave"
    """No longer declared, but nothing deletes it: it is left behind."""


class ApplicationAction(StrEnum):
    """What merging does to an application."""

    CREATE = "create"
    REFUSE = "refuse"
    """Argo CD refuses its spec: nothing of a new one is deployed, what a known one has stays."""
    CHANGE = "change"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    UNKNOWN = "unknown"
    """It could not be rendered or compared; `conditions` says why."""


class FieldKind(StrEnum):
    """What happens to a field in Git."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    REORDERED = "reordered"
    RENAMED = "renamed"


class Effect(StrEnum):
    """What a change sets off beyond the field itself."""

    ROLLOUT = "rollout"
    """The workload replaces its Pods."""
    RECREATE = "recreate"
    """The API server refuses the change in place. Of an object that is `refuse`d nobody forces it;
    one with the action `change` is deleted and created anew by who deploys it."""


class OnCluster(StrEnum):
    """How the cluster stands to a change in Git."""

    AS_BASE = "as-base"
    """It holds what the base declares, so merging changes it."""
    ALREADY = "already"
    """It holds what the change declares: merging changes nothing there."""
    DRIFTED = "drifted"
    """It holds neither: merging overwrites somebody's value."""


Level = Literal["critical", "high", "medium", "low"]


class FieldChange(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One field that merging changes."""

    kind: FieldKind
    path: str
    """RFC 6901 pointer into the new object; for `removed`, into the old one."""
    ssa_path: str | UnsetType = UNSET
    """`managedFields` notation, segments joined by `/`, with `~` and `/` escaped as in RFC 6901."""
    old: Any = UNSET
    new: Any = UNSET
    on_cluster: OnCluster | UnsetType = UNSET
    """Absent where the cluster was not read, or holds neither without being drift there."""
    live: Any = UNSET
    """The live value where it is `drifted`."""
    manager: str | UnsetType = UNSET
    """Who owns the drifted live value."""
    ignored_by: str | UnsetType = UNSET
    """The rule that lets the drifted value pass in checks; merging overwrites it all the same."""
    severity: Level
    severity_reason: str
    effect: Effect | UnsetType = UNSET
    effect_reason: str | UnsetType = UNSET
    invalid: Invalid | UnsetType = UNSET
    """What is wrong with the new value itself: the API server drops or refuses it."""
    origin: ReportOrigin | UnsetType = UNSET
    """The line that sets the new value, where it is known."""


class ObjectPreview(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One object that merging touches."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str
    action: Action
    reason: str | UnsetType = UNSET
    """Why the action is what it is, and what to know about it."""
    moved_from: str | UnsetType = UNSET
    """The application that declares the object at the base, for `move`."""
    replaces: str | UnsetType = UNSET
    """For `create` the name of the generated object, of the same kind and namespace, whose place
    it takes: the same name with another hash of Kustomize. `changes` is then what its content does.
    """
    severity: Level
    severity_reason: str
    effect: Effect | UnsetType = UNSET
    effect_reason: str | UnsetType = UNSET
    origin: ReportOrigin | UnsetType = UNSET
    """Where the object is declared with the change; for `delete` and `leave`, at the base."""
    invalid: Invalid | UnsetType = UNSET
    """Of an object to create what is wrong with its manifest; `reason` says it too."""
    changes: tuple[FieldChange, ...] = ()
    """Of objects that both sides declare, and of those to `create` that replace another one."""
    untouched_drift: int = 0
    """Fields of the object that have drifted and that the change is not at."""
    reverted_drift: int = 0
    """Of these, the fields that Git declares: whatever deploys the change puts them back, too."""
    reverted_ignored: int = 0
    """Fields that an ignore rule lets pass in checks, and that a sync puts back all the same."""
    declared_inside: int = 0
    """Of a Namespace that Git no longer declares: the objects that it still declares in it."""

    @property
    def already_so(self) -> bool:
        """Whether the cluster holds all of it already."""
        return bool(self.changes) and all(c.on_cluster is OnCluster.ALREADY for c in self.changes)

    @property
    def key(self) -> ResourceKey:
        """The object's address."""
        return ResourceKey(self.group, self.kind, self.namespace, self.name)


class ApplicationPreview(WireStruct, frozen=True, kw_only=True):
    """One application on one cluster, as merging would change it."""

    name: str
    namespace: str
    kind: str | UnsetType = UNSET
    """`Kustomization` or `HelmRelease` of Flux; absent for Argo CD's Applications."""
    project: str
    cluster: str
    """The kubeconfig context or cluster name that the destination was mapped to; empty if none."""
    destination: ReportDestination
    action: ApplicationAction
    reason: str | UnsetType = UNSET
    automated: bool
    """Whether Argo CD or Flux syncs it by itself; else the changes wait for somebody."""
    conditions: tuple[ReportCondition, ...] = ()
    changes: tuple[FieldChange, ...] = ()
    """The fields of its own document that change, of an Application of Argo CD; none where that
    document is an object of another application of the report."""
    resources: tuple[ObjectPreview, ...] = ()
    complete: bool = True
    """False when anything of this application could not be rendered or compared."""


class PreviewRevision(WireStruct, frozen=True, kw_only=True):
    """A side of the comparison."""

    name: str
    """As it was given or found: a branch, a tag, a commit, `work tree`."""
    commit: str
    """The commit's full id, `<id>-dirty` for a work tree with changes."""


class PreviewSummary(WireStruct, frozen=True, kw_only=True):
    """Counts over the whole report."""

    applications: dict[str, int]
    """By `ApplicationAction`, `unchanged` ones included."""
    resources: dict[str, int]
    """By `Action`."""
    fields: int
    untouched_drift: int
    reverted_drift: int = 0
    reverted_ignored: int = 0


class PreviewReport(WireStruct, frozen=True, kw_only=True):
    """What merging one revision into another would change on each cluster, apart from drift."""

    api_version: str = API_VERSION
    kind: Literal["PreviewReport"] = "PreviewReport"
    generated_at: str
    complete: bool
    """False when anything could not be rendered or judged (exit code 2)."""
    base: PreviewRevision
    """What is merged into: the revision that the comparison starts from."""
    revision: PreviewRevision
    """The revision with the change."""
    conditions: tuple[ReportCondition, ...] = ()
    applications: tuple[ApplicationPreview, ...]
    """Those that change or could not be compared, and those of which something is to be known."""
    summary: PreviewSummary

    @property
    def changes(self) -> bool:
        """Whether merging would change anything."""
        quiet = (ApplicationAction.UNCHANGED, ApplicationAction.UNKNOWN)
        return any(one.resources or one.action not in quiet for one in self.applications)

    @property
    def refused(self) -> int:
        """How many objects the API server would refuse: merging breaks the sync (exit code 2)."""
        every = (one for application in self.applications for one in application.resources)
        return sum(one.action is Action.REFUSE for one in every)

    @property
    def lost(self) -> int:
        """How many objects that Git still declares merging deletes with their Namespace (exit
        code 2).
        """
        every = (one for application in self.applications for one in application.resources)
        return sum(one.declared_inside for one in every if one.action is Action.DELETE)

    @property
    def sound(self) -> bool:
        """Whether all is compared, and merging neither breaks a sync nor deletes what Git has."""
        return self.complete and not self.refused and not self.lost


def worst(levels: list[Level]) -> Level:
    """The worst of some severities; `low` if there is none."""
    order: tuple[Level, ...] = ("critical", "high", "medium", "low")
    return min(levels, key=order.index, default="low")
