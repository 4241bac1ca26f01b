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


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("owned", [True, False])
def test_a_struct_that_the_server_filled_in(start: int, *, owned: bool) -> None:
    """Whoever made it, what the server put inside excuses none of it; its absence is clean."""
    body = {**deployment(), "kind": "StatefulSet"}
    live = applied(body)
    assert changes(body, live) == ()
    live["spec"]["ordinals"] = {"start": start}
    if owned:
        fields = {"f:spec": {"f:ordinals": {".": {}, "f:start": {}}}}
        live["metadata"]["managedFields"].append(entry("alice", fields))
    kind = "undeclared" if owned else "injected"
    assert told(changes(body, live)) == [("added", kind, "/spec/ordinals")]


@pytest.mark.parametrize("priority", [0, 5])
def test_a_printed_zero_is_one_at_its_own_places_alone(priority: int) -> None:
    """The server ranks a Pod 0; in a template the same number is somebody's."""
    fields = {"f:spec": {"f:template": {"f:spec": {"f:priority": {}}}}}
    live = applied(deployment(), entry("alice", fields))
    live["spec"]["template"]["spec"]["priority"] = priority
    path = "/spec/template/spec/priority"
    assert told(changes(deployment(), live)) == [("added", "undeclared", path)]


@pytest.mark.parametrize(("value", "drift"), [("", False), ("other", True)])
def test_a_printed_zero(value: str, drift: bool) -> None:
    """A StatefulSet without a service prints an empty name, whoever owns that; no other one."""
    body = {**deployment(), "kind": "StatefulSet"}
    live = applied(body, entry("alice", {"f:spec": {"f:serviceName": {}}}))
    live["spec"]["serviceName"] = value
    path = "/spec/serviceName"
    assert told(changes(body, live)) == ([("added", "undeclared", path)] if drift else [])
