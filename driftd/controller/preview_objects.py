"""From two desired states to what merging does to each object of an application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from msgspec import UNSET, UnsetType

from driftd.controller.declared import Entry
from driftd.controller.desired import Desired
from driftd.controller.judge import judge
from driftd.controller.mistakes import mistake_of
from driftd.controller.preview_fate import (
    FIELD_KINDS,
    changes_at,
    is_automated,
    is_compared,
    is_no_kind,
    is_refused,
    outlives,
    spec_of,
    survives,
    without_effects,
    without_pruning,
)
from driftd.controller.preview_slips import keep_misspelt
from driftd.controller.verdict import Look, Verdict
from driftd.diff.between import between, overlap, pointer_of, version_change
from driftd.diff.wellknown import wellknown_schemas
from driftd.errors import DriftdError
from driftd.model.condition import Condition, Severity
from driftd.model.preview import (
    Action,
    ApplicationAction,
    ApplicationPreview,
    FieldChange,
    ObjectPreview,
    OnCluster,
    worst,
)
from driftd.model.report import (
    Change,
    Invalid,
    ReportDestination,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
    published,
)
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.severities import SeverityRules
from driftd.policy.customizations import NamedIgnore
from driftd.policy.merging import effect_of, field_severity, object_severity
from driftd.sandbox.pool import SandboxPool
from driftd.source.url import public

_UNSEEN = frozenset({ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED})
_UNCOMPARED = "not compared with the cluster"

Resources = Mapping[ResourceKey, ResourceReport]


@dataclass(slots=True, eq=False)
class Pair:
    """One application on one cluster, at the base and with the change."""

    before: Entry | None
    after: Entry | None
    reason: str = ""
    old: Desired | None = None
    new: Desired | None = None
    failures: list[Condition] = field(default_factory=list)
    unseen: bool = False
    """Whether it is not known that the change no longer declares it; `failures` says why."""

    @property
    def entry(self) -> Entry:
        """The application as it will be; as it was, where it will not be."""
        entry = self.after or self.before
        if entry is None:  # pragma: no cover - a pair has a side
            raise ValueError("a pair without a side")
        return entry

    @property
    def spec_changed(self) -> tuple[str, ...]:
        """The fields of the Application's spec that differ."""
        if self.before is None or self.after is None:
            return ()
        sides = [entry.application for entry in (self.before, self.after)]
        if any(app.flux is not None and app.spec.source is None for app in sides):
            return ()  # of a document of Flux that is not usable the spec is not known
        old, new = (spec_of(entry) for entry in (self.before, self.after))
        names = sorted({*old, *new})
        return tuple(f"spec.{name}" for name in names if old.get(name) != new.get(name))

    def failed(self, condition: Condition) -> None:
        """Note why the application could not be compared."""
        self.failures.append(condition)

    @property
    def old_complete(self) -> bool:
        """Whether everything that the base declares is known."""
        return self.before is None or (self.old is not None and self.old.complete)

    @property
    def new_complete(self) -> bool:
        """Whether everything that is declared with the change is known."""
        return self.after is None or (self.new is not None and self.new.complete)

    def conditions(self) -> Iterator[Condition]:
        """What to know: errors of both sides, and the warnings that the change brings."""
        yield from self.failures
        old = self.old.conditions if self.old else ()
        new = self.new.conditions if self.new else ()
        for condition in new:
            if condition.severity is Severity.ERROR or (
                condition not in old and condition.severity is Severity.WARNING
            ):
                yield condition
        for condition in old:
            if condition.severity is Severity.ERROR and condition not in new:
                text = f"at the base: {condition.message}"
                yield Condition(condition.type, text, condition.severity)

    def report(
        self, action: ApplicationAction, resources: Sequence[ObjectPreview] = (), reason: str = ""
    ) -> ApplicationPreview:
        """The published form."""
        entry = self.entry
        application, destination = entry.application, entry.application.spec.destination
        told = list(self.conditions())
        return ApplicationPreview(
            name=application.name,
            namespace=application.namespace,
            project=application.spec.project or "default",
            cluster=entry.cluster,
            destination=ReportDestination(
                server=destination.server or (entry.target.server if entry.target else ""),
                namespace=destination.namespace,
            ),
            action=action,
            reason=reason or UNSET,
            automated=is_automated(entry),
            conditions=published(told),
            resources=tuple(resources),
            complete=all(c.severity is not Severity.ERROR for c in told),
        )


