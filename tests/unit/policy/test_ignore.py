"""Argo CD's ignore rules mark changes (tests/integration/test_ignore_rules.py has the cases)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.paths import pointer
from driftd.model.application import Application, ApplicationSpec
from driftd.model.report import UNSET, Change, ChangeClass, ChangeKind
from driftd.model.resource import Manifest, Origin, ResourceKey
from driftd.policy.ignore import (
    UNSTABLE,
    JqAnswer,
    Subject,
    expressions_for,
    ignored,
    rules_of,
    tokens,
    unstable_rules,
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
    found = ignored(rules, WEB, [made], Subject(answers=answers))
    (marked,) = found.changes
    assert found.used == (frozenset() if marked.ignored_by is UNSET else {marked.ignored_by})
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
    found = ignored(rules, WEB, [change("/spec/replicas"), change("/data")], Subject())
    by = "spec.ignoreDifferences[0].jsonPointers[1]"
    assert [c.ignored_by for c in found.changes] == [by, UNSET]
    assert [c.is_drift for c in found.changes] == [False, True]
    assert found.used == {by}


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


def test_managers_that_own_a_place_together() -> None:
    """A manager hides a change at a place that it owns, whoever wrote last; never what is gone."""
    rules = rules_of(application({"group": "*", "kind": "*", "managedFieldsManagers": ["vpa"]}))
    owned = Subject(owners={"f:spec/f:replicas": frozenset({"vpa", "alice"})})
    for kind, hidden in ((ChangeKind.MODIFIED, True), (ChangeKind.MISSING, False)):
        made = change("/spec/replicas", kind=kind, ssa_path="f:spec/f:replicas", manager="alice")
        (marked,) = ignored(rules, WEB, [made], owned).changes
        assert (marked.ignored_by is not UNSET) is hidden


def test_masked_values_are_not_compared_in_part() -> None:
    """Of a masked value nobody can say that nothing else differs, so nothing is hidden."""
    rules = rules_of(application({"group": "*", "kind": "*", "jsonPointers": ["/data/a"]}))
    for live in ({"a": {"masked": True}}, {"a": "x", "b": {"masked": True}}):
        made = change("/data", kind=ChangeKind.ADDED, live=live)
        (marked,) = ignored(rules, WEB, [made], Subject()).changes
        assert marked.ignored_by is UNSET


def test_an_item_whose_key_has_a_default() -> None:
    """Git may leave out a key of an item that the server fills in: it is the same item."""
    rules = rules_of(
        application({"group": "*", "kind": "*", "jsonPointers": ["/spec/ports/0/name"]})
    )
    key = '{"port":80,"protocol":"TCP"}'
    made = change(
        "/spec/ports/1/name",
        kind=ChangeKind.ADDED,
        ssa_path=f"f:spec/f:ports/k:{key}/f:name",
        live="web",
    )
    git = {"spec": {"ports": [{"port": 80}]}}
    found = ignored(rules, WEB, [made], Subject(desired=git))
    assert found.changes[0].ignored_by is not UNSET
    assert found.positions == {"spec.ignoreDifferences[0].jsonPointers[0]": key}
    other = {"spec": {"ports": [{"port": 81}, {"port": 80}]}}
    assert ignored(rules, WEB, [made], Subject(desired=other)).used == frozenset()


def test_unstable_places_hide_what_differs_there() -> None:
    """A change at or below an unstable place is marked, one beside it or of another object not."""
    manifest = Manifest(WEB, "v1", b"{}", Origin(0, "a.yaml"), unstable=("/data/password",))
    rules = tuple(unstable_rules(manifest))
    changes = [change("/data/password"), change("/data/passwords"), change("/data")]
    found = ignored(rules, WEB, changes, Subject())
    assert [one.ignored_by for one in found.changes] == [UNSTABLE, UNSET, UNSET]
    other = ResourceKey("apps", "Deployment", "shop", "other")
    assert ignored(rules, other, changes, Subject()).used == frozenset()
