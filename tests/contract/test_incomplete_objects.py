"""What driftd calls incomplete or doubled, server-side apply refuses; the rest it takes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from driftd.controller.mistakes import mistake_in
from driftd.diff.schema import Node, SchemaSet
from driftd.model.resource import GVK
from tests.cases.incomplete import table
from tests.testbed.cluster import ControlPlane
from tests.testbed.schemas import schema_set

pytestmark = pytest.mark.cluster
TABLE = table()
FITTING = GVK("incomplete.example.com", "v1", "Fitting")
DEPLOYMENT = GVK("apps", "v1", "Deployment")


@pytest.fixture(scope="module")
def place(api_server: ControlPlane) -> str:
    """A namespace on a server that has the custom kind."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    status, answer = api_server.request("POST", crds, TABLE["definition"])
    assert status in (201, 409), answer
    api_server.wait_for("/apis/incomplete.example.com/v1/fittings", lambda _: True)
    api_server.wait_for(
        "/openapi/v3/apis/incomplete.example.com/v1",
        lambda body: "Fitting" in str(body.get("components")),
    )
    return api_server.create_namespace("incomplete-objects")


@pytest.fixture(scope="module")
def schemas(api_server: ControlPlane, place: str) -> SchemaSet:
    """What the server publishes of both kinds."""
    return schema_set(api_server, "incomplete.example.com/v1", "apps/v1")


def applied(api_server: ControlPlane, path: str, body: dict[str, Any]) -> bool:
    """Whether server-side apply takes an object."""
    query = "fieldManager=test&force=true&dryRun=All"
    kind = "application/apply-patch+yaml"
    status, answer = api_server.request("PATCH", f"{path}?{query}", body, content_type=kind)
    assert status in (200, 201, 422, 500), answer
    return status < 300


def said(body: dict[str, Any], node: Node | None) -> str:
    """What driftd says of an object."""
    assert node is not None
    found = mistake_in(orjson.loads(orjson.dumps(body)), node)
    return "" if found is None else found.message


@pytest.mark.parametrize("case", TABLE["fittings"], ids=lambda case: case.get("told") or "taken")
def test_custom_resources(
    api_server: ControlPlane, place: str, schemas: SchemaSet, case: dict[str, Any]
) -> None:
    """Required fields after defaults, and items of one key, keep a custom resource out."""
    head = {"apiVersion": "incomplete.example.com/v1", "kind": "Fitting"}
    body = {**head, "metadata": {"name": "one", "namespace": place}, **case["body"]}
    path = f"/apis/incomplete.example.com/v1/namespaces/{place}/fittings/one"
    told = case.get("told", "")
    # A field that the schema lacks is refused by itself.
    assert applied(api_server, path, body) is not bool(told)
    message = said(body, schemas.node(FITTING))
    assert told in message
    assert bool(message) is bool(told)


@pytest.mark.parametrize("case", TABLE["deployments"], ids=lambda case: case.get("told") or "taken")
def test_built_in_kinds(
    api_server: ControlPlane, place: str, schemas: SchemaSet, case: dict[str, Any]
) -> None:
    """Items of one key keep an object out that is applied server-side."""
    container = {"name": "web", "image": "registry.example/web:1", **case["container"]}
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": place},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    path = f"/apis/apps/v1/namespaces/{place}/deployments/web"
    told = case.get("told", "")
    assert applied(api_server, path, body) is not bool(told)
    message = said(body, schemas.node(DEPLOYMENT))
    assert told in message
    assert bool(message) is bool(told)
