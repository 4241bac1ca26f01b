"""Which kinds may hold what a deployer left behind."""

from __future__ import annotations

import pytest

from driftd.policy.deployable import CONTROLLED, NEVER_DEPLOYED, may_be_left


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("", "Service"),
        ("", "ConfigMap"),
        ("", "Secret"),
        ("", "Namespace"),
        ("", "Pod"),
        ("", "PersistentVolume"),
        ("apps", "ReplicaSet"),
        ("argoproj.io", "Application"),
        ("cert-manager.io", "Certificate"),
        ("cilium.io", "CiliumNetworkPolicy"),
        ("crd.projectcalico.org", "NetworkPolicy"),
        ("example.com", "Event"),
        ("example.com", "Node"),
        ("kyverno.io", "ClusterPolicy"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("resource.k8s.io", "DeviceClass"),
        ("storage.k8s.io", "StorageClass"),
    ],
)
def test_what_people_deploy(group: str, kind: str) -> None:
    """Kinds that repositories declare are searched, also beside kinds of their group that are not,
    and of another group whose kind has the same name.
    """
    assert may_be_left(group, kind)


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("", "Endpoints"),
        ("", "Event"),
        ("", "Node"),
        ("apps", "ControllerRevision"),
        ("authorization.k8s.io", "SelfSubjectAccessReview"),
        ("authorization.openshift.io", "Role"),
        ("cert-manager.io", "CertificateRequest"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("cilium.io", "CiliumEndpoint"),
        ("coordination.k8s.io", "Lease"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("events.k8s.io", "Event"),
        ("extensions", "Ingress"),
        ("kyverno.io", "UpdateRequest"),
        ("metrics.k8s.io", "PodMetrics"),
        ("project.openshift.io", "Project"),
        ("resource.k8s.io", "ResourceSlice"),
        ("storage.k8s.io", "CSINode"),
        ("wgpolicyk8s.io", "PolicyReport"),
    ],
)
def test_what_clusters_keep(group: str, kind: str) -> None:
    """Kinds that clusters and controllers keep, and other views of the same objects, are not."""
    assert not may_be_left(group, kind)


def test_no_rule_is_without_bounds() -> None:
    """Every rule names its groups, and none of them by a pattern."""
    for rule in NEVER_DEPLOYED:
        assert rule.api_groups
        assert not any("*" in text for text in (*rule.api_groups, *rule.kinds))


def test_selectors_only_leave_out_labelled_objects() -> None:
    """A selector of kinds with thousands of controlled objects asks for the lack of labels."""
    assert all(term.startswith("!") for terms in CONTROLLED.values() for term in terms)
    assert all(may_be_left(group, kind) for group, kind in CONTROLLED)
