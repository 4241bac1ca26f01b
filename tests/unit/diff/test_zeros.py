"""Declared empty values that leave a field to the API server."""

from __future__ import annotations

import pytest

from tests.unit.diff.objects import applied, changes, deployment, entry, told

PROBE = "/spec/template/spec/containers/0/readinessProbe/timeoutSeconds"


def probed(timeout: object) -> dict[str, object]:
    """A Deployment whose readiness probe has this timeout."""
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/", "port": 80},
        "timeoutSeconds": timeout,
    }
    return body


@pytest.mark.parametrize(("live", "drift"), [(1, False), (7, True)])
def test_zero_is_the_default(live: int, drift: bool) -> None:
    """A probe's timeout of 0 is stored as the default of 1; any other value is drift."""
    found = changes(probed(0), applied(probed(live)))
    assert told(found) == ([("modified", "declared", PROBE)] if drift else [])


def test_zero_of_a_pointer_is_a_value() -> None:
    """No replicas and no history are something to say: the default there is drift."""
    desired = deployment()
    desired["spec"].update(replicas=0, revisionHistoryLimit=0)
    live = deployment()
    live["spec"].update(replicas=1, revisionHistoryLimit=10)
    assert told(changes(desired, applied(live))) == [
        ("modified", "declared", "/spec/replicas"),
        ("modified", "declared", "/spec/revisionHistoryLimit"),
    ]


@pytest.mark.parametrize(("manager", "drift"), [("argocd-controller", False), ("alice", True)])
def test_allocated_port(manager: str, drift: bool) -> None:
    """`nodePort: 0` asks for any port; one that somebody chose is drift."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 0}]},
    }
    live = applied(service)
    live["spec"]["ports"][0]["nodePort"] = 31000
    port = 'k:{"port":80,"protocol":"TCP"}'
    if manager == "alice":
        own = live["metadata"]["managedFields"][0]["fieldsV1"]
        del own["f:spec"]["f:ports"][port]["f:nodePort"]
        fields = {"f:spec": {"f:ports": {port: {"f:nodePort": {}}}}}
        live["metadata"]["managedFields"].append(entry(manager, fields))
    path = "/spec/ports/0/nodePort"
    assert told(changes(service, live)) == ([("modified", "declared", path)] if drift else [])


def test_a_struct_that_the_server_drops() -> None:
    """A Service without session affinity keeps no settings of it, however empty they are."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ports": [{"port": 80}], "sessionAffinityConfig": {"clientIP": {}}},
    }
    live = applied(service)
    del live["spec"]["sessionAffinityConfig"]
    assert changes(service, live) == ()
