"""Which kinds can hold objects that a deployer left behind: all but those in a table. Pure.

The table has what Argo CD leaves out by default, what a cluster keeps for itself, and what only
shows other objects once more. Objects of these kinds are still compared where Git declares them.
"""

from __future__ import annotations

from typing import Final

from driftd.policy.customizations import ResourceFilter

NEVER_DEPLOYED: Final = (
    # Views of other objects: the same object must not be told twice, under another name.
    ResourceFilter(
        api_groups=(
            "authorization.openshift.io",
            "extensions",
            "packages.operators.coreos.com",
            "project.openshift.io",
        )
    ),
    # What happened, what is measured, and questions to the API server.
    ResourceFilter(
        api_groups=(
            "authentication.k8s.io",
            "authorization.k8s.io",
            "custom.metrics.k8s.io",
            "events.k8s.io",
            "external.metrics.k8s.io",
            "internal.apiserver.k8s.io",
            "metrics.k8s.io",
            "reports.kyverno.io",
            "wgpolicyk8s.io",
        )
    ),
    # What the control plane and kubelets keep for themselves.
    ResourceFilter(api_groups=("",), kinds=("ComponentStatus", "Endpoints", "Event", "Node")),
    ResourceFilter(api_groups=("apps",), kinds=("ControllerRevision",)),
    ResourceFilter(api_groups=("certificates.k8s.io",), kinds=("CertificateSigningRequest",)),
    ResourceFilter(api_groups=("coordination.k8s.io",), kinds=("Lease", "LeaseCandidate")),
    ResourceFilter(api_groups=("discovery.k8s.io",), kinds=("EndpointSlice",)),
    ResourceFilter(api_groups=("resource.k8s.io",), kinds=("ResourceSlice",)),
    ResourceFilter(
        api_groups=("storage.k8s.io",),
        kinds=("CSINode", "CSIStorageCapacity", "VolumeAttachment"),
    ),
    # What controllers of others keep for themselves.
    ResourceFilter(api_groups=("acme.cert-manager.io",), kinds=("Challenge", "Order")),
    ResourceFilter(api_groups=("cert-manager.io",), kinds=("CertificateRequest",)),
    ResourceFilter(
        api_groups=("cilium.io",),
        kinds=("CiliumEndpoint", "CiliumEndpointSlice", "CiliumIdentity", "CiliumNode"),
    ),
    ResourceFilter(
        api_groups=("crd.projectcalico.org",),
        kinds=("BlockAffinity", "IPAMBlock", "IPAMHandle"),
    ),
    ResourceFilter(
        api_groups=("kyverno.io",),
        kinds=(
            "AdmissionReport",
            "BackgroundScanReport",
            "ClusterAdmissionReport",
            "ClusterBackgroundScanReport",
            "ClusterEphemeralReport",
            "EphemeralReport",
            "UpdateRequest",
        ),
    ),
)
"""Kinds, or whole groups, that no deployer applies from Git, so that none is left behind."""

CONTROLLED: Final = {
    ("", "Pod"): (
        "!batch.kubernetes.io/job-name",
        "!controller-revision-hash",
        "!job-name",
        "!pod-template-hash",
        "!rollouts-pod-template-hash",
    ),
    ("apps", "ReplicaSet"): ("!pod-template-hash", "!rollouts-pod-template-hash"),
}
"""By group and kind, label selectors of the objects that no controller has made.

There are thousands of the others, and all of them have an owner.
"""


def may_be_left(group: str, kind: str) -> bool:
    """Whether a deployer may have left objects of a kind behind."""
    return not any(one.matches(group, kind, "") for one in NEVER_DEPLOYED)
