"""deepdiff as the one producer of changes: its places are the walk's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.fields import confirmed
from driftd.diff.finding import ABSENT, Finding
from driftd.diff.paths import Item
from driftd.errors import CompareError
from driftd.model.report import ChangeClass, ChangeKind

STEPS = st.text(max_size=4) | st.sampled_from(
    ["__private", "root", "['x']", "a.b", "a/b", "~", "\n"]
)
ITEMS = st.builds(
    Item,
    st.sampled_from(['k:{"name":"a"}', 'k:{"name":""}', 'v:"x/y"', "i:0"]),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 3),
)
PATHS = st.lists(STEPS | ITEMS, min_size=1, max_size=4).map(tuple)
VALUES = st.sampled_from(
    ["", "a", "1", 1, 0, 1.5, True, False, None, [], {}, [1], [True], {"a": 1}, {"a": True}]
)


def finding(path: Any, desired: Any, live: Any) -> Finding:
    """A finding of the kind that its sides say."""
    kind = ChangeKind.MODIFIED
    if live is ABSENT:
        kind = ChangeKind.MISSING
    elif desired is ABSENT:
        kind = ChangeKind.ADDED
    return Finding(kind, ChangeClass.DECLARED, path, desired=desired, live=live)


def separate(paths: list[Any]) -> list[Any]:
    """The paths of which none lies below another one."""
    kept: list[Any] = []
    for path in sorted(set(paths), key=len):
        if not any(path[: len(other)] == other for other in kept):
            kept.append(path)
    return kept


@given(st.lists(PATHS, max_size=6).map(separate), st.data())
def test_every_place_comes_back_once(paths: list[Any], data: st.DataObject) -> None:
    """Modified, missing and added places, with any characters and values, are all confirmed."""
    findings = []
    for path in paths:
        desired, live = data.draw(
            st.tuples(VALUES | st.just(ABSENT), VALUES | st.just(ABSENT)).filter(
                lambda pair: repr(pair[0]) != repr(pair[1])
            )
        )
        findings.append(finding(path, desired, live))
    result = confirmed(findings)
    assert len(result) == len(findings)
    assert {id(found) for found in result} == {id(found) for found in findings}


def test_true_and_one_are_two_values() -> None:
    """A boolean that became a number is a change, alone and deep inside."""
    for desired, live in ((True, 1), ([True], [1]), ({"a": {"b": 0}}, {"a": {"b": False}})):
        assert len(confirmed([finding(("spec",), desired, live)])) == 1


def test_changes_are_sorted_and_a_rename_is_one() -> None:
    """A rename has two places and comes back once; the order is that of the paths."""
    old, new = Item('k:{"name":"a"}', 0, None), Item('k:{"name":"b"}', None, 0)
    renamed = Finding(
        ChangeKind.RENAMED,
        ChangeClass.DECLARED,
        ("spec", "env", new),
        desired={"name": "a"},
        live={"name": "b"},
        renamed_from=("spec", "env", old),
    )
    last = finding(("spec", "zone"), "a", "b")
    assert confirmed([last, renamed]) == [renamed, last]


def test_order_beside_a_change_of_an_item() -> None:
    """The order of a list and a field of one of its items are two changes."""
    order = Finding(ChangeKind.REORDERED, ChangeClass.DECLARED, ("env",), ["a", "b"], ["b", "a"])
    inside = finding(("env", Item("k:a", 0, 1), "value"), "1", "2")
    assert confirmed([order, inside]) == [order, inside]


def test_nothing_found_is_nothing_confirmed() -> None:
    """A clean comparison costs nothing."""
    assert confirmed([]) == []


def test_disagreement_is_an_error_without_values() -> None:
    """A place that deepdiff does not see makes the object Unknown; no value is in the text."""
    same = finding(("data", "password"), "s3cret", "s3cret")
    with pytest.raises(CompareError, match="disagree at f:data/f:password") as caught:
        confirmed([same])
    assert "s3cret" not in str(caught.value)
