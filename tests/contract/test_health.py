"""Health against real controllers: it turns when they are done, and when they give up."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.health import HealthStatus, assess
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.full

NAMESPACE = "health"
LABELS = {"app": "web"}
POD = {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": POD}
WORKLOAD = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Deployment": ("/apis/apps/v1", {"replicas": 2, **WORKLOAD}),
    "StatefulSet": ("/apis/apps/v1", {"replicas": 2, "serviceName": "web", **WORKLOAD}),
    "DaemonSet": ("/apis/apps/v1", WORKLOAD),
    "ReplicaSet": ("/apis/apps/v1", {"replicas": 1, **WORKLOAD}),
    "Pod": ("/api/v1", POD),
    "Job": (
        "/apis/batch/v1",
        {"template": {"spec": {**POD, "restartPolicy": "Never"}}},
    ),
    "PersistentVolumeClaim": (
        "/api/v1",
        {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    ),
}


@pytest.fixture(scope="module")
def cluster(full_cluster: ControlPlane) -> ControlPlane:
    """Controllers, a simulated node, and a namespace."""
    full_cluster.create_namespace(NAMESPACE)
    return full_cluster


def status(body: dict[str, Any], kind: str, api: str) -> HealthStatus:
    """The health of an object of an answer, which may leave its kind out."""
    version = api.removeprefix("/apis/").removeprefix("/api/")
    return assess({"kind": kind, "apiVersion": version, **body}).status


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_is_progressing_until_the_controllers_are_done(cluster: ControlPlane, kind: str) -> None:
    """A new object is Progressing, and Healthy once its Pods run or its volume is bound."""
    api, spec = KINDS[kind]
    path = f"{api}/namespaces/{NAMESPACE}/{kind.lower()}s"
    name = f"{kind.lower()}-new"
    made = cluster.call("POST", path, {"metadata": {"name": name}, "spec": spec})
    assert status(made, kind, api) is HealthStatus.PROGRESSING
    is_healthy = lambda body: status(body, kind, api) is HealthStatus.HEALTHY  # noqa: E731
    cluster.wait_for(f"{path}/{name}", is_healthy)
    if kind in ("Deployment", "StatefulSet", "DaemonSet"):
        told = cluster.kubectl(
            "-n", NAMESPACE, "rollout", "status", f"{kind}/{name}", "--watch=false"
        ).stdout
        assert "successfully rolled out" in told or "complete" in told
    cluster.call("DELETE", f"{path}/{name}")


def test_a_rollout_that_does_not_end_is_degraded(cluster: ControlPlane) -> None:
    """A Deployment whose Pods fit on no node is Degraded when its deadline is over."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    template = {**TEMPLATE, "spec": {**POD, "nodeSelector": {"no": "node"}}}
    spec = {"replicas": 1, "progressDeadlineSeconds": 1, **WORKLOAD, "template": template}
    cluster.call("POST", path, {"metadata": {"name": "stuck"}, "spec": spec})

    def is_degraded(body: dict[str, Any]) -> bool:
        return status(body, "Deployment", "/apis/apps/v1") is HealthStatus.DEGRADED

    cluster.wait_for(f"{path}/stuck", is_degraded)


def test_an_autoscaler_without_metrics_is_degraded(cluster: ControlPlane) -> None:
    """The controller cannot read the target that an HPA names."""
    path = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3}
    cluster.call("POST", path, {"metadata": {"name": "blind"}, "spec": spec})

    def is_degraded(body: dict[str, Any]) -> bool:
        found = status(body, "HorizontalPodAutoscaler", "/apis/autoscaling/v2")
        return found is HealthStatus.DEGRADED

    cluster.wait_for(f"{path}/blind", is_degraded)


def test_a_definition_and_its_aggregated_api_are_healthy_when_served(cluster: ControlPlane) -> None:
    """A CustomResourceDefinition is Healthy when it is established; a second one is Degraded."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    def definition(plural: str, kind: str) -> dict[str, Any]:
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object"}},
        }
        group = "health.example.com"
        return {
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind},
                "versions": [version],
            },
        }

    api = "/apis/apiextensions.k8s.io/v1"
    for plural, wanted in (("taps", HealthStatus.HEALTHY), ("pipes", HealthStatus.DEGRADED)):
        cluster.call("POST", path, definition(plural, "Tap"))
        cluster.wait_for(
            f"{path}/{plural}.health.example.com",
            lambda body, wanted=wanted: status(body, "CustomResourceDefinition", api) is wanted,
        )
    services = cluster.call("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps")
    found = status(services, "APIService", "/apis/apiregistration.k8s.io/v1")
    assert found is HealthStatus.HEALTHY
