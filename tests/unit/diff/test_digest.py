"""The digest changes with everything that is compared and with nothing else."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest

import driftd.diff.digest as module
from driftd.diff.digest import SIZE, Kept, digests, digests_once, ownership_digest, view_digest

OBJECT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "u-1",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": "web"},
        "annotations": {"team": "a"},
        "finalizers": ["example.com/keep"],
        "ownerReferences": [{"kind": "Shop", "name": "s", "uid": "u-2"}],
        "managedFields": [{"manager": "argocd-controller", "operation": "Apply"}],
    },
    "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app"}]}}},
    "status": {"replicas": 3},
}


def digest(body: dict[str, Any]) -> bytes:
    """The digest of a body written as JSON."""
    return view_digest(orjson.dumps(body))


def changed(path: tuple[str, ...], value: object) -> dict[str, Any]:
    """The object with one value put at a path."""
    body = deepcopy(OBJECT)
    inner = body
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return body


@pytest.mark.parametrize(
    "path",
    [
        ("status",),
        ("metadata", "resourceVersion"),
        ("metadata", "generation"),
        ("metadata", "managedFields"),
        ("metadata", "uid"),
    ],
)
def test_what_is_not_compared(path: tuple[str, ...]) -> None:
    """Status and system metadata, ownership among them, leave the digest as it is."""
    assert digest(changed(path, [{"any": "thing"}])) == digest(OBJECT)
    assert len(digest(OBJECT)) == SIZE


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("apiVersion",), "apps/v1beta1"),
        (("spec", "replicas"), 4),
        (("spec", "replicas"), "3"),
        (("spec", "replicas"), 3.0),
        (("spec", "paused"), False),
        (("spec",), {}),
        (("data",), {"a": "b"}),
        (("metadata", "labels"), {"app": "web", "a": ""}),
        (("metadata", "labels"), {}),
        (("metadata", "annotations"), {"team": "b"}),
        (("metadata", "finalizers"), []),
        (("metadata", "ownerReferences"), []),
        (("metadata", "deletionTimestamp"), "2026-01-02T00:00:00Z"),
    ],
)
def test_what_is_compared(path: tuple[str, ...], value: object) -> None:
    """Every compared value, its type included, changes the digest."""
    assert digest(changed(path, value)) != digest(OBJECT)


def test_values_that_move() -> None:
    """The same bytes under another name are another object."""
    moved = [
        {"metadata": {"labels": {"a": "b"}}, "data": {"c": "d"}},
        {"metadata": {"annotations": {"a": "b"}}, "data": {"c": "d"}},
        {"metadata": {"labels": {"a": "b"}}, "binaryData": {"c": "d"}},
        {"metadata": {"labels": {"c": "d"}}, "data": {"a": "b"}},
        {"metadata": {}, "data": {"c": "d"}, "x": {"a": "b"}},
        {"data": 12, "x": 3},
        {"data": 1, "x": 23},
    ]
    assert len({digest(body) for body in moved}) == len(moved)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"metadata": []}', b'{"a": '])
def test_bodies_that_are_no_object(body: bytes) -> None:
    """What is no object has no digest."""
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's messages are its own
        view_digest(body)
    with pytest.raises(ValueError):  # noqa: PT011 - as above
        digests(body)


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("entries", [None, [], [{"manager": "alice"}, {"subresource": "status"}]])
def test_both_digests_of_one_reading(size: int, entries: list[dict[str, Any]] | None) -> None:
    """Read once or twice, small or large, asked for again or not: the digests are the same."""
    body = orjson.dumps({**changed(("metadata", "managedFields"), entries), "data": "x" * size})
    assert digests(body) == digests(bytes(bytearray(body)))
    assert digests(body) == (view_digest(body), ownership_digest(body))


def test_who_wrote_is_a_digest_of_its_own() -> None:
    """Another writer, set or time changes it; whoever writes the status alone does not."""

    def owned(*entries: dict[str, Any]) -> bytes:
        return ownership_digest(orjson.dumps(changed(("metadata", "managedFields"), [*entries])))

    argo = {"manager": "argocd-controller", "operation": "Apply", "time": "t", "fieldsV1": {}}
    status = {"manager": "kube-controller-manager", "subresource": "status", "time": "1"}
    assert owned(argo) == owned(argo, status) == owned(argo, {**status, "time": "2"})
    for other in ({"manager": "alice"}, {"time": "u"}, {"fieldsV1": {"f:a": {}}}):
        assert owned({**argo, **other}) != owned(argo)
    assert owned({**argo, "subresource": "scale"}) != owned()
    assert ownership_digest(orjson.dumps({"metadata": {}})) == owned()


def test_digests_are_kept_while_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What each sweep asks for is read once; what nobody asks for any more is forgotten."""
    read: list[bytes] = []

    def counted(body: bytes) -> tuple[bytes, bytes]:
        read.append(body)
        return digests_once(body)

    monkeypatch.setattr(module, "digests_once", counted)
    bodies = [orjson.dumps({"metadata": {"name": str(number)}, "a": number}) for number in range(9)]
    kept = Kept(size=4)
    for _sweep in range(5):
        assert [kept.of(body) for body in bodies[:3]] == [*map(digests_once, bodies[:3])]
    assert read == bodies[:3]
    for body in bodies[3:]:
        kept.of(body)
        kept.of(bodies[0])
    assert read == bodies
    assert len(kept) <= 8
    kept.of(bodies[1])
    assert read == [*bodies, bodies[1]]
