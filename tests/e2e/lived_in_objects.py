"""The objects that the lived-in test deploys, in the three releases that they went through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).with_suffix("").parent / "lived_in.yaml"
LAST = 3
"""The release that Git ends with."""


class Release:
    """What Git declares at one release, by kind and name."""

    def __init__(self, way: str, number: int = LAST, without: Iterable[str] = ()) -> None:
        documents = yaml.safe_load_all(_FILE.read_text().replace("NAME", way))
        self.objects: dict[str, Any] = {
            f"{one['kind']}/{one['metadata']['name'].replace(way, 'NAME')}": one
            for one in documents
        }
        for earlier in range(LAST, number, -1):
            _BACK[earlier](self.objects)
        for name, one in list(self.objects.items()):
            if one["kind"] in without:
                del self.objects[name]

    def documents(self, skip: Iterable[str] = ()) -> list[Any]:
        """The objects in order, without those of some kinds."""
        return [one for one in self.objects.values() if one["kind"] not in skip]


def text(documents: Iterable[Any]) -> str:
    """Documents as one YAML file."""
    return yaml.safe_dump_all(documents, sort_keys=False)


def _before_third(objects: dict[str, Any]) -> None:
    """The second release: with what the third removed, without what it added."""
    web = objects["Deployment/web"]
    web["metadata"]["annotations"]["example.com/tier"] = "front"
    web["spec"]["strategy"] = {"type": "Recreate"}
    template = web["spec"]["template"]
    template["metadata"]["labels"]["release"] = "r2"
    template["metadata"]["annotations"]["example.com/path"] = "/metrics"
    pod = template["spec"]
    pod["terminationGracePeriodSeconds"] = 60
    pod["nodeSelector"] = {"kubernetes.io/os": "linux"}
    pod["volumes"].append({"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}})
    container = pod["containers"][0]
    container["image"] = "registry.example.com/web:2"
    container["env"][1] = {"name": "OLD", "value": "1"}
    container["ports"].pop()
    container["livenessProbe"] = {"tcpSocket": {"port": 8080}}
    container["volumeMounts"].append({"name": "scratch", "mountPath": "/scratch"})
    del container["readinessProbe"]
    del container["securityContext"]
    del pod["initContainers"]
    service = objects["Service/web"]["spec"]
    service["ports"] = [
        {"name": "http", "port": 80, "targetPort": "http"},
        {"name": "admin", "port": 8081},
    ]
    service["sessionAffinity"] = "ClientIP"
    data = objects["ConfigMap/web"]["data"]
    data.pop("NEW")
    data["OLD"] = "no"
    objects["Secret/web"]["stringData"] = {"password": "changed-since"}
    objects["ConfigMap/old"] = _like(objects["ConfigMap/features"], "old")
    objects.pop("ConfigMap/features")
    objects["CronJob/report"]["spec"]["suspend"] = True
    objects["StatefulSet/db"]["spec"]["updateStrategy"] = {
        "type": "RollingUpdate",
        "rollingUpdate": {"partition": 1},
    }
    objects["DaemonSet/agent"]["spec"]["updateStrategy"] = {"type": "OnDelete"}
    objects["Ingress/web"]["spec"]["tls"] = [{"hosts": ["shop.example.com"], "secretName": "tls"}]
    objects["Queue/orders"]["spec"]["retention"] = "48h"
    objects["Queue/orders"]["spec"]["consumers"].append({"name": "audit"})
    objects["ResourceQuota/all"]["spec"]["hard"]["count/cronjobs.batch"] = "5"
    objects["HorizontalPodAutoscaler/scaled"]["spec"]["behavior"] = {
        "scaleDown": {"stabilizationWindowSeconds": 60}
    }
    objects["ValidatingWebhookConfiguration/lived-NAME"]["webhooks"][0]["timeoutSeconds"] = 5
    objects["ServiceAccount/web"]["imagePullSecrets"] = [{"name": "registry"}]
    objects["PersistentVolumeClaim/uploads"]["spec"]["resources"]["requests"]["storage"] = "1Gi"
    objects["PodDisruptionBudget/web"]["spec"]["maxUnavailable"] = 2


def _before_second(objects: dict[str, Any]) -> None:
    """The first release, from which the second took a container and gave keys away."""
    pod = objects["Deployment/web"]["spec"]["template"]["spec"]
    pod["containers"].append({"name": "shipper", "image": "registry.example.com/shipper:1"})
    pod["containers"][0]["image"] = "registry.example.com/web:1"
    pod["securityContext"] = {"runAsUser": 1000, "fsGroup": 1000}
    objects["ConfigMap/web"]["data"]["FIRST"] = "1"
    objects["Role/web"]["rules"].append(
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    )
    objects["Service/node"]["spec"]["type"] = "ClusterIP"
    del objects["Service/node"]["spec"]["externalTrafficPolicy"]
    objects["Service/web"]["metadata"]["annotations"] = {"example.com/lb": "internal"}
    objects["HorizontalPodAutoscaler/scaled"]["spec"]["maxReplicas"] = 4


def _like(document: Any, name: str) -> Any:
    return {**document, "metadata": {**document["metadata"], "name": name}}


_BACK: dict[int, Callable[[dict[str, Any]], None]] = {3: _before_third, 2: _before_second}
