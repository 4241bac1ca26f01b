"""What orders of persons are about."""

from __future__ import annotations

from datetime import timedelta

import pytest

from driftd.model.resource import ResourceKey
from driftd.sync.orders import in_force, told
from tests.unit.sync.guarding import NOW, order


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ({}, True),
        ({"application": "shop"}, True),
        ({"application": "argocd/shop"}, True),
        ({"application": "sho"}, False),
        ({"application": "team/shop"}, False),
        ({"cluster": "production"}, True),
        ({"cluster": "staging"}, False),
        ({"until": NOW}, False),
        ({"until": NOW + timedelta(seconds=1)}, True),
    ],
)
def test_where_and_how_long_an_order_holds(fields, holds):
    """Empty fields do not narrow it; at its end it is over."""
    assert order("freeze", **fields).holds("argocd/shop", "production", NOW) is holds


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", True),
        ("Deployment/web", True),
        ("deployment/shop/web", True),
        ("Deployment/other/web", False),
        ("Service/web", False),
    ],
)
def test_which_objects_an_order_names(text, names):
    """Kinds without regard to case, with or without the namespace."""
    key = ResourceKey("apps", "Deployment", "shop", "web")
    assert order("snooze", object=text).names(key) is names


def test_orders_are_told_apart_by_kind():
    """A snooze freezes nothing."""
    orders = (order("freeze"), order("snooze"))
    assert [one.kind for one in in_force(orders, "snooze", "a/b", "c", NOW)] == ["snooze"]


def test_an_order_says_who_gave_it_and_what_about():
    """For messages."""
    one = order("snooze", application="shop", object="Deployment/web", cluster="production")
    assert told(one) == "by ann: INC-7"
    assert one.scope == "Deployment/web of shop on cluster production"
    assert told(order("freeze", reason="")) == "by ann"
    assert order("freeze").scope == "every application"
