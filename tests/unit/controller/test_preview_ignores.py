"""Ignore rules that a change makes useless: a real repository and sandbox, a cluster in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from driftd.controller.options import CheckOptions
from driftd.controller.preview import preview
from driftd.source.repositories import Repositories
from tests.unit.controller.conftest import World
from tests.unit.reports import START, VirtualClock

BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web"},
    "spec": {"minAvailable": 1},
}
OLD = {"group": "", "kind": "Secrte", "jsonPointers": ["/data"]}


def rule(pointer: str = "", expression: str = "", manager: str = "", **target: str) -> Any:
    """An entry of `spec.ignoreDifferences` for the budget."""
    lists = {
        "jsonPointers": [pointer] if pointer else [],
        "jqPathExpressions": [expression] if expression else [],
        "managedFieldsManagers": [manager] if manager else [],
    }
    return {"group": "policy", "kind": "PodDisruptionBudget", **target, **lists}


async def told(world: World, *rules: Any, budget: str = "web") -> list[str]:
    """What a preview tells of the rules that a change adds to an idle one."""
    world.declare("shop", ignoreDifferences=[OLD])
    world.repo.write("apps/shop/budget.json", json.dumps(BUDGET))
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.declare("shop", ignoreDifferences=[OLD, *rules])
    body = {**BUDGET, "metadata": {"name": budget}}
    world.repo.write("apps/shop/budget.json", json.dumps(body))
    world.repo.commit()
    repositories = await Repositories.open([str(world.repo.path)])
    report = await preview(
        replace(world.workspace, repositories=repositories), CheckOptions(), "main",
        progress=world.progress, clock=VirtualClock(START),
    )  # fmt: skip
    found = [one for app in report.applications for one in app.conditions]
    return [
        f"{one.severity} {one.message.partition(': ')[2]}"
        for one in found
        if one.type.startswith("IgnoreRule")
    ]


@pytest.mark.slow
async def test_rules_that_hide_nothing(world: World) -> None:
    """A field that the schema lacks, a slip of kind, name and manager, and an expression that fails
    are told with what was meant; fitting rules and one that is idle at the base are not.
    """
    world.clusters.one.put({**BUDGET, "metadata": {"name": "web", "namespace": "shop"}})
    found = await told(
        world,
        rule(pointer="/spec/minAvailabel"),
        rule(expression=".spec.minavailable"),
        rule(expression=".spec["),
        rule(manager="kube-controler-manager"),
        rule(pointer="/spec/minAvailable", kind="PodDisruptionBugdet"),
        rule(pointer="/spec/minAvailable", name="webb"),
        rule(pointer="/spec/minAvailable"),
        rule(pointer="/metadata/annotations/later"),
        rule(expression=".spec.minAvailable"),
        rule(manager="kube-controller-manager"),
        rule(manager="some-operator"),
    )
    kind = "PodDisruptionBudget of policy/v1 has no field"
    entry, idle = "spec.ignoreDifferences", "speaks of no object of the application, so it hides"
    assert found == [
        (
            f"warning {entry}[5] (group policy, kind PodDisruptionBugdet) {idle} nothing; "
            "did you mean the kind PodDisruptionBudget?"
        ),
        (
            f"warning {entry}[6] (group policy, kind PodDisruptionBudget, name webb) {idle} "
            "nothing; did you mean the name web?"
        ),
        (
            f"warning {entry}[1].jsonPointers[0] (/spec/minAvailabel) hides nothing: {kind} "
            "/spec/minAvailabel; did you mean /spec/minAvailable?"
        ),
        (
            f"warning {entry}[2].jqPathExpressions[0] (.spec.minavailable) hides nothing: {kind} "
            ".spec.minavailable; did you mean .spec.minAvailable?"
        ),
        (
            f"warning {entry}[3].jqPathExpressions[0] `.spec[` failed on PodDisruptionBudget "
            "shop/web: unexpected EOF; it hides nothing; correct the expression"
        ),
        (
            f"warning {entry}[4].managedFieldsManagers[0] (kube-controler-manager) hides nothing: "
            "no manager of that name is known; did you mean kube-controller-manager?"
        ),
    ]


@pytest.mark.slow
async def test_without_schemas(world: World) -> None:
    """Where the cluster's schema cannot be read, no field is called wrong; a slip of a name is."""
    world.clusters.one.without_schema.add("policy/v1")
    found = await told(
        world, rule(pointer="/spec/minAvailabel"), rule(pointer="/spec", name="webb")
    )
    assert found == [
        (
            "warning spec.ignoreDifferences[2] (group policy, kind PodDisruptionBudget, name webb) "
            "speaks of no object of the application, so it hides nothing; "
            "did you mean the name web?"
        )
    ]
