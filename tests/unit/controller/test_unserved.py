"""Why a kind is not served, and what was probably meant."""

from __future__ import annotations

import pytest

from driftd.cluster.reader import ApiResource, Discovery
from driftd.controller.unserved import unserved
from driftd.model.resource import GVK

SERVED = """\
v1 ConfigMap configmaps
v1 Service services
apps/v1 DaemonSet daemonsets
apps/v1 Deployment deployments
batch/v1 CronJob cronjobs
networking.k8s.io/v1 Ingress ingresses
policy/v1 PodDisruptionBudget poddisruptionbudgets
rbac.authorization.k8s.io/v1 Role roles
rbac.authorization.k8s.io/v1 RoleBinding rolebindings
monitoring.coreos.com/v1 PrometheusRule prometheusrules
"""


def resource(line: str) -> ApiResource:
    """A listable kind, from `apiVersion Kind plural`."""
    api_version, kind, plural = line.split()
    gvk = GVK.parse(api_version, kind)
    return ApiResource(gvk.group, gvk.version, kind, plural, True, ("list",))


CLUSTER = Discovery.of([resource(line) for line in SERVED.splitlines()])


@pytest.mark.parametrize(
    ("declared", "remedy", "field"),
    [
        ("apps/v1 Deploymnet", "did you mean Deployment (apps/v1)? Correct kind in Git", "kind"),
        ("apps/v1 deployments", "did you mean Deployment (apps/v1)? Correct kind", "kind"),
        ("batch/v1 Cronjob", "did you mean CronJob (batch/v1)? Correct kind in Git", "kind"),
        ("v1 Deploymnet", "did you mean Deployment (apps/v1)? Correct apiVersion and", "kind"),
        ("apps/v2 Deploymnet", "did you mean Deployment (apps/v1)? Correct apiVersion", "kind"),
        ("monitoring.coreos.com/v1 PrometheusRules", "did you mean PrometheusRule (", "kind"),
        (
            "policy/v1beta1 PodDisruptionBudget",
            "it serves policy/v1: change apiVersion in Git",
            "apiVersion",
        ),
        (
            "extensions/v1beta1 Ingress",
            "it serves Ingress as networking.k8s.io/v1: change apiVersion in Git",
            "apiVersion",
        ),
        ("networking.k8s.oi/v1 Ingress", "it serves Ingress as networking.k8s.io/v1", "apiVersion"),
        ("apps/v1 Foo", "apps/v1 has DaemonSet, Deployment: correct kind or", "kind"),
        ("foo/v1 Bar", "correct apiVersion and kind in Git", "apiVersion"),
    ],
)
def test_slips(declared: str, remedy: str, field: str) -> None:
    """What can only be a slip in Git: the near kind or the right apiVersion is named."""
    found = unserved(GVK.parse(*declared.split()), CLUSTER)
    assert found is not None
    assert found.what == f"the cluster does not serve {declared}"
    assert found.remedy.startswith(remedy)
    assert (found.field, found.is_slip) == (field, True)


@pytest.mark.parametrize(
    ("declared", "remedy"),
    [
        ("monitoring.coreos.com/v1 ServiceMonitor", "or correct apiVersion and kind in Git"),
        ("serving.knative.dev/v1 Service", "or, if Service (v1) is meant, correct apiVersion"),
        ("rbac.example.com/v1 ClusterRole", "or correct apiVersion and kind in Git"),
    ],
)
def test_definitions_that_are_not_installed(declared: str, remedy: str) -> None:
    """A custom kind may be right: its definition is not installed, and nothing is taken for it."""
    found = unserved(GVK.parse(*declared.split()), CLUSTER)
    assert found is not None
    assert "its CustomResourceDefinition is not installed: install what brings it" in found.remedy
    assert remedy in found.remedy
    assert (found.meant, found.is_slip) == ((), False)


def test_a_served_kind() -> None:
    """A kind that is served lacks nothing."""
    assert unserved(GVK("apps", "v1", "Deployment"), CLUSTER) is None


def test_applications_name_the_cluster_of_argo_cd() -> None:
    """A right kind of Argo CD that is not served speaks for another cluster."""
    found = unserved(GVK("argoproj.io", "v1alpha1", "Application"), CLUSTER)
    assert found is not None
    assert found.remedy.startswith("is this the cluster that Argo CD runs in?")
    rollout = unserved(GVK("argoproj.io", "v1alpha1", "Rollout"), CLUSTER)
    assert rollout is not None
    assert "is not installed" in rollout.remedy
