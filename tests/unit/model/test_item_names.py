"""The items of lists by their keys."""

from __future__ import annotations

from driftd.model.item_names import in_order


def test_items_of_a_changed_order_are_named_by_their_keys() -> None:
    """One key is its value; several are named; plain values and other texts stay."""
    items = ['k:{"name":"web"}', 'k:{"port":80,"protocol":"TCP"}', 'v:"a"', "x", 3, "k:broken"]
    assert in_order(items) == ["web", "port=80,protocol=TCP", "a", "x", 3, "k:broken"]
    assert in_order({"a": 1}) == {"a": 1}
