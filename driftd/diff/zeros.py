"""Native fields in which an empty value means that nothing was said.

Their Go type is no pointer, so the API server cannot tell `timeoutSeconds: 0` from a field that is
not there and fills in the default (SetDefaults functions, kubernetes/pkg/apis/*/*/defaults.go).
`tests/property/test_zero_values.py` holds the list to a real API server, both ways: what is listed
is filled in, and what the server fills in is listed. Zeros of pointers are values and not listed.
"""

from __future__ import annotations

from typing import Final

from driftd.diff.defaults import short
from driftd.diff.schema import Node
from driftd.model.resource import Json

UNSET_WHEN_EMPTY: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        ("v1.Container", "imagePullPolicy"),
        ("v1.Container", "terminationMessagePath"),
        ("v1.Container", "terminationMessagePolicy"),
        ("v1.ContainerPort", "protocol"),
        ("v1.CronJobSpec", "concurrencyPolicy"),
        ("v1.CustomResourceDefinitionNames", "listKind"),
        ("v1.CustomResourceDefinitionNames", "singular"),
        ("v1.DaemonSetUpdateStrategy", "type"),
        ("v1.DeploymentStrategy", "type"),
        ("v1.EndpointPort", "protocol"),
        ("v1.FlowSchemaSpec", "matchingPrecedence"),
        ("v1.HTTPGetAction", "path"),
        ("v1.HTTPGetAction", "scheme"),
        ("v1.ISCSIPersistentVolumeSource", "iscsiInterface"),
        ("v1.ObjectFieldSelector", "apiVersion"),
        ("v1.PersistentVolumeClaim", "apiVersion"),
        ("v1.PersistentVolumeClaim", "kind"),
        ("v1.PersistentVolumeClaimStatus", "phase"),
        ("v1.PersistentVolumeSpec", "persistentVolumeReclaimPolicy"),
        ("v1.PodFailurePolicyOnPodConditionsPattern", "status"),
        ("v1.PodSpec", "dnsPolicy"),
        ("v1.PodSpec", "restartPolicy"),
        ("v1.PodSpec", "schedulerName"),
        ("v1.PodSpec", "serviceAccount"),
        ("v1.PodSpec", "serviceAccountName"),
        ("v1.Probe", "failureThreshold"),
        ("v1.Probe", "periodSeconds"),
        ("v1.Probe", "successThreshold"),
        ("v1.Probe", "timeoutSeconds"),
        ("v1.QueuingConfiguration", "handSize"),
        ("v1.QueuingConfiguration", "queueLengthLimit"),
        ("v1.QueuingConfiguration", "queues"),
        ("v1.ResourceFieldSelector", "divisor"),
        ("v1.RoleRef", "apiGroup"),
        ("v1.Secret", "type"),
        ("v1.ServicePort", "nodePort"),
        ("v1.ServicePort", "protocol"),
        ("v1.ServicePort", "targetPort"),
        ("v1.ServiceSpec", "clusterIP"),
        ("v1.ServiceSpec", "externalTrafficPolicy"),
        ("v1.ServiceSpec", "sessionAffinity"),
        ("v1.ServiceSpec", "type"),
        ("v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted"),
        ("v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled"),
        ("v1.StatefulSetSpec", "podManagementPolicy"),
        ("v1.StatefulSetUpdateStrategy", "type"),
        ("v1.Subject", "apiGroup"),
    }
)
"""Component and field."""


def says_nothing(node: Node, field: str, value: Json) -> bool:
    """Whether `value`, declared at `field` of a struct of `node`, leaves it to the server."""
    if value != "" and (value != 0 or isinstance(value, bool)):
        return False
    return node.native and (short(node.ref), field) in UNSET_WHEN_EMPTY