@dataclass(slots=True, eq=False)
class Touched:
    """An object that is not the same on both sides, before it is compared in depth."""

    key: ResourceKey
    owner: Pair
    """The application that it is told with."""
    old: Manifest | None
    new: Manifest | None
    moved_from: Pair | None = None


def touched(pairs: Iterable[Pair]) -> list[Touched]:
    """The objects of one cluster that may change; one that changes its application is one."""
    found: list[Touched] = []
    gone: dict[ResourceKey, Touched] = {}
    come: dict[ResourceKey, Touched] = {}
    for pair in pairs:
        old = {m.key: m for m in pair.old.manifests} if pair.old else {}
        new = {m.key: m for m in pair.new.manifests} if pair.new else {}
        for key in sorted({*old, *new}):
            before, after = old.get(key), new.get(key)
            one = Touched(key, pair, before, after)
            if before is not None and after is not None:
                if before.body != after.body:
                    found.append(one)
            elif before is not None and pair.new_complete and not _is_hook(pair.new, key):
                gone[key] = one
            elif after is not None and pair.old_complete and not _is_hook(pair.old, key):
                come[key] = one
    keep_misspelt(gone, (one.new for one in come.values()))
    for key, one in come.items():
        source = gone.pop(key, None)
        if source is not None:
            one = replace_touched(one, source)
        found.append(one)
    return [*found, *gone.values()]


def replace_touched(one: Touched, source: Touched) -> Touched:
    """An object that another application declared before."""
    return Touched(one.key, one.owner, source.old, one.new, moved_from=source.owner)


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
    before: Resources = {}
    after: Resources = {}
    if look is not None and objects:
        before = await _verdicts(
            pair.old, [o.old for o in objects], look, sandbox, shared, severities
        )
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
            pair.failed(Condition("KindNotServed", f"{one.key}: {after[one.key].reason}"))
    found = without_pruning(found, after)
    action, reason = _application_action(pair, found)
    return pair.report(action, found, reason)


