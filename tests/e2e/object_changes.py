"""Changes to everything that is no workload."""

from __future__ import annotations

from tests.e2e.changes import (
    DECLARED,
    MISSING,
    REVIEW,
    UNDECLARED,
    Catalogue,
    Made,
    Subject,
    append,
    append_whole,
    entry,
    put,
    remove,
)
from tests.e2e.edits import Delete, Kubectl

CHANGES = Catalogue()
change = CHANGES.change

AGGREGATED = "rbac.authorization.k8s.io/aggregate-to-view"


@change("Service")
def port_changed(s: Subject) -> Made | None:
    """Another port; the port is the item's key."""
    index = s.rng.randrange(len(s.live["spec"]["ports"]))
    operation = {"op": "replace", "path": f"/spec/ports/{index}/port", "value": 18_080}
    place = f"/spec/ports/{index}"
    return Made(paths=(place,), change_class=DECLARED, operations=(operation,), also=(place,))


@change("Service")
def target_port_changed(s: Subject) -> Made | None:
    """Traffic to another port of the Pods."""
    if s.live["spec"].get("clusterIP") == "None":
        return None  # a headless Service's targetPort must equal its port
    return put(s, "/spec/ports/0/targetPort", 19_090)


@change("Service")
def port_added(s: Subject) -> Made | None:
    """One more port. An unnamed one forbids a second."""
    ports = s.live["spec"]["ports"]
    if not ports[0].get("name"):
        return None
    return append(s, "/spec/ports", {"name": "debug", "port": 6060, "protocol": "TCP"})


@change("Service")
def type_changed(s: Subject) -> Made | None:
    """Reachable from outside; the server allocates what that needs."""
    spec = s.live["spec"]
    if spec["type"] != "ClusterIP" or spec.get("clusterIP") == "None":
        return None
    also = tuple(f"/spec/ports/{index}/nodePort" for index in range(len(spec["ports"])))
    return put(s, "/spec/type", "NodePort", also=(*also, "/spec/externalTrafficPolicy"))


@change("Service")
def external_address_added(s: Subject) -> Made:
    """Traffic to an address of one's own."""
    path = "/spec/externalIPs"
    operation = {"op": "add", "path": path, "value": ["203.0.113.7"]}
    return Made(paths=(path,), change_class=UNDECLARED, operations=(operation,))


@change("Service")
def selector_changed(s: Subject) -> Made | None:
    """Traffic to other Pods."""
    name = s.rng.choice(sorted(s.live["spec"]["selector"]))
    escaped = name.replace("/", "~1")
    return put(s, f"/spec/selector/{escaped}", "elsewhere")


@change("Service")
def selector_narrowed(s: Subject) -> Made | None:
    """Traffic to some of the Pods."""
    return put(s, "/spec/selector/track", "canary")


@change("Service")
def affinity_changed(s: Subject) -> Made | None:
    """Clients stay with their Pod."""
    also = ("/spec/sessionAffinityConfig",)
    return put(s, "/spec/sessionAffinity", "ClientIP", also=also)


@change("Service")
def not_ready_published(s: Subject) -> Made | None:
    """Traffic to Pods that are not ready."""
    return put(s, "/spec/publishNotReadyAddresses", True)


def _key(s: Subject) -> str:
    return s.rng.choice(sorted(s.live.get("data", {})) or [""])


@change("ConfigMap")
def data_changed(s: Subject) -> Made | None:
    """Another value."""
    key = _key(s)
    return put(s, f"/data/{key}", "changed: true\n") if key else None


@change("ConfigMap")
def data_added(s: Subject) -> Made | None:
    """One more key."""
    return entry(s, "/data", "EXTRA", "1")


@change("ConfigMap")
def data_removed(s: Subject) -> Made | None:
    """A key is gone."""
    key = _key(s)
    if not key:
        return None
    return remove(s, f"/data/{key}" if len(s.live["data"]) > 1 else "/data")


