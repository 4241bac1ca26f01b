"""Rules at work: owners of places, rules of all applications, and expressions given up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from driftd.controller.ignoring import Ignoring, SharedRules, owners_of
from driftd.errors import RenderError, SandboxError
from driftd.model.application import Application, ApplicationSpec, IgnoreDifference
from driftd.model.report import Change, ResourceReport
from driftd.model.resource import LiveObject, ResourceKey
from driftd.policy.customizations import NamedIgnore
from driftd.policy.ignore import rules_of
from driftd.sandbox.results import JqOutcome, JqResult
from tests.unit.reports import change, report, resource


def managed(manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A managedFields entry."""
    return {"manager": manager, "operation": "Update", "fieldsV1": fields}


@pytest.mark.parametrize(
    ("fields", "path", "owns"),
    [
        ({"f:spec": {"f:replicas": {}}}, "f:spec/f:replicas", True),
        ({"f:spec": {"f:replicas": {}}}, "f:spec/f:paused", False),
        ({"f:spec": {}}, "f:spec/f:paused", True),
        ({"f:spec": {"f:a": {"f:b": {}}}}, "f:spec/f:a", False),
        ({"f:spec": {"f:a": {".": {}, "f:b": {}}}}, "f:spec/f:a", True),
        ({"f:m": {"f:x/y": {}}}, "f:m/f:x~1y", True),
        ({"f:l": {'k:{"name":"a"}': {".": {}}}}, 'f:l/k:{"name":"a"}', True),
    ],
)
def test_owners(fields: dict[str, Any], path: str, owns: bool) -> None:
    """An entry owns a place itself, or all below an atomic one; parts of it are not the place."""
    live = {"metadata": {"managedFields": [managed("vpa", fields)]}}
    found = owners_of(live, [change("/x", ssa_path=path)])
    assert found == {path: frozenset({"vpa"} if owns else ())}


SHARED = [NamedIgnore("cm", IgnoreDifference(kind="*", group="*", json_pointers=("/a", "/b")))]


def test_shared_rules_of_a_daemon() -> None:
    """Told once, after every application was seen in full, and again once it was of use."""
    rules = SharedRules()
    used = change("/a", ignored_by="cm.jsonPointers[0]")
    rules.looked(report(resource("web", used)))
    assert rules.useless(SHARED, ["argocd/shop", "argocd/other"]) == []
    rules.looked(report(name="other", complete=False))
    assert rules.useless(SHARED, ["argocd/shop", "argocd/other"]) == []
    rules.looked(report(name="other"))
    (told,) = rules.useless(SHARED, ["argocd/shop", "argocd/other"])
    assert told.message.startswith("cm.jsonPointers[1] (/b)")
    assert rules.useless(SHARED, ["argocd/shop", "argocd/other"]) == []
    rules.looked(report(resource("web")))
    (told,) = rules.useless(SHARED, ["argocd/shop"])
    assert told.message.startswith("cm.jsonPointers[0] (/a)")
    assert rules.useless(SHARED, []) == []


class Sandbox:
    """Answers like the worker; `bomb` brings it down, `slow` takes its second."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def jq(self, expressions: Any, objects: Any, **_: Any) -> JqResult:
        """See `SandboxPool`."""
        self.asked.append(tuple(expressions))
        if "bomb" in expressions:
            raise SandboxError("the sandbox worker was stopped: jq used more than 512 MiB")
        if "refused" in expressions:
            raise RenderError("invalid parameters")
        slow = JqOutcome(error="not done within 1s")
        good = JqOutcome(paths=(("spec", "replicas"),))
        row = tuple(slow if one == "slow" else good for one in expressions)
        return JqResult(results=tuple(row for _ in objects))


async def marked(ignoring: Ignoring, name: str = "web") -> Change:
    """The scaled Deployment under the rules."""
    made: ResourceReport = resource(name, change("/spec/replicas"))
    key = ResourceKey("apps", "Deployment", "shop", name)
    live = LiveObject(key, "v1", "u", "1", b'{"spec":{"replicas":2}}')
    (found,) = await ignoring.apply(made, made.changes, None, live)
    return found


def ignoring(sandbox: Sandbox, *expressions: str) -> Ignoring:
    """Rules of an application for Deployments."""
    entry = {"group": "apps", "kind": "Deployment", "jqPathExpressions": list(expressions)}
    spec = msgspec.convert({"ignoreDifferences": [entry]}, ApplicationSpec)
    rules = rules_of(Application(name="shop", namespace="argocd", spec=spec))
    return Ignoring(rules, sandbox, "shop")  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["bomb", "refused"])
async def test_one_that_brings_the_worker_down(bad: str) -> None:
    """The others are asked again without it, and it is not asked of the next object."""
    sandbox = Sandbox()
    rules = ignoring(sandbox, bad, "good")
    assert (await marked(rules)).ignored_by == "spec.ignoreDifferences[0].jqPathExpressions[1]"
    assert sandbox.asked == [(bad, "good"), (bad,), ("good",)]
    assert (await marked(rules, "next")).ignored_by is not UNSET
    assert sandbox.asked[3:] == [("good",)]
    assert rules.found.failures[bad][0].startswith("the sandbox gave up: ")


async def test_a_slow_one_is_asked_once() -> None:
    """What takes its whole second for one object does not take it for a thousand."""
    sandbox = Sandbox()
    rules = ignoring(sandbox, "slow")
    for name in ("a", "b", "c"):
        assert (await marked(rules, name)).ignored_by is UNSET
    assert sandbox.asked == [("slow",)]
    assert rules.found.failures == {"slow": ("not done within 1s", "Deployment shop/a")}
