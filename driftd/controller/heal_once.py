"""One heal of one application, because a person asks: the daemon's plan, guards and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from driftd.clock import Clock
from driftd.controller.baselines import Used, load_acceptance
from driftd.controller.check import look
from driftd.controller.declared import Declared, Entry, declare, none_chosen, refuse_unmatched
from driftd.controller.engines import engines_at
from driftd.controller.healing import Healed, Healing
from driftd.controller.memory import open_state
from driftd.controller.options import CheckOptions
from driftd.controller.shared import Claims
from driftd.controller.summary import summarise
from driftd.controller.suspension import halted
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import ConfigError
from driftd.model.choices import listed
from driftd.model.report import (
    API_VERSION,
    DRIFT_STATUSES,
    Change,
    ChangeClass,
    ReportCondition,
    ReportOrigin,
    ResourceReport,
    ResourceStatus,
    WireStruct,
    has_drift,
)
from driftd.model.resource import ResourceKey
from driftd.sync.engine import engine_of, stays
from driftd.sync.impact import impact_of
from driftd.sync.outcome import Outcome, TaskResult
from driftd.sync.plan import ADDITIONS_STAY, CORRECTION, Skipped, SyncTask

_TRIES = 3
"""Looks that conflicts are worth."""
_DONE = (Outcome.APPLIED, Outcome.UNCHANGED)
_STAY_UNASKED = "Git is silent about what was added: --undeclared removes that, too"
_Stay = Callable[[ResourceKey, Iterable[Change]], str]
"""Why such changes stay, of which some are additions."""
_BROKEN = (Outcome.FAILED, Outcome.NOT_TRIED)


class HealedObject(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """One object of the plan: what is to be written, or why nothing is."""

    group: str
    kind: str
    namespace: str
    name: str
    action: Literal["create", "apply", "patch", "none"]
    """`patch` removes what an apply would leave, then applies."""
    changes: tuple[Change, ...] = ()
    """The fields that are put back."""
    impact: tuple[str, ...] = ()
    """What the write sets off."""
    reason: str | UnsetType = UNSET
    """Why nothing is written to it, or not everything is put back."""
    guard: str | UnsetType = UNSET
    """The guard that holds it back."""
    origin: ReportOrigin | UnsetType = UNSET
    """Where Git is to be corrected first, of what is left alone for that."""
    remains: tuple[str, ...] = ()
    """Paths of drift that stay."""
    staying: tuple[Change, ...] = ()
    """The fields of these paths, where others are put back."""
    drifted: bool = True
    """False of what is left alone and is no drift: Git is ahead of it, or it is accepted."""
    manager: str | UnsetType = UNSET
    """Of an object that Git does not have the field manager that created it."""
    outcome: str | UnsetType = UNSET
    """How it ended; absent if nothing was sent."""
    message: str | UnsetType = UNSET


class HealReport(WireStruct, frozen=True, kw_only=True):
    """What `driftd heal -o json` prints."""

    api_version: str = API_VERSION
    kind: Literal["HealReport"] = "HealReport"
    application: str
    """`namespace/name`."""
    cluster: str
    rung: str
    """`observe` if nothing was opened: then this is a preview alone."""
    deployers: tuple[str, ...] = ()
    """Field managers that count as Git's hand."""
    refusal: str | UnsetType = UNSET
    """Why nothing may be written to the application at all."""
    complete: bool
    """Whether everything could be judged."""
    objects: tuple[HealedObject, ...]
    resources: dict[str, int] = msgspec.field(default_factory=dict)
    """All objects that the last look judged, by status; accepted ones under `ignored`."""
    not_checked: tuple[ResourceReport, ...] = ()
    """Objects that could not be compared, and are therefore not put back."""
    conditions: tuple[ReportCondition, ...] = ()
    record: str | UnsetType = UNSET
    """DSN of the store with the record of what was written, and with what was written over."""

    @property
    def broken(self) -> bool:
        """Whether anything could not be judged, or could not be sent."""
        return not self.complete or any(one.outcome in _BROKEN for one in self.objects)

    @property
    def drifted(self) -> bool:
        """Whether there was anything to put back."""
        return any(self.resources.get(status) for status in DRIFT_STATUSES) or any(
            one.drifted for one in self.objects
        )

    @property
    def left(self) -> bool:
        """Whether there is drift that was not put back."""
        if self.refusal is not UNSET:
            return self.drifted
        return any(
            one.drifted and (one.outcome not in _DONE or bool(one.remains)) for one in self.objects
        )