@change("ConfigMap")
def data_patched_by_kubectl(s: Subject) -> Made | None:
    """`kubectl patch`."""
    key = _key(s)
    if not key:
        return None
    patch = f'{{"data": {{"{key}": "patched"}}}}'
    return Made(
        paths=(f"/data/{key}",),
        change_class=DECLARED,
        edit=Kubectl(("patch", "{}", "--type=merge", "-p", patch)),
        manager="kubectl-patch",
    )


@change("ConfigMap")
def made_immutable(s: Subject) -> Made | None:
    """Nobody can change it any more."""
    return put(s, "/immutable", True)


@change("Ingress")
def host_changed(s: Subject) -> Made | None:
    """Another host name."""
    return put(s, "/spec/rules/0/host", "elsewhere.example.com", paths=("/spec/rules",))


@change("Ingress")
def path_added(s: Subject) -> Made:
    """One more path of a host."""
    backend = {"service": {"name": "debug", "port": {"number": 8080}}}
    item = {"path": "/debug", "pathType": "Prefix", "backend": backend}
    return append_whole(s, "/spec/rules/0/http/paths", item, found="/spec/rules")


@change("Ingress")
def certificate_removed(s: Subject) -> Made | None:
    """No TLS any more."""
    return remove(s, "/spec/tls")


@change("Ingress")
def default_backend_added(s: Subject) -> Made | None:
    """Everything else goes somewhere."""
    return put(s, "/spec/defaultBackend", {"service": {"name": "catch", "port": {"number": 80}}})


@change("IngressClass", "Ingress", "Namespace", "StorageClass")
def annotation_set_by_kubectl(s: Subject) -> Made:
    """`kubectl annotate`: worth a look, no drift."""
    return Made(
        paths=("/metadata/annotations/example.com~1note",),
        change_class=REVIEW,
        edit=Kubectl(("annotate", "{}", "example.com/note=mine")),
        manager="kubectl-annotate",
    )


@change("ConfigMap", "Deployment", "PersistentVolumeClaim", "Service", "ServiceAccount")
def label_set_by_kubectl(s: Subject) -> Made:
    """`kubectl label`: worth a look, no drift."""
    return Made(
        paths=("/metadata/labels/owner",),
        change_class=REVIEW,
        edit=Kubectl(("label", "{}", "owner=alice")),
        manager="kubectl-label",
    )


@change("Role", "ClusterRole")
def rule_added(s: Subject) -> Made | None:
    """More rights. Roles with an aggregation rule are not ours to change."""
    if "aggregationRule" in s.live or AGGREGATED in s.live["metadata"].get("labels", {}):
        return None
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}
    return append_whole(s, "/rules", rule)


@change("Role", "ClusterRole")
def verbs_widened(s: Subject) -> Made | None:
    """Everything may be done with what could be read."""
    if "aggregationRule" in s.live or AGGREGATED in s.live["metadata"].get("labels", {}):
        return None
    return put(s, "/rules/0/verbs", ["*"], paths=("/rules",))


@change("RoleBinding", "ClusterRoleBinding")
def subject_added(s: Subject) -> Made:
    """Somebody else has these rights."""
    item = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}
    return append_whole(s, "/subjects", item)


@change("ServiceAccount")
def token_mounting_changed(s: Subject) -> Made | None:
    """Pods get a token, or none."""
    path = "/automountServiceAccountToken"
    return put(s, path, not s.at(path))


@change("ServiceAccount")
def cloud_identity_added(s: Subject) -> Made | None:
    """Pods become somebody in the cloud."""
    role = "arn:aws:iam::123456789012:role/admin"
    return entry(s, "/metadata/annotations", "eks.amazonaws.com/role-arn", role)


@change("NetworkPolicy")
def peer_widened(s: Subject) -> Made:
    """Everybody may connect."""
    peer = {"namespaceSelector": {}}
    return append_whole(s, "/spec/ingress/0/from", peer, found="/spec/ingress")


@change("NetworkPolicy")
def ports_opened(s: Subject) -> Made | None:
    """To every port."""
    return remove(s, "/spec/ingress/0/ports", found="/spec/ingress")


