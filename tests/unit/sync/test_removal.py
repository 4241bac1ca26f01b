"""The patch that makes a live object what Git declares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.schema import SchemaSet
from driftd.model.resource import GVK
from driftd.sync.removal import Unaddressable, removals
from tests.testbed.jsonpatch import patched

STRING = {"type": "string"}
ITEM = {"type": "object", "properties": {"name": STRING, "value": STRING, "extra": STRING}}
DOCUMENT = {
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "properties": {
                    "metadata": {"type": "object", "properties": {"labels": {"type": "object"}}},
                    "spec": {
                        "type": "object",
                        "properties": {
                            "size": {"type": "integer"},
                            "items": {
                                "type": "array",
                                "items": ITEM,
                                "x-kubernetes-list-type": "map",
                                "x-kubernetes-list-map-keys": ["name"],
                            },
                            "set": {
                                "type": "array",
                                "items": STRING,
                                "x-kubernetes-list-type": "set",
                            },
                            "args": {"type": "array", "items": STRING},
                        },
                    },
                },
                "x-kubernetes-group-version-kind": [
                    {"group": "example.com", "version": "v1", "kind": "Thing"}
                ],
            }
        }
    }
}
NODE = SchemaSet([DOCUMENT]).node(GVK("example.com", "v1", "Thing"))
IDENTITY = {"uid": "u", "resourceVersion": "7"}


def after(live, desired, *gone):
    """The spec that the patch makes of a live one."""
    body = {"metadata": dict(IDENTITY), "spec": live, "status": {"at": 1}}
    first, second, *rest = removals(body, {"metadata": {}, "spec": desired}, gone, NODE)
    assert (first.op, first.path, first.value) == ("test", "/metadata/uid", "u")
    assert (second.op, second.path, second.value) == ("test", "/metadata/resourceVersion", "7")
    steps = [{"op": one.op, "path": one.path, "value": one.value} for one in rest]
    assert not any(step["path"].startswith("/status") for step in steps)
    return patched(body, steps)["spec"]


def named(*names, **fields):
    """List items of these names."""
    return [{"name": name, **fields} for name in names]


def test_items_are_found_by_their_keys():
    """An item that somebody put first goes; the declared one keeps what others added to it."""
    live = {"items": [*named("miner"), {"name": "app", "value": "x", "extra": "kept"}]}
    desired = {"items": [{"name": "app", "value": "y"}]}
    assert after(live, desired, "/spec/items/0") == {
        "items": [{"name": "app", "value": "y", "extra": "kept"}]
    }


def test_several_places_of_one_list_do_not_move_each_other():
    """Pointers are those of the live object, in whatever order they come."""
    live = {"items": named("a", "x", "b", "y", "c"), "set": ["1", "2", "3"]}
    desired = {"items": named("a", "b", "c"), "set": ["2"]}
    gone = ("/spec/items/1", "/spec/set/0", "/spec/items/3", "/spec/set/2")
    assert after(live, desired, *gone) == desired


def test_what_is_not_named_stays():
    """Additions of others that are not to go, and values that are the same otherwise spelled."""
    live = {"size": 3, "items": named("a", "sidecar"), "set": ["x", "y"]}
    assert after(live, {"size": 3, "items": named("a"), "set": ["y"]}) == live


def test_an_older_name_of_a_field_goes_with_it():
    """Else the API server fills the field in again from it; another value is somebody's own."""
    live = {"serviceAccountName": "x", "serviceAccount": "x"}
    assert after(live, {}, "/spec/serviceAccountName") == {}
    other = {"serviceAccountName": "x", "serviceAccount": "y"}
    assert after(other, {}, "/spec/serviceAccountName") == {"serviceAccount": "y"}


def test_order_and_atomic_lists_become_gits():
    """Declared items in Git's order, those of others behind; a plain list as a whole."""
    live = {"items": named("b", "other", "a"), "args": ["x"]}
    assert after(live, {"items": named("a", "b"), "args": ["y", "z"]}) == {
        "items": named("a", "b", "other"),
        "args": ["y", "z"],
    }


@pytest.mark.parametrize(
    ("live", "desired", "gone"),
    [
        ({"items": named("a", "a")}, {"items": named("b")}, ()),
        ({"items": [{"value": "x"}]}, {"items": named("b")}, ()),
        ({"items": []}, {}, ("/spec/items/0",)),
        ({"size": 1}, {}, ("/spec/other",)),
    ],
)
def test_what_cannot_be_told_apart_is_not_patched(live, desired, gone):
    """Items that share a key, or have none, and places that are not there."""
    with pytest.raises(Unaddressable):
        after(live, desired, *gone)


NAMES = st.lists(st.sampled_from("abcdef"), unique=True)


@given(NAMES, NAMES, st.lists(st.sampled_from("uvwxyz"), unique=True), st.randoms())
def test_any_list_becomes_what_it_should_be(declared, there, added, rng):
    """Whatever is missing, added, changed and shuffled: declared items are Git's, others gone."""
    items = [*named(*there, value="drift"), *named(*added)]
    rng.shuffle(items)
    gone = [f"/spec/items/{n}" for n, one in enumerate(items) if one["name"] not in declared]
    rng.shuffle(gone)
    desired = {"items": named(*declared, value="git")}
    assert after({"items": items}, desired, *gone) == desired
