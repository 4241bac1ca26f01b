"""Who wrote what, read off managedFields."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.owners import (
    at_field,
    at_item,
    elsewhere,
    entries,
    item_key,
    repeats,
    roots,
    value_key,
)

DEPLOYERS = frozenset({"argocd-controller", "kubectl"})


def live(*managed: dict[str, Any]) -> dict[str, Any]:
    """An object with these managedFields."""
    return {"metadata": {"managedFields": list(managed)}}


def entry(manager: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One entry."""
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


@pytest.mark.parametrize(
    "metadata", [{}, {"managedFields": None}, {"managedFields": []}, {"managedFields": [{}]}]
)
def test_no_entries(metadata: dict[str, Any]) -> None:
    """Absent, empty and wiped managedFields (`[{}]`) give no entry."""
    assert entries({"metadata": metadata}, DEPLOYERS) == []
    assert entries({}, DEPLOYERS) == []


def test_deployer_by_name_and_not_through_a_subresource() -> None:
    """`kubectl scale` is a person: a deployer's name on a subresource is no deployer."""
    found = entries(
        live(
            entry("argocd-controller", {"f:spec": {}}, operation="Apply"),
            entry("kubectl", {"f:spec": {}}, subresource="scale"),
            entry("alice", {"f:spec": {}}),
        ),
        DEPLOYERS,
    )
    assert [(e.deployer, e.applied) for e in found] == [(True, True), (False, False),
                                                       (False, False)]  # fmt: skip


def test_descent_follows_the_sets() -> None:
    """An owner reaches a field only if its set names it; an atomic leaf owns all below."""
    one = entry("alice", {"f:spec": {"f:a": {"f:b": {}}, "f:list": {}}})
    two = entry("bob", {"f:spec": {"f:a": {}}})
    top = roots(entries(live(one, two), DEPLOYERS))
    spec = at_field(top, "spec", atomic=False)
    assert [e.manager for e, _ in at_field(spec, "a", atomic=False)] == ["alice", "bob"]
    below = at_field(at_field(spec, "a", atomic=False), "b", atomic=False)
    assert [e.manager for e, _ in below] == ["alice"]
    whole = at_field(spec, "list", atomic=True)
    assert [(e.manager, fields) for e, fields in whole] == [("alice", None)]
    assert [e.manager for e, _ in at_item(whole, "k:{}")] == ["alice"]
    assert at_field(spec, "other", atomic=False) == []


@pytest.mark.parametrize(
    ("manager", "version", "reached"),
    [
        ("alice", "autoscaling/v1", ["alice"]),
        ("alice", "autoscaling/v2", []),
        ("kubectl", "autoscaling/v1", []),
    ],
)
def test_what_is_atomic_at_another_version(manager: str, version: str, reached: list[str]) -> None:
    """Who wrote a struct whole, through a version where it is atomic, owns its fields here."""
    written = entry(manager, {"f:scaleTargetRef": {}}, apiVersion=version)
    found = entries({"apiVersion": "autoscaling/v2", **live(written)}, DEPLOYERS)
    below = at_field(roots(found), "scaleTargetRef", atomic=False)
    assert [one.manager for one, _ in at_field(below, "kind", atomic=False)] == reached


def test_item_key_is_the_servers_text() -> None:
    """Keys are sorted, without spaces, and missing ones come from the schema's defaults."""
    assert item_key({"port": 80, "name": "x"}, ("name", "port"), {}) == 'k:{"name":"x","port":80}'
    keys = ("containerPort", "protocol")
    assert item_key({"containerPort": 1}, keys, {"protocol": "TCP"}) == (
        'k:{"containerPort":1,"protocol":"TCP"}'
    )
    assert item_key({"containerPort": 1}, keys, {}) == 'k:{"containerPort":1}'
    assert item_key({"other": 1}, keys, {}) is None


def test_value_key_is_the_servers_text() -> None:
    """Set items are keyed by their JSON."""
    assert value_key('a"b') == 'v:"a\\"b"'
    assert value_key(1) == "v:1"


def test_string_data_of_a_secret_is_its_data() -> None:
    """Who applied `stringData` owns the `data` that it became, beside his own `data`."""
    sets = {"f:data": {"f:a": {}}, "f:stringData": {".": {}, "f:b": {}}, "f:type": {}}
    body = live(entry("argocd-controller", sets), entry("alice", {"f:data": {"f:c": {}}}))
    folded, untouched = entries({**body, "apiVersion": "v1", "kind": "Secret"}, DEPLOYERS)
    assert folded.fields == {"f:data": {"f:a": {}, ".": {}, "f:b": {}}, "f:type": {}}
    assert untouched.fields == {"f:data": {"f:c": {}}}
    assert (folded.sent, untouched.sent) == ({"b"}, frozenset())
    for other in ({"kind": "Secret", "apiVersion": "example.com/v1"}, {"kind": "ConfigMap"}):
        assert entries({**body, **other}, DEPLOYERS)[0].fields == sets


@pytest.mark.parametrize(
    ("fields", "lacks"),
    [
        ({"f:spec": {"f:a": {}}}, False),
        ({"f:spec": {"f:b": {}}}, True),
        ({"f:spec": {".": {}, "f:l": {'k:{"n":1}': {".": {}, "f:v": {}}}}}, False),
        ({"f:spec": {"f:l": {'k:{"n":1}': {"f:w": {}}}}}, True),
        ({"f:spec": {"f:l": {'k:{"n":2}': {}}}}, True),
        ({"f:spec": {"f:s": {'v:"x"': {}, "i:0": {}}}}, False),
        ({"f:spec": {"f:s": {'v:"y"': {}}}}, True),
        ({"f:spec": {"f:a": {"f:b": {}}}}, True),
        ({"f:metadata": {"f:labels": {"f:gone": {}}}, "f:status": {"f:x": {}}}, False),
    ],
)
def test_places_of_another_version(fields: dict[str, Any], lacks: bool) -> None:
    """Entries at another apiVersion stand out only if they own what this version does not have."""
    spec = {"a": 1, "l": [{"n": 1, "v": 2}], "s": ["x"]}
    body = {**live(entry("alice", fields, apiVersion="g/v2")), "apiVersion": "g/v1", "spec": spec}
    found = entries(body, DEPLOYERS)
    assert [one.manager for one in elsewhere(found, body)] == (["alice"] if lacks else [])
    assert elsewhere(found, {**body, "apiVersion": "g/v2"}) == []
    assert elsewhere(entries(body, frozenset({"alice"})), body) == []


@pytest.mark.parametrize(
    ("operation", "fields", "expected"),
    [
        ("Apply", {"f:a": {}, "f:b": {"f:c": {}}}, True),
        ("Apply", {"f:a": {}}, True),
        ("Apply", {"f:b": {"f:c": {}, "f:port": {}}}, True),
        ("Apply", {"f:b": {"f:c": {}, "f:other": {}}}, False),
        ("Apply", {"f:z": {"f:port": {}}}, False),
        ("Update", {"f:a": {}}, False),
    ],
)
def test_second_applier(operation: str, fields: dict[str, Any], expected: bool) -> None:
    """Who applies nothing but what a deployer applies repeats it, but for the named fields."""
    found = entries(
        live(
            entry("argocd-controller", {"f:a": {}, "f:b": {"f:c": {}}}, operation="Apply"),
            entry("kubectl", {"f:a": {}, "f:b": {"f:c": {}, "f:other": {}}}),
            entry("fleet-agent", fields, operation=operation),
        ),
        DEPLOYERS,
    )
    assert [repeats(one, found, {"port"}) for one in found] == [False, False, expected]