@change("PodDisruptionBudget")
def budget_changed(s: Subject) -> Made | None:
    """More Pods may be away."""
    spec = s.live["spec"]
    return put(s, f"/spec/{'minAvailable' if 'minAvailable' in spec else 'maxUnavailable'}", "42%")


@change("PodDisruptionBudget")
def eviction_policy_set(s: Subject) -> Made | None:
    """Unhealthy Pods may always be evicted."""
    return put(s, "/spec/unhealthyPodEvictionPolicy", "AlwaysAllow")


@change("HorizontalPodAutoscaler")
def maximum_raised(s: Subject) -> Made | None:
    """More replicas at most."""
    return put(s, "/spec/maxReplicas", s.live["spec"]["maxReplicas"] + 5)


@change("HorizontalPodAutoscaler")
def utilization_changed(s: Subject) -> Made | None:
    """Another goal."""
    return put(
        s, "/spec/metrics/0/resource/target/averageUtilization", 11, paths=("/spec/metrics",)
    )


@change("HorizontalPodAutoscaler")
def behavior_set(s: Subject) -> Made | None:
    """Never fewer replicas again."""
    return put(s, "/spec/behavior", {"scaleDown": {"selectPolicy": "Disabled"}})


@change("LimitRange")
def default_limit_changed(s: Subject) -> Made | None:
    """Containers without a limit get another one."""
    return put(s, "/spec/limits/0/default/cpu", "2", paths=("/spec/limits",))


@change("ResourceQuota")
def quota_changed(s: Subject) -> Made | None:
    """More Pods."""
    return put(s, "/spec/hard/pods", "500")


@change("ResourceQuota")
def quota_added(s: Subject) -> Made | None:
    """A limit that Git does not know."""
    return put(s, "/spec/hard/count~1jobs.batch", "50")


@change("PriorityClass")
def description_changed(s: Subject) -> Made | None:
    """Another description."""
    return put(s, "/description", "changed by hand")


@change("StorageClass")
def expansion_forbidden(s: Subject) -> Made | None:
    """Volumes can grow, or cannot."""
    path = "/allowVolumeExpansion"
    return put(s, path, not s.at(path))


@change("IngressClass")
def default_class_changed(s: Subject) -> Made | None:
    """No longer the default class."""
    name = "ingressclass.kubernetes.io~1is-default-class"
    return put(s, f"/metadata/annotations/{name}", "false")


@change("Namespace")
def pod_security_weakened(s: Subject) -> Made | None:
    """Privileged Pods are admitted, or warned of."""
    enforce = "/metadata/labels/pod-security.kubernetes.io~1enforce"
    if s.at(enforce) in (None, "privileged"):
        return entry(s, "/metadata/labels", "pod-security.kubernetes.io/warn", "privileged")
    return put(s, enforce, "privileged")


@change("CustomResourceDefinition")
def column_added(s: Subject) -> Made:
    """One more column in `kubectl get`."""
    column = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    path = "/spec/versions/0/additionalPrinterColumns"
    return append_whole(s, path, column, found="/spec/versions")


@change("RetentionPolicy")
def days_changed(s: Subject) -> Made | None:
    """A declared value of a custom resource."""
    return put(s, "/spec/days", 7)


@change("RetentionPolicy")
def archive_disabled(s: Subject) -> Made | None:
    """A default of a custom resource."""
    return put(s, "/spec/archive", False)


@change("RetentionPolicy")
def exception_added(s: Subject) -> Made:
    """One more item of a custom resource's list."""
    return append(s, "/spec/exceptions", {"account": "mallory", "days": 1})


@change("ValidatingWebhookConfiguration")
def webhook_made_optional(s: Subject) -> Made | None:
    """Admission goes on without the webhook."""
    return put(s, "/webhooks/0/failurePolicy", "Ignore")


