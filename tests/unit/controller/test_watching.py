"""What looks saw, what watches see, and which applications are asked for when the two differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.kube import KubeCluster
from driftd.cluster.reader import ApiResource, Listing
from driftd.controller.check import Looked
from driftd.controller.pace import Pace
from driftd.controller.watching import Watching
from driftd.errors import Forbidden
from driftd.model.resource import LiveObject, ResourceKey
from driftd.telemetry.metrics import Metrics
from tests.unit.controller.builders import TARGET, application, config_map, desired, looked
from tests.unit.controller.cluster import AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, MemoryCluster
from tests.unit.reports import report

SHOP = "argocd/shop"
KEY = ResourceKey("", "ConfigMap", "shop", "settings")


class NoConnections:
    """Opens nothing: these tests run no watch."""

    def watched(self, target: ClusterTarget) -> KubeCluster:
        raise AssertionError(f"{target.name} was opened")


class Bench:
    """A cluster in memory, what looks at it saw, and who was woken."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.woken: list[str] = []
        self.time = 0.0
        self.watching = Watching(
            NoConnections(), self._wake, Metrics("0"), pace=Pace(self._monotonic)
        )

    def _monotonic(self) -> float:
        self.time += 1000  # every change comes after a long calm
        return self.time

    async def _wake(self, name: str) -> None:
        self.woken.append(name)

    async def look(self, *bodies: dict[str, Any], name: str = "shop") -> None:
        """One look at an application that declares these objects."""
        wanted = desired(*bodies, app=application(name=name))
        seen = await looked(self.cluster, wanted)
        one = Looked(report=report(), desired=wanted, view=seen.view, shared=seen)
        self.watching.looked(f"argocd/{name}", one)

    def sink(self, place: str = "", kind: ApiResource = CONFIG_MAPS) -> Any:
        """What the reflector of a kind tells."""
        return self.watching.sink(TARGET, kind, place)

    def touched(self) -> set[str]:
        """The objects of `shop` that the next look is to look at, and no others after it."""
        return {key.name for _, key in self.watching.touched(SHOP) or ()}


def live(body: dict[str, Any], **metadata: Any) -> LiveObject:
    """A ConfigMap as a watch gives it."""
    whole = {**body, "metadata": {**body["metadata"], **metadata}}
    place = body["metadata"]
    key = ResourceKey("", "ConfigMap", place["namespace"], place["name"])
    return LiveObject(key, "v1", "u", "9", json.dumps(whole).encode())


@pytest.fixture
async def bench() -> Bench:
    """`settings` is declared, there, and was looked at."""
    made = Bench()
    made.cluster.put(config_map("settings", colour="blue"))
    await made.look(config_map("settings", colour="blue"))
    return made


async def seen(bench: Bench) -> LiveObject:
    """`settings` as it is on the cluster."""
    found = await bench.cluster.get(CONFIG_MAPS, "shop", "settings")
    assert found is not None
    return found


async def test_what_a_look_saw_wakes_nobody(bench: Bench) -> None:
    """The first list of a watch, and an event that says nothing new, ask for nothing."""
    same = await seen(bench)
    await bench.sink().listed(Listing((same,)))
    await bench.sink().changed(same)
    assert bench.woken == []


async def test_a_difference_wakes_whoever_declares_the_object(bench: Bench) -> None:
    """All applications that declare an object are asked for, no others."""
    await bench.look(config_map("settings", colour="blue"), name="twin")
    await bench.look(config_map("other"), name="other")
    await bench.sink().changed(live(config_map("settings", colour="red")))
    assert sorted(bench.woken) == [SHOP, "argocd/twin"]


async def test_a_status_or_a_version_alone_wakes_nobody(bench: Bench) -> None:
    """What no verdict reads may change as often as it likes."""
    same = await seen(bench)
    body = json.loads(same.body)
    body["status"] = {"phase": "Ready"}
    body["metadata"]["resourceVersion"] = "99"
    await bench.sink().changed(LiveObject(KEY, "v1", "u", "99", json.dumps(body).encode()))
    assert bench.woken == []


async def test_a_deletion_wakes_once(bench: Bench) -> None:
    """The end of an object asks for a look; once that saw it gone, the end is nothing new."""
    await bench.sink().gone(KEY)
    assert bench.woken == [SHOP]
    bench.cluster.delete("ConfigMap", "shop", "settings")
    await bench.look(config_map("settings", colour="blue"))
    await bench.sink().gone(KEY)
    await bench.sink().listed(Listing(()))
    assert bench.woken == [SHOP]


async def test_a_list_tells_what_happened_before_it(bench: Bench) -> None:
    """Objects that a later list has otherwise, or has no longer, ask for a look."""
    await bench.sink().listed(Listing((live(config_map("settings", colour="red")),)))
    await bench.sink().listed(Listing(()))
    assert bench.woken == [SHOP, SHOP]


