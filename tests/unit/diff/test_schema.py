"""OpenAPI documents compiled to nodes."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.schema import ANY_NODE, Node, Scalar, SchemaSet, Shape
from driftd.model.application import KnownTypeField
from driftd.model.resource import GVK
from tests.cases.openapi import subset
from tests.unit.diff.objects import inline


def at(node: Node, *names: str) -> Node:
    """The node at a path; `*` steps into a list's items or a map's values."""
    for name in names:
        node = node.item if name == "*" else node.child(name)
    return node


CONTAINER = ("spec", "template", "spec", "containers", "*")


@pytest.mark.parametrize(
    ("path", "shape", "atomic"),
    [
        (("spec",), Shape.STRUCT, False),
        (("spec", "replicas"), Shape.SCALAR, False),
        (("spec", "selector"), Shape.STRUCT, True),
        (("spec", "template", "spec", "containers"), Shape.LIST_MAP, False),
        (("spec", "template", "spec", "tolerations"), Shape.LIST, True),
        (("spec", "template", "spec", "nodeSelector"), Shape.MAP, True),
        ((*CONTAINER, "args"), Shape.LIST, True),
        (("metadata", "finalizers"), Shape.SET, False),
        (("metadata", "labels"), Shape.MAP, False),
        (("spec", "nothing"), Shape.ANY, False),
    ],
)
def test_shapes_of_a_deployment(path: tuple[str, ...], shape: Shape, atomic: bool) -> None:
    """List types, atomic maps and unknown fields are as the API server merges them."""
    node = at(subset.node("apps/v1", "Deployment"), *path)
    assert (node.shape, node.atomic) == (shape, atomic)


def test_scalars_with_several_spellings() -> None:
    """Quantities are known by reference name, bytes and instants by format."""
    container = at(subset.node("apps/v1", "Deployment"), *CONTAINER)
    assert at(container, "resources", "requests", "*").scalar is Scalar.QUANTITY
    probe = at(container, "livenessProbe", "httpGet", "port")
    assert probe.scalar is Scalar.INT_OR_STRING
    assert at(subset.node("v1", "Secret"), "data", "*").scalar is Scalar.BYTE
    meta = at(subset.node("v1", "Secret"), "metadata", "creationTimestamp")
    assert meta.scalar is Scalar.DATE_TIME


def test_list_map_keys_and_their_defaults() -> None:
    """Ports are keyed by number and protocol, and a missing protocol is TCP."""
    ports = at(subset.node("apps/v1", "Deployment"), *CONTAINER, "ports")
    assert ports.keys == ("containerPort", "protocol")
    assert ports.key_defaults == {"protocol": "TCP"}


def test_recursive_schema_ends() -> None:
    """JSONSchemaProps holds itself; its node is one and the same at every depth."""
    versions = at(subset.node("apiextensions.k8s.io/v1", "CustomResourceDefinition"), "spec",
                  "versions", "*")  # fmt: skip
    schema = at(versions, "schema", "openAPIV3Schema")
    assert at(schema, "properties", "*") is schema
    assert at(schema, "properties", "*", "properties", "*", "not") is schema


def test_zero_defaults_of_native_types_mean_nothing() -> None:
    """Go's zero values are no defaults; those of a custom resource are."""
    assert at(subset.node("apps/v1", "Deployment"), *CONTAINER).defaults == {}
    spec = {
        "type": "object",
        "properties": {
            "on": {"type": "boolean", "default": False},
            "size": {"type": "integer", "default": 3},
            "plain": {"type": "string"},
        },
    }
    assert inline({"spec": spec}).child("spec").defaults == {"on": False, "size": 3}


def test_lists_of_a_server_without_list_types() -> None:
    """Before list types were published the strategic merge key tells the key."""
    items = {"type": "object", "properties": {"name": {"type": "string"}}}
    old = {"type": "array", "items": items, "x-kubernetes-patch-merge-key": "name"}
    node = inline(
        {
            "merged": {**old, "x-kubernetes-patch-strategy": "merge"},
            "replaced": {**old, "x-kubernetes-patch-strategy": "replace"},
        }
    )
    assert (node.child("merged").shape, node.child("merged").keys) == (Shape.LIST_MAP, ("name",))
    assert node.child("replaced").shape is Shape.LIST


def test_unknown_kind_and_broken_reference() -> None:
    """What no document describes has no node, or the node without schema."""
    schemas = SchemaSet([])
    assert schemas.node(GVK("", "v1", "Pod")) is None
    node = inline({"spec": {"$ref": "#/components/schemas/absent"}})
    assert node.child("spec") is ANY_NODE
    assert ANY_NODE.child("x") is ANY_NODE
    assert ANY_NODE.item is ANY_NODE


