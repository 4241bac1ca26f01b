"""Which kind is assessed how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from driftd.health import resources, workloads
from driftd.health.reading import Body, text
from driftd.health.types import Health, HealthStatus, progressing
from driftd.model.resource import GVK

_KINDS: Final[Mapping[tuple[str, str], Callable[[Body], Health]]] = {
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("", "Pod"): workloads.pod,
    ("batch", "Job"): workloads.job,
    ("batch", "CronJob"): workloads.cron_job,
    ("", "PersistentVolumeClaim"): resources.persistent_volume_claim,
    ("", "Service"): resources.service,
    ("networking.k8s.io", "Ingress"): resources.ingress,
    ("extensions", "Ingress"): resources.ingress,
    ("autoscaling", "HorizontalPodAutoscaler"): resources.horizontal_pod_autoscaler,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): resources.custom_resource_definition,
    ("apiregistration.k8s.io", "APIService"): resources.api_service,
}


def assess(body: Mapping[str, Any] | None) -> Health:
    """How a live object is, as Argo CD's built-in checks say; None means that it is not there.

    Kinds without a check of their own are judged by the conventions of kstatus. Never raises:
    whatever an object lacks counts as not said.
    """
    if body is None:
        return Health(HealthStatus.MISSING, "it is not in the cluster")
    gvk = GVK.parse(text(body, "apiVersion"), text(body, "kind"))
    if not gvk.kind:
        return Health(HealthStatus.UNKNOWN, "it does not say of what kind it is")
    if text(body, "metadata", "deletionTimestamp"):
        return progressing("it is being deleted")
    return _KINDS.get((gvk.group, gvk.kind), resources.by_convention)(body)
