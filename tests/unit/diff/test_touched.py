"""What a request's body does to a place: patches of each kind, whole objects, applies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.diff.touched import Place, Touch, touch
from driftd.model.report import Change, ChangeClass, ChangeKind

IMAGE = Change(
    kind=ChangeKind.MODIFIED,
    change_class=ChangeClass.DECLARED,
    path="/spec/containers/1/image",
    ssa_path='f:spec/f:containers/k:{"name":"web"}/f:image',
    desired="web:1",
    live="web:2",
)
GONE = Change(
    kind=ChangeKind.MISSING,
    change_class=ChangeClass.DECLARED,
    path="/spec/containers/1/env/0",
    ssa_path='f:spec/f:containers/k:{"name":"web"}/f:env/k:{"name":"LOG"}',
    desired={"name": "LOG", "value": "info"},
)
LABEL = Change(
    kind=ChangeKind.MISSING,
    change_class=ChangeClass.DECLARED,
    path="/metadata/labels/example.com~1team",
    ssa_path="f:metadata/f:labels/f:example.com~1team",
    desired="shop",
)
LABELS = Change(
    kind=ChangeKind.MISSING,
    change_class=ChangeClass.DECLARED,
    path="/metadata/labels",
    ssa_path="f:metadata/f:labels",
    desired={"team": "shop"},
)
LIMITS_GONE = Change(
    kind=ChangeKind.MISSING,
    change_class=ChangeClass.DECLARED,
    path="/spec/limits",
    ssa_path="f:spec/f:limits",
    desired=[{"type": "Pod"}],
)
RULES = Change(
    kind=ChangeKind.MODIFIED,
    change_class=ChangeClass.DECLARED,
    path="/spec/rules",
    ssa_path="f:spec/f:rules",
    desired=[{"host": "a"}, {}],
    live=[{"host": "a"}, {"host": "b"}],
)
MEMORY = Change(
    kind=ChangeKind.MODIFIED,
    change_class=ChangeClass.DECLARED,
    path="/spec/limits",
    ssa_path="f:spec/f:limits",
    desired={"memory": "1Gi"},
    live={"memory": "2Gi", "cpu": "1"},
)
ORDER = Change(
    kind=ChangeKind.REORDERED,
    change_class=ChangeClass.DECLARED,
    path="/spec/containers",
    ssa_path="f:spec/f:containers",
)
SECRET = Change(
    kind=ChangeKind.MODIFIED,
    change_class=ChangeClass.DECLARED,
    path="/data/password",
    ssa_path="f:data/f:password",
    desired={"masked": True},
    live={"masked": True},
)


def web(**fields: Any) -> Any:
    """A body with the container `web`."""
    return {"spec": {"containers": [{"name": "web", **fields}]}}


def op(op: str, path: str, value: Any = None) -> list[dict[str, Any]]:
    """A JSON patch of one operation."""
    return [{"op": op, "path": path, "value": value}]


CASES: list[tuple[Change, str, Any, Touch]] = [
    # Patches of objects.
    (IMAGE, "patch", web(image="web:2"), Touch.AS_LIVE),
    (IMAGE, "patch", web(image="web:3"), Touch.REPLACED),
    (IMAGE, "patch", web(image=None), Touch.REPLACED),
    (IMAGE, "patch", web(command=["x"]), Touch.NOTHING),
    (IMAGE, "patch", {"metadata": {"labels": {"a": "b"}}}, Touch.NOTHING),
    (IMAGE, "patch", {"spec": None}, Touch.REPLACED),
    # Without a content type a list that lacks the item may replace it or leave it.
    (IMAGE, "patch", {"spec": {"containers": [{"name": "log"}]}}, Touch.MAYBE),
    (
        IMAGE,
        "patch",
        {"spec": {"$setElementOrder/containers": [], "containers": [{"name": "log"}]}},
        Touch.NOTHING,
    ),
    (IMAGE, "patch", web(**{"$patch": "delete"}), Touch.REPLACED),
    (GONE, "patch", web(env=[{"name": "LOG", "$patch": "delete"}]), Touch.AS_LIVE),
    (GONE, "patch", web(env=[{"name": "LOG", "value": "x"}]), Touch.OTHERWISE),
    (GONE, "patch", web(env=None), Touch.AS_LIVE),
    (GONE, "patch", web(env=[{"$patch": "replace"}, {"name": "A"}]), Touch.AS_LIVE),
    (GONE, "patch", web(image="x"), Touch.NOTHING),
    (LABEL, "patch", {"metadata": {"labels": {"example.com/team": None}}}, Touch.AS_LIVE),
    (LABEL, "patch", {"metadata": {"labels": {"other": None}}}, Touch.NOTHING),
    (MEMORY, "patch", {"spec": {"limits": {"memory": "2048Mi"}}}, Touch.AS_LIVE),
    (MEMORY, "patch", {"spec": {"limits": {"memory": "3Gi"}}}, Touch.REPLACED),
    (ORDER, "patch", {"spec": {"$setElementOrder/containers": [{"name": "b"}]}}, Touch.AS_LIVE),
    (ORDER, "patch", {"spec": {"replicas": 2}}, Touch.NOTHING),
    # Which value was sent is not compared with a masked one.
    (SECRET, "patch", {"data": {"password": "eA=="}}, Touch.MAYBE),
    (SECRET, "patch", {"data": {"user": "eA=="}}, Touch.NOTHING),
    # Applies: what a manager applied before and sends no more is removed.
    (GONE, "patch", {"apiVersion": "v1", "kind": "Pod", **web(image="x")}, Touch.MAYBE),
    (IMAGE, "patch", {"apiVersion": "v1", "kind": "Pod", **web(image="web:2")}, Touch.AS_LIVE),
    (IMAGE, "patch", {"apiVersion": "v1", "kind": "Pod", "spec": {}}, Touch.NOTHING),
    # Whole objects.
    (IMAGE, "update", web(image="web:2"), Touch.AS_LIVE),
    (IMAGE, "update", web(image="web:1"), Touch.OTHERWISE),
    (GONE, "update", web(env=[{"name": "OTHER"}]), Touch.AS_LIVE),
    (GONE, "update", web(), Touch.AS_LIVE),
    (GONE, "update", web(env=[{"name": "LOG", "value": "info"}]), Touch.OTHERWISE),
    (LABEL, "create", {"metadata": {"name": "x"}}, Touch.AS_LIVE),
    (ORDER, "update", web(), Touch.AS_LIVE),
    # JSON patches.
    (IMAGE, "patch", op("replace", "/spec/containers/1/image", "web:2"), Touch.AS_LIVE),
    (IMAGE, "patch", op("replace", "/spec/containers/1/image", "web:1"), Touch.REPLACED),
    (IMAGE, "patch", op("replace", "/spec/containers/0/image", "web:2"), Touch.MAYBE),
    (IMAGE, "patch", op("replace", "/spec/containers/0/image", "log:9"), Touch.NOTHING),
    (IMAGE, "patch", op("test", "/spec/containers/1/image", "web:2"), Touch.NOTHING),
    (IMAGE, "patch", op("replace", "/spec", web(image="web:2")["spec"]), Touch.AS_LIVE),
    (
        IMAGE,
        "patch",
        op("add", "/spec/containers/-", {"name": "web", "image": "web:2"}),
        Touch.AS_LIVE,
    ),
    (IMAGE, "patch", op("add", "/spec/containers/1", {"name": "log"}), Touch.NOTHING),
    (GONE, "patch", op("remove", "/spec/containers/1/env/0"), Touch.AS_LIVE),
    (GONE, "patch", op("remove", "/spec/containers/1/env/5"), Touch.MAYBE),
    (GONE, "patch", op("remove", "/spec/containers/1/env"), Touch.AS_LIVE),
    (LABEL, "patch", op("remove", "/metadata/labels/example.com~1team"), Touch.AS_LIVE),
    (
        LABEL,
        "patch",
        [{"op": "move", "from": "/metadata/labels/example.com~1team", "path": "/metadata/x"}],
        Touch.AS_LIVE,
    ),
    (ORDER, "patch", op("replace", "/spec/containers/0/image", "x"), Touch.AS_LIVE),
    # Parts of what is gone as a whole: those that Git declares tell, others do not.
    (LABELS, "patch", op("remove", "/metadata/labels/team"), Touch.AS_LIVE),
    (LABELS, "patch", op("add", "/metadata/labels/team", "shop"), Touch.OTHERWISE),
    (LABELS, "patch", op("remove", "/metadata/labels/other"), Touch.NOTHING),
    (LABELS, "patch", op("add", "/metadata/labels/other", "x"), Touch.NOTHING),
    (LABELS, "patch", {"metadata": {"labels": {"team": None}}}, Touch.AS_LIVE),
    (LABELS, "patch", {"metadata": {"labels": {"team": "shop"}}}, Touch.OTHERWISE),
    (LABELS, "patch", {"metadata": {"labels": {"other": None}}}, Touch.NOTHING),
    (LABELS, "patch", {"metadata": {"labels": None}}, Touch.AS_LIVE),
    (LABELS, "update", {"metadata": {"labels": {"other": "x"}}}, Touch.OTHERWISE),
    (LIMITS_GONE, "update", {"spec": {"limits": []}}, Touch.AS_LIVE),
    (LIMITS_GONE, "patch", op("add", "/spec/limits", False), Touch.AS_LIVE),
    (LABEL, "patch", op("add", "/metadata/labels/example.com~1team", ""), Touch.MAYBE),
    # Git's own value is a part of live, and makes nothing of what is beside it.
    (RULES, "patch", {"spec": {"rules": [{"host": "a"}, {}]}}, Touch.MAYBE),
    (RULES, "patch", {"spec": {"rules": [{"host": "a"}, {"host": "b"}]}}, Touch.AS_LIVE),
    (RULES, "patch", op("add", "/spec/rules/1/host", "b"), Touch.AS_LIVE),
    # Another key makes another item of it.
    (GONE, "patch", op("replace", "/spec/containers/1/env/0/name", "DEBUG"), Touch.AS_LIVE),
    (GONE, "patch", op("replace", "/spec/containers/1/env/0/name", "LOG"), Touch.OTHERWISE),
    # Plain text of a Secret, which becomes its data.
    (SECRET, "patch", op("add", "/stringData", {"password": "x"}), Touch.MAYBE),
    (SECRET, "patch", op("add", "/stringData/password", "x"), Touch.MAYBE),
    (SECRET, "patch", op("add", "/stringData", {"user": "x"}), Touch.NOTHING),
    (SECRET, "patch", {"stringData": {"password": "x"}}, Touch.MAYBE),
    (SECRET, "patch", {"stringData": {"user": "x"}}, Touch.NOTHING),
    (SECRET, "update", {"data": {"user": "eA=="}, "stringData": {"password": "x"}}, Touch.MAYBE),
    (
        IMAGE,
        "patch",
        {"@type": "x/Patch", "value": op("replace", "/spec/containers/1/image", "web:2")},
        Touch.AS_LIVE,
    ),
]


@pytest.mark.parametrize(("change", "verb", "body", "expected"), CASES)
def test_touch(change: Change, verb: str, body: Any, expected: Touch) -> None:
    """Each body leaves the place as live has it, otherwise, alone, or cannot be told."""
    assert touch(Place.of(change), verb, json.dumps(body).encode()) is expected


def test_scale_speaks_of_replicas_alone() -> None:
    """A whole Scale object lacks what the object has, and removes nothing of it."""
    replicas = Change(
        kind=ChangeKind.MODIFIED,
        change_class=ChangeClass.DECLARED,
        path="/spec/replicas",
        ssa_path="f:spec/f:replicas",
        desired=3,
        live=7,
    )
    scale = json.dumps({"kind": "Scale", "spec": {"replicas": 7}}).encode()
    assert touch(Place.of(replicas), "update", scale, scaled=True) is Touch.AS_LIVE
    assert touch(Place.of(LABEL), "update", scale, scaled=True) is Touch.NOTHING


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"spec": {"targetCPUUtilizationPercentage": 7}}, Touch.MAYBE),
        (op("add", "/spec/targetCPUUtilizationPercentage", 7), Touch.MAYBE),
        (op("remove", "/metadata/annotations/example.com~1behavior"), Touch.MAYBE),
        ({"metadata": {"annotations": {"example.com/behavior": None}}}, Touch.MAYBE),
        (op("add", "/metadata/labels/other", "x"), Touch.NOTHING),
        ({"metadata": {"labels": {"other": "x"}}}, Touch.NOTHING),
    ],
)
def test_another_version_has_other_names(body: Any, expected: Touch) -> None:
    """What was sent through another version may be the place; labels are labels everywhere."""
    written = json.dumps(body).encode()
    assert touch(Place.of(MEMORY), "patch", written) is Touch.NOTHING
    assert touch(Place.of(MEMORY), "patch", written, converted=True) is expected


def test_the_other_name_of_an_account() -> None:
    """The API server keeps `serviceAccountName` equal to the deprecated `serviceAccount`."""
    account = Change(
        kind=ChangeKind.ADDED,
        change_class=ChangeClass.UNDECLARED,
        path="/spec/serviceAccountName",
        ssa_path="f:spec/f:serviceAccountName",
        live="admin",
    )
    for body, expected in (
        (op("add", "/spec/serviceAccount", "admin"), Touch.AS_LIVE),
        ({"spec": {"serviceAccount": "admin"}}, Touch.AS_LIVE),
        ({"spec": {"serviceAccount": "other"}}, Touch.NOTHING),
    ):
        assert touch(Place.of(account), "patch", json.dumps(body).encode()) is expected


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"7", b'"x"', b"[7, null]", b'{"spec": 7}', b"[" * 9_000, b'{"a":' * 9_000],
)
def test_any_body_is_survived(body: bytes) -> None:
    """No body, broken ones and senseless ones are answered, never raised."""
    assert touch(Place.of(IMAGE), "patch", body) in Touch
