"""Small objects, owners and comparisons for the tests of this package."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from driftd.diff.compare import Context, compare
from driftd.diff.owners import item_key, value_key
from driftd.diff.schema import ANY_NODE, Node, SchemaSet, Shape
from driftd.model.report import Change
from driftd.model.resource import GVK, ResourceKey
from tests.cases.openapi import subset

Json = Any
CREATED = "2026-01-01T00:00:00Z"
LATER = "2026-01-02T00:00:00Z"


def deployment(**pod: Any) -> Json:
    """A Deployment as Git declares it; `pod` goes into its Pod template's spec."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "registry.example/web:1",
                            "args": ["--port", "80"],
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                            "resources": {"requests": {"cpu": "100m"}},
                        }
                    ],
                    **pod,
                },
            },
        },
    }


def config_map(**data: str) -> Json:
    """A ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"},
        "data": data,
    }


def node_of(body: Json) -> Node | None:
    """The stored schema of an object's kind; None if it is not stored."""
    return subset.schemas().node(GVK.parse(body["apiVersion"], body["kind"]))


def key_of(body: Json) -> ResourceKey:
    """The identity of an object."""
    group = GVK.parse(body["apiVersion"], body["kind"]).group
    metadata = body["metadata"]
    return ResourceKey(group, body["kind"], metadata.get("namespace", ""), metadata["name"])


def fields_of(value: Json, node: Node) -> Json:
    """The FieldsV1 set of a manager that wrote all of `value`, as the API server makes it."""
    if isinstance(value, dict) and value and not node.atomic:
        return {"f:" + name: fields_of(inner, node.child(name)) for name, inner in value.items()}
    if isinstance(value, list) and value and not node.atomic:
        if node.shape is Shape.SET:
            return {value_key(item): {} for item in value}
        if node.shape is Shape.LIST_MAP:
            return {
                str(item_key(item, node.keys, node.key_defaults)): {
                    ".": {},
                    **fields_of(item, node.item),
                }
                for item in value
            }
    return {}


def entry(
    manager: str,
    fields: Json,
    *,
    operation: str = "Update",
    time: str | None = LATER,
    subresource: str = "",
) -> Json:
    """One managedFields entry."""
    made = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1",
            "apiVersion": "v1", "fieldsV1": fields}  # fmt: skip
    if time is not None:
        made["time"] = time
    return {**made, "subresource": subresource} if subresource else made


def applied(body: Json, *others: Json, manager: str = "argocd-controller") -> Json:
    """The live object after server-side apply of `body`, with further managedFields entries."""
    live = deepcopy(body)
    own = {
        name: fields_of(body[name], child_of(body, name))
        for name in body
        if name not in ("apiVersion", "kind", "metadata")
    }
    metadata = {
        name: fields_of(inner, ANY_NODE)
        for name, inner in body["metadata"].items()
        if name in ("labels", "annotations")
    }
    live["metadata"]["creationTimestamp"] = CREATED
    live["metadata"]["managedFields"] = [
        entry(
            manager,
            {"f:" + name: inner for name, inner in {**own, "metadata": metadata}.items()},
            operation="Apply",
            time=CREATED,
        ),
        *others,
    ]
    return live


def child_of(body: Json, name: str) -> Node:
    """The node of a field of an object."""
    node = node_of(body)
    return ANY_NODE if node is None else node.child(name)


def changes(desired: Json, live: Json, **context: Any) -> tuple[Change, ...]:
    """What a comparison with the stored schema finds."""
    return compare(key_of(desired), desired, live, node_of(desired), Context(**context)).changes


def told(found: tuple[Change, ...]) -> list[tuple[str, str, str]]:
    """Kind, class and path of each change."""
    return [(str(c.kind), str(c.change_class), c.path) for c in found]


def inline(properties: Json, *, group: str = "example.com") -> Node:
    """The compiled schema of a kind `Thing` with these properties."""
    component = {
        "type": "object",
        "properties": {"metadata": {"type": "object"}, **properties},
        "x-kubernetes-group-version-kind": [{"group": group, "version": "v1", "kind": "Thing"}],
    }
    document = {"components": {"schemas": {f"{group}.v1.Thing": component}}}
    node = SchemaSet([document]).node(GVK(group, "v1", "Thing"))
    assert node is not None
    return node
