"""Critical places, and places that are worth a look alone."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.model.places import holds_critical, is_critical, is_review, whole_object_reason

POD = "spec.template.spec"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", f"{POD}.hostNetwork"),
        ("CronJob", f"spec.jobTemplate.{POD}.hostPID"),
        ("Pod", "spec.serviceAccountName"),
        ("Deployment", f"{POD}.containers"),
        ("Deployment", f"{POD}.containers.*"),
        ("Deployment", f"{POD}.initContainers.*.image"),
        ("Deployment", f"{POD}.containers.*.command"),
        ("Deployment", f"{POD}.containers.*.securityContext"),
        ("Deployment", f"{POD}.containers.*.securityContext.privileged"),
        ("Deployment", f"{POD}.containers.*.securityContext.capabilities.add"),
        ("Deployment", f"{POD}.securityContext.runAsUser"),
        ("Deployment", f"{POD}.volumes"),
        ("Deployment", f"{POD}.volumes.*"),
        ("Deployment", f"{POD}.volumes.*.hostPath.path"),
        ("Role", "rules"),
        ("ClusterRole", "aggregationRule"),
        ("RoleBinding", "subjects.*"),
        ("ValidatingWebhookConfiguration", "webhooks.*.failurePolicy"),
        ("APIService", "spec.service.name"),
        ("Service", "spec.externalIPs"),
        ("Service", "spec.type"),
        ("Namespace", "metadata.labels.pod-security.kubernetes.io/enforce"),
        ("ServiceAccount", "metadata.annotations.eks.amazonaws.com/role-arn"),
        ("Ingress", "metadata.annotations.nginx.ingress.kubernetes.io/server-snippet"),
        ("Ingress", "metadata.annotations.nginx.ingress.kubernetes.io/whitelist-source-range"),
        ("Service", "metadata.annotations.networking.gke.io/load-balancer-type"),
    ],
)
def test_critical_places(kind: str, path: str) -> None:
    """Places that can hand somebody power or traffic."""
    assert is_critical(kind, split(path))


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", ""),
        ("Deployment", "spec.replicas"),
        ("Deployment", f"{POD}.containers.*.env.*.value"),
        ("Deployment", f"{POD}.containers.*.resources"),
        ("Deployment", f"{POD}.volumes.*.configMap.defaultMode"),
        ("Deployment", f"{POD}.securityContext.fsGroupChangePolicy"),
        ("ConfigMap", "rules"),
        ("Service", "spec"),
        ("Service", "spec.ports.*.port"),
        ("Namespace", "metadata.labels.team"),
        ("Namespace", "metadata.labels"),
        ("ServiceAccount", "metadata.annotations.note"),
        ("Ingress", "metadata.annotations.nginx.ingress.kubernetes.io/proxy-body-size"),
        ("ConfigMap", "metadata.annotations.nginx.ingress.kubernetes.io/server-snippet"),
        ("ServiceAccount", "metadata.labels.eks.amazonaws.com/role-arn"),
    ],
)
def test_other_places(kind: str, path: str) -> None:
    """Places whose change gives nothing away by itself."""
    assert not is_critical(kind, split(path))


def split(path: str) -> tuple[str, ...]:
    """The names of a path; everything after labels or annotations is one name."""
    if path.startswith(("metadata.labels.", "metadata.annotations.")):
        head, middle, rest = path.split(".", 2)
        return head, middle, rest
    return tuple(path.split(".")) if path else ()


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (POD, {"hostNetwork": True}, True),
        ("spec.template", {"spec": {"containers": [{"image": "x"}]}}, True),
        ("spec", {"replicas": 2, "strategy": {"type": "Recreate"}}, False),
        (f"{POD}.containers.*.env", [{"name": "a", "value": "b"}], False),
        (f"{POD}.dnsPolicy", "Default", False),
        ("spec.template", [], False),
    ],
)
def test_values_that_bring_a_critical_place(path: str, value: Any, expected: bool) -> None:
    """An added struct or list is as critical as what is inside."""
    assert holds_critical("Deployment", tuple(path.split(".")), value) is expected


def test_places_for_review() -> None:
    """Metadata of the object itself, and restart stamps."""
    stamp = "kubectl.kubernetes.io/restartedAt"
    assert is_review(("metadata", "labels", "a"))
    assert is_review(("metadata", "annotations", "driftd.io/other"))
    assert not is_review(("metadata", "annotations", "driftd.io/heal"))
    assert is_review(("spec", "template", "metadata", "annotations", stamp))
    assert not is_review(("spec", "template", "metadata", "annotations", "other"))
    assert not is_review(("spec", "replicas"))


EXTRA = [
    ("", "Pod"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("", "ServiceAccount"),
    ("", "Secret"),
    ("", "Namespace"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
]
BOTH = [
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("cilium.io", "CiliumNetworkPolicy"),
    ("kyverno.io", "ClusterPolicy"),
]


@pytest.mark.parametrize(("group", "kind"), [*EXTRA, *BOTH])
def test_extra_objects_that_nobody_accepts(group: str, kind: str) -> None:
    """What runs, gives rights or identities or takes part in requests is always told."""
    assert whole_object_reason("Extra", group, kind)


@pytest.mark.parametrize(("group", "kind"), BOTH)
def test_missing_safeguards(group: str, kind: str) -> None:
    """A safeguard or a right that is not there is always told."""
    assert whole_object_reason("Missing", group, kind)


@pytest.mark.parametrize(
    ("status", "group", "kind"),
    [
        *(("Missing", *one) for one in EXTRA),
        ("Extra", "", "ConfigMap"),
        ("Extra", "example.com", "Deployment"),
        ("Extra", "autoscaling", "HorizontalPodAutoscaler"),
    ],
)
def test_whole_objects_that_may_be_accepted(status: str, group: str, kind: str) -> None:
    """Other objects may be Missing or Extra for a while."""
    assert whole_object_reason(status, group, kind) == ""
