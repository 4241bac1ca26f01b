"""Which live objects name another one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.controller.used_by import used_by
from driftd.model.resource import LiveObject, ResourceKey

POD = {
    "serviceAccountName": "robot",
    "imagePullSecrets": [{"name": "pull"}],
    "containers": [
        {
            "env": [{"valueFrom": {"secretKeyRef": {"name": "password", "key": "a"}}}],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
        }
    ],
    "volumes": [
        {"secret": {"secretName": "tls"}},
        {"persistentVolumeClaim": {"claimName": "disk"}},
        {"projected": {"sources": [{"configMap": {"name": "roots"}}]}},
    ],
}


def live(kind: str, name: str, body: dict[str, Any], namespace: str = "shop") -> LiveObject:
    """An object that the cluster has."""
    key = ResourceKey("batch", kind, namespace, name)
    return LiveObject(key, "v1", f"uid-{name}", "1", json.dumps(body).encode())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ConfigMap", "settings"),
        ("ConfigMap", "roots"),
        ("Secret", "password"),
        ("Secret", "tls"),
        ("Secret", "pull"),
        ("PersistentVolumeClaim", "disk"),
        ("ServiceAccount", "robot"),
    ],
)
def test_what_pods_name_is_found_at_any_depth(kind: str, name: str) -> None:
    """Every way in which a Pod names an object of its namespace counts, of a CronJob's Pods too."""
    template = {"spec": {"jobTemplate": {"spec": {"template": {"spec": POD}}}}}
    objects = [
        live("CronJob", "nightly", template),
        live("Job", "elsewhere", {"spec": {"template": {"spec": POD}}}, namespace="other"),
    ]
    assert used_by(ResourceKey("", kind, "shop", name), objects) == ("CronJob nightly",)


def test_a_name_alone_is_no_use() -> None:
    """The same text elsewhere, the name of another kind, and another group name nothing."""
    objects = [live("Job", "settings", {"metadata": {"name": "settings"}, "spec": POD})]
    assert used_by(ResourceKey("", "Secret", "shop", "settings"), objects) == ()
    assert used_by(ResourceKey("", "ConfigMap", "shop", "tls"), objects) == ()
    assert used_by(ResourceKey("x.io", "ConfigMap", "shop", "settings"), objects) == ()
