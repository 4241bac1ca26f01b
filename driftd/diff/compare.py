"""Compare one desired object with one live object: the entry of the package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET

from driftd.diff import invalid, mask, refused
from driftd.diff.attribute import attribute, sole_writer
from driftd.diff.facts import Facts
from driftd.diff.fields import confirmed
from driftd.diff.finding import ABSENT, Finding
from driftd.diff.history import History, Moment
from driftd.diff.owners import Entry, elsewhere, entries
from driftd.diff.paths import Path, names, pointer, ssa_path, ssa_segments
from driftd.diff.prepare import (
    LAST_APPLIED,
    desired_view,
    last_applied_view,
    live_view,
    removed_labels,
)
from driftd.diff.recall import Recall
from driftd.diff.scalars import canonical
from driftd.diff.schema import ANY_NODE, Node
from driftd.diff.subject import Subject
from driftd.diff.walk import walk
from driftd.model import places
from driftd.model.report import NOT_APPLIED, Change, ChangeClass, ChangeKind, Invalid
from driftd.model.resource import Json, ResourceKey

DEPLOYERS: frozenset[str] = frozenset(
    {
        "argocd-controller",
        "argocd-application-controller",
        "driftd",
        "helm",
        "helm-controller",
        "kustomize-controller",
        "kubectl",
        "kubectl-client-side-apply",
    }
)
"""Field managers that count as Git's hand unless an application says otherwise."""

ARGO_CD: frozenset[str] = frozenset({"argocd-controller", "argocd-application-controller"})
"""The field managers of Argo CD itself."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison needs besides the two objects."""

    deployers: frozenset[str] = DEPLOYERS
    facts: Facts = Facts()
    strict: bool = False
    instance_label: str | None = None
    instances: frozenset[str] = frozenset()
    """Values of Argo CD's default tracking label that name the application."""
    synced_here: bool = False
    """Whether Argo CD says that it has synced just the revision that is compared."""
    sealer: mask.Sealer | None = None
    """Makes the seals of masked changes; None makes none."""


class Comparison(msgspec.Struct, frozen=True):
    """The changes of one object, and the deployers that its fields name."""

    changes: tuple[Change, ...]
    deployers: frozenset[str]
    seals: dict[tuple[str, str], str] = {}
    """Keyed hashes of the values of masked changes, by `ssaPath` and kind; never published."""
    history: History | None = None
    """What the next look at the object should be given; None if no moment was given."""
    invalid: Invalid | None = None
    """Why the API server refuses the whole of what Git declares, beyond what the schema says."""
    deleting: str = ""
    """Since when live is being deleted (RFC 3339); empty while it is not."""


def compare(
    key: ResourceKey,
    desired: dict[str, Any],
    live: dict[str, Any],
    node: Node | None,
    context: Context,
    *,
    synced: dict[str, Any] | None = None,
    history: History | None = None,
    moment: Moment | None = None,
) -> Comparison:
    """Every difference between `desired` and `live` (decoded objects, live with managedFields).

    `node` is the schema of the kind; None compares without schema (lists by the keys that
    managedFields name). `synced` is the object at the revision that was synced last; what live
    shares with it is pending, not drift. `history` is what the last look left; with a `moment`,
    there is one for the next look.

    Raises:
        CompareError: the two engines disagree; the object is to be reported Unknown.
    """
    found_entries = entries(live, context.deployers)
    root = node or ANY_NODE
    wanted = desired_view(desired)
    recall = None
    if moment is not None:
        recall = Recall(key, history, moment, live, found_entries, context.sealer)
    subject = subject_of(key, wanted, live, found_entries, context, recall)
    if recall is not None:
        recall.open(wanted, subject.live, root, lambda: _sent(live, wanted, context))
    findings = confirmed(walk(subject, root))
    if recall is not None and recall.mended(findings):
        findings = confirmed(walk(subject, root))
    refusal = None
    if findings:
        invalid.mark(findings, root, key, wanted)
        refusal = refused.mark(findings, desired, live, key)
        _mark_rewritten(findings, subject, wanted, live, context)
        _name_converted(findings, subject)
        if synced is not None:
            _mark_pending(findings, key, synced, live, root, found_entries, context)
    if key.kind == "Job":
        findings += [_without_label(name) for name in removed_labels(live, wanted)]
    if recall is not None:
        findings += recall.vanished(findings, wanted)
        recall.trace(findings)
    _mark_unsent(findings, subject, wanted, live, root, context)
    return Comparison(
        tuple(change(finding, key) for finding in findings),
        frozenset(entry.manager for entry in found_entries if entry.deployer),
        _seals(findings, key, context.sealer),
        recall.updated(findings) if recall is not None else None,
        refusal,
        str((live.get("metadata") or {}).get("deletionTimestamp") or ""),
    )


