"""Rewritten by the cluster or changed by somebody: told apart on a real API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driftd.diff.compare import Context, compare
from driftd.model.resource import GVK, ResourceKey
from tests.testbed.cluster import ControlPlane
from tests.testbed.schemas import schema_set

pytestmark = pytest.mark.cluster

DEPLOYMENT = Path(__file__).parent.parent / "cases" / "mutations" / "deployment.json"
VALUE = "/spec/template/spec/containers/0/env/1/value"


@pytest.mark.parametrize(
    ("manager", "change_class"),
    [
        # A webhook's values belong to the manager whose request it changed.
        ("kubectl-client-side-apply", "rewritten"),
        # `kubectl rollout undo` names no manager, so the API server takes its program name.
        ("kubectl", "declared"),
        ("alice", "declared"),
    ],
)
def test_only_an_apply_can_be_rewritten(
    api_server: ControlPlane, namespace: str, manager: str, change_class: str
) -> None:
    """A declared value that differs is `rewritten` only if the entry that applied Git owns it."""
    desired: dict[str, Any] = json.loads(DEPLOYMENT.read_text("utf-8"))
    name = desired["metadata"]["name"]
    api_server.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(desired))
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    live = api_server.call(
        "PATCH",
        f"{path}?fieldManager={manager}",
        [{"op": "replace", "path": VALUE, "value": "other"}],
        content_type="application/json-patch+json",
    )
    # Git's copy as kubectl recorded it: with the namespace of the command line.
    desired["metadata"]["namespace"] = namespace
    node = schema_set(api_server, "apps/v1").node(GVK("apps", "v1", "Deployment"))
    key = ResourceKey("apps", "Deployment", namespace, name)
    [change] = compare(key, desired, live, node, Context()).changes
    assert (change.path, change.change_class, change.manager) == (VALUE, change_class, manager)
