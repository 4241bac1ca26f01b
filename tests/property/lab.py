"""One namespace of a real API server in which objects are applied, changed and compared."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from driftd.diff.compare import Comparison, Context, compare
from driftd.diff.schema import Node, SchemaSet
from driftd.model.resource import GVK, ResourceKey
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane
from tests.testbed.jsonpatch import patched
from tests.testbed.schemas import prefix

HERE = Path(__file__).parent
Json = Any
Mode = Literal["server-side apply", "client-side apply", "helm"]
MODES: tuple[Mode, ...] = get_args(Mode)
MANAGERS = {
    "server-side apply": "argocd-controller",
    "client-side apply": "kubectl-client-side-apply",
    "helm": "helm",
}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def objects() -> list[Json]:
    """The base objects, one per kind, with `BASE` for their names."""
    return list(yaml.safe_load_all((HERE / "objects.yaml").read_text("utf-8")))


def named(base: Json, name: str) -> Json:
    """A base object with a name of its own."""
    return json.loads(re.sub(r"\bBASE\b", name, json.dumps(base)))


def holds(stored: Json, declared: Json) -> bool:
    """Whether every name that `declared` gives a content is there: the server drops some fields."""
    if isinstance(declared, dict):
        return all(
            holds(stored.get(name), inner) if isinstance(stored, dict) else not inner
            for name, inner in declared.items()
        )
    if isinstance(declared, list):
        there = stored if isinstance(stored, list) else []
        return len(there) >= len(declared) and all(map(holds, there, declared))
    if isinstance(declared, str) and "made-up" in declared:
        return stored == declared  # some names the server replaces
    return not declared or stored is not None


OTHER_VERSIONS = {
    "autoscaling/v2": "autoscaling/v1",
    "property.example.com/v1": "property.example.com/v2",
}
"""Another version that the API server serves of a kind of the base objects."""


class Lab:
    """Applies, changes and compares objects in one namespace."""

    def __init__(self, cluster: ControlPlane, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.user = "admin"
        """Who writes from now on."""
        self.documents: dict[str, Json] = {}
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}
        self._schemas: dict[str, SchemaSet] = {}

    def install_widgets(self) -> None:
        """Make the custom resource of the base objects known, and wait until it is served."""
        definition = yaml.safe_load((HERE / "widget.yaml").read_text("utf-8"))
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        status, answer = self.cluster.request("POST", path, definition)
        if status not in (201, 409):
            raise ApiError("POST", path, status, answer)
        self.cluster.wait_for(
            "/openapi/v3/apis/property.example.com/v1",
            lambda document: any("Widget" in n for n in document["components"]["schemas"]),
        )

    def document(self, api_version: str) -> Json:
        """The OpenAPI document of a group version, read once."""
        if api_version not in self.documents:
            path = "/openapi/v3" + prefix(api_version)
            self.documents[api_version] = self.cluster.call("GET", path)
        return self.documents[api_version]

    def path(self, body: Json) -> str:
        """The URL path of an object's collection."""
        base = prefix(body["apiVersion"])
        if (base, body["kind"]) not in self._plurals:
            for resource in self.cluster.call("GET", base)["resources"]:
                if "/" not in resource["name"]:
                    found = (resource["name"], resource["namespaced"])
                    self._plurals[base, resource["kind"]] = found
        plural, namespaced = self._plurals[base, body["kind"]]
        return f"{base}/namespaces/{self.namespace}/{plural}" if namespaced else f"{base}/{plural}"

    def deploy(self, body: Json, mode: Mode) -> None:
        """Apply an object as a deployer does it."""
        manager = MANAGERS[mode]
        if mode == "server-side apply":
            self.apply(body, manager)
            return
        sent = deepcopy(body)
        if mode == "client-side apply":
            notes = sent["metadata"].setdefault("annotations", {})
            notes[LAST_APPLIED] = json.dumps(body, separators=(",", ":")) + "\n"
        self.create(sent, manager)

    def create(self, body: Json, manager: str) -> Json:
        """Create an object; the object as it is stored then."""
        return self._write("POST", f"{self.path(body)}?fieldManager={manager}", body)

    def apply(self, body: Json, manager: str) -> Json:
        """Server-side apply with force; the object as it is stored then."""
        return self._write(
            "PATCH",
            f"{self.path(body)}/{body['metadata']['name']}?fieldManager={manager}&force=true",
            body,
            content_type="application/apply-patch+yaml",
        )

    def accepts(self, body: Json) -> bool:
        """Whether the API server takes the object, applied and created, and stores all of it."""
        apply = f"{self.path(body)}/{body['metadata']['name']}?fieldManager=a&dryRun=All&force=true"
        status, stored = self.cluster.request(
            "PATCH", apply, body, content_type="application/apply-patch+yaml"
        )
        if status not in (200, 201) or not holds(stored, body):
            return False
        status, _ = self.cluster.request("POST", f"{self.path(body)}?dryRun=All", body)
        return status == 201

    def fresh(self, body: Json) -> Json:
        """The object as it would be created now, under another name; None if it would not be."""
        renamed = {**body, "metadata": {**body["metadata"], "name": "fresh"}}
        status, answer = self.cluster.request("POST", f"{self.path(body)}?dryRun=All", renamed)
        return answer if status == 201 else None

    def at_other_version(self, body: Json) -> Json:
        """The address of an object at another version; `KeyError` where its kind has none."""
        return {**body, "apiVersion": OTHER_VERSIONS[body["apiVersion"]]}

    def live(self, body: Json) -> Json:
        """The object as the API server holds it."""
        return self.cluster.call("GET", f"{self.path(body)}/{body['metadata']['name']}")

    def patch(self, body: Json, operations: list[Json], manager: str, sub: str = "") -> None:
        """A JSON patch by a manager; raises `ApiError` when the server refuses it."""
        self._write(
            "PATCH",
            f"{self.path(body)}/{body['metadata']['name']}{sub}?fieldManager={manager}",
            operations,
            content_type="application/json-patch+json",
        )

    def replace(self, live: Json, operations: list[Json], manager: str) -> None:
        """The same change as a whole object that is written back (`kubectl edit`, controllers)."""
        changed = patched(live, operations)
        self.put(changed, manager)

    def put(self, body: Json, manager: str) -> None:
        """Write a whole object."""
        path = f"{self.path(body)}/{body['metadata']['name']}?fieldManager={manager}"
        self._write("PUT", path, body)

    def _write(self, method: str, path: str, body: Json, **options: Any) -> Json:
        return self.cluster.call(method, path, body, user=self.user, **options)

    def look(self, desired: Json, context: Context | None = None) -> Comparison:
        """Compare what Git declares with what the cluster holds."""
        live = self.live(desired)
        gvk = GVK.parse(desired["apiVersion"], desired["kind"])
        metadata = live["metadata"]
        key = ResourceKey(gvk.group, gvk.kind, metadata.get("namespace", ""), metadata["name"])
        return compare(key, desired, live, self.node(gvk), context or Context())

    def node(self, gvk: GVK) -> Node | None:
        """The compiled schema of a kind."""
        schemas = self._schemas.get(gvk.api_version)
        if schemas is None:
            schemas = SchemaSet([self.document(gvk.api_version)])
            self._schemas[gvk.api_version] = schemas
        return schemas.node(gvk)