def _sent(live: dict[str, Any], wanted: dict[str, Any], context: Context) -> dict[str, Any] | None:
    """What the last client-side apply sent, as it is compared; None without a record."""
    return last_applied_view(
        live, wanted, instance_label=context.instance_label, instances=context.instances
    )


def _seals(
    findings: list[Finding], key: ResourceKey, sealer: mask.Sealer | None
) -> dict[tuple[str, str], str]:
    """What stands for the values of masked changes: made here, where they are seen last."""
    if sealer is None:
        return {}
    return {
        (place, str(one.kind)): sealer.seal(key, place, str(one.kind), one.desired, one.live)
        for one in findings
        if mask.holds_sensitive(key, one.path, one.desired, one.live) or _was_sensitive(one, key)
        for place in [ssa_path(one.path)]
    }


def subject_of(
    key: ResourceKey,
    wanted: dict[str, Any],
    live: dict[str, Any],
    found: list[Entry],
    context: Context,
    recall: Recall | None = None,
) -> Subject:
    """The object under comparison; `wanted` is a desired view, `found` are live's entries.

    `recall` is opened with the subject's live view, before the walk.
    """
    view = live_view(
        live, wanted, instance_label=context.instance_label, instances=context.instances
    )
    # The creation time tells who created the object; it is read, never compared.
    created = (live.get("metadata") or {}).get("creationTimestamp")
    return Subject(
        key=key,
        desired=wanted,
        live=view,
        entries=tuple(found),
        facts=context.facts,
        created=created,
        strict=context.strict,
        elsewhere=tuple(elsewhere(found, live)),
        recall=recall,
    )


def _mark_rewritten(
    findings: list[Finding],
    subject: Subject,
    wanted: dict[str, Any],
    live: dict[str, Any],
    context: Context,
) -> None:
    """Declared values that our own apply sent and the cluster stores otherwise.

    Evidence that the apply sent Git's value is asked for: the last-applied record equals Git, or
    Argo CD has synced this revision by its own server-side apply. Without it, or at a critical
    place, the change is drift.
    """
    record: bool | None = None
    for finding in findings:
        if finding.kind is not ChangeKind.MODIFIED or not finding.owners or finding.invalid:
            continue
        if finding.change_class is not ChangeClass.DECLARED:
            continue
        if places.is_critical(subject.key.kind, names(finding.path)):
            continue
        proven = context.synced_here and all(_is_argo_cds_apply(e) for e in finding.owners)
        if not proven and all(_is_recorded_apply(entry) for entry in finding.owners):
            if record is None:
                record = canonical(_sent(live, wanted, context)) == canonical(wanted)
            proven = record
        if proven and not _is_forged(finding, subject.recall):
            finding.change_class = ChangeClass.REWRITTEN
            finding.reason = "a deployer applied Git's value and the cluster stored another"


def _name_converted(findings: list[Finding], subject: Subject) -> None:
    """Name who wrote through another apiVersion what nobody owns at this one, if it was one alone.

    The field has another name there, so its set cannot be followed.
    """
    for finding in findings:
        if finding.kind is not ChangeKind.MODIFIED or finding.invalid:
            continue
        if not finding.owners and finding.writer is None:
            finding.writer = sole_writer(subject.elsewhere, names(finding.path))


def _is_forged(finding: Finding, recall: Recall | None) -> bool:
    """Whether the value came under a deployer's name although no deployer had a reason to write."""
    if recall is None:
        return False
    told = recall.refuses_rewriting(finding.path, finding.live)
    if told is None:
        recall.note_rewritten(finding.path, finding.live)
        return False
    recall.note_told(finding.kind, finding.path, told)
    finding.reason = (
        f"written under a deployer's name after {told.after}, though Git has not changed"
    )
    return True


def _without_label(name: str) -> Finding:
    return Finding(
        ChangeKind.MISSING,
        ChangeClass.REVIEW,
        ("metadata", "labels", name),
        reason="the API server gave the Job this label with others that are still there",
    )


def _is_argo_cds_apply(entry: Entry) -> bool:
    """Whether Argo CD's server-side apply made the entry.

    That Argo CD has synced says nothing of an apply by a person, who writes as `kubectl`.
    """
    return entry.deployer and entry.applied and entry.manager in ARGO_CD


def _is_recorded_apply(entry: Entry) -> bool:
    """Whether the entry is a deployer's apply, server-side or with a record of what it sent.

    A deployer's name alone is not: `kubectl rollout undo` writes as `kubectl` too.
    """
    return entry.deployer and (entry.applied or _has_record(entry))


