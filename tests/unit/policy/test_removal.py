"""What is left of a value without some places."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.policy.removal import consists_of, has, positions, without

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab/~01", max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


def places(value: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place inside a value."""
    if isinstance(value, dict):
        members = list(value.items())
    else:
        members = [(str(i), one) for i, one in enumerate(value)] if isinstance(value, list) else []
    return [p for k, v in members for p in ((*above, k), *places(v, (*above, k)))]


@given(VALUES, st.data())
def test_what_is_removed_is_gone_and_all_else_stays(value: Any, data: st.DataObject) -> None:
    """Without one place everything else is as it was; what is not there removes nothing."""
    before = deepcopy(value)
    inside = places(value)
    if not inside:
        assert without(value, [("a",)]) == value
        return
    chosen = data.draw(st.sampled_from(inside))
    left = without(value, [chosen])
    assert value == before
    assert len(places(left)) == len(inside) - sum(p[: len(chosen)] == chosen for p in inside)
    assert without(value, [(*chosen, "absent")]) == value
    assert has(value, chosen)


@given(VALUES)
def test_all_members_together_are_the_whole(value: Any) -> None:
    """A struct or list consists of its members, and without them is empty."""
    top = [place for place in places(value) if len(place) == 1]
    assert consists_of(value, top) is bool(top)
    if isinstance(value, (dict, list)):
        assert without(value, top) == type(value)()


@pytest.mark.parametrize(
    ("value", "named", "expected"),
    [
        ({"a": {"b": 1}}, [("a", "b")], True),
        ({"a": {"b": 1, "c": 2}}, [("a", "b")], False),
        ({"a": {}}, [("a", "b")], False),
        ({"a": {}, "b": 1}, [("b",)], False),
        ([{"k": 1}], [("0", "k")], True),
        ([{"k": 1}, {"k": 2}], [("0", "k")], False),
        ("x", [("a",)], False),
        ({}, [], False),
    ],
)
def test_consists_of(value: Any, named: list[tuple[str, ...]], expected: bool) -> None:
    """An empty struct that nobody names is something: as a selector it fits everything."""
    assert consists_of(value, named) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (["a", 0], [("a", "0")]),
        (["a", -1], [("a", "2")]),
        (["a", -5], [("a", "-2")]),
        (["a", {"start": 1, "end": None}], [("a", "1"), ("a", "2")]),
        (["a", {"start": None, "end": -1}, "k"], [("a", "0", "k"), ("a", "1", "k")]),
        (["b", {"start": 0, "end": 9}], []),
        (["b", "c"], [("b", "c")]),
        ([], [()]),
    ],
)
def test_positions_of_a_jq_path(path: list[Any], expected: list[tuple[str, ...]]) -> None:
    """Slices and positions from the end become the positions that they mean in this value."""
    value = {"a": [{"k": 1}, {"k": 2}, 3], "b": {"c": 1}}
    assert positions(path, value) == expected


def test_positions_are_those_before_removal() -> None:
    """Two positions remove two items, whichever is first."""
    assert without([1, 2, 3], [("0",), ("1",)]) == [3]
    assert without([1, 2, 3], [("1",), ("0",)]) == [3]
