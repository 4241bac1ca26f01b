"""The walk itself: what changes nothing, what changes one thing, and in which list how."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.compare import Context, compare
from driftd.diff.schema import ANY_NODE
from driftd.model.resource import ResourceKey
from tests.unit.diff.objects import applied, changes, config_map, deployment, inline, told

KEY = ResourceKey("example.com", "Thing", "shop", "thing")
NAMES = st.sampled_from(["a", "b", "name", "x/y", "x~y", "Ünïcode", "", " ", "0"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.sampled_from(["", "1", "true", "500m"]),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
STRUCTS = st.dictionaries(NAMES, VALUES, max_size=5)


def thing(**spec: Any) -> Any:
    """A custom resource."""
    metadata = {"name": "thing", "namespace": "shop"}
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": metadata, **spec}


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with the keys of every struct in another order."""
    if isinstance(value, dict):
        items = [(name, shuffled(inner, rng)) for name, inner in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [shuffled(inner, rng) for inner in value] if isinstance(value, list) else value


@given(STRUCTS, st.booleans())
def test_an_object_equals_itself(spec: dict[str, Any], strict: bool) -> None:
    """Whatever it holds, an object that is compared with itself has no change."""
    body = thing(spec=spec)
    context = Context(strict=strict)
    assert compare(KEY, body, deepcopy(body), None, context).changes == ()


@given(STRUCTS, st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_nothing(spec: dict[str, Any], rng: random.Random) -> None:
    """Structs have no order."""
    body = thing(spec=spec)
    assert compare(KEY, body, shuffled(body, rng), None, Context()).changes == ()


def holds(desired: Any, live: Any, *, whole: bool = False) -> bool:
    """Whether live has what desired declares; `whole` also forbids anything more, but empties."""
    if isinstance(desired, dict) and isinstance(live, dict):
        declared = {name: value for name, value in desired.items() if value is not None}
        if whole and not all(name in declared or idle(value) for name, value in live.items()):
            return False
        return all(
            live.get(name) is not None and holds(value, live[name], whole=whole)
            for name, value in declared.items()
        )
    if isinstance(desired, list) and isinstance(live, list):
        return len(desired) == len(live) and all(
            holds(one, other, whole=True) for one, other in zip(desired, live, strict=True)
        )
    return isinstance(desired, bool) is isinstance(live, bool) and bool(desired == live)


def idle(value: Any) -> bool:
    """Whether an extra of nobody is not worth a word."""
    if isinstance(value, dict):
        return all(idle(inner) for inner in value.values())
    return value is None or value in ("", 0) or value == []


@given(STRUCTS, st.one_of(STRUCTS, st.none()), st.randoms(use_true_random=False))
def test_a_declared_change_is_found_iff_live_lacks_it(
    left: dict[str, Any], right: dict[str, Any] | None, rng: random.Random
) -> None:
    """Any two objects can be compared, and the answer is that of a far simpler comparison.

    Half of the live objects are the declared one with a few places taken from elsewhere.
    """
    if right is None:
        right = {k: (v if rng.random() < 0.7 else rng.choice([1, True, "", v])) for k, v in
                 deepcopy(left).items()}  # fmt: skip
    desired, live = thing(spec=left), thing(spec=right)
    found = compare(KEY, desired, live, None, Context()).changes
    assert any(c.change_class == "declared" for c in found) is not holds(left, right)
    assert len({(c.ssa_path, c.kind) for c in found}) == len(found)
    assert found == compare(KEY, desired, live, ANY_NODE, Context()).changes


ITEMS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b", "c/d", "e~f", ""])},
        optional={"value": SCALARS, "more": VALUES},
    ),
    max_size=5,
)
KEYED = inline(
    {
        "items": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "value": {},
                    "more": {"x-kubernetes-preserve-unknown-fields": True},
                },
            },
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "flat": {"type": "array", "items": {"type": "object"}},
    }
)
TAGS = st.lists(st.sampled_from(["a", "b", "x/y"]), max_size=3)


@given(ITEMS, ITEMS, TAGS, TAGS)
def test_both_engines_agree_on_keyed_lists(
    left: list[Any], right: list[Any], before: list[str], after: list[str]
) -> None:
    """Duplicate keys, empty keys and keys of any characters included."""
    desired = thing(items=left, tags=before, flat=left)
    live = thing(items=right, tags=after, flat=right)
    found = compare(KEY, desired, live, KEYED, Context()).changes
    assert len({(c.path, c.kind) for c in found}) == len(found)
    if repr(left) == repr(right):
        assert {c.path.split("/")[1] for c in found} <= {"tags"}
    missing = {c.desired for c in found if c.kind == "missing" and c.path.startswith("/tags/")}
    added = {c.live for c in found if c.kind == "added" and c.path.startswith("/tags/")}
    if before and after:
        assert (missing, added) == (set(before) - set(after), set(after) - set(before))


@given(st.permutations(["a", "b", "c"]))
def test_the_order_of_a_keyed_list_is_one_change(names: list[str]) -> None:
    """Same items in another order are one change at the list; the order of a set is nothing."""
    items = [{"name": name, "value": name} for name in names]
    desired = thing(items=sorted(items, key=lambda item: item["name"]), tags=["a", "b", "c"])
    live = thing(items=items, tags=names)
    found = told(compare(KEY, desired, live, KEYED, Context()).changes)
    ordered = names == sorted(names)
    assert found == ([] if ordered else [("reordered", "declared", "/items")])


