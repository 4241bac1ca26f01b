"""When a verdict still fits an object that changed meanwhile."""

from __future__ import annotations

import json

import pytest

from driftd.model.resource import LiveObject
from driftd.sync.again import again
from driftd.sync.plan import SyncTask
from driftd.sync.removal import Removal
from tests.unit.sync.builders import manifest

WEB = manifest("web")
TASK = SyncTask(
    key=WEB.key,
    gvk=WEB.gvk,
    body=b'{"metadata":{"name":"web","resourceVersion":"1"},"spec":{"replicas":3}}',
    wave=0,
    create=False,
    removals=(
        Removal(op="test", path="/metadata/uid", value="u"),
        Removal(op="test", path="/metadata/resourceVersion", value="1"),
        Removal(op="remove", path="/spec/paused"),
    ),
)


def live(version: str, *, uid: str = "u", owner: str = "kubectl", **content) -> LiveObject:
    """The object at a resourceVersion; its controller has written the status."""
    metadata = {
        "name": "web",
        "resourceVersion": version,
        "managedFields": [
            {"manager": owner, "operation": "Apply"},
            {"manager": "controller", "subresource": "status", "time": version},
        ],
    }
    body = {"metadata": metadata, "spec": {"replicas": 5}, **content}
    return LiveObject(WEB.key, "v1", uid, version, json.dumps(body).encode())


def test_a_status_alone_moves_the_preconditions():
    """Nothing that was judged has changed: the write is the same, for the newer version."""
    moved = again(TASK, live("1"), live("2", status={"replicas": 5}))
    assert moved is not None
    assert json.loads(moved.body)["metadata"]["resourceVersion"] == "2"
    assert [one.value for one in moved.removals] == ["u", "2", None]
    assert json.loads(moved.body)["spec"] == {"replicas": 3}


@pytest.mark.parametrize(
    "now",
    [
        live("2", spec={"replicas": 6}),
        live("2", uid="other"),
        live("2", owner="alice"),
        live("2", data={"a": "b"}),
    ],
)
def test_anything_else_ends_the_verdict(now):
    """Another value, owner or object needs another look."""
    assert again(TASK, live("1"), now) is None
