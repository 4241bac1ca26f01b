"""Relations: what must hold between Git, live and the cluster, one by one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.diff.facts import Bounds, Facts
from driftd.diff.finding import ABSENT
from driftd.diff.relations import RELATIONS, Asked, Except, equal_except
from driftd.model.resource import ResourceKey

WEIGHT = (Except(("*", "route", "*", "weight"), "weight"),)


class Object(msgspec.Struct, frozen=True):
    """The object under comparison."""

    key: ResourceKey = ResourceKey("apps", "Deployment", "shop", "web")
    desired: dict[str, Any] = {}
    facts: Facts = Facts()


def routes(*weights: Any) -> Any:
    """A list with one route that has a destination for each weight."""
    found = [{"to": str(number)} for number in range(len(weights))]
    for one, weight in zip(found, weights, strict=True):
        if weight is not None:
            one["weight"] = weight
    return [{"route": found}]


@pytest.mark.parametrize(
    ("desired", "live", "holds"),
    [
        (routes(100, 0), routes(70, 30), True),
        (routes(100, 0), routes(0, 100), True),
        (routes(10, 0), routes(7, 3), True),
        (routes(10, 0), routes(70, 30), False),
        (routes(None, None), routes(70, 30), True),
        (routes(None, None), routes(1, 1), False),
        (routes(100, None), routes(70, 30), True),
        (routes(100, 0), routes(70, 31), False),
        (routes(100, 0), routes(130, -30), False),
        (routes(100, 0), routes(70.0, 30.0), False),
        (routes(100, 0), routes("70", "30"), False),
        (routes(100, 0), routes(True, 99), False),
        (routes(100, 0), routes(None, None), False),
        (routes(100, 0), routes(50, 50, 0), False),
        (routes(100, 0), [*routes(70, 30), *routes(100, 0)], False),
        (routes(100, 0), [{"route": None}], False),
        (routes(100, 0), ["x"], False),
        ([{"name": "a"}, *routes(100)], [{"name": "a"}, *routes(100)], True),
    ],
)
def test_weights_are_shared_out_as_in_git(desired: Any, live: Any, holds: bool) -> None:
    """Whole percents that add up to Git's, at the same places; all else is left to the walk."""
    asked = Asked(Object(), live, desired, lambda one, other: one == other)
    before = repr(live)
    assert equal_except(asked, WEIGHT) is holds
    assert repr(live) == before, "live is not to be changed"


def test_the_rest_of_the_list_is_compared() -> None:
    """Another field that differs refuses the whole list, and so does a place that is no list."""
    live = routes(70, 30)
    live[0]["route"][1]["to"] = "evil"
    asked = Asked(Object(), live, routes(100, 0), lambda one, other: one == other)
    assert not equal_except(asked, WEIGHT)
    assert not equal_except(Asked(Object(), routes(70, 30), routes(100, 0)), WEIGHT)
    assert not equal_except(Asked(Object(), routes(70, 30), ABSENT, lambda *_: True), WEIGHT)


@pytest.mark.parametrize(
    ("relation", "desired", "live", "declared", "holds"),
    [
        ("undeclared", {}, "x", ABSENT, True),
        ("undeclared", {}, "x", "y", False),
        ("stricter", {}, "Fail", "Ignore", True),
        ("stricter", {}, "Ignore", "Fail", False),
        ("none-or-fewer", {"spec": {"replicas": 3}}, 2, 3, True),
        ("none-or-fewer", {"spec": {"replicas": 3}}, 4, 3, False),
        ("none-or-fewer", {}, 0, ABSENT, True),
        ("none-or-fewer", {}, 1, ABSENT, False),
        ("primary", {}, "web-primary", "web", True),
        ("primary", {}, "web-primary", ABSENT, False),
        ("load-balancer", {"spec": {"type": "LoadBalancer"}}, "x", ABSENT, True),
        ("load-balancer", {"spec": {}}, "x", ABSENT, False),
        ("own-pull-secrets", {}, [{"name": "web-dockercfg-abc12"}], ABSENT, True),
        ("own-pull-secrets", {}, {"name": "web-dockercfg-abc12"}, ABSENT, True),
        ("own-pull-secrets", {}, {"name": "web-dockercfg-abc12", "more": 1}, ABSENT, False),
        ("own-pull-secrets", {}, [{"name": "a"}, {"name": "web-dockercfg-abc12"}], ABSENT, False),
        ("own-pull-secrets", {}, [{"name": "a"}, {"name": "web-dockercfg-abc12"}],
         [{"name": "a"}], True),
        ("own-pull-secrets", {}, "x", ABSENT, False),
    ],
)  # fmt: skip
def test_relations_look_at_values(
    relation: str, desired: dict[str, Any], live: Any, declared: Any, holds: bool
) -> None:
    """Each relation holds for what its controller writes and for nothing near it."""
    found = RELATIONS[relation](Asked(Object(desired=desired), live, declared))
    assert (found is not None) is holds


def test_an_api_service_without_an_authority() -> None:
    """An APIService leaves its authority out unless it has one or asks for no verification."""
    key = ResourceKey("apiregistration.k8s.io", "APIService", "", "v1.example.com")

    def left_out(**spec: Any) -> bool:
        asked = Asked(Object(key, {"spec": {"service": {"name": "x"}, **spec}}), "QQ==")
        return RELATIONS["ca-left-out"](asked) is not None

    assert left_out()
    assert not left_out(caBundle="QUE=")
    assert not left_out(insecureSkipTLSVerify=True)
    assert not left_out(service=None)


def test_bounds_say_who_scales_and_whether_git_knows() -> None:
    """The words name the autoscaler, what made it, and that nobody declares it."""
    key = Object().key
    made = Bounds(1, 6, "keda-hpa-web", declared=False, made_by="ScaledObject web")
    facts = Facts(autoscaled={key: made}, event_scaled={key: Bounds(0, 6, "web", "ScaledObject")})
    assert facts.scaler(key, 0) == facts.event_scaled[key]
    assert facts.scaler(key, 6) == made
    assert facts.scaler(key, 7) is None
    assert facts.scaler(key, True) is None
    assert "keda-hpa-web, made by ScaledObject web," in str(made)
    assert "which no application looked at declares" in str(made)
    assert str(facts.event_scaled[key]) == "ScaledObject web scales the object between 0 and 6"
    assert RELATIONS["event-scaled"](Asked(Object(facts=facts), 0)) is not None
    assert RELATIONS["event-scaled"](Asked(Object(), 0)) is None
