"""Namespaces that new objects go to and that are not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from driftd.controller.observed import ClusterView, view_cluster
from driftd.controller.preview_namespaces import (
    Absent,
    absent_conditions,
    absent_namespaces,
    with_absent,
)
from driftd.controller.preview_pairs import Pair, touched
from driftd.controller.preview_pruning import with_pruning
from driftd.errors import Forbidden
from driftd.model.application import Application
from driftd.model.flux import FluxSpec
from driftd.model.preview import Action, ApplicationAction, ObjectPreview
from tests.unit.controller.builders import application, config_map, desired, manifest
from tests.unit.controller.cluster import MemoryCluster

CREATES = {"syncOptions": ["CreateNamespace=true"]}


def namespace(name: str) -> dict[str, Any]:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def destination(name: str) -> dict[str, str]:
    """A destination in a namespace of the cluster."""
    return {"name": "one", "namespace": name}


def moved(to: str, *more: dict[str, Any], app: Application | None = None) -> Pair:
    """An application whose ConfigMap goes from namespace `shop` to another one."""
    old = desired(config_map("a"))
    new = desired(config_map("a", namespace=to), *more, app=app)
    return Pair(old.entry, new.entry, old=old, new=new)


def beside(name: str = "base", **spec: Any) -> Pair:
    """Another application of the cluster, that stays as it is."""
    entry = desired(app=application(name=name, **spec)).entry
    return Pair(entry, entry)


async def view(*names: str, denied: bool = False) -> ClusterView:
    """A cluster with some namespaces."""
    cluster = MemoryCluster()
    for name in names:
        cluster.put(namespace(name))
    if denied:
        cluster.ungettable = Forbidden("cannot get namespaces")
    return await view_cluster(cluster)


async def absent(
    pair: Pair,
    *others: Pair,
    seen: ClusterView | None = None,
    declares: Sequence[dict[str, Any]] = (),
    whole: bool = True,
    every: bool = True,
) -> Absent:
    """The absent namespaces of an application among others, each of which declares the same."""

    async def stand(pairs: Sequence[Pair]) -> None:
        for one in pairs:
            one.standing = frozenset(manifest(body).key for body in declares)
            one.stands = whole

    return await absent_namespaces(touched([pair]), [pair, *others], seen, stand, every=every)


def told(pair: Pair, found: Absent) -> list[tuple[str, str]]:
    """The conditions that follow."""
    return [(one.type, one.message) for one in absent_conditions(pair, touched([pair]), found)]


async def test_what_neither_git_nor_the_cluster_has_is_told_with_the_remedy() -> None:
    """A move to a namespace that is nowhere names it, counts its objects and says what to do."""
    pair = moved("new", config_map("b", namespace="new"))
    found = await absent(pair, beside(), seen=await view("shop"))
    assert found == Absent(frozenset({"new"}))
    assert told(pair, found) == [
        (
            "NamespaceNotFound",
            (
                "namespace new is not on the cluster, and Git does not declare it: the API server "
                "refuses the 2 objects that the change puts there; declare Namespace new in Git"
            ),
        )
    ]


@pytest.mark.parametrize(
    "where", ["cluster", "render", "elsewhere", "sync", "other sync", "always"]
)
async def test_a_namespace_that_is_somewhere_is_not_absent(where: str) -> None:
    """The cluster, any application's objects and any sync that creates it make a namespace."""
    app = application(destination=destination("new"), syncPolicy=CREATES)
    pair = moved(
        "default" if where == "always" else "new",
        *([namespace("new")] if where == "render" else []),
        app=app if where == "sync" else None,
    )
    other = {"destination": destination("new"), "syncPolicy": CREATES}
    found = await absent(
        pair,
        beside(**(other if where == "other sync" else {})),
        seen=await view("shop", *(["new"] if where == "cluster" else [])),
        declares=[namespace("new")] if where == "elsewhere" else [],
    )
    assert found == Absent()


async def test_a_namespace_is_only_doubtful_where_not_all_is_known() -> None:
    """No cluster, no right to read namespaces, or Git that is not known in full: only a doubt."""
    unread = await absent(moved("new"), beside())
    assert unread == Absent(frozenset(), frozenset({"new"}), "the cluster is not read")
    denied = await absent(moved("new"), beside(), seen=await view(denied=True))
    assert (denied.doubtful, denied.why) == ({"new"}, "cannot get namespaces")
    for partly in ({"whole": False}, {"every": False}):
        found = await absent(moved("new"), beside(), seen=await view(), **partly)
        assert (found.names, found.doubtful) == (frozenset(), {"new"})
    ((kind, message),) = told(moved("new"), unread)
    assert kind == "NamespaceUnknown"
    assert "whether it exists is not known (the cluster is not read)" in message


async def test_without_a_cluster_namespaces_of_the_base_are_no_doubt() -> None:
    """Where applications were already is taken to be there, unless the cluster says otherwise."""
    assert await absent(moved("new"), beside(destination=destination("new"))) == Absent()
    assert await absent(
        moved("new"), beside(destination=destination("new")), seen=await view()
    ) == Absent(frozenset({"new"}))


async def test_what_stays_in_its_namespace_asks_for_none() -> None:
    """A changed object has its namespace: nobody asks whether it is there."""
    old, new = desired(config_map("a")), desired(config_map("a", colour="red"))
    assert await absent(Pair(old.entry, new.entry, old=old, new=new), seen=await view()) == Absent()


def resources(*actions: Action) -> tuple[ObjectPreview, ...]:
    """New objects in namespace `new`, deleted ones in `shop`."""
    return tuple(
        ObjectPreview(
            group="", version="v1", kind="ConfigMap", name=str(action), action=action,
            namespace="new" if action is Action.CREATE else "shop",
            severity="low", severity_reason="",
        )
        for action in actions
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "remedy", "left"),
    [
        (None, "or set CreateNamespace=true in spec.syncPolicy.syncOptions", Action.DELETE),
        ("HelmRelease", "or set spec.install.createNamespace to true", Action.LEAVE),
        ("Kustomization", "declare Namespace new in Git", Action.LEAVE),
    ],
)
def test_what_is_put_there_is_refused(kind: Any, remedy: str, left: Action) -> None:
    """New objects are refused; Flux deletes nothing then; each has its remedy."""
    app = application(destination=destination("new"))
    if kind is not None:
        app = structs.replace(app, flux=FluxSpec(kind=kind, object_name="shop", render={}))
    pair, found = moved("new", app=app), Absent(frozenset({"new"}))
    report = pair.report(ApplicationAction.CHANGE, resources(Action.CREATE, Action.DELETE))
    after = with_pruning(with_absent(report, found), pair).resources
    assert [one.action for one in after] == [Action.REFUSE, left]
    assert after[0].reason == "namespace new does not exist"
    ((_, message),) = told(pair, found)
    assert message.endswith(remedy)


def test_a_sync_that_creates_another_namespace_is_named() -> None:
    """CreateNamespace=true creates the destination's namespace alone, and that is said."""
    app = application(syncPolicy=CREATES)
    ((_, message),) = told(moved("new", app=app), Absent(frozenset({"new"})))
    assert message.endswith("in Git: of this application a sync creates shop alone")
