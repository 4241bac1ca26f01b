"""The machine interface `driftd.io/v1`: what `driftd check -o json` prints.

An absent value is an absent key (`UNSET`), a masked one is `{"masked": true}`.
`docs/reference/report.schema.json` is generated from these types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, Literal, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from driftd.model.condition import Condition, Severity
from driftd.model.resource import Origin, ResourceKey

API_VERSION = "driftd.io/v1"


class ChangeKind(StrEnum):
    """What happened to a field."""

    MODIFIED = "modified"
    MISSING = "missing"
    ADDED = "added"
    FORMERLY_DECLARED = "formerly-declared"
    REORDERED = "reordered"
    RENAMED = "renamed"


class ChangeClass(StrEnum):
    """How Git stands to a change; only `declared` and `undeclared` make an object OutOfSync."""

    DECLARED = "declared"
    UNDECLARED = "undeclared"
    REVIEW = "review"
    INJECTED = "injected"
    REWRITTEN = "rewritten"
    PENDING = "pending"


DRIFT_CLASSES = frozenset({ChangeClass.DECLARED, ChangeClass.UNDECLARED})
IGNORED = "ignored"
"""What counts call changes and whole objects that carry `ignoredBy`."""


class ResourceStatus(StrEnum):
    """The verdict on one object."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    MISSING = "Missing"
    EXTRA = "Extra"
    PENDING = "Pending"
    NOT_CHECKED = "NotChecked"
    UNKNOWN = "Unknown"


DRIFT_STATUSES = frozenset(
    {ResourceStatus.OUT_OF_SYNC, ResourceStatus.MISSING, ResourceStatus.EXTRA}
)


class ApplicationStatus(StrEnum):
    """The verdict on one application; OutOfSync beats Unknown."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"


def is_masked(value: object) -> bool:
    """Whether a published value is the stand-in of a masked one."""
    return isinstance(value, dict) and value.get("masked") is True


class WireStruct(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the published types."""


