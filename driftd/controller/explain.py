"""Why one object, or one place of it, is drift or is not: one look, told in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import orjson
from msgspec import UNSET, UnsetType, structs

from driftd.clock import Clock
from driftd.controller.audit import attributed
from driftd.controller.baselines import Used, load_acceptance
from driftd.controller.check import Looked, look
from driftd.controller.declared import Declared, declare, refuse_unmatched
from driftd.controller.engines import engines_at
from driftd.controller.explain_entries import EntryExplanation, explained
from driftd.controller.explain_question import (
    Question,
    find_resource,
    nearest_paths,
    refuse_several,
    split,
)
from driftd.controller.foreseen import node_of
from driftd.controller.keeping import keeping
from driftd.controller.memory import open_state
from driftd.controller.newly_declared import commit_of
from driftd.controller.next_steps import Asked, next_steps, scaled_change
from driftd.controller.of_daemon import SilenceOf, of_daemon, silences_of
from driftd.controller.options import CheckOptions
from driftd.controller.outlook import Outlook, outlook_of
from driftd.controller.suspension import as_live, halted, suspended_live
from driftd.controller.used_by import used_by
from driftd.controller.value_places import value_place
from driftd.controller.verdict import Verdict
from driftd.controller.workspace import Progress, Workspace
from driftd.diff.explain import Inspection, Place
from driftd.diff.facts import Bounds
from driftd.diff.finding import ABSENT
from driftd.diff.owners import Entry as OwnerEntry
from driftd.errors import ConfigError
from driftd.model import sensitive
from driftd.model.report import (
    API_VERSION,
    Change,
    ReportCondition,
    ResourceReport,
    ResourceStatus,
    WireStruct,
    published,
)
from driftd.model.resource import Manifest, ResourceKey
from driftd.policy.baseline import Hashes
from driftd.policy.ignore import SEPARATOR, Rule, rules_of
from driftd.settings.healing import Rung
from driftd.sync.plan import plan

PlaceVerdict: TypeAlias = Literal["drift", "no drift", "ignored", "not compared"]
"""Of one place; `not compared` where the whole object was not."""
_UNSEEN: Final = (ResourceStatus.NOT_CHECKED, ResourceStatus.UNKNOWN)
"""Verdicts on objects whose content nobody has compared: nothing may be said of it."""


class Owner(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of `managedFields` that owns a place."""

    manager: str
    operation: str
    subresource: str = ""
    time: str = ""
    deployer: bool
    """Whether the manager counts as Git's hand."""