def test_reference_made_atomic() -> None:
    """A struct that is granular elsewhere can be atomic at one place (`nodeSelectorTerms`)."""
    inner = {"type": "object", "properties": {"a": {"type": "string"}}}
    reference: dict[str, Any] = {"allOf": [{"$ref": "#/components/schemas/Inner"}]}
    gvk = {"group": "g.example", "version": "v1", "kind": "Thing"}
    properties = {
        "metadata": {"type": "object"},
        "free": reference,
        "whole": {**reference, "x-kubernetes-map-type": "atomic"},
    }
    thing = {"type": "object", "properties": properties,
             "x-kubernetes-group-version-kind": [gvk]}  # fmt: skip
    schemas = SchemaSet([{"components": {"schemas": {"Inner": inner, "Thing": thing}}}])
    node = schemas.node(GVK("g.example", "v1", "Thing"))
    assert node is not None
    assert (node.child("free").atomic, node.child("whole").atomic) == (False, True)


def test_extended_set_prefers_the_new_document() -> None:
    """A second document over the first one replaces its kinds and keeps the others."""
    gvk = {"group": "", "version": "v1", "kind": "Pod"}
    properties = {"metadata": {"type": "object"}, "mine": {"type": "string", "format": "byte"}}
    mine = {"type": "object", "properties": properties,
            "x-kubernetes-group-version-kind": [gvk]}  # fmt: skip
    extended = subset.schemas().extended([{"components": {"schemas": {"mine.Pod": mine}}}])
    pod, secret = (extended.node(GVK("", "v1", kind)) for kind in ("Pod", "Secret"))
    assert pod is not None
    assert pod.child("mine").scalar is Scalar.BYTE
    assert secret is not None
    assert subset.node("v1", "Pod").child("mine") is ANY_NODE


def test_known_types_of_custom_resources() -> None:
    """Fields get the types that are said of them, through lists, maps and unknown fields."""
    gvk = {"group": "g.example", "version": "v1", "kind": "Thing"}
    queue = {"type": "object", "properties": {"limits": {"type": "object"}, "size": {}}}
    properties = {
        "metadata": {"type": "object"},
        "spec": {"$ref": "#/components/schemas/Spec"},
    }
    spec = {"type": "object", "properties": {"queues": {"type": "array", "items": queue}}}
    thing = {"type": "object", "properties": properties,
             "x-kubernetes-group-version-kind": [gvk]}  # fmt: skip
    before = SchemaSet([{"components": {"schemas": {"Spec": spec, "Thing": thing}}}])
    known = {
        "spec.queues.limits": "core/v1/ResourceList",
        "spec.queues.size": "core/Quantity",
        "spec.open.wait": "meta/v1/Duration",
    }
    fields = [
        KnownTypeField(group="g.example", kind="Thing", field=field, type=name)
        for field, name in known.items()
    ]
    root = before.retyped(fields).node(GVK("g.example", "v1", "Thing"))
    assert root is not None
    assert at(root, "spec", "queues", "*", "limits", "cpu").scalar is Scalar.QUANTITY
    assert at(root, "spec", "queues", "*", "size").scalar is Scalar.QUANTITY
    assert at(root, "spec", "open", "wait").scalar is Scalar.DURATION
    assert at(root, "metadata").shape is Shape.ANY
    old = before.node(GVK("g.example", "v1", "Thing"))
    assert old is not None
    assert at(old, "spec", "queues", "*", "size").scalar is Scalar.PLAIN


def test_a_known_type_of_another_kind_changes_nothing() -> None:
    """A kind that no document describes has no schema afterwards either."""
    field = KnownTypeField(group="x.example", kind="Other", field="spec", type="core/v1/PodSpec")
    assert subset.schemas().retyped([field]).node(GVK("x.example", "v1", "Other")) is None


def test_a_known_type_of_kubernetes() -> None:
    """A field that is a PodSpec gets the lists with keys of one."""
    deployment = GVK("apps", "v1", "Deployment")
    field = KnownTypeField(
        group="apps", kind="Deployment", field="spec.extra", type="core/v1/PodSpec"
    )
    root = subset.schemas().retyped([field]).node(deployment)
    assert root is not None
    assert at(root, "spec", "extra", "containers").keys == ("name",)
    assert at(root, *CONTAINER, "name").shape is Shape.SCALAR
