"""Changes to live objects as people and programs make them: through the API and by kubectl."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.testbed.cluster import ControlPlane
from tests.testbed.jsonpatch import patched

USER = "control"
"""Whose credentials the changes use: all rights, and neither deployer nor detector."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One declared object of one cluster."""

    cluster: str
    group: str
    kind: str
    namespace: str
    name: str
    version: str
    application: str

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What identifies the object in a report."""
        return self.cluster, self.group, self.kind, self.namespace, self.name

    def __str__(self) -> str:
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return f"{self.cluster} {kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class JsonPatch:
    """RFC 6902 operations by a named field manager."""

    operations: tuple[dict[str, Any], ...]
    manager: str


@dataclass(frozen=True, slots=True)
class MergePatch:
    """The same operations sent as an RFC 7386 patch, as `kubectl edit` does for most kinds."""

    operations: tuple[dict[str, Any], ...]
    manager: str


@dataclass(frozen=True, slots=True)
class Replace:
    """The same operations sent as an update of the whole object, as client libraries do."""

    operations: tuple[dict[str, Any], ...]
    manager: str


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A kubectl command; `{}` stands for `kind.group/name`."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """The object is deleted."""


Edit: TypeAlias = "JsonPatch | MergePatch | Replace | Kubectl | Delete"


class Objects:
    """The objects of one cluster, by target."""

    def __init__(self, cluster: ControlPlane) -> None:
        self.cluster = cluster
        self._plural = functools.lru_cache(maxsize=None)(self._look_up)

    def _look_up(self, group: str, version: str, kind: str) -> tuple[str, str, bool]:
        prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
        for resource in self.cluster.call("GET", prefix)["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                return prefix, resource["name"], resource["namespaced"]
        raise LookupError(f"{self.cluster.name} does not serve {group}/{version} {kind}")

    def path(self, target: Target) -> str:
        """The URL path of an object."""
        prefix, plural, namespaced = self._plural(target.group, target.version, target.kind)
        place = f"/namespaces/{target.namespace}" if namespaced else ""
        return f"{prefix}{place}/{plural}/{target.name}"

    def get(self, target: Target) -> Any:
        """The object as it is now."""
        return self.cluster.call("GET", self.path(target))

    def exists(self, target: Target) -> bool:
        """Whether the object is there."""
        return self.cluster.request("GET", self.path(target))[0] == 200

    def restore(self, target: Target, before: Any, manager: str) -> None:
        """Make the object what it was, as the manager that changed it."""
        now = self.get(target)["metadata"]["resourceVersion"]
        metadata = {**before["metadata"], "resourceVersion": now}
        metadata.pop("managedFields", None)
        url = f"{self.path(target)}?fieldManager={manager}"
        self.cluster.call("PUT", url, {**before, "metadata": metadata}, user=USER)

    def perform(self, target: Target, edit: Edit) -> None:
        """Make the change. Raises `ApiError` or `KubectlFailed` when it is refused."""
        path = self.path(target)
        if isinstance(edit, Delete):
            self.cluster.call("DELETE", path, user=USER)
        elif isinstance(edit, Kubectl):
            kind = f"{target.kind}.{target.group}" if target.group else target.kind
            what = f"{kind.lower()}/{target.name}"
            arguments = [argument.replace("{}", what) for argument in edit.arguments]
            if target.namespace:
                arguments += ["-n", target.namespace]
            self.cluster.kubectl(*arguments, user=USER)
        else:
            self._send(path, edit)

    def _send(self, path: str, edit: JsonPatch | MergePatch | Replace) -> None:
        url = f"{path}?fieldManager={edit.manager}"
        operations = list(edit.operations)
        if isinstance(edit, JsonPatch):
            content = "application/json-patch+json"
            self.cluster.call("PATCH", url, operations, content_type=content, user=USER)
            return
        for attempt in range(10):
            live = self.cluster.call("GET", path)
            wanted = patched(live, operations)
            if isinstance(edit, MergePatch):
                content = "application/merge-patch+json"
                body = merge_patch(live, wanted)
                self.cluster.call("PATCH", url, body, content_type=content, user=USER)
                return
            status, answer = self.cluster.request("PUT", url, wanted, user=USER)
            if status == 200:
                return
            if status != 409 or attempt == 9:
                raise RuntimeError(f"PUT {path}: {status} {json.dumps(answer)[:500]}")


def merge_patch(before: Any, after: Any) -> Any:
    """The RFC 7386 patch that makes `before` into `after`; lists travel whole."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return after
    patch: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        if name not in before:
            patch[name] = value
        elif before[name] != value:
            patch[name] = merge_patch(before[name], value)
    return patch
