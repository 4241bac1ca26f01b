"""Of each ignore rule that failed, hid nothing or hid too much it is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.model.application import Application, ApplicationSpec, IgnoreDifference
from driftd.model.report import Change, ChangeClass, ChangeKind, ResourceReport, ResourceStatus
from driftd.policy.customizations import NamedIgnore
from driftd.policy.ignore import rules_of
from driftd.policy.ignore_report import Findings, rule_conditions, shared_conditions
from tests.unit.reports import report as report_of

NAME = "spec.ignoreDifferences[0]"


def rules(**entry: Any) -> Any:
    """The rules of one entry for Deployments."""
    spec = {"ignoreDifferences": [{"group": "apps", "kind": "Deployment", **entry}]}
    return rules_of(
        Application(name="shop", namespace="argocd", spec=msgspec.convert(spec, ApplicationSpec))
    )


def resource(
    status: ResourceStatus = ResourceStatus.SYNCED, *changes: Change, **more: str
) -> ResourceReport:
    """The Deployment `web`, or another object."""
    fields = {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web", **more}
    return ResourceReport(version="v1", status=status, changes=changes, **fields)


def test_used_rules_are_not_told() -> None:
    """A rule that hid a change is no condition."""
    made = rules(jsonPointers=["/spec/a"])
    assert rule_conditions(made, Findings(used={made[0].name}), [resource()]) == []


def test_what_was_not_seen_is_not_unused() -> None:
    """A rule for an object that could not be judged may well have hidden something."""
    made = rules(jsonPointers=["/spec/a"])
    for status in (ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED):
        assert rule_conditions(made, Findings(), [resource(status)]) == []
    assert rule_conditions(made, Findings(), [resource()], complete=False) == []
    (told,) = rule_conditions(made, Findings(), [resource()])
    assert (told.type, str(told.severity)) == ("IgnoreRuleUnused", "info")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"group": ""}, "Deployment has group: apps"),
        ({"kind": "deployment"}, "kind is Deployment"),
        ({"name": "app"}, "there is Deployment shop/web"),
        ({"kind": "StatefulSet"}, "speaks of no object of the application"),
    ],
)
def test_the_likely_cause(entry: dict[str, str], says: str) -> None:
    """Where a rule speaks of no object, it is told what it probably meant."""
    (told,) = rule_conditions(rules(**entry, jsonPointers=["/a"]), Findings(), [resource()])
    assert says in told.message


def test_a_failure_names_object_reason_and_remedy() -> None:
    """File, rule, expression, the first object, why, and what to do."""
    made = rules(jqPathExpressions=[".a["])
    found = Findings(failures={".a[": ("unexpected end", "Deployment shop/web")})
    (told,) = rule_conditions(made, found, [resource()], origin="apps/shop.yaml")
    assert told.message == (
        f"apps/shop.yaml: {NAME}.jqPathExpressions[0]: `.a[` failed on Deployment shop/web: "
        "unexpected end; it hides nothing; correct the expression"
    )
    assert str(told.severity) == "warning"


def test_hidden_critical_changes_are_counted() -> None:
    """The first one with its reason, and how many more; others are not worth a condition."""
    made = rules(jsonPointers=["/spec"])
    change = Change(
        kind=ChangeKind.ADDED,
        change_class=ChangeClass.UNDECLARED,
        path="/spec/hostPID",
        severity="critical",
        severity_reason="the node's processes",
        ignored_by=made[0].name,
    )
    low = msgspec.structs.replace(change, severity="low", path="/spec/x")
    shown = msgspec.structs.replace(change, ignored_by=msgspec.UNSET)
    found = Findings(used={made[0].name})
    found.hidden(resource(), [low, change, shown, change])
    (told,) = rule_conditions(made, found, [resource()])
    assert told.type == "IgnoreRuleHidesCritical"
    assert "Deployment shop/web /spec/hostPID (the node's processes) and 1 more" in told.message


def test_rules_of_argocd_cm() -> None:
    """A shared rule is unused only if no application of a whole, complete run has a match."""
    target = IgnoreDifference(group="*", kind="*", json_pointers=("/a", "/b"))
    shared = [NamedIgnore("argocd-cm x", target)]
    change = Change(
        kind=ChangeKind.MODIFIED,
        change_class=ChangeClass.DECLARED,
        path="/b",
        ignored_by="spec.ignoreDifferences[0].jsonPointers[0], argocd-cm x.jsonPointers[1]",
    )
    report = report_of(resource(ResourceStatus.SYNCED, change))
    (told,) = shared_conditions(shared, [report], whole=True)
    assert told.message.startswith("argocd-cm x.jsonPointers[0] (/a) matches no difference")
    assert shared_conditions(shared, [report], whole=False) == []
    blind = msgspec.structs.replace(report, complete=False)
    assert shared_conditions(shared, [report, blind], whole=True) == []


def test_expressions_are_told_on_one_line() -> None:
    """Whoever folds an expression in YAML still gets one line."""
    made = rules(jqPathExpressions=[".a\n  | .b["])
    found = Findings(failures={".a\n  | .b[": ("unexpected end", "")})
    (told,) = rule_conditions(made, found, [resource()])
    assert "`.a | .b[` failed: unexpected end" in told.message


def test_critical_objects_that_an_annotation_lets_stay() -> None:
    """Of Extra objects with Argo CD's compare option the critical ones are told, with a count."""
    by = "argocd.argoproj.io/compare-options: IgnoreExtraneous"
    robot = resource(ResourceStatus.EXTRA, kind="ServiceAccount", group="", name="robot")
    found = Findings()
    for severity, ignored_by in (("critical", by), ("medium", by), ("critical", msgspec.UNSET)):
        made = msgspec.structs.replace(robot, severity=severity, ignored_by=ignored_by)
        found.kept(msgspec.structs.replace(made, severity_reason="an identity"))
    (told,) = rule_conditions([], found, [robot])
    assert (told.type, str(told.severity)) == ("IgnoreRuleHidesCritical", "warning")
    assert told.message == (
        "the compare option IgnoreExtraneous hides a critical object: ServiceAccount shop/robot "
        "(an identity); declare it in Git, or remove the annotation"
    )
    found.kept(msgspec.structs.replace(robot, severity="critical", ignored_by=by))
    assert "(an identity) and 1 more;" in rule_conditions([], found, [robot])[0].message
