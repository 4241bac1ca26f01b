"""Kinds as people write them: plurals, kubectl's short names, groups, any case."""

from __future__ import annotations

import pytest

from driftd.cluster.reader import ApiResource, Discovery
from driftd.controller.kind_names import names_kind

KINDS = {
    "deploy deployment Deployments DEPLOY deployments.apps deployment.v1.apps": "apps/Deployment",
    "svc service services SVC": "/Service",
    "cm configmaps": "/ConfigMap",
    "sts": "apps/StatefulSet",
    "ds": "apps/DaemonSet",
    "ing ingresses Ingress.networking.k8s.io": "networking.k8s.io/Ingress",
    "hpa": "autoscaling/HorizontalPodAutoscaler",
    "pvc": "/PersistentVolumeClaim",
    "sa": "/ServiceAccount",
    "ns namespaces": "/Namespace",
    "netpol networkpolicies": "networking.k8s.io/NetworkPolicy",
    "cj cronjobs": "batch/CronJob",
    "crd crds": "apiextensions.k8s.io/CustomResourceDefinition",
    "endpoints ep": "/Endpoints",
}
CASES = [(word, kind) for words, kind in KINDS.items() for word in words.split()]


@pytest.mark.parametrize(("word", "kind"), CASES)
def test_without_a_cluster(word: str, kind: str) -> None:
    """The table and the rules of plurals know what kubectl knows."""
    group, _, name = kind.rpartition("/")
    assert names_kind(word, group, name, None)


@pytest.mark.parametrize(
    ("word", "group"), [("deploy.batch", "apps"), ("dep", "apps"), ("deployment.x.apps", "apps")]
)
def test_another_kind(word: str, group: str) -> None:
    """Another group, an unknown short name and what is no version name nothing."""
    assert not names_kind(word, group, "Deployment", None)


def test_the_cluster_says() -> None:
    """Plural and short names of a served kind are the cluster's."""
    served = ApiResource("x.io", "v1", "Widget", "widgetry", True, (), ("wd",))
    discovery = Discovery.of([served])
    words = ("wd", "WD.x.io", "widgetry")
    assert not any(names_kind(one, "x.io", "Widget", None) for one in words)
    assert all(names_kind(one, "x.io", "Widget", discovery) for one in (*words, "widget"))
    assert not names_kind("widgets", "x.io", "Widget", discovery)
