"""What messages say beyond the look: whose the application is, what driftd does, what stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from driftd.clock import rfc3339
from driftd.controller.declared import Entry
from driftd.controller.healing import Healed
from driftd.controller.rewritings import REWRITTEN
from driftd.model.report import ApplicationReport
from driftd.notify.message import Subject
from driftd.settings.healing import Rung
from driftd.settings.notifications import Notifications
from driftd.store.types import NO_NOTICES, Notice, Notices, Transition
from driftd.sync.guards import CANARY, CONTACT, DETECT_ONLY, GRACE, WINDOW
from driftd.sync.outcome import Outcome
from driftd.sync.plan import SyncPlan

_FAILED: Final = frozenset({"IgnoreRuleFailed"})
_USELESS: Final = frozenset({"IgnoreRuleUnused", "SuppressionUnused", "BaselineEntryUnused"})
_WAITS: Final = frozenset({DETECT_ONLY, CANARY, GRACE, WINDOW, CONTACT})
"""Guards that only wait, or do what they were asked to: nothing is wrong with that."""
_REFUSED: Final = frozenset({Outcome.NOT_HEALABLE, Outcome.FAILED})


def subject_of(entry: Entry, told: Notifications, healed: Healed | None = None) -> Subject:
    """What is known of an application; without a plan driftd only reports."""
    application, label = entry.application, told.owner_label
    plan = healed.plan if healed is not None else None
    owner = application.labels.get(label) or application.annotations.get(label) or ""
    return Subject(
        labels=application.labels,
        annotations=application.annotations,
        project_annotations=entry.project.annotations if entry.project is not None else {},
        owner=owner,
        action=_action(plan),
        heals_at=_heals_at(plan),
    )


def notices_of(report: ApplicationReport, healed: Healed | None = None) -> Notices:
    """What stands beside the drifts at a whole look that could judge everything.

    `healed` is None for a look at single objects, which judges no rules and plans nothing.
    """
    if healed is None or not report.complete:
        return NO_NOTICES
    judged = frozenset(
        {Transition.RULE_TROUBLE, Transition.HEAL_REFUSED, Transition.HISTORY_REWRITTEN}
    )
    return Notices(judged, (*_rules(report), *_refusals(healed), *_rewritings(report)))


def _rules(report: ApplicationReport) -> Iterator[Notice]:
    for condition in report.conditions:
        if condition.type in _FAILED | _USELESS:
            yield Notice(
                type=Transition.RULE_TROUBLE,
                key=f"{condition.type} {condition.message}",
                text=condition.message,
                told_at_first=condition.type in _FAILED,
            )


def _rewritings(report: ApplicationReport) -> Iterator[Notice]:
    for condition in report.conditions:
        if condition.type == REWRITTEN:
            text = condition.message
            yield Notice(type=Transition.HISTORY_REWRITTEN, key=text, text=text)


def _refusals(healed: Healed) -> Iterator[Notice]:
    """What was to be put back and is not, and not because of time alone."""
    if healed.plan.rung is not Rung.FIELDS:
        return
    if healed.halted:
        yield Notice(type=Transition.HEAL_REFUSED, key="halted", text=healed.halted)
    for one in healed.plan.skipped:
        if one.guard and one.guard not in _WAITS:
            yield Notice(
                type=Transition.HEAL_REFUSED,
                key=f"{one.key} {one.guard}",
                text=f"{one.key}: {one.reason}",
                resource=one.key,
            )
    for result in healed.result.results if healed.result is not None else ():
        if result.outcome in _REFUSED:
            yield Notice(
                type=Transition.HEAL_REFUSED,
                key=f"{result.key} {result.outcome}",
                text=f"{result.key}: {result.message}",
                resource=result.key,
            )


def _action(plan: SyncPlan | None) -> str:
    if plan is None or plan.rung is Rung.OBSERVE:
        return "reports only"
    if plan.refusal:
        return f"reports only: {plan.refusal}"
    if plan.rung is Rung.DRY_RUN:
        return "tries out what putting it back would do, and writes nothing"
    waits = [one for one in plan.skipped if one.until is not None]
    if plan.tasks or waits:
        return "puts it back"
    return f"does not put it back: {plan.skipped[0].reason}" if plan.skipped else "reports only"


def _heals_at(plan: SyncPlan | None) -> str:
    moments = [one.until for one in plan.skipped if one.until is not None] if plan else []
    return rfc3339(min(moments)) if moments and plan is not None and not plan.tasks else ""