async def heal_once(
    workspace: Workspace,
    options: CheckOptions,
    healing: Healing,
    *,
    opened: bool,
    progress: Progress,
    clock: Clock,
    by_rule: bool = False,
) -> HealReport:
    """Look at the one application that `options` name, and put it back as far as `healing` may.

    Unless `opened`, nothing is sent: the report is a preview. `by_rule` says whether the rules of
    `healing` are those of a settings file, and no person's flags. Raises ConfigError if there is
    no such application, or several.
    """
    acceptance = load_acceptance(options.baselines, options.suppressions, options.hash_key_file)
    state = open_state(options.state, progress)
    if state is not None:
        workspace = replace(workspace, memory=state)
    claims = Claims()
    workspace = replace(workspace, claims=claims)
    # All applications, for others may declare the same objects.
    declared = await declare(workspace, replace(options, applications=()), progress)
    refuse_unmatched(options, progress, declared)
    entry = _the_one(declared, options)
    name = entry.application.qualified_name
    unasked = ADDITIONS_STAY if by_rule else _STAY_UNASKED
    objects: dict[tuple[str, ...], HealedObject] = {}
    for left in range(_TRIES if opened else 1, 0, -1):
        looks = await look(
            workspace,
            replace(declared, entries=(entry,), conditions=(), marks=None),
            options,
            progress=progress,
            clock=clock,
            keep=True,
            sealer=acceptance.sealer,
        )
        today = clock.now().date()
        accepted = acceptance.apply(looks[0].report, looks[0].seals, today, Used())
        looked = replace(looks[0], report=accepted)
        healed = await healing.heal(
            entry,
            looked,
            workspace=workspace,
            declared=declared,
            claims=claims,
            send=opened,
            foreseen=True,
            halted=await halted(looked) if has_drift(accepted.resources) else "",
        )
        report = _report(name, healed, opened=opened, unasked=unasked)
        objects |= {(one.group, one.kind, one.namespace, one.name): one for one in report.objects}
        # What somebody changed between look and write is looked at anew.
        if left == 1 or not any(one.outcome == Outcome.CONFLICT for one in report.objects):
            return msgspec.structs.replace(report, objects=tuple(objects.values()))
    raise AssertionError("a heal has at least one look")


def _the_one(declared: Declared, options: CheckOptions) -> Entry:
    """The application that `options` name. Raises ConfigError if none or several are."""
    entries = [one for one in declared.entries if options.chooses(one.application)]
    if not entries:
        raise none_chosen(options, declared.applications, declared.conditions)
    if len(entries) > 1:
        wanted = ", ".join(options.applications)
        names = listed(sorted(one.application.qualified_name for one in entries))
        raise ConfigError(
            f"heal takes one application, and {wanted} names {len(entries)}",
            hint=f"choose one of: {names}",
        )
    return entries[0]


def _report(name: str, healed: Healed, *, opened: bool, unasked: str) -> HealReport:
    """What became of a look's plan; `unasked` says why additions stay where driftd may write."""
    plan, looked = healed.plan, healed.looked

    def stay(key: ResourceKey, changes: Iterable[Change]) -> str:
        if not plan.refusal:
            return unasked
        application = looked.desired.entry.application
        managers = {*looked.report.deployers, *engines_at(looked)}
        return stays(application, engine_of(application, managers), ((key, one) for one in changes))

    results = {one.key: one for one in healed.result.results} if healed.result else {}
    found = {one.key: one for one in looked.report.resources}
    held = [_held(one, found.get(one.key), stay) for one in plan.skipped]
    return HealReport(
        application=name,
        cluster=looked.report.cluster,
        rung=str(plan.rung) if opened else "observe",
        deployers=looked.report.deployers,
        refusal=plan.refusal or UNSET,
        complete=looked.report.complete,
        objects=(*(_object(one, healed, results.get(one.key), stay) for one in plan.tasks), *held),
        resources=summarise((looked.report,)).resources,
        not_checked=tuple(
            one for one in found.values() if one.status is ResourceStatus.NOT_CHECKED
        ),
        conditions=looked.report.conditions,
    )


def _held(one: Skipped, found: ResourceReport | None, stay: _Stay) -> HealedObject:
    """An object that is left alone; `found` is the verdict on it."""
    reason = stay(one.key, _drift(found)) if one.reason == ADDITIONS_STAY else one.reason
    if found and found.status is ResourceStatus.UNKNOWN and isinstance(found.reason, str):
        reason = f"{reason}: {found.reason}"
    return HealedObject(
        group=one.key.group,
        kind=one.key.kind,
        namespace=one.key.namespace,
        name=one.key.name,
        action="none",
        changes=_drift(found),
        origin=_to_correct(found) if found and reason.startswith(CORRECTION) else UNSET,
        reason=reason,
        guard=one.guard or UNSET,
        remains=one.remains,
        drifted=found is None or found.is_drift,
        manager=found.manager if found else UNSET,
    )


def _to_correct(found: ResourceReport) -> ReportOrigin | UnsetType:
    """The line of the mistake that an object has in Git, else where it is declared."""
    places = [found.invalid.origin] if found.invalid else []
    places += [change.origin for change in found.changes if change.invalid]
    return next((one for one in places if isinstance(one, ReportOrigin)), found.origin)


def _object(task: SyncTask, healed: Healed, result: TaskResult | None, stay: _Stay) -> HealedObject:
    live = healed.looked.live.get(task.key)
    body = orjson.loads(live.body) if live is not None else None
    action: Literal["create", "apply", "patch"] = "patch" if task.removals else "apply"
    resources = healed.looked.report.resources
    found = next((one for one in resources if one.key == task.key), None)
    staying = tuple(one for one in _drift(found) if one.path in task.remains)
    added = any(one.change_class is ChangeClass.UNDECLARED for one in staying)
    return HealedObject(
        group=task.key.group,
        kind=task.key.kind,
        namespace=task.key.namespace,
        name=task.key.name,
        action="create" if task.create else action,
        changes=task.heals,
        impact=impact_of(task, body),
        remains=task.remains,
        staying=staying,
        reason=stay(task.key, staying) if added and not healed.plan.undeclared else UNSET,
        outcome=str(result.outcome) if result else UNSET,
        message=(result.message or UNSET) if result else UNSET,
    )


def _drift(found: ResourceReport | None) -> tuple[Change, ...]:
    return tuple(one for one in found.changes if one.is_drift) if found else ()
