"""Argo CD's ignore rules mark changes, and each that failed or matched nothing is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.paths import pointer
from driftd.model.application import Application, ApplicationSpec
from driftd.model.report import UNSET, Change, ChangeClass, ChangeKind
from driftd.model.resource import ResourceKey
from driftd.policy.ignore import (
    JqAnswer,
    expressions_for,
    ignored,
    rule_conditions,
    rules_of,
    tokens,
)

WEB = ResourceKey("apps", "Deployment", "shop", "web")


def application(*entries: dict[str, Any]) -> Application:
    """An Application with these entries of `spec.ignoreDifferences`."""
    spec = {
        "project": "default",
        "destination": {"namespace": "shop"},
        "ignoreDifferences": list(entries),
    }
    return Application(name="shop", namespace="argocd", spec=msgspec.convert(spec, ApplicationSpec))


def change(path: str, **more: Any) -> Change:
    """A declared change at a path."""
    fields = {"kind": ChangeKind.MODIFIED, "change_class": ChangeClass.DECLARED, **more}
    return Change(path=path, **fields)


def marks(entry: dict[str, Any], made: Change, **answers: JqAnswer) -> str | None:
    """The rule that hides a change of the Deployment `web`, if one does."""
    rules = rules_of(application({"group": "apps", "kind": "Deployment", **entry}))
    (marked,), matched = ignored(rules, WEB, [made], answers)
    assert matched == (frozenset() if marked.ignored_by is UNSET else {marked.ignored_by})
    return None if marked.ignored_by is UNSET else marked.ignored_by


@pytest.mark.parametrize(
    ("rule", "path", "hidden"),
    [
        ("/spec/replicas", "/spec/replicas", True),
        ("/spec", "/spec/replicas", True),
        ("/spec/rep", "/spec/replicas", False),
        ("/spec/replicas/more", "/spec/replicas", False),
        ("spec/replicas", "/spec/replicas", True),
        ("/metadata/annotations/a~1b~0c", "/metadata/annotations/a~1b~0c", True),
        ("/metadata/annotations/a~1b", "/metadata/annotations/a", False),
        ("", "/spec/replicas", False),
    ],
)
def test_pointer_hides_at_and_below(rule: str, path: str, hidden: bool) -> None:
    """A JSON pointer hides its place and all below, and nothing that only begins alike."""
    name = "spec.ignoreDifferences[0].jsonPointers[0]"
    assert marks({"jsonPointers": [rule]}, change(path)) == (name if hidden else None)


def test_pointer_into_the_desired_object() -> None:
    """The place in Git counts too: list positions can differ between the two sides."""
    made = change("/spec/a/3", desired_path="/spec/a/1")
    assert marks({"jsonPointers": ["/spec/a/1"]}, made) is not None
    assert marks({"jsonPointers": ["/spec/a/2"]}, made) is None


def test_expression_hides_what_it_selects() -> None:
    """The sandbox's paths are used; without an answer nothing is hidden."""
    entry = {"jqPathExpressions": [".spec.replicas"]}
    answer = {".spec.replicas": JqAnswer(live=(("spec", "replicas"),))}
    assert marks(entry, change("/spec/replicas"), **answer) is not None
    assert marks(entry, change("/spec/paused"), **answer) is None
    assert marks(entry, change("/spec/replicas")) is None
    assert marks(entry, change("/spec/replicas"), **{".spec.replicas": JqAnswer()}) is None


def test_expression_hides_on_its_own_side_alone() -> None:
    """The item that Git has first need not be the one that live has first."""
    entry = {"jqPathExpressions": [".env[0]"]}
    answer = {".env[0]": JqAnswer(live=(("env", "1"),), desired=(("env", "0"),))}
    assert marks(entry, change("/env/0"), **answer) is None
    assert marks(entry, change("/env/1"), **answer) is not None
    assert marks(entry, change("/env/4", desired_path="/env/0"), **answer) is not None
    assert marks(entry, change("/env/0", kind=ChangeKind.MISSING), **answer) is not None
    assert marks(entry, change("/env/1", kind=ChangeKind.MISSING), **answer) is None


def test_manager_hides_what_it_wrote() -> None:
    """A manager's rule hides its own changes alone; an unknown author is never hidden."""
    entry = {"managedFieldsManagers": ["vpa"]}
    assert marks(entry, change("/spec/replicas", manager="vpa")) is not None
    assert marks(entry, change("/spec/replicas", manager="alice")) is None
    assert marks(entry, change("/spec/replicas")) is None


@pytest.mark.parametrize(
    ("entry", "covered"),
    [
        ({"group": "apps", "kind": "Deployment"}, True),
        ({"group": "*", "kind": "*"}, True),
        ({"group": "apps", "kind": "Deploy*"}, True),
        ({"kind": "Deployment"}, False),
        ({"group": "apps", "kind": "StatefulSet"}, False),
        ({"group": "apps", "kind": "Deployment", "name": "web", "namespace": "shop"}, True),
        ({"group": "apps", "kind": "Deployment", "name": "we*"}, False),
        ({"group": "apps", "kind": "Deployment", "namespace": "other"}, False),
    ],
)
def test_which_objects_a_rule_covers(entry: dict[str, Any], covered: bool) -> None:
    """Group and kind are globs, name and namespace are exact."""
    (rule,) = rules_of(application({**entry, "jsonPointers": ["/spec"]}))
    assert rule.covers(WEB) is covered


def test_the_change_stays_visible() -> None:
    """A hidden change is marked with the first rule that hides it, and is no drift any more."""
    rules = rules_of(
        application(
            {"group": "apps", "kind": "*", "jsonPointers": ["/spec/paused", "/spec/replicas"]},
            {"group": "apps", "kind": "*", "jsonPointers": ["/spec"]},
        )
    )
    found, matched = ignored(rules, WEB, [change("/spec/replicas"), change("/data")], {})
    assert [c.ignored_by for c in found] == ["spec.ignoreDifferences[0].jsonPointers[1]", UNSET]
    assert [c.is_drift for c in found] == [False, True]
    assert matched == {"spec.ignoreDifferences[0].jsonPointers[1]"}


def test_rules_that_failed_or_matched_nothing_are_told() -> None:
    """A failure is a warning with its reason, a rule without a match is information."""
    rules = rules_of(
        application(
            {
                "group": "apps",
                "kind": "Deployment",
                "jsonPointers": ["/used", "/unused"],
                "jqPathExpressions": [".broken["],
                "managedFieldsManagers": ["vpa"],
            }
        )
    )
    told = rule_conditions(rules, [rules[0].name], {".broken[": "unexpected end"})
    assert [(c.type, str(c.severity)) for c in told] == [
        ("IgnoreRuleUnused", "info"),
        ("IgnoreRuleFailed", "warning"),
        ("IgnoreRuleUnused", "info"),
    ]
    assert "/unused" in told[0].message
    assert "unexpected end" in told[1].message
    assert "vpa" in told[2].message


def test_expressions_that_an_object_needs() -> None:
    """Each expression of a rule that covers the object, once."""
    rules = rules_of(
        application(
            {"group": "apps", "kind": "Deployment", "jqPathExpressions": [".a", ".b"]},
            {"group": "*", "kind": "*", "jqPathExpressions": [".a"]},
            {"group": "", "kind": "Secret", "jqPathExpressions": [".c"]},
        )
    )
    assert expressions_for(rules, WEB) == (".a", ".b")


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_tokens_undo_a_pointer(names: list[str]) -> None:
    """Whatever a path contains, its pointer is read back to the same names."""
    text = pointer(names, live=True)
    assert text is not None
    assert tokens(text) == tuple(names)
