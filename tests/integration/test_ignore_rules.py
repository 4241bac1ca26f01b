"""Ignore rules from file to verdict: comparison, jq of the real worker, and what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import yaml
from msgspec import UNSET

from driftd.controller.judge import judge
from driftd.diff.compare import compare
from driftd.model.application import Application, ApplicationSpec
from driftd.model.condition import Condition
from driftd.model.report import Change, ResourceReport, ResourceStatus
from driftd.model.resource import LiveObject, Manifest, Origin
from driftd.sandbox.pool import SandboxPool
from tests.unit.diff.catalogue import Case

CASES = Path(__file__).parents[1] / "cases" / "ignore"
FILES = ("pointers.yaml", "expressions.yaml", "managers.yaml")
FIELD = "spec.ignoreDifferences"
SCALED = {
    "object": "deployment",
    "writes": {"alice": [{"op": "replace", "path": "/spec/replicas", "value": 5}]},
}


def cases(*names: str) -> list[dict[str, Any]]:
    """The cases of some files."""
    return [case for name in names for case in yaml.safe_load((CASES / name).read_text("utf-8"))]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One pool with the real worker for all cases."""
    async with SandboxPool(size=1) as pool:
        yield pool


async def judged(
    case: dict[str, Any], rules: list[dict[str, Any]], sandbox: SandboxPool
) -> tuple[tuple[Change, ...], list[Condition]]:
    """The changes of a case's object under rules, and the conditions."""
    made = Case(case)
    found = compare(made.key, made.desired, made.live, made.node, made.context).changes
    group, kind = made.key.group, made.key.kind
    entries = [{"group": group, "kind": kind, **rule} for rule in rules]
    spec = msgspec.convert({"project": "shop", "ignoreDifferences": entries}, ApplicationSpec)
    application = Application(name="shop", namespace="argocd", spec=spec, origin="apps/shop.yaml")
    gvk = made.desired["apiVersion"].rpartition("/")[2]
    report = ResourceReport(
        group=group,
        version=gvk,
        kind=kind,
        namespace=made.key.namespace,
        name=made.key.name,
        status=ResourceStatus.OUT_OF_SYNC,
        changes=found,
    )
    desired = Manifest(made.key, gvk, msgspec.json.encode(made.desired), Origin(0, "web.yaml"))
    live = LiveObject(made.key, gvk, "1", "1", msgspec.json.encode(made.live))
    (resource,), told = await judge(
        application, [report], {made.key: desired}, {made.key: live}, sandbox
    )
    return resource.changes, told


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", cases(*FILES), ids=lambda case: case["what"])
async def test_rule(case: dict[str, Any], sandbox: SandboxPool) -> None:
    """Just the expected changes are hidden, each by its rule, and what is told is as expected."""
    changes, told = await judged(case, case["rules"], sandbox)
    hidden = {c.path: c.ignored_by for c in changes if c.ignored_by is not UNSET}
    assert hidden == {
        path: ", ".join(FIELD + name for name in by.split(", "))
        for path, by in case.get("hidden", {}).items()
    }
    assert [c.path for c in changes if c.ignored_by is UNSET] == case.get("shown", [])
    texts = {one.type: one.message for one in told}
    for kind, text in case.get("told", {}).items():
        assert text in texts[kind]
        assert texts[kind].startswith(f"apps/shop.yaml: {FIELD}[")
    allowed = {"IgnoreRuleUnused", *case.get("told", {})}
    assert set(texts) <= allowed, texts


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", cases("hostile.yaml"), ids=lambda case: case["what"])
async def test_hostile_expression(case: dict[str, Any], sandbox: SandboxPool) -> None:
    """A bad expression hides nothing and is told with its remedy; its neighbour still works."""
    rules = [{"jqPathExpressions": [case["bad"], ".spec.replicas"]}]
    changes, told = await judged(SCALED, rules, sandbox)
    assert [(c.path, c.ignored_by) for c in changes] == [
        ("/spec/replicas", f"{FIELD}[0].jqPathExpressions[1]")
    ]
    (failed,) = [one for one in told if one.type == "IgnoreRuleFailed"]
    assert failed.message.startswith(f"apps/shop.yaml: {FIELD}[0].jqPathExpressions[0]: ")
    assert " on Deployment shop/web: " in failed.message
    assert case["says"] in failed.message
    assert "it hides nothing" in failed.message
    assert len(failed.message) < 700


def test_there_are_enough_cases() -> None:
    """At least sixty cases, no two of one name."""
    names = [case["what"] for case in cases(*FILES, "hostile.yaml")]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