def _application_action(
    pair: Pair, found: Sequence[ObjectPreview]
) -> tuple[ApplicationAction, str]:
    if pair.before is None:
        return ApplicationAction.CREATE, pair.reason or "declared by the change"
    if pair.after is None:
        if pair.reason:
            return ApplicationAction.DELETE, pair.reason
        stays, why = outlives(pair.before)
        return ApplicationAction.DELETE, f"its objects {'stay' if stays else 'go'}: {why}"
    changed = pair.spec_changed
    if changed:
        return ApplicationAction.CHANGE, f"the Application itself changes: {', '.join(changed)}"
    if found:
        return ApplicationAction.CHANGE, ""
    if not (pair.old_complete and pair.new_complete) or pair.failures:
        return ApplicationAction.UNKNOWN, ""
    return ApplicationAction.UNCHANGED, ""


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
        schemas = self.look.observation.schemas if self.look else wellknown_schemas()
        node = schemas.node(item.new.gvk)
        changes = between(item.key, old, new, node)
        if item.old.version != item.new.version:
            changes = (version_change(item.old.gvk, item.new.gvk), *changes)
        if not changes and item.moved_from is None:
            return None
        fields = without_effects(self._field(one, old) for one in changes)
        action, reason = Action.CHANGE, self._presence(Action.CHANGE)
        moved: str | UnsetType = UNSET
        if item.moved_from is not None:
            action, moved = Action.MOVE, item.moved_from.entry.application.name
            reason = _move_reason(item.moved_from)
        return self._report(action, reason, fields, old, new, moved)

    def _whole(self, old: dict[str, Any], new: dict[str, Any]) -> ObjectPreview:
        """An object that only one side declares."""
        invalid: Invalid | UnsetType = UNSET
        if self.item.old is None:
            action, reason = Action.CREATE, ""
            if self.look is not None and self.item.new is not None:
                invalid = mistake_of(self.item.new, self.look.observation)
        else:
            stays, reason = survives(self.item.owner.before, self.item.owner.after, self.item.old)
            action = Action.LEAVE if stays else Action.DELETE
        reason = self._presence(action, reason) or reason
        if action is Action.CREATE and is_refused(self.after, invalid):
            action = Action.REFUSE
        if invalid is not UNSET:
            reason = "; ".join(filter(None, (reason, invalid.message)))
        return self._report(action, reason, (), old, new, invalid=invalid)

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
        level, why = object_severity(action, item.key.kind, old, new)
        if fields:
            level = worst([one.severity for one in fields])
            why = next(one.severity_reason for one in fields if one.severity == level)
        # Recreate comes before rollout, as in the alphabet.
        strongest = sorted((f for f in fields if f.effect), key=lambda f: str(f.effect))
        first = strongest[0] if strongest else None
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
            untouched_drift=self._untouched(fields),
        )

    def _field(self, change: Change, old: dict[str, Any]) -> FieldChange:
        level, why = field_severity(
            self.item.key.kind, change, self.item.key.group, self.severities
        )
        on_cluster, seen = self._on_cluster(change)
        # What is dropped, refused or so already sets nothing off.
        idle = bool(change.invalid) or on_cluster is OnCluster.ALREADY
        effect = None if idle else effect_of(self.item.key, change, old)
        return FieldChange(
            kind=FIELD_KINDS[change.kind],
            path=pointer_of(change),
            ssa_path=change.ssa_path,
            old=change.live,
            new=change.desired,
            on_cluster=on_cluster,
            live=seen.live if seen else UNSET,
            manager=seen.manager if seen else UNSET,
            severity=level,
            severity_reason=why,
            effect=effect[0] if effect else UNSET,
            effect_reason=effect[1] if effect else UNSET,
            invalid=change.invalid,
        )

    def _on_cluster(self, change: Change) -> tuple[OnCluster | UnsetType, Change | None]:
        """How live stands to a field, and the drift that merging would overwrite."""
        if not is_compared(self.before) or not is_compared(self.after):
            return UNSET, None
        before = changes_at(self.before, change)
        after = changes_at(self.after, change)
        if not after:
            return OnCluster.ALREADY, None
        if not before:
            return OnCluster.AS_BASE, None
        exact = next((one for one in after if one.ssa_path == change.ssa_path), after[0])
        return OnCluster.DRIFTED, exact

    def _untouched(self, fields: Sequence[FieldChange]) -> int:
        """Drifted fields of the object that no change of Git is at."""
        if not fields or self.before is None:
            return 0
        places = [str(one.ssa_path) for one in fields if one.ssa_path is not UNSET]
        return sum(
            change.is_drift and not any(overlap(str(change.ssa_path), place) for place in places)
            for change in self.before.changes
        )

    def _presence(self, action: Action, reason: str = "") -> str:
        """What the cluster says about the object as a whole, after `reason` where both count."""
        seen = self.after if action is Action.CREATE else self.before
        if seen is None:
            return ""
        if seen.status in _UNSEEN:
            why = seen.reason if seen.reason is not UNSET else str(seen.status)
            if action is Action.CREATE and "CustomResourceDefinition" in why:
                return ""
            lead = "the API server refuses it" if is_no_kind(seen) else _UNCOMPARED
            told = f"{lead}: {why}"
            return f"{reason}; {told}" if reason else told
        absent = seen.status in (ResourceStatus.MISSING, ResourceStatus.PENDING)
        if action is Action.CREATE:
            return "" if absent else "it exists on the cluster already and is taken over"
        if absent and action is Action.CHANGE:
            return "it is not on the cluster: merging creates it"
        return "it is gone from the cluster already" if absent else ""

    def _origin(self, manifest: Manifest) -> ReportOrigin | UnsetType:
        origin = manifest.origin
        if not origin.file:
            return UNSET
        entry = self.item.owner.entry
        if manifest is self.item.old and self.item.owner.before is not None:
            entry = self.item.owner.before
        sources = entry.application.spec.all_sources
        known = origin.source < len(sources)
        return ReportOrigin(
            repo_url=public(sources[origin.source].repo_url) if known else UNSET,
            file=origin.file,
            line=origin.line or UNSET,
        )


def _move_reason(source: Pair) -> str:
    name = source.entry.application.name
    stays, _ = survives(source.before, source.after)
    text = f"moves from application {name}"
    return text if stays else f"{text}, which prunes it unless the other takes it over first"


def _is_hook(desired: Desired | None, key: ResourceKey) -> bool:
    """Whether a side has the object as a hook, which is rendered and never compared."""
    return desired is not None and any(m.key == key for m in desired.not_compared)
