"""Defaults that hold at some places of a component only."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff import tables
from driftd.diff.defaults import CONDITIONAL, Explained, explain, is_made_once
from driftd.diff.placed import FILLED_IN, NOT_AGAIN
from tests.cases.openapi import subset

TEMPLATE = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("field", "value"),
    [("enableServiceLinks", True), ("preemptionPolicy", "PreemptLowerPriority"), ("priority", 0)],
)
def test_default_of_pods_alone(field: str, value: Any) -> None:
    """What the server gives a Pod it does not give a template of one."""
    node = subset.node("v1", "Pod").child("spec")
    assert explain(node, field, value, {}, {}, ("spec",)) is Explained.WHOLE
    assert explain(node, field, value, {}, {}, TEMPLATE) is Explained.NOT


def test_default_of_every_place() -> None:
    """Other defaults of the component hold in templates too."""
    node = subset.node("v1", "Pod").child("spec")
    field = "terminationGracePeriodSeconds"
    assert explain(node, field, 30, {}, {}, TEMPLATE) is Explained.WHOLE


@pytest.mark.parametrize("direction", ["scaleUp", "scaleDown"])
def test_scaling_rules(direction: str) -> None:
    """Each direction of an autoscaler has its own policies; one alone has a window."""
    by_share = {"type": "Percent", "value": 100, "periodSeconds": 15}
    by_number = {"type": "Pods", "value": 4, "periodSeconds": 15}
    path, up = ("spec", "behavior", direction), direction == "scaleUp"
    policies = FILLED_IN["v2.HPAScalingRules", "policies"]
    assert policies([by_number, by_share], path) is up
    assert policies([by_share], path) is not up
    assert not policies([by_share, by_number], path)
    assert FILLED_IN["v2.HPAScalingRules", "stabilizationWindowSeconds"](0, path) is up


def test_affinity_that_git_leaves_empty() -> None:
    """The seconds that the server puts into a declared but empty affinity are its default."""
    seconds = CONDITIONAL["v1.ClientIPConfig", "timeoutSeconds"]
    assert seconds(10800, {}, {})
    assert not seconds(10800.0, {}, {})
    assert not seconds(60, {}, {})
    struct = CONDITIONAL["v1.SessionAffinityConfig", "clientIP"]
    assert struct({"timeoutSeconds": 10800}, {}, {})
    assert not struct({"timeoutSeconds": 60}, {}, {})


def test_rows_that_are_placed() -> None:
    """Each place is one of a row that the table or a rule has: none is left over."""
    rows = {(component, field) for component, fields in tables.table().items() for field in fields}
    assert FILLED_IN.keys() - rows - CONDITIONAL.keys() == set()
    assert rows >= NOT_AGAIN


def test_made_once() -> None:
    """A StatefulSet's rolling update is made with it alone; a Deployment's at every write."""
    stateful = subset.node("apps/v1", "StatefulSet").child("spec").child("updateStrategy")
    assert is_made_once(stateful, "rollingUpdate")
    assert not is_made_once(stateful, "type")
    strategy = subset.node("apps/v1", "Deployment").child("spec").child("strategy")
    assert not is_made_once(strategy, "rollingUpdate")