class ReportOrigin(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an object is declared in Git, or a field of it."""

    repo_url: str | UnsetType = msgspec.field(name="repoURL", default=UNSET)
    """The repository, never with a password.

    Of a change it is the object's, unless its values come from another one.
    """
    file: str
    """Path in the repository.

    Of an object in a chart or an overlay the template or base that it comes from; of a change
    the patch, kustomization or base that sets the field.
    """
    line: int | UnsetType = UNSET
    """The line (from 1): of a change the field's own.

    Of an object the one on which its document begins, in plain manifests.
    """
    template: str | UnsetType = UNSET
    """What Helm calls the template in `file`, where that is the archive of a chart."""
    value: str | UnsetType = UNSET
    """Of a change in what a chart renders the value there that decides the field, as the values
    of the whole chart write it: `metrics.image.tag`.
    """
    written: str | UnsetType = UNSET
    """How the value is written there, where the field has it as a text and YAML reads a number that
    is another text: `3.20`, of which the field has `3.2`.
    """
    number: str | UnsetType = UNSET
    """The number that YAML reads there: `3.2`."""
    others: tuple[ReportOrigin, ...] = ()
    """Further values that decide the same field: changing either one changes it."""


def origin_of(origin: Origin, repositories: Sequence[str]) -> ReportOrigin | UnsetType:
    """Where an object comes from, as reports say it; `repositories` by the source's index."""
    if not origin.file:
        return UNSET
    known = origin.source < len(repositories)
    return ReportOrigin(
        repo_url=repositories[origin.source] if known else UNSET,
        file=origin.file,
        line=origin.line or UNSET,
        template=origin.packed or UNSET,
    )


class AuditedAuthor(TypedDict, total=False):
    """Who made a write, as the cluster's audit log says."""

    user: str
    """The user who authenticated; of a service account `system:serviceaccount:NAMESPACE:NAME`."""
    groups: list[str]
    impersonatedUser: str
    """Whom the user acted as."""
    userAgent: str
    sourceIPs: list[str]
    verb: str
    auditID: str
    time: str
    """When the API server answered the write (RFC 3339)."""


class Attribution(AuditedAuthor, total=False):
    """What is known of a change's author beyond the object itself."""

    writes: int
    """Writes of this person that may have made the change, if several; the last one is told."""
    candidates: list[AuditedAuthor]
    """Where the log cannot tell which of several made the change: the latest ones, at most 5."""
    more: int
    """Further candidates."""
    after: str
    """The last look that did not see the change (RFC 3339)."""
    before: str
    """The first look that saw it."""


class Invalid(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """A mistake in Git: what it declares here the API server drops or refuses, always.

    Nobody in the cluster has caused the difference, and no sync ends it.
    """

    cause: Literal[
        "UnknownField",
        "WrongType",
        "WrongFormat",
        "UnsupportedValue",
        "ValidationFailed",
        "MissingField",
        "DuplicateItem",
    ]
    """`UnknownField`: the kind has no such field. `ValidationFailed`: the schema allows it, and the
    API server refuses the object all the same. `MissingField`: a custom resource lacks a required
    field. `DuplicateItem`: a list has two items of one key, which server-side apply refuses, and
    every server of custom resources. Else the schema allows no such value.
    """
    path: str
    """RFC 6901 pointer into the prepared desired object: the change's place, or one below."""
    message: str
    """What is wrong, and what was probably meant; never a value."""
    meant: str | UnsetType = UNSET
    """RFC 6901 pointer of the field that was probably meant by one that does not exist."""
    expected: str | UnsetType = UNSET
    """The type, format or values that the schema allows."""
    given: str | UnsetType = UNSET
    """The type of Git's value."""
    origin: ReportOrigin | UnsetType = UNSET
    """Where Git says it, of a mistake of the whole object and where that is known."""


BY_KUBECTL: Final = "applied with kubectl, absent from Git"
"""How the reason begins of what `kubectl apply` set and Git does not declare.

Whether Git declared it before, or a person applied it, the cluster does not tell.
"""
MISNAMED: Final = "Git probably declares it, as "
"""How the reason of a live object begins that Git declares under a kind that is not served.

The object of that kind has the cause.
"""
NOT_APPLIED: Final = "not synced yet: the last apply did not send it"
"""The reason of a declared field that live lacks, where the deployer's own record proves it."""


class Change(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One field that differs."""

    kind: ChangeKind
    change_class: ChangeClass = msgspec.field(name="class")
    path: str
    """RFC 6901 pointer into live as served; for `missing`, into the prepared desired object."""
    desired_path: str | UnsetType = UNSET
    ssa_path: str | UnsetType = UNSET
    """`managedFields` notation, segments joined by `/`, with `~` and `/` escaped as in RFC 6901."""
    desired: Any = UNSET
    live: Any = UNSET
    expected: Any = UNSET
    """What the API server would store here for Git's manifest, as an oracle said (`--oracle`)."""
    manager: str | UnsetType = UNSET
    operation: str | UnsetType = UNSET
    subresource: str | UnsetType = UNSET
    time: str | UnsetType = UNSET
    confidence: Literal["exact", "likely", "window", "audit"] | UnsetType = UNSET
    attribution: Attribution | UnsetType = UNSET
    severity: Literal["critical", "high", "medium", "low", "info"] | UnsetType = UNSET
    severity_reason: str | UnsetType = UNSET
    """Why the severity is what it is, in short words."""
    reason: str | UnsetType = UNSET
    """Why the change has its class."""
    ignored_by: str | UnsetType = UNSET
    origin: ReportOrigin | UnsetType = UNSET
    """Which line of Git sets the field, where that is certain and says more than the object's."""
    invalid: Invalid | UnsetType = UNSET
    """What is wrong with Git's side itself, where the kind's schema shows it: correct it there."""

    @property
    def place(self) -> str:
        """The field by which looks recognise a change: list positions do not move it.

        That is the `ssa_path`, and the pointer where a change has none.
        """
        return self.path if self.ssa_path is UNSET else self.ssa_path

    @property
    def is_drift(self) -> bool:
        """Whether this change makes its object OutOfSync."""
        return self.change_class in DRIFT_CLASSES and self.ignored_by is UNSET


class Evidence(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """What a verdict was made from (invariant 4)."""

    revision: str | UnsetType = UNSET
    resource_version: str | UnsetType = UNSET
    uid: str | UnsetType = UNSET
    schema_hash: str | UnsetType = UNSET
    observed_at: str | UnsetType = UNSET


class Waiting(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """How long Git has been ahead of an object, as far as looks remember."""

    since: str
    """The first look that saw it wait (RFC 3339)."""
    until: str | UnsetType = UNSET
    """From then on it is drift; absent where a person has to start the sync."""


class ResourceReport(WireStruct, frozen=True, kw_only=True):
    """One object and its changes; Synced ones are listed too."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str
    status: ResourceStatus
    reason: str | UnsetType = UNSET
    ignored_by: str | UnsetType = UNSET
    """What accepts that the whole object is Missing or Extra: `baseline FILE#NUMBER`."""
    severity: Literal["critical", "high", "medium", "low", "info"] | UnsetType = UNSET
    """Of a Missing or Extra object: critical ones cannot be accepted."""
    severity_reason: str | UnsetType = UNSET
    """Why a Missing or Extra object is more than medium, in short words."""
    manager: str | UnsetType = UNSET
    """Of an Extra object the field manager that created it, where `managedFields` tell."""
    attribution: Attribution | UnsetType = UNSET
    """Who deleted a Missing object or created an Extra one, as the audit log says."""
    origin: ReportOrigin | UnsetType = UNSET
    invalid: Invalid | UnsetType = UNSET
    """Of a Missing object what is wrong with its manifest, so that no API server takes all of it:
    `reason` says it too. Of an OutOfSync one why the API server refuses the object as a whole.
    """
    waiting: Waiting | UnsetType = UNSET
    """Of what is Pending, wholly or in part, where looks know of the looks before them."""
    evidence: Evidence = Evidence()
    changes: tuple[Change, ...] = ()

    @property
    def key(self) -> ResourceKey:
        """The object's address."""
        return ResourceKey(self.group, self.kind, self.namespace, self.name)

    @property
    def is_drift(self) -> bool:
        """Whether the object is OutOfSync, or Missing or Extra and not accepted as such."""
        return self.status in DRIFT_STATUSES and self.ignored_by is UNSET


class ReportCondition(WireStruct, frozen=True, kw_only=True):
    """A condition as published."""

    type: str
    message: str
    severity: Severity = Severity.ERROR
    """Only for an `error` something could not be judged (exit code 2)."""


def published(conditions: Iterable[Condition]) -> tuple[ReportCondition, ...]:
    """Conditions in the form of a report."""
    return tuple(
        ReportCondition(type=one.type, message=one.message, severity=one.severity)
        for one in conditions
    )


class ReportDestination(WireStruct, frozen=True, kw_only=True):
    """Where the application lives."""

    server: str
    namespace: str
    name: str | UnsetType = UNSET
    """In a preview the name that the spec gives, where no cluster is known for it."""


class ApplicationReport(WireStruct, frozen=True, kw_only=True):
    """One application's verdict."""

    name: str
    namespace: str
    kind: str | UnsetType = UNSET
    """`Kustomization` or `HelmRelease` of Flux; absent for Argo CD's Applications."""
    project: str
    cluster: str
    """The kubeconfig context or cluster name that the destination was mapped to; empty if none."""
    destination: ReportDestination
    revisions: tuple[str, ...]
    deployers: tuple[str, ...]
    status: ApplicationStatus
    conditions: tuple[ReportCondition, ...] = ()
    resources: tuple[ResourceReport, ...] = ()
    complete: bool = True
    """False when anything of this application could not be judged."""
    not_searched: tuple[str, ...] | UnsetType = UNSET
    """Kinds (`Secret`, `Widget.example.com`, `*.example.com`) that no look at declared objects
    needs, and that could not be searched for objects that Git dropped."""


class OrphanedResource(WireStruct, frozen=True, kw_only=True):
    """A live object with the tracking mark of an application that nothing declares."""

    cluster: str
    application: str
    """Whose mark it carries: `NAME` or `NAMESPACE_NAME`, of Flux `KIND/NAMESPACE/NAME`."""
    group: str
    version: str
    kind: str
    namespace: str
    name: str


class Summary(WireStruct, frozen=True, kw_only=True):
    """Counts over the whole report."""

    applications: dict[str, int]
    """By `ApplicationStatus`."""
    resources: dict[str, int]
    """By `ResourceStatus`, accepted Missing and Extra ones under `ignored`."""
    changes: dict[str, int]
    """By `ChangeClass`, ignored ones under `ignored`."""


class DriftReport(WireStruct, frozen=True, kw_only=True):
    """What one look at every application found."""

    api_version: str = API_VERSION
    kind: Literal["DriftReport"] = "DriftReport"
    generated_at: str
    complete: bool
    """False when anything could not be judged (exit code 2)."""
    conditions: tuple[ReportCondition, ...] = ()
    """What concerns no single application: a document that does not parse, an invalid set."""
    applications: tuple[ApplicationReport, ...]
    summary: Summary
    orphaned: tuple[OrphanedResource, ...] | UnsetType = UNSET
    """The first objects (1000 of each cluster) that an `OrphanedResourceWarning` counts."""


class DiffReport(WireStruct, frozen=True, kw_only=True):
    """What `driftd diff` prints: one pair or list of pairs compared offline."""

    api_version: str = API_VERSION
    kind: Literal["DiffReport"] = "DiffReport"
    complete: bool
    resources: tuple[ResourceReport, ...]
    conditions: tuple[ReportCondition, ...] = ()


def exit_code(*, complete: bool, drift: bool) -> int:
    """The exit code of a look: 2 beats 1 beats 0 (the convention of `diff` and `kubectl diff`)."""
    if not complete:
        return 2
    return 1 if drift else 0


def has_drift(resources: tuple[ResourceReport, ...]) -> bool:
    """Whether any object is OutOfSync, or Missing or Extra and not accepted as such."""
    return any(resource.is_drift for resource in resources)