def _has_record(entry: Entry) -> bool:
    """Whether the entry owns the record of what a client-side apply sent."""
    metadata = entry.fields.get("f:metadata") or {}
    return f"f:{LAST_APPLIED}" in (metadata.get("f:annotations") or {})


def _mark_pending(
    findings: list[Finding],
    key: ResourceKey,
    synced: dict[str, Any],
    live: dict[str, Any],
    node: Node,
    found: list[Entry],
    context: Context,
) -> None:
    """Declared changes that vanish against the revision synced last: Git is ahead.

    A change above or below the place does not vanish either: what was undeclared as a whole
    then may be declared in part now, and somebody else's value is no pending one.
    """
    before = subject_of(key, desired_view(synced), live, found, context)
    still = [ssa_segments(finding.path) for finding in walk(before, node)]
    for finding in findings:
        if finding.change_class is not ChangeClass.DECLARED or finding.invalid:
            continue  # no sync brings what is not valid
        place = ssa_segments(finding.path)
        if not any(_overlap(place, other) for other in still):
            finding.change_class = ChangeClass.PENDING
            finding.reason = "Git is ahead: live equals the revision that was synced last"


def _mark_unsent(
    findings: list[Finding],
    subject: Subject,
    wanted: dict[str, Any],
    live: dict[str, Any],
    node: Node,
    context: Context,
) -> None:
    """Say of declared fields that live lacks that nobody removed them, where that is proven.

    The proof is the record of the last client-side apply, made by deployers alone: it does not
    have the field. Class and severity stay, for whether a sync is due is not known.
    """
    lacking = [
        one
        for one in findings
        if one.kind is ChangeKind.MISSING
        and one.change_class is ChangeClass.DECLARED
        and not (one.invalid or one.writer or one.between)
    ]
    recorders = [entry for entry in subject.entries if _has_record(entry)]
    if not lacking or not recorders or not all(entry.deployer for entry in recorders):
        return
    sent = _sent(live, wanted, context)
    if sent is None:
        return
    before = walk(replace(subject, desired=sent, recall=None), node)
    lost = [ssa_segments(finding.path) for finding in before]
    for finding in lacking:
        if not any(_overlap(ssa_segments(finding.path), other) for other in lost):
            finding.reason = NOT_APPLIED


def _overlap(one: list[str], other: list[str]) -> bool:
    """Whether one place is the other or lies inside it; list items by their keys."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def change(finding: Finding, key: ResourceKey) -> Change:
    """The published form of a finding: paths, masked values, attribution."""
    desired, live = _shown(finding, key)
    live_path = pointer(finding.path, live=True)
    desired_path = pointer(finding.renamed_from or finding.path, live=False)
    if finding.kind is ChangeKind.MISSING or live_path is None:
        path = desired_path or live_path or _above(finding.path)
    else:
        path = live_path
    who = attribute(finding.owners) or finding.writer
    between = finding.between
    return Change(
        kind=finding.kind,
        change_class=finding.change_class,
        path=path,
        desired_path=UNSET if desired_path is None or desired is ABSENT else desired_path,
        ssa_path=ssa_path(mask.told_path(key, finding.path)),
        desired=UNSET if desired is ABSENT else desired,
        live=UNSET if live is ABSENT else live,
        manager=who.manager if who else UNSET,
        operation=who.operation if who else UNSET,
        subresource=who.subresource if who and who.subresource else UNSET,
        time=who.time if who and who.time else UNSET,
        confidence=who.confidence if who else "window" if between else UNSET,
        attribution={"after": between[0], "before": between[1]} if between else UNSET,
        reason=finding.reason or UNSET,
        invalid=finding.invalid or UNSET,
    )


def _shown(finding: Finding, key: ResourceKey) -> tuple[Json, Json]:
    """Both values as they may be published; a new name does not make a secret public."""
    if _was_sensitive(finding, key):
        both = (finding.desired, finding.live)
        desired, live = (value if value is ABSENT else mask.MASKED for value in both)
        return desired, live
    path = finding.path
    return mask.shown(key, path, finding.desired), mask.shown(key, path, finding.live)


def _was_sensitive(finding: Finding, key: ResourceKey) -> bool:
    """Whether the place had a sensitive name before, or would have one without a slip in Git."""
    former = finding.renamed_from
    if finding.concealed:
        return True
    return former is not None and mask.is_sensitive(key, former)


def _above(path: Path) -> str:
    """The pointer of the nearest place above that live has: of a list for an item that is gone."""
    for end in range(len(path) - 1, 0, -1):
        above = pointer(path[:end], live=True)
        if above is not None:
            return above
    return ""
