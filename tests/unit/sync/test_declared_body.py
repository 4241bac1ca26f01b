"""What is sent of a declared object when some of it is no drift."""

from __future__ import annotations

import pytest

from driftd.model.report import ChangeClass, ChangeKind
from driftd.sync.declared_body import folded, kept, with_kept, without_empty
from driftd.sync.removal import Unaddressable
from tests.unit.reports import change

REVIEW = ChangeClass.REVIEW


def test_only_what_an_apply_would_undo_is_kept():
    """Drift is to be undone, and an addition survives an apply by itself."""
    drift = change("/spec/a")
    ignored = change("/spec/b", ignored_by="rule")
    addition = change("/spec/c", kind=ChangeKind.ADDED, change_class=REVIEW)
    assert kept([drift, ignored, addition]) == [ignored]


def test_items_keep_their_values_wherever_they_stand_in_live():
    """Git's place and the live one are two pointers."""
    body = {"spec": {"items": [{"name": "a", "v": 1}, {"name": "b", "v": 1}]}}
    live = {"spec": {"items": [{"name": "b", "v": 9}, {"name": "a", "v": 1}]}}
    one = change("/spec/items/0/v", desired_path="/spec/items/1/v", change_class=REVIEW)
    assert with_kept(body, live, [one])["spec"]["items"][1] == {"name": "b", "v": 9}
    assert body["spec"]["items"][1]["v"] == 1


def test_missing_items_are_left_out_without_moving_others():
    """Several of one list, in any order."""
    body = {"spec": {"items": ["a", "b", "c", "d"]}}
    gone = [
        change(path, kind=ChangeKind.MISSING, desired_path=path, change_class=REVIEW)
        for path in ("/spec/items/0", "/spec/items/2")
    ]
    assert with_kept(body, {}, gone) == {"spec": {"items": ["b", "d"]}}


def test_a_place_that_is_not_there_is_no_guess():
    """Better no write than a wrong one."""
    one = change("/spec/a", desired_path="/spec/b", change_class=REVIEW)
    with pytest.raises(Unaddressable):
        with_kept({"spec": {}}, {"spec": {"a": 1}}, [one])


def test_empty_values_are_sent_only_where_they_are_drift():
    """A filled field that Git leaves empty stays, unless that it is filled is the drift."""
    desired = {"spec": {"ca": "", "paused": False, "size": 0, "name": "x"}}
    live = {"spec": {"ca": "filled", "paused": True, "name": "y"}}
    assert without_empty(desired, live, ["/spec/paused"]) == {
        "spec": {"paused": False, "size": 0, "name": "x"}
    }


def test_string_data_wins_over_data():
    """As the API server folds them."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "eA==", "b": "eA=="},
        "stringData": {"a": "y"},
    }
    assert folded(body) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "eQ==", "b": "eA=="},
    }
