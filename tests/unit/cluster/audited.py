"""Audit events for tests, as API servers write them and as clouds wrap them.

The wrappings have the fields that their owners document: AuditLog and LogEntry of Google Cloud
Logging (GKE), FilterLogEvents and subscription filters of Amazon CloudWatch Logs (EKS), resource
logs of Azure Monitor (AKS).
"""

from __future__ import annotations

import json
from typing import Any

AGENT = "kubectl/v1.36.0 (linux/amd64) kubernetes/0123456"
URI = "/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=kubectl-edit"


def event(**fields: Any) -> dict[str, Any]:
    """A patch of the Deployment shop/web by alice that was carried out, unless `fields` differ."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "8f2d4c1e-0000-4000-8000-000000000001",
        "stage": "ResponseComplete",
        "requestURI": URI,
        "verb": "patch",
        "user": {"username": "alice@example.com", "groups": ["dev", "system:authenticated"]},
        "sourceIPs": ["192.0.2.7"],
        "userAgent": AGENT,
        "objectRef": {
            "resource": "deployments",
            "namespace": "shop",
            "name": "web",
            "apiGroup": "apps",
            "apiVersion": "v1",
        },
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-03-01T12:00:00.250000Z",
        "stageTimestamp": "2026-03-01T12:00:00.750000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    } | fields


def text(value: Any) -> str:
    """Compact JSON, as logs have it."""
    return json.dumps(value, separators=(",", ":"))


def gke(**payload: Any) -> dict[str, Any]:
    """A log entry of GKE."""
    return {
        "insertId": "a1b2c3",
        "logName": "projects/example/logs/cloudaudit.googleapis.com%2Factivity",
        "operation": {"first": True, "id": "op-1", "last": True, "producer": "k8s.io"},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": "alice@example.com"},
            "authorizationInfo": [
                {"granted": True, "permission": "io.k8s.apps.v1.deployments.patch"}
            ],
            "methodName": "io.k8s.apps.v1.deployments.patch",
            "requestMetadata": {"callerIp": "192.0.2.7", "callerSuppliedUserAgent": AGENT},
            "resourceName": "apps/v1/namespaces/shop/deployments/web",
            "serviceName": "k8s.io",
            "status": {"code": 0},
        }
        | payload,
        "receiveTimestamp": "2026-03-01T12:00:02.123456789Z",
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "production"}},
        "timestamp": "2026-03-01T12:00:00.500000Z",
    }


def cloudwatch(*messages: str) -> dict[str, Any]:
    """What FilterLogEvents and GetLogEvents of CloudWatch answer."""
    stream = "kube-apiserver-audit-0a1b2c"
    events = [
        {"logStreamName": stream, "timestamp": 1, "message": one, "ingestionTime": 2}
        for one in messages
    ]
    return {"events": events, "searchedLogStreams": [{"logStreamName": stream}]}


def subscription(*messages: str) -> dict[str, Any]:
    """What a subscription filter of CloudWatch delivers."""
    return {
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "/aws/eks/production/cluster",
        "logStream": "kube-apiserver-audit-0a1b2c",
        "subscriptionFilters": ["all"],
        "logEvents": [{"id": "1", "timestamp": 1, "message": one} for one in messages],
    }


def azure(log: str, category: str = "kube-audit") -> dict[str, Any]:
    """A resource log record of AKS."""
    return {
        "time": "2026-03-01T12:00:00.7500000Z",
        "category": category,
        "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "resourceId": "/SUBSCRIPTIONS/0/RESOURCEGROUPS/R/PROVIDERS/X/MANAGEDCLUSTERS/PRODUCTION",
        "properties": {"log": f"{log}\n", "stream": "stdout", "pod": "kube-apiserver-0"},
    }
