"""A cluster in memory that keeps the contract of ClusterReader and ClusterWriter.

`tests/contract/test_memory_cluster.py` holds it to what a real API server does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Collection
from typing import Any

from driftd.cluster.reader import (
    ApiResource,
    Discovery,
    Listing,
    Note,
    Noted,
    ObjectMeta,
    OpenApiDocument,
    Scan,
    Select,
)
from driftd.errors import ClusterError, NotServed
from driftd.model.resource import GVK, LiveObject, ResourceKey
from tests.testbed.jsonpatch import patched

READ = ("get", "list", "watch")
CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", True, READ)
SECRETS = ApiResource("", "v1", "Secret", "secrets", True, READ)
SERVICES = ApiResource("", "v1", "Service", "services", True, READ)
NAMESPACES = ApiResource("", "v1", "Namespace", "namespaces", False, READ)
BUDGETS = ApiResource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", True, READ)
DEPLOYMENTS = ApiResource("apps", "v1", "Deployment", "deployments", True, READ)
AUTOSCALERS = ApiResource(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", True, READ
)
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def _schema(resource: ApiResource, **properties: Any) -> dict[str, Any]:
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    metadata = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "labels": STRINGS, "annotations": STRINGS},
    }
    return {
        "type": "object",
        "properties": {"metadata": metadata, **properties},
        "x-kubernetes-group-version-kind": [gvk],
    }


SCHEMAS = {
    "v1": {
        "ConfigMap": _schema(CONFIG_MAPS, data=STRINGS),
        "Secret": _schema(SECRETS, data=STRINGS),
        "Namespace": _schema(NAMESPACES),
        "Service": _schema(SERVICES, spec={"x-kubernetes-preserve-unknown-fields": True}),
    },
    "policy/v1": {
        "PodDisruptionBudget": _schema(
            BUDGETS, spec={"type": "object", "properties": {"minAvailable": {"type": "integer"}}}
        )
    },
}


class MemoryCluster:
    """Objects, and what goes wrong when somebody asks for them."""

    def __init__(self) -> None:
        self.resources = [CONFIG_MAPS, SECRETS, NAMESPACES, BUDGETS, DEPLOYMENTS, AUTOSCALERS]
        self.failed_groups: dict[str, str] = {}
        self.down: ClusterError | None = None
        """What every call raises while it is set."""
        self.refused: dict[tuple[str, str], ClusterError] = {}
        """By kind and namespace (empty for all): what listing them runs into."""
        self.denied: dict[str, ClusterError] = {}
        """By kind: what listing it in the whole cluster runs into, though not in a namespace."""
        self.hanging: set[str] = set()
        """Kinds whose scan never ends."""
        self.ungettable: ClusterError | None = None
        """What getting a single object runs into."""
        self.without_schema: set[str] = set()
        """Group versions whose schema cannot be read."""
        self.garbled: set[str] = set()
        """Group versions whose schema document is none."""
        self.asked: Counter[str] = Counter()
        """How often each method was called; `openapi body` counts documents."""
        self._objects: dict[tuple[GVK, str, str], LiveObject] = {}
        self.time = "2026-03-01T11:00:00Z"
        """When managers write."""
        self.release = "v1.36.3"
        """The server's version."""
        self.versionless: ClusterError | None = None
        """What asking for it runs into."""
        self._version = 0

    def put(
        self, body: dict[str, Any], *, manager: str = "kubectl", operation: str = "Apply"
    ) -> LiveObject:
        """Store an object as a manager leaves it; every leaf of data belongs to that manager."""
        self._version += 1
        gvk = GVK.parse(body["apiVersion"], body["kind"])
        live = self.made(body, manager=manager, operation=operation)
        self._objects[gvk, live.key.namespace, live.key.name] = live
        return live

    def made(
        self, body: dict[str, Any], *, manager: str = "kubectl", operation: str = "Apply"
    ) -> LiveObject:
        """What `put` would store."""
        gvk = GVK.parse(body["apiVersion"], body["kind"])
        metadata = dict(body["metadata"])
        place = (gvk, metadata.get("namespace", ""), metadata["name"])
        before = self._objects.get(place)
        metadata.setdefault("uid", before.uid if before else f"uid-{self._version}")
        metadata["resourceVersion"] = str(self._version)
        metadata.setdefault("managedFields", [_entry(body, manager, operation, self.time)])
        document = json.dumps({**body, "metadata": metadata}).encode()
        key = ResourceKey(gvk.group, gvk.kind, place[1], place[2])
        return LiveObject(key, gvk.version, metadata["uid"], str(self._version), document)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Remove an object."""
        self._objects = {
            place: live
            for place, live in self._objects.items()
            if (live.key.kind, live.key.namespace, live.key.name) != (kind, namespace, name)
        }

    def read(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """An object as it is now."""
        (live,) = [
            live
            for live in self._objects.values()
            if (live.key.kind, live.key.namespace, live.key.name) == (kind, namespace, name)
        ]
        found: dict[str, Any] = json.loads(live.body)
        return found

    # ClusterReader

    async def discover(self) -> Discovery:
        """See `ClusterReader`."""
        self._answer("discover")
        failed = {GVK.parse(version, "").group for version in self.failed_groups}
        answering = [one for one in self.resources if one.group not in failed]
        return Discovery.of(answering, self.failed_groups)

    async def list(
        self,
        resource: ApiResource,
        namespaces: Collection[str] | None = None,
        select: Select | None = None,
        *,
        label_selector: str = "",
    ) -> Listing:
        """See `ClusterReader`; label selectors are not supported."""
        assert not label_selector
        self.asked["list"] += 1
        error = self.down or self.refused.get((resource.kind, ""))
        if error is None and resource not in self.resources:
            error = NotServed(f"cannot list {resource.plural}: not served")
        if error is not None:
            return Listing((), {"": error}, complete=False)
        places = frozenset(namespaces) if namespaces and resource.namespaced else None
        errors = {
            namespace: error
            for (kind, namespace), error in self.refused.items()
            if kind == resource.kind and (places is None or namespace in places)
        }
        found = tuple(
            live
            for (gvk, namespace, _), live in sorted(self._objects.items())
            if gvk == resource.gvk
            and (places is None or namespace in places)
            and namespace not in errors
            and (select is None or select(_meta(live)))
        )
        return Listing(found, errors, complete=not errors, namespaces=places)

    async def scan(
        self,
        resource: ApiResource,
        note: Note[Noted],
        *,
        namespace: str = "",
        label_selector: str = "",
    ) -> Scan[Noted]:
        """See `ClusterReader`; selectors say that a label is there, or with `!` that it is not."""
        self.asked["scan"] += 1
        error = (
            self.down
            or self.refused.get((resource.kind, ""))
            or self.refused.get((resource.kind, namespace))
            or (None if namespace else self.denied.get(resource.kind))
        )
        if resource.kind in self.hanging:
            await asyncio.Event().wait()
        if error is None and resource not in self.resources:
            error = NotServed(f"cannot list {resource.plural}: not served")
        if error is not None:
            return Scan((), error)
        terms = [term for term in label_selector.split(",") if term]
        kept = []
        for (gvk, place, _), live in sorted(self._objects.items()):
            meta = _meta(live)
            if gvk != resource.gvk or namespace not in ("", place):
                continue
            if all((term.lstrip("!") in meta.labels) != term.startswith("!") for term in terms):
                found = note(resource, meta)
                if found is not None:
                    kept.append(found)
        return Scan(tuple(kept))

    async def get(self, resource: ApiResource, namespace: str, name: str) -> LiveObject | None:
        """See `ClusterReader`."""
        self._answer("get")
        if self.ungettable is not None:
            raise self.ungettable
        if resource not in self.resources:
            raise NotServed(f"cannot get {resource.plural}: not served")
        return self._objects.get((resource.gvk, namespace, name))

    async def openapi(self, group_version: str, *, known_hash: str = "") -> OpenApiDocument:
        """See `ClusterReader`."""
        self._answer("openapi")
        if group_version not in SCHEMAS or group_version in self.without_schema:
            raise NotServed(f"cannot read the schema of {group_version}: it publishes none")
        body = json.dumps({"components": {"schemas": SCHEMAS[group_version]}}).encode()
        if group_version in self.garbled:
            body = body[:-1]
        digest = hashlib.sha256(body).hexdigest()
        if digest == known_hash:
            return OpenApiDocument(group_version, digest, None)
        self.asked["openapi body"] += 1
        return OpenApiDocument(group_version, digest, body)

    async def version(self) -> str:
        """See `ClusterReader`."""
        self._answer("version")
        if self.versionless is not None:
            raise self.versionless
        return self.release

    def _answer(self, call: str) -> None:
        self.asked[call] += 1
        if self.down is not None:
            raise self.down


class MemoryWriter:
    """ClusterWriter of a MemoryCluster; keeps what it was told to do."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster
        self.applied: list[tuple[str, bool]] = []
        """Name and whether it was a dry run, in order."""
        self.patched: list[tuple[str, bool]] = []
        """The same of JSON patches."""
        self.fights = False
        """Whether somebody changes each applied ConfigMap at once."""
        self.reports: list[bool] = []
        """For each call that is to come, whether a controller writes the status just before it."""

    async def apply(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        *,
        field_manager: str,
        force: bool,
        dry_run: bool,
        quoted: Collection[bytes] = (),
    ) -> LiveObject:
        """See `ClusterWriter`."""
        self.applied.append((name, dry_run))
        if self.reports and self.reports.pop(0):
            kept = self.cluster.read(resource.kind, namespace, name)
            kept["metadata"].pop("resourceVersion")
            self.cluster.put({**kept, "status": {"seen": len(self.reports)}})
        before = await self.cluster.get(resource, namespace, name)
        document = json.loads(body)
        wanted = document["metadata"].pop("resourceVersion", None)
        if before is not None and (not force or wanted not in (None, before.resource_version)):
            raise ClusterError(f"{name} has changed", reason="Conflict")
        if dry_run:
            return self.cluster.made(document, manager=field_manager)
        live = self.cluster.put(document, manager=field_manager)
        if self.fights:
            fought = {**document, "data": {"colour": "red"}}
            self.cluster.put(fought, manager="rival", operation="Update")
        return live

    async def patch(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        operations: bytes,
        *,
        field_manager: str,
        dry_run: bool,
        quoted: Collection[bytes] = (),
    ) -> LiveObject:
        """See `ClusterWriter`."""
        self.patched.append((name, dry_run))
        before = await self.cluster.get(resource, namespace, name)
        document = json.loads(before.body) if before is not None else {"metadata": {}}
        steps = json.loads(operations)
        for step in steps:
            place = step["path"].rpartition("/")[2]
            if step["op"] == "test" and document["metadata"].get(place) != step["value"]:
                raise ClusterError(f"{name} has changed", reason="Conflict")
        document = patched(document, [step for step in steps if step["op"] != "test"])
        document["metadata"].pop("managedFields")
        if dry_run:
            return self.cluster.made(document, manager=field_manager, operation="Update")
        return self.cluster.put(document, manager=field_manager, operation="Update")


def _meta(live: LiveObject) -> ObjectMeta:
    metadata = json.loads(live.body)["metadata"]
    return ObjectMeta(
        name=live.key.name,
        namespace=live.key.namespace,
        uid=live.uid,
        resource_version=live.resource_version,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        owner_references=metadata.get("ownerReferences") or [],
    )


def _entry(body: dict[str, Any], manager: str, operation: str, time: str) -> dict[str, Any]:
    """A managedFields entry that owns every field of the object's data."""
    fields = {f"f:{name}": {} for name in body.get("data") or {}}
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": body["apiVersion"],
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": fields},
    }