class PlaceExplanation(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One place: both sides, its owners, and the verdict on it."""

    path: str
    ssa_path: str
    verdict: PlaceVerdict
    desired: Any = UNSET
    live: Any = UNSET
    owners: tuple[Owner, ...] = ()
    evidence: tuple[str, ...] = ()
    """Why a place that is no difference is none."""
    changes: tuple[Change, ...] = ()
    """The differences at, above or below the place."""


class RuleExplanation(WireStruct, frozen=True, kw_only=True):
    """An ignore rule that speaks of the object."""

    name: str
    selects: str
    """Its pointer, expression or manager."""
    ignores: tuple[str, ...]
    """Paths of the differences that it ignores."""


class Explanation(WireStruct, frozen=True, kw_only=True):
    """What `driftd explain -o json` prints."""

    api_version: str = API_VERSION
    kind: Literal["Explanation"] = "Explanation"
    application: str
    cluster: str
    deployers: tuple[str, ...]
    resource: ResourceReport
    places: tuple[PlaceExplanation, ...]
    excused: dict[str, str]
    """What live holds beside Git and why it is no difference, by `managedFields` path."""
    rules: tuple[RuleExplanation, ...]
    entries: tuple[EntryExplanation, ...] = ()
    """Entries of the given baseline and suppression files that speak of the object."""
    healing: str
    """What `driftd run` would do if its rung `fields` were open, were this the only application."""
    outlook: Outlook | UnsetType = UNSET
    """What the daemon of the given settings will do about the drift; absent without any."""
    silences: tuple[SilenceOf, ...] = ()
    """What keeps drift of the object from being told."""
    next_steps: tuple[str, ...] = ()
    """What a person can do about the object; empty without drift."""
    conditions: tuple[ReportCondition, ...] = ()


async def explain(
    workspace: Workspace,
    options: CheckOptions,
    question: Question,
    *,
    progress: Progress,
    clock: Clock,
) -> Explanation:
    """Look at one application and explain one of its objects, or one place of it.

    Raises ConfigError if there is no such application, object or place; its hint names the
    nearest ones.
    """
    daemon = of_daemon(options.config, progress)
    acceptance = load_acceptance(options.baselines, options.suppressions, options.hash_key_file)
    state = open_state(options.state, progress)
    if state is not None:  # read alone: an explanation leaves nothing behind
        workspace = replace(workspace, memory=state)
    declared = await declare(workspace, options, progress)
    refuse_unmatched(options, progress, declared)
    if not question.application:
        declared, question = split(declared, question)
    refuse_several(declared, question)
    looks = await look(
        workspace,
        declared,
        options,
        progress=progress,
        clock=clock,
        keep=True,
        sealer=acceptance.sealer,
    )
    judged, told = await _with_author(looks, options, clock, progress)
    now = clock.now()
    accepted = acceptance.apply(judged.report, judged.seals, now.date(), Used())
    looked = replace(judged, report=accepted)
    resource = find_resource(question.resource, looked)
    key, before = resource.key, find_resource(question.resource, judged)
    hashes = Hashes(acceptance.key, judged.seals)
    inspection = _inspection(looked, key)
    application = looked.desired.entry.application
    ignoring = rules_of(application, declared.customizations.ignore)
    places = _places(question, resource, inspection, looked.desired.manifests)
    subject = _of_place(question, resource, places)
    asked = _asked(question, options)
    paused = await halted(looked) if resource.is_drift else ""
    return Explanation(
        application=application.name,
        cluster=looked.report.cluster,
        deployers=looked.report.deployers,
        resource=resource,
        places=places,
        excused=_excused(resource, inspection) if not question.path else {},
        rules=tuple(_rules(ignoring, key, resource.changes)),
        entries=tuple(explained(acceptance, judged.report, before, hashes, now.date())),
        healing=_healing(looked, resource, paused),
        outlook=(
            await outlook_of(daemon, looked, key, now, progress, halted=paused)
            if daemon is not None and resource.is_drift
            else UNSET
        ),
        silences=tuple(silences_of(daemon, looked, resource, now)),
        next_steps=await _steps(workspace, declared, looked, subject, clock, asked),
        conditions=(*looked.report.conditions, *told),
    )


async def _steps(
    workspace: Workspace,
    declared: Declared,
    looked: Looked,
    resource: ResourceReport | None,
    clock: Clock,
    asked: Asked,
) -> tuple[str, ...]:
    if resource is None:
        return ()
    scaler = _scaler(looked, resource.key)
    scaled = scaled_change(resource, scaler)
    others = tuple(change for change in resource.changes if change is not scaled)
    rest = structs.replace(resource, changes=others)
    changing = await value_place(workspace, declared, looked, rest)
    application = looked.desired.entry.application
    kept = "" if changing else await keeping(workspace, declared, looked, rest)
    live = looked.live.get(resource.key)
    held = resource.is_drift and await suspended_live(looked)
    return next_steps(
        await as_live(looked) if resource.is_drift else application,
        looked.report,
        resource,
        clock.now(),
        changing=changing,
        keeping=kept,
        fixed=live is not None and orjson.loads(live.body).get("immutable") is True,
        suspended=held,
        scaler=scaler,
        masked=any(m.key == resource.key and sensitive.holds(m) for m in looked.desired.manifests),
        users=_users(looked, resource),
        commit=await commit_of(workspace, declared, looked.report, resource),
        asked=asked,
    )


def _users(looked: Looked, resource: ResourceReport) -> tuple[str, ...]:
    """Who still names an object that Git has no more."""
    if looked.shared is None or resource.status is not ResourceStatus.EXTRA:
        return ()
    declared = {manifest.key for manifest in looked.desired.manifests}
    live = looked.shared.observation.live.values()
    return used_by(resource.key, (one for one in live if one.key in declared))


def _scaler(looked: Looked, key: ResourceKey) -> Bounds | None:
    """The autoscaler that targets an object on its cluster."""
    if looked.shared is None:
        return None
    facts = looked.shared.observation.facts
    # KEDA makes an autoscaler of its own, which knows less of what is allowed.
    return facts.event_scaled.get(key) or facts.autoscaled.get(key)


def _asked(question: Question, options: CheckOptions) -> Asked:
    unmerged = "the work tree" if options.worktree else options.revision or ""
    return Asked(flags=question.flags, unmerged=unmerged)


def _of_place(
    question: Question, resource: ResourceReport, places: Sequence[PlaceExplanation]
) -> ResourceReport | None:
    """The object with the differences of the place that was asked for; None if it has none."""
    if not question.path or not resource.is_drift:
        return resource
    changes = tuple(dict.fromkeys(change.path for place in places for change in place.changes))
    kept = tuple(one for one in resource.changes if one.path in changes)
    if not any(one.is_drift for one in kept):
        return None
    return structs.replace(resource, changes=kept)


async def _with_author(
    looks: Sequence[Looked], options: CheckOptions, clock: Clock, progress: Progress
) -> tuple[Looked, tuple[ReportCondition, ...]]:
    """The one look with what audit logs say, and what is wrong with these."""
    now = clock.now().timestamp()
    (judged,), told = await attributed(looks, options, now=now, progress=progress)
    return judged, published(told)


def _inspection(looked: Looked, key: ResourceKey) -> Inspection | None:
    """The comparison once more, with its evidence; None where there was nothing to compare."""
    shared = looked.shared
    manifest = next((m for m in looked.desired.manifests if m.key == key), None)
    if shared is None or manifest is None:
        return None
    live = shared.observation.live.get((manifest.gvk, key.namespace, key.name))
    if live is None:
        return None
    return Inspection(
        key,
        orjson.loads(manifest.body),
        orjson.loads(live.body),
        shared.observation.schemas.node(manifest.gvk),
        Verdict(looked.desired, shared).context,
    )


def _places(
    question: Question,
    resource: ResourceReport,
    inspection: Inspection | None,
    manifests: Sequence[Manifest],
) -> tuple[PlaceExplanation, ...]:
    if inspection is None:
        return ()  # the reason of the object's status is all there is to say
    if question.path:
        places = inspection.find(question.path)
        if not places:
            raise _unknown_path(question, resource, inspection)
        return tuple(
            _explained(place, _touching(place.ssa_path, resource.changes), resource)
            for place in places
        )
    explained = []
    for change in resource.changes:
        place = inspection.of(change)
        if place is not None:
            explained.append(_explained(place, (change,), resource))
    return tuple(explained)


def _unknown_path(
    question: Question, resource: ResourceReport, inspection: Inspection
) -> ConfigError:
    named = ", ".join(nearest_paths(question.path, inspection))
    return ConfigError(
        f"neither Git nor the cluster has {question.path} in {resource.kind} {resource.name}",
        hint=f"nearest are: {named}" if named else "leave the path out to see what differs",
    )


def _excused(resource: ResourceReport, inspection: Inspection | None) -> dict[str, str]:
    if inspection is None or resource.status in _UNSEEN:
        return {}
    return inspection.excused


def _touching(ssa_path: str, changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes at a place, above it or below it."""
    found = []
    for change in changes:
        other = change.ssa_path if isinstance(change.ssa_path, str) else ""
        if f"{ssa_path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{ssa_path}/"):
            found.append(change)
    return tuple(found)


