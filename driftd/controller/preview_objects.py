"""From two desired states to what merging does to each object of an application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from driftd.controller.desired import Desired
from driftd.controller.judge import judge
from driftd.controller.mistakes import is_valid, mistake_of
from driftd.controller.places import WHOLE, field_path
from driftd.controller.preview_apply import certain, certain_of, refuses_unknown_fields
from driftd.controller.preview_fate import (
    ABSENT,
    FIELD_KINDS,
    KIND_NOT_SERVED,
    is_compared,
    is_ignored,
    is_no_kind,
    is_refused,
    on_cluster,
    outlives,
    refuses,
    survives,
    without_effects,
)
from driftd.controller.preview_fixed import settled
from driftd.controller.preview_mended import is_there, written
from driftd.controller.preview_pairs import Pair, Touched
from driftd.controller.preview_refused import is_refused as is_refused_spec
from driftd.controller.preview_refused import mended_reason
from driftd.controller.preview_replaced import is_its_own, stand_in, with_places_taken
from driftd.controller.unserved import unserved
from driftd.controller.verdict import Look, Verdict
from driftd.diff.between import between, overlap, pointer_of, version_change
from driftd.diff.schema import Node
from driftd.diff.wellknown import wellknown_schemas
from driftd.errors import DriftdError
from driftd.model.condition import Condition
from driftd.model.preview import (
    Action,
    ApplicationAction,
    ApplicationPreview,
    FieldChange,
    FieldKind,
    ObjectPreview,
    OnCluster,
    worst,
)
from driftd.model.report import (
    Change,
    ChangeClass,
    Invalid,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
    origin_of,
)
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.severities import SeverityRules
from driftd.policy.customizations import NamedIgnore
from driftd.policy.merging import effect_of, field_severity, object_severity
from driftd.sandbox.pool import SandboxPool
from driftd.source.url import public
from driftd.sync.engine import overwrites_ignored

_UNSEEN = frozenset({ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED})
_STAYS = "Argo CD refuses this spec, and what is deployed stays as it is"
_ABSENT = frozenset({ResourceStatus.MISSING, ResourceStatus.PENDING})
_DECIDES = frozenset({"/immutable", "/spec/suspend", "/spec/type"})
"""Where the base's value says that the API server refuses a change, as long as it is the live one.
"""
_UNCOMPARED = "not compared with the cluster"
_TAKEN_OVER = "it exists on the cluster already and is taken over"

Resources = Mapping[ResourceKey, ResourceReport]


async def application_preview(
    pair: Pair,
    objects: Sequence[Touched],
    look: Look | None,
    sandbox: SandboxPool,
    shared: Sequence[NamedIgnore],
    severities: SeverityRules | None = None,
) -> ApplicationPreview:
    """What merging does to one application; `look` is the cluster, if it could be read.

    `severities` are an operator's rules above the shipped ones.
    """
    before: dict[ResourceKey, ResourceReport] = {}
    after: Resources = {}
    if look is not None and objects:
        for side in dict.fromkeys((pair, *(o.moved_from for o in objects if o.moved_from))):
            olds = [o.old for o in objects if (o.moved_from or pair) is side]
            before |= await _verdicts(side.old, olds, look, sandbox, shared, severities)
        after = await _verdicts(
            pair.new, [o.new for o in objects], look, sandbox, shared, severities
        )
    found: list[ObjectPreview] = []
    for one in objects:
        work = _Object(one, look, before.get(one.key), after.get(one.key), severities)
        try:
            told = work.preview()
        except DriftdError as error:
            pair.failed(Condition("ComparisonError", f"{one.key}: {error.message}"))
            continue
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            text = f"{one.key} cannot be compared ({type(error).__name__}); is the manifest valid?"
            pair.failed(Condition("ComparisonError", text))
            continue
        if told is None:
            continue
        found.append(told)
        if is_no_kind(after.get(one.key)):
            pair.failed(Condition(KIND_NOT_SERVED, f"{one.key}: {after[one.key].reason}"))
            pair.unserved[one.key] = _wrong_field(one.new, look)
    found = with_places_taken(found)
    action, reason = _application_action(pair, found)
    return pair.report(action, found, reason)


def _wrong_field(manifest: Manifest | None, look: Look | None) -> str:
    """The `ssaPath` of what is probably wrong of an object whose kind the cluster lacks."""
    discovery = look.view.discovery if look else None
    found = unserved(manifest.gvk, discovery) if manifest and discovery else None
    return field_path(found) if found else WHOLE


def _application_action(
    pair: Pair, found: Sequence[ObjectPreview]
) -> tuple[ApplicationAction, str]:
    if pair.before is None:
        told = pair.reason or "declared by the change"
        if is_refused_spec(pair.after):
            told += "; Argo CD refuses this spec, and nothing is deployed"
            return ApplicationAction.REFUSE, told
        return ApplicationAction.CREATE, told
    if pair.after is None:
        if pair.reason:
            return ApplicationAction.DELETE, pair.reason
        stays, why = outlives(pair.before)
        return ApplicationAction.DELETE, f"its objects {'stay' if stays else 'go'}: {why}"
    changed = pair.spec_changed
    if pair.mended:
        return ApplicationAction.CHANGE, mended_reason(changed, pair.entry)
    if changed:
        return _altered(pair, changed, found)
    if is_refused_spec(pair.after) and not is_refused_spec(pair.before):  # by its project
        return ApplicationAction.REFUSE, _STAYS
    if found:
        return ApplicationAction.CHANGE, ""
    if not (pair.old_complete and pair.new_complete) or pair.failures:
        return ApplicationAction.UNKNOWN, ""
    return ApplicationAction.UNCHANGED, ""


def _altered(
    pair: Pair, changed: Sequence[str], found: Sequence[ObjectPreview]
) -> tuple[ApplicationAction, str]:
    """An application whose own document changes."""
    flux = pair.entry.application.flux
    # The fields of Flux have other names than those that they are understood by.
    told = f"the Application itself changes: {', '.join(changed)}"
    told = told if flux is None else f"the {flux.kind} itself changes"
    if is_refused_spec(pair.after):
        return ApplicationAction.REFUSE, f"{told}; {_STAYS}"
    if not pair.new_complete and not found:  # it could not be rendered
        return ApplicationAction.UNKNOWN, told
    return ApplicationAction.CHANGE, told


async def _verdicts(
    desired: Desired | None,
    manifests: Sequence[Manifest | None],
    look: Look,
    sandbox: SandboxPool,
    shared: Sequence[NamedIgnore],
    severities: SeverityRules | None,
) -> Resources:
    """How the cluster stands to some objects of one side."""
    wanted = tuple(m for m in manifests if m is not None)
    if desired is None or not wanted:
        return {}
    verdict = Verdict(replace(desired, manifests=wanted), look)
    listed = {r.key: r for r in verdict.resources()}
    resources = [listed[m.key] for m in wanted if m.key in listed]
    judged, _ = await judge(
        desired.entry.application,
        resources,
        {m.key: m for m in wanted},
        verdict.live,
        sandbox,
        shared=shared,
        severities=severities,
    )
    return {one.key: one for one in judged}


@dataclass(slots=True)
class _Object:
    """One object on its way into the report."""

    item: Touched
    look: Look | None
    before: ResourceReport | None
    after: ResourceReport | None
    severities: SeverityRules | None = None

    def preview(self) -> ObjectPreview | None:
        """What merging does to the object; None if it is the same after all."""
        item = self.item
        old = orjson.loads(item.old.body) if item.old else {}
        new = orjson.loads(item.new.body) if item.new else {}
        if item.old is None or item.new is None:
            return self._whole(old, new)
        changes = between(item.key, old, new, self._node(item.new))
        if item.old.version != item.new.version:
            changes = (version_change(item.old.gvk, item.new.gvk), *changes)
        if not changes and item.moved_from is None:
            return None
        fields = tuple(self._field(one, old) for one in changes)
        action, reason = Action.CHANGE, self._presence(Action.CHANGE)
        moved: str | UnsetType = UNSET
        if item.moved_from is not None:
            action, moved = Action.MOVE, item.moved_from.entry.application.name
            reason = _move_reason(item.moved_from)
        invalid = self._mistake()
        if refuses_unknown_fields(item.owner.after, item.new):
            fields = certain_of(fields)
        fields, refusal = settled(item, fields, free=self._is_free())
        # A field at the wrong depth is the mistake; what lacks it is refused all the same.
        if refuses(fields, self.after, invalid) or (invalid and not is_valid(item.new)):
            action, fields = Action.REFUSE, without_effects(fields)
        elif refusal:
            action, reason = Action.REFUSE, "; ".join(filter(None, (refusal, reason)))
        told = {one.invalid.message for one in fields if one.invalid}
        if invalid is not UNSET and not told:
            reason = "; ".join(filter(None, (reason, invalid.message)))
        return self._report(action, reason, fields, old, new, moved, invalid)

    def _node(self, of: Manifest) -> Node | None:
        """The schema of an object's kind, the cluster's if that was read."""
        schemas = self.look.observation.schemas if self.look else wellknown_schemas()
        return schemas.node(of.gvk)

    def _mistake(self) -> Invalid | UnsetType:
        """What is wrong with the new manifest; of its types only the cluster's schemas tell."""
        if self.item.new is None:
            return UNSET
        seen = self.look.observation if self.look else None
        whole = not is_compared(self.after)
        if self.item.old is not None:
            earlier = mistake_of(self.item.old, seen)
            whole = earlier is UNSET or earlier.cause != "MissingField"
        found = mistake_of(self.item.new, seen, whole=whole)
        strict = refuses_unknown_fields(self.item.owner.after, self.item.new)
        return certain(found) if strict else found

    def _held(self, new: dict[str, Any]) -> ObjectPreview | None:
        """A new object that the cluster has already, of an application that the change mends."""
        fields = tuple(self._field(one, new) for one in written(self.after))
        fields, refusal = settled(self.item, fields, free=self._is_free())
        invalid = self._mistake()
        action = Action.REFUSE if refusal else Action.CHANGE
        if is_refused(self.after, invalid) or (
            invalid and self.item.new is not None and not is_valid(self.item.new)
        ):
            action, fields = Action.REFUSE, without_effects(fields)
        elif not fields:
            return None
        reason = invalid.message if invalid else refusal
        return self._report(action, reason, fields, new, new, invalid=invalid)

    def _whole(self, old: dict[str, Any], new: dict[str, Any]) -> ObjectPreview | None:
        """An object that only one side declares."""
        invalid: Invalid | UnsetType = UNSET
        if self.item.old is None and self.item.owner.mended and is_there(self.after):
            return self._held(new)
        if self.item.old is None:
            action, reason = Action.CREATE, ""
            invalid = self._mistake()
        else:
            stays, reason = survives(self.item.owner.before, self.item.owner.after, self.item.old)
            action = Action.LEAVE if stays else Action.DELETE
        reason = self._presence(action, reason) or reason
        new_object = self.item.new
        wrong = is_refused(self.after, invalid)
        if new_object is not None and invalid:
            wrong = wrong or not is_valid(new_object)
        if action is Action.CREATE and wrong:
            action = Action.REFUSE
        if action is Action.CREATE and self.item.replaces is not None:
            return self._in_place_of(self.item.replaces, new, reason, invalid)
        if invalid is not UNSET:
            reason = "; ".join(filter(None, (reason, invalid.message)))
        found = self._report(action, reason, (), old, new, invalid=invalid)
        if action is Action.DELETE and reason.startswith(ABSENT) and found.severity == "high":
            return _rated_low(found, "there is nothing to delete")
        return found

    def _in_place_of(
        self, other: Manifest, new: dict[str, Any], reason: str, invalid: Invalid | UnsetType
    ) -> ObjectPreview:
        """A generated object that takes another one's place: told is what changes in the content.

        Nothing of it is changed in place, whatever the API server would let one change.
        """
        assert self.item.new is not None  # noqa: S101 - only a new object takes another's place
        old = orjson.loads(other.body)
        old["metadata"]["name"] = self.item.key.name
        changes = between(self.item.key, old, new, self._node(self.item.new))
        fields = without_effects(self._field(one, old) for one in changes)
        told = {one.invalid.message for one in fields if one.invalid}
        more = invalid.message if invalid and not told else ""
        reason = "; ".join(filter(None, (f"takes the place of {other.key}", reason, more)))
        found = self._report(Action.CREATE, reason, fields, old, new, invalid=invalid)
        found = msgspec.structs.replace(found, replaces=other.key.name)
        return found if fields else _rated_low(found, "its content stays as it is")

    def _report(
        self,
        action: Action,
        reason: str,
        fields: tuple[FieldChange, ...],
        old: dict[str, Any],
        new: dict[str, Any],
        moved: str | UnsetType = UNSET,
        invalid: Invalid | UnsetType = UNSET,
    ) -> ObjectPreview:
        item = self.item
        manifest = item.new or item.old
        assert manifest is not None  # noqa: S101 - a touched object has a side
        level, why = object_severity(action, item.key.group, item.key.kind, old, new)
        if fields:
            level = worst([one.severity for one in fields])
            why = next(one.severity_reason for one in fields if one.severity == level)
        # Recreate comes before rollout, as in the alphabet.
        strongest = sorted((f for f in fields if f.effect), key=lambda f: str(f.effect))
        first = strongest[0] if strongest else None
        applied = bool(fields) or item.moved_from is not None
        beside = self._beside(fields) if applied else []
        apart = [one for one in beside if one.is_drift]
        overwritten = overwrites_ignored(item.owner.entry.application)
        return ObjectPreview(
            group=item.key.group,
            version=manifest.version,
            kind=item.key.kind,
            namespace=item.key.namespace,
            name=item.key.name,
            action=action,
            reason=reason or UNSET,
            moved_from=moved,
            severity=level,
            severity_reason=why,
            effect=first.effect if first else UNSET,
            effect_reason=first.effect_reason if first else UNSET,
            origin=self._origin(manifest),
            invalid=invalid,
            changes=fields,
            untouched_drift=len(apart),
            reverted_drift=sum(one.change_class is ChangeClass.DECLARED for one in apart),
            reverted_ignored=sum(map(is_ignored, beside)) if overwritten else 0,
        )

    def _field(self, change: Change, old: dict[str, Any]) -> FieldChange:
        level, why = field_severity(
            self.item.key.kind, change, self.item.key.group, self.severities
        )
        ignored = overwrites_ignored(self.item.owner.entry.application)
        stands, seen = on_cluster(self.before, self.after, change, ignored=ignored)
        # What is dropped, refused or so already sets nothing off.
        idle = bool(change.invalid) or stands is OnCluster.ALREADY
        effect = None if idle else effect_of(self.item.key, change, old)
        kind = FIELD_KINDS[change.kind]
        if change.invalid and kind is FieldKind.RENAMED:
            kind = FieldKind.MODIFIED  # a key that is wrong names nothing
        return FieldChange(
            kind=kind,
            path=pointer_of(change),
            ssa_path=change.ssa_path,
            old=change.live,
            new=change.desired,
            on_cluster=stands,
            live=seen.live if seen else UNSET,
            manager=seen.manager if seen else UNSET,
            ignored_by=seen.ignored_by if seen else UNSET,
            severity=level,
            severity_reason=why,
            effect=effect[0] if effect else UNSET,
            effect_reason=effect[1] if effect else UNSET,
            invalid=change.invalid,
        )

    def _beside(self, fields: Sequence[FieldChange]) -> list[Change]:
        """What differs at the base where no change of Git is."""
        places = [str(one.ssa_path) for one in fields if one.ssa_path is not UNSET]
        return [
            change
            for change in (self.before.changes if self.before is not None else ())
            if not any(overlap(str(change.ssa_path), place) for place in places)
        ]

    def _is_free(self) -> bool:
        """Whether any field may be set: the cluster does not have the object, or has another value
        where that decides.
        """
        seen = self.before or self.after
        if seen is None:
            return False
        return seen.status in _ABSENT or any(one.path in _DECIDES for one in seen.changes)

    def _presence(self, action: Action, reason: str = "") -> str:
        """What the cluster says about the object as a whole, after `reason` where both count."""
        seen = self.after if action is Action.CREATE else self.before
        if seen is None:
            return ""
        if seen.status in _UNSEEN:
            why = seen.reason if seen.reason is not UNSET else str(seen.status)
            if action is Action.CREATE and "CustomResourceDefinition" in why:
                return self.item.undefined
            lead = "the API server refuses it" if is_no_kind(seen) else _UNCOMPARED
            told = f"{lead}: {why}"
            return f"{reason}; {told}" if reason else told
        absent = seen.status in _ABSENT
        if action is Action.CREATE:
            if absent:
                return ""
            own = self.look is not None and is_its_own(self.item.key, self.item.owner, self.look)
            return "it is on the cluster already" if own else _TAKEN_OVER
        if absent and action is Action.CHANGE:
            return "it is not on the cluster: merging creates it"
        if not absent or self.look is None:
            return ""
        instead = stand_in(self.item.key, self.item.owner, self.look)
        return f"{ABSENT}, which has {instead} instead" if instead else ABSENT

    def _origin(self, manifest: Manifest) -> ReportOrigin | UnsetType:
        entry = self.item.owner.entry
        if manifest is self.item.old and self.item.owner.before is not None:
            entry = self.item.owner.before
        sources = entry.application.spec.all_sources
        return origin_of(manifest.origin, [public(source.repo_url) for source in sources])


def _rated_low(found: ObjectPreview, why: str) -> ObjectPreview:
    return msgspec.structs.replace(found, severity="low", severity_reason=why)


def _move_reason(source: Pair) -> str:
    name = source.entry.application.name
    stays, _ = survives(source.before, source.after)
    text = f"moves from application {name}"
    return text if stays else f"{text}, which prunes it unless the other takes it over first"
