"""What is created in each cluster of the test bed, and how it is asked for."""

from __future__ import annotations

from tests.testbed.client import Json

COLLECTIONS = {
    "Node": ("/api/v1", "nodes"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
}
"""Where objects of a kind are created: the path of the group's version, and the plural."""


def user_group(name: str) -> dict[str, str]:
    """A group of users as the subject of a binding."""
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}


def volume(name: str) -> Json:
    """A volume that a claim can be bound to."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "capacity": {"storage": "1Ti"},
            "storageClassName": "standard",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": f"/volumes/{name}"},
        },
    }


def schedulable(node: Json) -> bool:
    """Whether a node takes Pods."""
    conditions = {c["type"]: c["status"] for c in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")