@change("ValidatingWebhookConfiguration")
def webhook_narrowed(s: Subject) -> Made | None:
    """Some namespaces are no longer checked."""
    path = "/webhooks/0/namespaceSelector"
    selector = {"matchLabels": {"checked": "yes"}}
    return put(s, path, selector, paths=(f"{path}/matchLabels/checked",))


@change("Service")
def node_port_changed(s: Subject) -> Made | None:
    """Another allocated port."""
    path = "/spec/ports/0/nodePort"
    return put(s, path, 31_999) if s.at(path) is not None else None


@change("Service")
def internal_traffic_kept_local(s: Subject) -> Made | None:
    """Clients reach the Pods of their node alone."""
    return put(s, "/spec/internalTrafficPolicy", "Local")


@change("Service")
def families_changed(s: Subject) -> Made | None:
    """A default that the server takes from the cluster."""
    return put(s, "/spec/ipFamilyPolicy", "PreferDualStack")


@change("Service")
def source_ranges_set(s: Subject) -> Made | None:
    """Who may connect from outside."""
    if s.live["spec"]["type"] != "LoadBalancer":
        return None
    return put(s, "/spec/loadBalancerSourceRanges", ["0.0.0.0/0"])


@change("ConfigMap")
def binary_data_added(s: Subject) -> Made | None:
    """One more key that is no text."""
    return entry(s, "/binaryData", "blob", "AAEC")


@change("Ingress")
def class_changed(s: Subject) -> Made | None:
    """Another controller."""
    return put(s, "/spec/ingressClassName", "internal")


@change("NetworkPolicy")
def egress_closed(s: Subject) -> Made | None:
    """A direction that Git leaves open."""
    return put(s, "/spec/policyTypes", ["Ingress", "Egress"])


@change("HorizontalPodAutoscaler")
def minimum_raised(s: Subject) -> Made | None:
    """More replicas at least: the controller follows on the target."""
    return put(s, "/spec/minReplicas", s.live["spec"]["minReplicas"] + 1)


@change("CustomResourceDefinition")
def short_name_added(s: Subject) -> Made:
    """Another abbreviation."""
    return append_whole(s, "/spec/names/shortNames", "xyz")


@change("RetentionPolicy")
def exception_default_changed(s: Subject) -> Made | None:
    """A default inside an item of a custom resource's list."""
    items = enumerate(s.desired["spec"]["exceptions"])
    index = next((i for i, item in items if "days" not in item), None)
    return None if index is None else put(s, f"/spec/exceptions/{index}/days", 5)


@change("RetentionPolicy")
def exception_removed(s: Subject) -> Made | None:
    """An item of a custom resource's list is gone."""
    return remove(s, "/spec/exceptions/0")


@change("ValidatingWebhookConfiguration")
def webhook_sent_elsewhere(s: Subject) -> Made | None:
    """Objects are sent to another port."""
    return put(s, "/webhooks/0/clientConfig/service/port", 8443)


@change("ValidatingWebhookConfiguration")
def webhook_operations_changed(s: Subject) -> Made | None:
    """Updates are not checked."""
    path = "/webhooks/0/rules"
    return put(s, f"{path}/0/operations", ["CREATE"], paths=(path,))


@change("Role", "ClusterRole", "ConfigMap")
def finalizer_added(s: Subject) -> Made:
    """Worth a look, no drift."""
    path = "/metadata/finalizers"
    place = f"{path}/{len(s.at(path) or ())}"
    return append(s, path, "example.com/mine", paths=(place,), change_class=REVIEW)


@change(
    "ConfigMap", "CronJob", "DaemonSet", "Deployment", "Ingress", "IngressClass", "LimitRange",
    "NetworkPolicy", "PodDisruptionBudget", "PriorityClass", "ResourceQuota", "Role",
    "RoleBinding", "Service", "ServiceAccount", "StatefulSet", "StorageClass",
    "ValidatingWebhookConfiguration",
)  # fmt: skip
def object_deleted(_: Subject) -> Made:
    """The object is gone."""
    return Made(paths=(), change_class=MISSING, edit=Delete(), traced=False)
