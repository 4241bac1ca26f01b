"""What becomes of deletions where the API server refuses another object of the application.

Flux deletes last: a Kustomization after a dry run of everything, Helm once all is written. A sync
of Argo CD tries on the client alone, which finds a kind that is not served; then it prunes before
it applies, wave by wave, or at the end with PruneLast=true (gitops-engine, sync_context.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import UnsetType

from driftd.controller.annotated import annotations_of, sync_options_of
from driftd.controller.desired import Desired
from driftd.controller.preview_fate import ABSENT, PRUNES
from driftd.controller.preview_pairs import Pair
from driftd.model.preview import Action, ApplicationPreview, ObjectPreview
from driftd.model.resource import Manifest, ResourceKey
from driftd.sync.order import WAVE_ANNOTATION

FAILS: Final = "nothing is deleted as long as the sync fails"
"""What the reason begins with of an object that stays as long as another one is refused."""
_APPLIED: Final = frozenset({Action.CREATE, Action.CHANGE, Action.MOVE})
_LAST: Final = "PruneLast=true"
_UNTRIED: Final = "SkipDryRunOnMissingResource=true"


def with_pruning(report: ApplicationPreview, pair: Pair) -> ApplicationPreview:
    """The same application, once it is known what is refused.

    What is not deleted as long as that is so stays; of what is deleted all the same, the reason
    says so.
    """
    refused = [one for one in report.resources if one.action is Action.REFUSE]
    if pair.after is None or not refused:
        return report
    old, new = _by_key(pair.old), _by_key(pair.new)
    if pair.after.application.flux is None:
        resources = _pruned(report.resources, refused, pair, old, new)
    else:
        resources = [_kept(one, refused[0]) for one in report.resources]
        report = msgspec.structs.replace(report, reason=_stopped(report, refused, pair))
    return msgspec.structs.replace(report, resources=tuple(resources))


def _stopped(
    report: ApplicationPreview, refused: list[ObjectPreview], pair: Pair
) -> str | UnsetType:
    """The reason of an application of Flux: that its other objects stay as they are, too.

    kustomize-controller tries all objects of a stage before it applies any; definitions and
    classes have stages of their own. What Helm has written when it is refused one, stays.
    """
    flux = pair.entry.application.flux
    others = any(one.action in _APPLIED for one in report.resources)
    if flux is None or flux.kind != "Kustomization" or not others:
        return report.reason
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    are = "are" if more else "is"
    text = (
        f"as long as {refused[0].kind} {refused[0].name}{more} {are} refused, Flux applies nothing "
        "else of this Kustomization either, but Namespaces, definitions and classes"
    )
    return f"{report.reason}; {text}" if report.reason else text


def _by_key(side: Desired | None) -> Mapping[ResourceKey, Manifest]:
    return {one.key: one for one in side.manifests} if side else {}


def _pruned(
    resources: Iterable[ObjectPreview], refused: list[ObjectPreview], pair: Pair,
    old: Mapping[ResourceKey, Manifest], new: Mapping[ResourceKey, Manifest],
) -> list[ObjectPreview]:  # fmt: skip
    """The objects of an application that Argo CD syncs."""
    assert pair.after is not None  # noqa: S101 - the caller has looked
    options = frozenset(pair.after.application.spec.sync_policy.sync_options)
    no_kind = [
        one
        for one in refused
        if one.key in pair.unserved and _UNTRIED not in options | sync_options_of(new.get(one.key))
    ]
    in_waves = any(annotations_of(new.get(one.key)).get(WAVE_ANNOTATION) for one in refused)
    found = []
    for one in resources:
        manifest = old.get(one.key)
        if one.action is not Action.DELETE:
            pass
        elif no_kind:
            one = _kept(one, no_kind[0])
        elif _LAST in options | sync_options_of(manifest):
            one = _kept(one, refused[0])
        elif (
            one.reason == PRUNES
            and not in_waves
            and not annotations_of(manifest).get(WAVE_ANNOTATION)
        ):
            text = (
                f"{PRUNES}, also while {refused[0].kind} {refused[0].name} is refused: "
                "Argo CD prunes before it applies"
            )
            one = msgspec.structs.replace(one, reason=text)
        found.append(one)
    return found


def _kept(one: ObjectPreview, refused: ObjectPreview) -> ObjectPreview:
    """An object that is not deleted as long as another one is refused."""
    if one.action is not Action.DELETE or str(one.reason).startswith(ABSENT):
        return one
    elsewhere = refused.namespace and refused.namespace != one.namespace
    name = f"{refused.namespace}/{refused.name}" if elsewhere else refused.name
    reason = f"{FAILS}: {refused.kind} {name} is refused"
    return msgspec.structs.replace(
        one,
        action=Action.LEAVE,
        reason=reason,
        severity="medium",
        severity_reason="nothing deletes it",
    )