async def test_a_list_of_one_namespace_says_nothing_of_others(bench: Bench) -> None:
    """What cannot be in a list is not missing from it."""
    await bench.sink("elsewhere").listed(Listing(()))
    assert bench.woken == []


async def test_a_missing_object_that_comes_wakes(bench: Bench) -> None:
    """An object that a look saw missing asks for a look when it is made."""
    await bench.look(config_map("later"))
    await bench.sink().changed(live(config_map("later")))
    assert bench.woken == [SHOP]


async def test_a_new_object_with_a_mark_wakes_its_owner(bench: Bench) -> None:
    """An extra object is no one's in Git; its tracking mark names who is to look."""
    mark = {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:shop/extra"}
    sink = bench.sink()
    extra = live(config_map("extra"), annotations=mark)
    foreign = live(config_map("foreign"))
    await sink.changed(extra)
    await sink.changed(foreign)
    assert bench.woken == [SHOP]


async def test_applications_that_are_gone_are_woken_no_more(bench: Bench) -> None:
    """Once Git declares an application no longer, its objects are of no interest."""
    bench.watching.only([])
    await bench.sink().gone(KEY)
    assert bench.woken == []
    assert bench.watching.places() == set()


async def test_many_namespaces_are_watched_at_once(bench: Bench) -> None:
    """One watch of everything takes the place of many; without the right to it, many stay."""
    for number in range(6):
        space = f"space-{number}"
        await bench.look(config_map("settings", namespace=space), name=space)
    assert bench.watching.places() == {(TARGET, CONFIG_MAPS, "")}
    forbidden = Forbidden("cannot watch configmaps")
    await bench.sink().state(forbidden)
    assert bench.watching.places() == {
        (TARGET, CONFIG_MAPS, place) for place in ("shop", *(f"space-{n}" for n in range(6)))
    }


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"replicas": 2},
}


def autoscaler(
    target: str = "web", *, most: int = 5, name: str = "scaler", namespace: str = "shop"
) -> dict[str, Any]:
    """An autoscaler of a Deployment."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": most},
    }


@pytest.fixture
async def scaled(bench: Bench) -> Bench:
    """The Deployment `web` is declared, and an autoscaler acts on it; a look saw both."""
    bench.cluster.put(DEPLOYMENT)
    bench.cluster.put(autoscaler())
    await bench.look(DEPLOYMENT)
    return bench


async def put(bench: Bench, body: dict[str, Any]) -> None:
    """Put an autoscaler into the cluster, and let the watch tell of it."""
    await bench.sink(kind=AUTOSCALERS).changed(bench.cluster.put(body))


async def test_autoscalers_are_watched_where_something_may_be_scaled(scaled: Bench) -> None:
    """The kind is watched in the namespaces of declared Deployments, as long as there are any."""
    assert (TARGET, AUTOSCALERS, "shop") in scaled.watching.places()
    await scaled.look(config_map("settings"))
    assert all(resource != AUTOSCALERS for _, resource, _ in scaled.watching.places())
    await scaled.look(DEPLOYMENT)
    scaled.watching.only([])
    assert scaled.watching.places() == set()


async def test_what_explains_wakes_whom_it_concerns(scaled: Bench) -> None:
    """An autoscaler that changes, turns to another target or goes asks for looks at the target."""
    sink = scaled.sink(kind=AUTOSCALERS)
    await put(scaled, autoscaler(most=9))
    assert scaled.touched() == {"web"}
    await put(scaled, autoscaler("api", most=9))
    assert scaled.touched() == {"web"}
    await put(scaled, autoscaler("api", most=10))
    assert scaled.touched() == set()
    await put(scaled, autoscaler(most=10))
    assert scaled.touched() == {"web"}
    await sink.gone(ResourceKey("autoscaling", "HorizontalPodAutoscaler", "shop", "scaler"))
    assert scaled.touched() == {"web"}


async def test_what_explains_as_before_wakes_nobody(scaled: Bench) -> None:
    """The list that a watch begins with, a status, and autoscalers of others ask for nothing."""
    found = await scaled.cluster.list(AUTOSCALERS)
    await scaled.sink(kind=AUTOSCALERS).listed(found)
    await put(scaled, {**autoscaler(), "status": {"currentReplicas": 3}})
    await put(scaled, autoscaler(name="other", namespace="elsewhere"))
    assert scaled.woken == []


async def test_a_list_tells_of_explanations_that_came_and_went(scaled: Bench) -> None:
    """After a gap in the watch the list says which autoscalers are new and which are gone."""
    sink = scaled.sink(kind=AUTOSCALERS)
    await sink.listed(Listing(()))
    assert scaled.touched() == {"web"}
    await sink.listed(await scaled.cluster.list(AUTOSCALERS))
    assert scaled.touched() == {"web"}
    assert DEPLOYMENTS in {resource for _, resource, _ in scaled.watching.places()}
