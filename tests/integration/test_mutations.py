"""The reference matrix: every mutation is found, with path, and author where a trace exists."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftd.diff.compare import Comparison, Context, compare
from driftd.diff.schema import SchemaSet
from driftd.model.report import UNSET
from driftd.model.resource import GVK, ResourceKey
from tests.testbed.cluster import ControlPlane
from tests.testbed.jsonpatch import patched
from tests.testbed.schemas import schema_set

CASES = Path(__file__).parent.parent / "cases" / "mutations"
MATRIX = yaml.safe_load((CASES / "matrix.yaml").read_text("utf-8"))
PLURALS = {
    "deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "service": "/api/v1/namespaces/{}/services",
}

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def schemas(api_server: ControlPlane) -> SchemaSet:
    """The schemas of the two kinds."""
    return schema_set(api_server, "v1", "apps/v1")


def look(
    api_server: ControlPlane, schemas: SchemaSet, path: str, desired: dict[str, Any]
) -> Comparison:
    """Compare `desired` with what the API server holds at `path`."""
    live = api_server.call("GET", path)
    gvk = GVK.parse(desired["apiVersion"], desired["kind"])
    key = ResourceKey(gvk.group, gvk.kind, live["metadata"]["namespace"], live["metadata"]["name"])
    return compare(key, desired, live, schemas.node(gvk), Context())


@pytest.mark.parametrize("case", MATRIX, ids=lambda case: case["name"])
def test_mutation_is_found(
    case: dict[str, Any], api_server: ControlPlane, namespace: str, schemas: SchemaSet
) -> None:
    """A clean object has no finding; after the mutation exactly the expected places are found."""
    kind = case.get("object", "deployment")
    desired = json.loads((CASES / f"{kind}.json").read_text("utf-8"))
    folder = PLURALS[kind].format(namespace)
    path = f"{folder}/{desired['metadata']['name']}"
    if "create" in case:
        api_server.call("POST", f"{folder}?fieldManager={case['create']}", desired)
    else:
        apply(api_server, path, desired, "driftd")
    assert look(api_server, schemas, path, desired).changes == ()

    if "applier" in case:
        apply(api_server, path, desired, case["applier"])
    target = path + ("/scale" if case.get("subresource") == "scale" else "")
    for step in ("patch", "then"):
        if step in case:
            api_server.call(
                "PATCH",
                f"{target}?fieldManager=alice",
                case[step],
                content_type="application/json-patch+json",
            )
    declared = patched(desired, case.get("git", []))
    found = look(api_server, schemas, path, declared).changes

    paths = case.get("paths", [case.get("path")])
    assert [c.path for c in found if c.path.startswith(tuple(paths))] == [c.path for c in found]
    assert len(found) == len(paths)
    for change in found:
        assert (change.kind, change.change_class) == (case["kind"], case["class"])
        expected = case.get("manager", "alice")
        assert change.manager == (UNSET if expected == "none" else expected)


def test_matrix_has_every_mutation() -> None:
    """The matrix holds the 36 mutations of the reference."""
    assert len({case["name"] for case in MATRIX}) == 36


def apply(api_server: ControlPlane, path: str, desired: dict[str, Any], manager: str) -> None:
    """Server-side apply by `manager`."""
    api_server.call(
        "PATCH",
        f"{path}?fieldManager={manager}&force=true",
        deepcopy(desired),
        content_type="application/apply-patch+yaml",
    )