@given(st.integers(1, 10**6), st.sampled_from([("m", -3), ("k", 3), ("M", 6), ("", 0)]))
def test_re_spelling_a_quantity_changes_nothing(number: int, suffix: tuple[str, int]) -> None:
    """A quantity may be written with any suffix."""
    name, exponent = suffix
    desired, live = deployment(), deployment()
    for body, text in ((desired, f"{number}{name}"), (live, f"{number}e{exponent}")):
        body["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": text}}
    assert changes(desired, applied(live)) == ()


@given(st.sampled_from(["a", "b", "x.y", "Z"]), st.text(max_size=4), st.text(max_size=4))
def test_one_changed_key_is_one_change(name: str, before: str, after: str) -> None:
    """A data key is found exactly when its text differs."""
    desired, live = config_map(other="1", **{name: before}), config_map(other="1", **{name: after})
    found = told(changes(desired, applied(live)))
    assert found == ([] if before == after else [("modified", "declared", f"/data/{name}")])


NULLS: list[tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, str]]]] = [
    ({"a": None}, {}, []),
    ({"a": None}, {"a": None}, []),
    ({}, {"a": None}, []),
    ({"a": 1}, {"a": None}, [("missing", "declared", "/spec/a")]),
    ({"a": None}, {"a": 1}, [("added", "injected", "/spec/a")]),
    ({"a": ""}, {}, [("missing", "declared", "/spec/a")]),
    ({"a": {}}, {}, [("missing", "declared", "/spec/a")]),
    ({"a": []}, {"a": {}}, [("modified", "declared", "/spec/a")]),
    ({"a": 0}, {"a": False}, [("modified", "declared", "/spec/a")]),
    ({"a": 1}, {"a": "1"}, [("modified", "declared", "/spec/a")]),
    ({"a": 1}, {"a": 1.0}, []),
]


@pytest.mark.parametrize(("desired", "live", "expected"), NULLS)
def test_absent_null_and_empty(
    desired: dict[str, Any], live: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    """Null declares nothing; in a custom resource every other value has to be there as it is."""
    body = thing(spec=live)
    written = {"manager": "m", "operation": "Update", "apiVersion": body["apiVersion"]}
    metadata = {"managedFields": [{**written, "fieldsV1": {"f:x": {}}}]}
    body["metadata"] = {**body["metadata"], **metadata}
    assert told(compare(KEY, thing(spec=desired), body, None, Context()).changes) == expected


TOLERATION = {"key": "maintenance", "operator": "Exists", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("pod", "removed", "path"),
    [
        ({"nodeSelector": {"node-role.kubernetes.io/infra": ""}}, "nodeSelector", "nodeSelector"),
        (
            {"tolerations": [{**TOLERATION, "tolerationSeconds": 0}]},
            "tolerations/0/tolerationSeconds",
            "tolerations",
        ),
        (
            {"containers": [{"name": "web", "securityContext": {"privileged": False}}]},
            "containers/0/securityContext",
            "containers/0/securityContext",
        ),
    ],
)
def test_a_removed_value_that_looks_empty(pod: dict[str, Any], removed: str, path: str) -> None:
    """A map entry without a value and a pointer to zero mean something: their removal is drift."""
    desired = deployment(**pod)
    live = applied(desired)
    place: Any = live["spec"]["template"]["spec"]
    *steps, last = removed.split("/")
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    del place[last]
    assert [c.path for c in changes(desired, live)] == [f"/spec/template/spec/{path}"]


@pytest.mark.parametrize(
    ("value", "absent"),
    [({"key": ""}, False), ({"key": 0}, False), ({"inner": {}}, True), ({}, True), (0, True)],
)
def test_a_removed_value_that_looks_empty_without_schema(value: Any, absent: bool) -> None:
    """Without a schema a struct of zeros may be a map, so that only hollow structs may be gone."""
    key = ResourceKey("apps", "Deployment", "shop", "web")
    found = compare(key, {"spec": {"a": value, "b": 1}}, {"spec": {"b": 1}}, None, Context())
    assert [c.path for c in found.changes] == ([] if absent else ["/spec/a"])


def test_list_keys_are_deduced_from_owners() -> None:
    """Without schema the keys of a list are read off managedFields."""
    live = thing(spec={"items": [{"id": "b", "v": 2}, {"id": "a", "v": 1}]})
    owned = {"f:spec": {"f:items": {'k:{"id":"a"}': {".": {}, "f:id": {}, "f:v": {}}}}}
    live["metadata"]["managedFields"] = [
        {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": owned},
        {"manager": "bob", "operation": "Update",
         "fieldsV1": {"f:spec": {"f:items": {'k:{"id":"b"}': {".": {}}}}}},
    ]  # fmt: skip
    desired = thing(spec={"items": [{"id": "a", "v": 1}]})
    found = compare(KEY, desired, live, None, Context()).changes
    assert told(found) == [("added", "undeclared", "/spec/items/0")]
    assert found[0].manager == "bob"


def test_removal_in_an_atomic_struct_names_its_owner() -> None:
    """A removal leaves a trace only where the whole parent is one owned leaf."""
    desired = deployment(nodeSelector={"disk": "ssd", "zone": "a"})
    live = applied(deployment(nodeSelector={"disk": "ssd"}))
    pod = {"f:spec": {"f:template": {"f:spec": {"f:nodeSelector": {}}}}}
    own = live["metadata"]["managedFields"][0]
    del own["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:nodeSelector"]
    live["metadata"]["managedFields"].append(
        {"manager": "alice", "operation": "Update", "fieldsV1": pod}
    )
    found = changes(desired, live)
    assert told(found) == [("missing", "declared", "/spec/template/spec/nodeSelector/zone")]
    assert found[0].manager == "alice"
