"""Kinds without namespaces, for renderings that no cluster's discovery goes with."""

from __future__ import annotations

from typing import Final

_ANY: Final = frozenset({"constraints.gatekeeper.sh"})
"""Groups all kinds of which are cluster-scoped."""
_KINDS: Final[dict[str, frozenset[str]]] = {
    group: frozenset(kinds.split())
    for group, kinds in {
        # Kubernetes.
        "": "ComponentStatus Namespace Node PersistentVolume",
        "admissionregistration.k8s.io":
            "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration "
            "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding "
            "ValidatingWebhookConfiguration",
        "apiextensions.k8s.io": "CustomResourceDefinition",
        "apiregistration.k8s.io": "APIService",
        "authentication.k8s.io": "SelfSubjectReview TokenReview",
        "authorization.k8s.io":
            "SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
        "certificates.k8s.io": "CertificateSigningRequest ClusterTrustBundle",
        "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
        "internal.apiserver.k8s.io": "StorageVersion",
        "networking.k8s.io": "ClusterCIDR IPAddress IngressClass ServiceCIDR",
        "node.k8s.io": "RuntimeClass",
        "policy": "PodSecurityPolicy",
        "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding",
        "resource.k8s.io": "DeviceClass DeviceTaintRule ResourceSlice",
        "scheduling.k8s.io": "PriorityClass",
        "storage.k8s.io":
            "CSIDriver CSINode StorageClass VolumeAttachment VolumeAttributesClass",
        "storagemigration.k8s.io": "StorageVersionMigration",
        # Definitions that are installed apart from what uses them.
        "argoproj.io": "ClusterAnalysisTemplate ClusterWorkflowTemplate",
        "cert-manager.io": "ClusterIssuer",
        "cilium.io": "CiliumClusterwideEnvoyConfig CiliumClusterwideNetworkPolicy",
        "external-secrets.io": "ClusterExternalSecret ClusterPushSecret ClusterSecretStore",
        "gateway.networking.k8s.io": "GatewayClass",
        "karpenter.k8s.aws": "EC2NodeClass",
        "karpenter.sh": "NodeClaim NodePool",
        "keda.sh": "ClusterTriggerAuthentication",
        "kyverno.io": "ClusterCleanupPolicy ClusterPolicy",
        "policy.networking.k8s.io": "AdminNetworkPolicy BaselineAdminNetworkPolicy",
        "snapshot.storage.k8s.io": "VolumeSnapshotClass VolumeSnapshotContent",
        "templates.gatekeeper.sh": "ConstraintTemplate",
        "trust.cert-manager.io": "Bundle",
    }.items()
}  # fmt: skip


def known_scope(group: str, kind: str) -> bool | None:
    """False of a kind that is known to be cluster-scoped on every cluster; else None."""
    return False if group in _ANY or kind in _KINDS.get(group, ()) else None
