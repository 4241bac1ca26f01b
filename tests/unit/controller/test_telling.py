"""What messages say beyond the look."""

from __future__ import annotations

from datetime import timedelta

import pytest

from driftd.cluster.destinations import ClusterTarget
from driftd.controller.declared import Entry
from driftd.controller.healing import Healed
from driftd.controller.rewritings import REWRITTEN
from driftd.controller.telling import notices_of, subject_of
from driftd.model.application import Application, ApplicationSpec, Destination
from driftd.model.condition import Severity
from driftd.model.project import AppProject
from driftd.model.report import ReportCondition
from driftd.model.resource import ResourceKey
from driftd.settings.healing import Rung
from driftd.settings.notifications import Notifications
from driftd.store.types import NO_NOTICES, Transition
from driftd.sync.guards import BUDGET, GRACE
from driftd.sync.outcome import Outcome, SyncResult, TaskResult
from driftd.sync.plan import Skipped, SyncPlan
from tests.unit.reports import START, report, resource

KEY = ResourceKey("apps", "Deployment", "shop", "web")
GRACED = Skipped(KEY, "waits", guard=GRACE, until=START + timedelta(minutes=2))
BROKE = Skipped(KEY, "over the budget of an hour", guard=BUDGET)


def entry(**fields) -> Entry:
    """An application of a project with a subscription."""
    target: ClusterTarget | None = None
    return Entry(
        application=Application(
            name="shop",
            namespace="argocd",
            spec=ApplicationSpec(project="default", destination=Destination()),
            **fields,
        ),
        project=AppProject(name="default", annotations={"a": "project"}),
        target=target,
        destination=Destination(),
    )


def healed(*skipped, rung=Rung.FIELDS, refusal="", results=()) -> Healed:
    """What became of healing, without its look."""
    plan = SyncPlan(application="argocd/shop", rung=rung, refusal=refusal, skipped=skipped)
    result = SyncResult("argocd/shop", rung, tuple(results)) if results else None
    return Healed(None, plan, result)  # type: ignore[arg-type]


def test_the_owner_stands_in_a_label_or_an_annotation():
    """The label wins; both are as the settings name them."""
    label, told = "driftd.io/owner", Notifications()
    both = entry(labels={label: "team-a"}, annotations={label: "team-b"})
    assert subject_of(both, told).owner == "team-a"
    assert subject_of(entry(annotations={label: "team-b"}), told).owner == "team-b"
    other = Notifications(owner_label="team")
    assert subject_of(entry(labels={"team": "x"}), other).owner == "x"
    assert subject_of(entry(), told).project_annotations == {"a": "project"}


@pytest.mark.parametrize(
    ("made", "action", "heals_at"),
    [
        (None, "reports only", ""),
        (healed(rung=Rung.OBSERVE), "reports only", ""),
        (healed(refusal="Argo CD is at work"), "reports only: Argo CD is at work", ""),
        (healed(GRACED), "puts it back", "2026-03-01T12:02:00Z"),
        (healed(BROKE), "does not put it back: over the budget of an hour", ""),
    ],
)
def test_a_message_says_what_driftd_does(made, action, heals_at):
    """Reports only and why, puts back and when, or does not and why."""
    found = subject_of(entry(), Notifications(), made)
    assert (found.action, found.heals_at) == (action, heals_at)


def test_rules_in_trouble_are_noticed_by_looks_that_judge_them():
    """A failure at once, uselessness only when it begins; a glance and a blind look judge none."""
    conditions = (
        ReportCondition(type="IgnoreRuleFailed", message="rule 1: jq", severity=Severity.WARNING),
        ReportCondition(type="IgnoreRuleUnused", message="rule 2", severity=Severity.INFO),
        ReportCondition(type="Other", message="x", severity=Severity.INFO),
    )
    look = report(resource("web"), conditions=conditions)
    found = notices_of(look, healed(rung=Rung.OBSERVE))
    assert [(one.text, one.told_at_first) for one in found.standing] == [
        ("rule 1: jq", True),
        ("rule 2", False),
    ]
    assert found.judged == {
        Transition.RULE_TROUBLE,
        Transition.HEAL_REFUSED,
        Transition.HISTORY_REWRITTEN,
    }
    assert notices_of(look) == NO_NOTICES
    assert notices_of(report(complete=False, conditions=conditions), healed()) == NO_NOTICES


def test_a_rewritten_history_is_noticed():
    """Each rewriting is told once, also where driftd heals nothing."""
    told = ReportCondition(type=REWRITTEN, message="main was rewritten", severity=Severity.WARNING)
    look = report(resource("web"), conditions=(told,))
    (notice,) = notices_of(look, healed(rung=Rung.OBSERVE)).standing
    assert (notice.type, notice.text) == (Transition.HISTORY_REWRITTEN, "main was rewritten")


def test_refused_heals_are_noticed_and_waiting_is_not():
    """Over the budget, or no write helps: told. A grace period: not."""
    failed = TaskResult(KEY, Outcome.NOT_HEALABLE, "immutable field")
    done = TaskResult(KEY, Outcome.APPLIED)
    found = notices_of(report(resource("web")), healed(GRACED, BROKE, results=(failed, done)))
    assert [one.text for one in found.standing] == [
        f"{KEY}: over the budget of an hour",
        f"{KEY}: immutable field",
    ]
    assert {one.type for one in found.standing} == {Transition.HEAL_REFUSED}
    closed = notices_of(report(resource("web")), healed(BROKE, rung=Rung.OBSERVE))
    assert closed.standing == ()
