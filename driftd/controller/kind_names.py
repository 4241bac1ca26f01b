"""The names that people have for a kind: plurals and kubectl's short names. Pure."""

from __future__ import annotations

from driftd.cluster.reader import Discovery

_SHORT = {
    ("", "ConfigMap"): ("cm",),
    ("", "Endpoints"): ("ep",),
    ("", "Event"): ("ev",),
    ("", "LimitRange"): ("limits",),
    ("", "Namespace"): ("ns",),
    ("", "Node"): ("no",),
    ("", "PersistentVolume"): ("pv",),
    ("", "PersistentVolumeClaim"): ("pvc",),
    ("", "Pod"): ("po",),
    ("", "ReplicationController"): ("rc",),
    ("", "ResourceQuota"): ("quota",),
    ("", "Service"): ("svc",),
    ("", "ServiceAccount"): ("sa",),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("crd", "crds"),
    ("apps", "DaemonSet"): ("ds",),
    ("apps", "Deployment"): ("deploy",),
    ("apps", "ReplicaSet"): ("rs",),
    ("apps", "StatefulSet"): ("sts",),
    ("argoproj.io", "AppProject"): ("appproj", "appprojs"),
    ("argoproj.io", "Application"): ("app", "apps"),
    ("argoproj.io", "ApplicationSet"): ("appset", "appsets"),
    ("autoscaling", "HorizontalPodAutoscaler"): ("hpa",),
    ("batch", "CronJob"): ("cj",),
    ("certificates.k8s.io", "CertificateSigningRequest"): ("csr",),
    ("cert-manager.io", "Certificate"): ("cert", "certs"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"): ("ks",),
    ("helm.toolkit.fluxcd.io", "HelmRelease"): ("hr",),
    ("networking.k8s.io", "Ingress"): ("ing",),
    ("networking.k8s.io", "NetworkPolicy"): ("netpol",),
    ("policy", "PodDisruptionBudget"): ("pdb",),
    ("scheduling.k8s.io", "PriorityClass"): ("pc",),
    ("storage.k8s.io", "StorageClass"): ("sc",),
}
"""Short names where the cluster cannot be asked, or does not serve the kind."""


def names_kind(text: str, group: str, kind: str, discovery: Discovery | None) -> bool:
    """Whether `text` (`KIND`, `KIND.GROUP` or `KIND.VERSION.GROUP`) names a kind.

    The kind may be its plural or a short name, in any case, as with kubectl.
    """
    wanted, _, place = text.lower().partition(".")
    served = discovery.preferred(group, kind) if discovery is not None else None
    if place and place != group.lower():
        version, _, rest = place.partition(".")
        if rest != group.lower() or not _is_version(version):
            return False
    short = _SHORT.get((group, kind), ())
    if served is not None:
        return wanted in {kind.lower(), served.plural, *(served.short_names or short)}
    return wanted in {kind.lower(), _plural(kind.lower()), *short}


def _is_version(text: str) -> bool:
    return text.startswith("v") and text[1:2].isdigit()


def _plural(kind: str) -> str:
    """The plural as the API's own kinds and code generators make it."""
    if kind.endswith(("s", "x", "ch", "sh")):
        return kind if kind == "endpoints" else f"{kind}es"
    if kind.endswith("y") and kind[-2:-1] not in "aeiou":
        return f"{kind[:-1]}ies"
    return f"{kind}s"