def _explained(
    place: Place, changes: tuple[Change, ...], resource: ResourceReport
) -> PlaceExplanation:
    verdict: PlaceVerdict
    if any(change.is_drift for change in changes):
        verdict = "drift"
    elif any(change.ignored_by is not UNSET for change in changes):
        verdict = "ignored"
    elif resource.status in _UNSEEN:
        verdict = "not compared"
    else:
        verdict = "no drift"
    return PlaceExplanation(
        path=place.path,
        ssa_path=place.ssa_path,
        verdict=verdict,
        desired=UNSET if place.desired is ABSENT else place.desired,
        live=UNSET if place.live is ABSENT else place.live,
        owners=tuple(_owner(entry) for entry in place.owners),
        evidence=place.evidence,
        changes=changes,
    )


def _owner(entry: OwnerEntry) -> Owner:
    return Owner(
        manager=entry.manager,
        operation=entry.operation,
        subresource=entry.subresource,
        time=entry.time or "",
        deployer=entry.deployer,
    )


def _rules(
    rules: Iterable[Rule], key: ResourceKey, changes: Sequence[Change]
) -> Iterator[RuleExplanation]:
    for rule in rules:
        if rule.covers(key):
            ignores = tuple(c.path for c in changes if _hides(rule, c))
            yield RuleExplanation(name=rule.name, selects=rule.shown, ignores=ignores)


def _hides(rule: Rule, change: Change) -> bool:
    """Whether a rule hides a change, alone or beside others."""
    by = change.ignored_by if isinstance(change.ignored_by, str) else ""
    return rule.name in by.split(SEPARATOR)


def _healing(looked: Looked, resource: ResourceReport, paused: str) -> str:
    """What the rung `fields` would do to the object, as the plan decides it."""
    desired, key = looked.desired, resource.key
    wanted = plan(
        desired.entry.application,
        looked.report,
        desired.manifests,
        rung=Rung.FIELDS,
        held=desired.repeated,
        live=looked.live,
        node=partial(node_of, looked),
        managers=engines_at(looked),
        foreseen=True,
        halted=paused,
    )
    if wanted.refusal and resource.is_drift:
        return f"nothing: {wanted.refusal}"
    for task in wanted.tasks:
        if task.key == key:
            what = "create the object" if task.create else "apply the declared object"
            rest = f"; this would remain: {', '.join(task.remains)}" if task.remains else ""
            return f"{what} (sync wave {task.wave}){rest}"
    for skipped in wanted.skipped:
        if skipped.key == key:
            unseen = resource.status is ResourceStatus.UNKNOWN
            return f"nothing: {skipped.reason}{_why(resource) if unseen else ''}"
    if resource.status is ResourceStatus.NOT_CHECKED:
        return f"nothing: the object was not compared{_why(resource)}"
    return "nothing: the object is what Git says"


def _why(resource: ResourceReport) -> str:
    return f": {resource.reason}" if isinstance(resource.reason, str) else ""
