"""The data that StatefulSets leave behind, and objects that change application and namespace."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from driftd.controller.preview_pairs import Pair, declared_by
from tests.unit.controller.builders import application, config_map, desired

NEW = "volumeClaimTemplates[data] asks for new claims: the data in"


def database(
    name: str = "db", namespace: str = "shop", image: str = "postgres:16", **spec: Any
) -> dict[str, Any]:
    """A StatefulSet with a claim template."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "template": {"spec": {"containers": [{"name": "db", "image": image}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            **spec,
        },
    }


def space(name: str) -> dict[str, Any]:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def claim(name: str, namespace: str) -> dict[str, Any]:
    """A claim that Git declares."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}


def pair(before: list[dict[str, Any]], after: list[dict[str, Any]], name: str = "shop") -> Pair:
    """An application on both sides."""
    old, new = (desired(*each, app=application(name=name)) for each in (before, after))
    return Pair(old.entry, new.entry, old=old, new=new)


def told(*pairs: Pair) -> list[str]:
    """What is told of the references and claims of applications of one cluster."""
    known = declared_by(pairs)
    for one in pairs:
        one.know(known)
    found = [each.condition() for one in pairs for each in one.broken()]
    return [f"{one.type}: {one.message.removeprefix('shop.yaml: ')}" for one in found]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            [database(replicas=3)],
            [database(namespace="new", image="other:1", replicas=3)],
            (
                f"new/db: {NEW} data-db-0 to data-db-2 of namespace shop stays behind; unless "
                "namespace new has data-db-0 to data-db-2 already, it begins empty"
            ),
        ),
        (
            [database(ordinals={"start": 4}, replicas=2)],
            [database("books", image="postgres:17")],
            (
                f"shop/books: {NEW} data-db-4 and data-db-5 of StatefulSet db stays behind; "
                "unless namespace shop has data-books-0 already, it begins empty"
            ),
        ),
        (
            [database()],
            [database("books", "new")],
            (
                f"new/books: {NEW} data-db-0 of StatefulSet db in namespace shop stays behind; "
                "unless namespace new has data-books-0 already, it begins empty"
            ),
        ),
        (
            [database(), space("shop")],
            [database(namespace="new"), space("new")],
            (
                f"new/db: {NEW} data-db-0 of namespace shop does not move, and that namespace is "
                "taken out of Git; unless namespace new has data-db-0 already, it begins empty"
            ),
        ),
        (
            [database(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete"})],
            [database("books", volumeClaimTemplates=[{"metadata": {"name": "data"}}])],
            (
                f"shop/books: {NEW} data-db-0 of StatefulSet db goes with the old one "
                "(persistentVolumeClaimRetentionPolicy.whenDeleted: Delete); unless namespace "
                "shop has data-books-0 already, it begins empty"
            ),
        ),
        (
            [database()],
            [database(namespace="new", volumeClaimTemplates=[])],
            "new/db: the data in data-db-0 of namespace shop stays behind",
        ),
    ],
    ids=["moved", "renamed", "both", "namespace gone", "deleted with it", "no template"],
)
def test_data_that_does_not_move_is_told(
    old: list[dict[str, Any]], new: list[dict[str, Any]], message: str
) -> None:
    """Each claim by its name, where it is, what becomes of it, and what the new one gets."""
    assert told(pair(old, new)) == [f"ClaimsLeftBehind: StatefulSet.apps {message}"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([database()], [database(image="postgres:17")]),
        ([database()], [database("books", image="mysql:8")]),
        ([database("a"), database("b")], [database("c")]),
        ([database()], [database("a"), database("b")]),
        ([database(volumeClaimTemplates=[])], [database("a", volumeClaimTemplates=[])]),
        ([database()], [database(namespace="new"), claim("data-db-0", "new")]),
        ([], [database()]),
    ],
    ids=["stays", "another image", "of two", "to two", "no claims", "declared claim", "new"],
)
def test_what_leaves_no_data_behind_is_not_told(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    """What stays, is new, may be another one's, or finds a claim that Git declares."""
    assert told(pair(old, new)) == []


def test_an_object_that_cannot_be_read_hides_no_other() -> None:
    """A StatefulSet that has not its kind's shape is passed over."""
    odd, moved = database("odd"), database("odd", "new")
    for one in (odd, moved):
        one["spec"]["volumeClaimTemplates"] = [{}]
    found = told(pair([odd, database()], [moved, database(namespace="new")]))
    assert [one.partition(":")[2].split()[1] for one in found] == ["new/db:"]


def worker(namespace: str, image: str = "worker:1") -> dict[str, Any]:
    """A Deployment that names a ConfigMap."""
    source = {"configMapRef": {"name": "settings"}}
    container = {"name": "worker", "image": image, "envFrom": [source]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "worker", "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def test_an_object_of_another_application_and_namespace_leaves_as_much_behind() -> None:
    """A move across applications is told as one within an application, data included."""
    settings = config_map("settings")
    loser = pair([worker("shop"), database(), settings], [settings], "shop")
    taker = pair([], [worker("new", "worker:2"), database(namespace="new")], "other")
    found = told(loser, taker)
    assert [one.partition(":")[0] for one in found] == ["DanglingReference", "ClaimsLeftBehind"]
    assert found[0].endswith("names ConfigMap settings, which stays in namespace shop")
    assert f"new/db: {NEW} data-db-0 of namespace shop stays behind" in found[1]


def test_what_stays_names_what_another_application_takes() -> None:
    """An autoscaler that stays names the namespace that its target goes to."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "worker", "namespace": "shop"},
        "spec": {"scaleTargetRef": target},
    }
    moved = copy.deepcopy(worker("new"))
    del moved["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    loser = pair([worker("shop"), config_map("settings"), scaler], [scaler])
    (found,) = told(loser, pair([], [moved], "other"))
    assert found.endswith("names Deployment worker, which the change moves to namespace new")


def test_one_name_of_two_things_is_no_move() -> None:
    """Another application's workload of the same name with another image is a new one."""
    loser = pair([worker("shop"), database()], [])
    taker = pair([], [worker("new", "job:1"), database(namespace="new", image="mysql")], "other")
    assert told(loser, taker) == []
