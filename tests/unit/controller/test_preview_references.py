"""References between objects of one application that a change breaks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from driftd.controller.preview_references import broken_references
from driftd.model.condition import Severity
from driftd.model.resource import GVK, Manifest, Origin, ResourceKey

Bodies = dict[str, dict[str, Any]]
POD = {
    "metadata": {"labels": {"app": "web", "tier": "front"}},
    "spec": {
        "containers": [
            {
                "name": "web",
                "ports": [{"name": "http", "containerPort": 80}],
                "readinessProbe": {"httpGet": {"port": "http"}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ]
    },
}
BACKEND = {"service": {"name": "web", "port": {"name": "http"}}}
SHOP: Bodies = {
    "workload": {
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "spec": {"template": POD, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
    },
    "service": {
        "apiVersion": "v1", "kind": "Service",
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    },
    "scaler": {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}},
    },
    "ingress": {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "spec": {
            "rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "backend": BACKEND}]}}]
        },
    },
}  # fmt: skip


def manifests(bodies: Bodies) -> list[Manifest]:
    """What an application declares: all objects are called `web`, each has a file of its own."""
    found = []
    for file, body in bodies.items():
        gvk = GVK.parse(body["apiVersion"], body["kind"])
        name = body.get("metadata", {}).get("name", "web")
        key = ResourceKey(gvk.group, gvk.kind, "shop", name)
        origin = Origin(source=0, file=f"{file}.yaml", line=3)
        found.append(Manifest(key, gvk.version, json.dumps(body).encode(), origin))
    return found


def broken(change: Callable[[Bodies], object], before: Bodies = SHOP) -> list[str]:
    """What is told of a change, without its end."""
    after = copy.deepcopy(before)
    change(after)
    found = list(broken_references(manifests(before), manifests(after)))
    assert {(one.type, one.severity) for one in found} <= {("DanglingReference", Severity.WARNING)}
    assert all(one.message.endswith("; at the base it was whole") for one in found)
    return [one.message.rpartition(";")[0] for one in found]


def container(bodies: Bodies) -> Any:
    """The container of the workload."""
    return bodies["workload"]["spec"]["template"]["spec"]["containers"][0]


SCALER = "scaler.yaml:3: HorizontalPodAutoscaler.autoscaling shop/web: spec.scaleTargetRef names"
PLACE = "ingress.yaml:3: Ingress.networking.k8s.io shop/web: spec.rules[host=a.b].paths[/].service"
SERVICE = "service.yaml:3: Service shop/web: spec"
MOUNT = "names data, which is neither a volume nor a claim template"
INSIDE = "workload.yaml:3: StatefulSet.apps shop/web: containers[name=web]"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: b["scaler"]["spec"]["scaleTargetRef"].update(name="wbe"),
         [f"{SCALER} StatefulSet wbe, which the application does not declare"]),
        (lambda b: b["service"]["spec"]["selector"].update(app="wbe"),
         [f"{SERVICE}.selector app=wbe selects no Pods of the application"]),
        (lambda b: container(b)["ports"][0].update(name="web"),
         [f"{SERVICE}.ports[port=80].targetPort http is no port of the Pods that it selects",
          f"{INSIDE}.readinessProbe.httpGet.port http is no port of the container"]),
        (lambda b: b.pop("service"),
         [f"{PLACE} names Service web, which the application does not declare"]),
        (lambda b: b["service"]["spec"]["ports"][0].update(name="web"),
         [f"{PLACE} names port http, which Service web does not have"]),
        (lambda b: b["workload"]["spec"].pop("volumeClaimTemplates"),
         [f"{INSIDE}.volumeMounts[/data] {MOUNT}"]),
        (lambda b: b["workload"].update(metadata={"name": "front"}),
         [f"{SCALER} StatefulSet web, which the application does not declare"]),
    ],
)  # fmt: skip
def test_what_a_change_breaks(change: Callable[[Bodies], object], told: list[str]) -> None:
    """Each reference that names nothing any more is told at the line of its object."""
    assert broken(change) == told


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b["service"]["spec"]["selector"].update(tier="front"),
        lambda b: b["service"]["spec"]["ports"][0].update(targetPort=8080),
        lambda b: b["workload"]["spec"]["template"]["metadata"]["labels"].update(more="yes"),
        lambda b: b.pop("scaler"),
        lambda b: b["service"]["spec"].pop("selector"),
        lambda b: b["service"].update(spec=None),
    ],
)
def test_what_stays_whole_is_not_told(change: Callable[[Bodies], object]) -> None:
    """Other changes, and objects that go themselves or have no shape, break no reference."""
    found = broken(change)
    assert [one for one in found if not one.startswith("ingress.yaml")] == []


def test_what_dangled_before_is_not_told() -> None:
    """What another application declares is not known: only what was whole at the base counts."""
    elsewhere = {name: body for name, body in SHOP.items() if name != "workload"}
    assert broken(lambda b: b["scaler"]["spec"]["scaleTargetRef"].update(name="x"), elsewhere) == []
    assert broken(lambda b: b["service"]["spec"]["selector"].update(app="x"), elsewhere) == []


def test_pods_of_a_cron_job_are_selected() -> None:
    """The template of a CronJob's jobs counts, as that of any workload."""
    job = {"apiVersion": "batch/v1", "kind": "CronJob",
           "spec": {"jobTemplate": {"spec": {"template": POD}}}}  # fmt: skip
    with_job = {"job": job, "service": SHOP["service"]}
    told = broken(lambda b: b["service"]["spec"]["selector"].update(app="x"), with_job)
    assert len(told) == 1
    assert "app=x selects no Pods" in told[0]
