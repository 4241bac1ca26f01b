"""OpenAPI v3 documents compiled to the few facts that a comparison needs.

A cluster publishes one document per group and version (`/openapi/v3/apis/apps/v1`). Each
schema becomes a `Node` on first use; nodes of one component are shared, so recursive types
(JSONSchemaProps) are fine. What is kept: list types and map keys (KEP-555), atomic maps,
int-or-string, the formats that have several spellings, and real defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, Final

import msgspec

from driftd.model.application import KnownTypeField
from driftd.model.resource import GVK, Json

QUANTITY_REF: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
"""OpenAPI v3 gives quantities no format of their own, so they are known by reference name."""

_REF_PREFIX: Final = "#/components/schemas/"
_NATIVE_PREFIX: Final = "io.k8s."


class Shape(IntEnum):
    """How a value is compared and merged."""

    ANY = 0
    """No schema: maps are granular, lists atomic (as managedFields deduces them)."""
    STRUCT = 1
    MAP = 2
    LIST_MAP = 3
    SET = 4
    LIST = 5
    """Atomic list."""
    SCALAR = 6


class Scalar(IntEnum):
    """Which spellings of a scalar mean the same value."""

    PLAIN = 0
    QUANTITY = 1
    BYTE = 2
    DATE_TIME = 3
    INT_OR_STRING = 4
    DURATION = 5
    """Go's durations: `2160h` is `2160h0m0s`."""


class Node:
    """One compiled schema. Children are compiled when they are first asked for."""

    __slots__ = (
        "_children",
        "_item",
        "_properties",
        "_set",
        "atomic",
        "closed",
        "defaults",
        "enum",
        "format",
        "key_defaults",
        "keys",
        "native",
        "ref",
        "required",
        "scalar",
        "shape",
        "type",
    )

    def __init__(self, shape: Shape, *, schemas: SchemaSet | None = None, ref: str = "") -> None:
        self.shape = shape
        self.ref = ref
        """Component name, for example `io.k8s.api.core.v1.Container`; empty for inline schemas."""
        self.scalar = Scalar.PLAIN
        self.type = ""
        """The JSON type of values (`integer`, `object`); empty where several are allowed."""
        self.format = ""
        self.enum: tuple[str, ...] = ()
        """The only texts that are allowed, if there are such."""
        self.atomic = False
        """Whether managedFields records the value as one leaf."""
        self.closed = False
        """Whether the server drops or refuses fields that the schema does not name."""
        self.native = ref.startswith(_NATIVE_PREFIX)
        """Whether Go structs of Kubernetes hold it, which drop declared zero values (omitempty)."""
        self.keys: tuple[str, ...] = ()
        self.key_defaults: dict[str, Json] = {}
        self.required: tuple[str, ...] = ()
        """Fields that a struct of a custom resource must have; no default fills them in."""
        self.defaults: dict[str, Json] = {}
        """Defaults of this struct's fields that the API server really applies."""
        self._set = schemas
        self._properties: dict[str, Any] = {}
        self._children: dict[str, Node] = {}
        self._item: Any = None

    @property
    def kubernetes(self) -> str:
        """The version of the server that published the schema; empty if nobody said."""
        return "" if self._set is None else self._set.kubernetes

    def child(self, name: str) -> Node:
        """The node of field or map key `name`; `ANY_NODE` where no schema says more."""
        node = self._children.get(name)
        if node is None:
            if self.shape is Shape.MAP:
                return self.item
            node = self._children[name] = self._compile(self._properties.get(name))
        return node

    def lacks(self, name: str) -> bool:
        """Whether a field of this name cannot be stored."""
        return self.closed and name not in self._properties

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of a struct's fields; empty for other shapes."""
        return tuple(self._properties)

    @property
    def item(self) -> Node:
        """The node of a list's items or a map's values."""
        if not isinstance(self._item, Node):
            self._item = self._compile(self._item)
        return self._item

    def set_item(self, raw: Any) -> None:
        """Give the raw schema of a list's items or a map's values."""
        self._item = raw

    def set_properties(self, raw: dict[str, Any]) -> None:
        """Give the raw schemas of a struct's fields."""
        self._properties = raw

    def _compile(self, raw: Any) -> Node:
        if isinstance(raw, Node):
            return raw
        if raw is None or self._set is None:
            return ANY_NODE
        return self._set.compile(raw)


ANY_NODE: Final = Node(Shape.ANY)


class SchemaPart(msgspec.Struct, frozen=True, array_like=True):
    """What some kinds of a `SchemaSet` are compiled of: it can leave the process."""

    kubernetes: str
    kinds: tuple[tuple[GVK, str], ...]
    """Each kind with the name of its component."""
    components: dict[str, Any]


class SchemaSet:
    """The schemas of some group versions of one cluster.

    `kubernetes` is the cluster's version, which decides what its server fills in. Where it is
    not given, the documents tell the minor: the server's own ones have its name and version.
    """

    def __init__(self, documents: Iterable[dict[str, Any]], *, kubernetes: str = "") -> None:
        self.kubernetes = kubernetes
        self._components: dict[str, Any] = {}
        self._by_gvk: dict[GVK, str] = {}
        self._nodes: dict[str, Node] = {}
        for document in documents:
            self.kubernetes = self.kubernetes or _published_by(document)
            schemas = document.get("components", {}).get("schemas", {})
            self._components.update(schemas)
            for name, schema in schemas.items():
                for gvk in schema.get("x-kubernetes-group-version-kind", ()):
                    key = GVK(gvk.get("group", ""), gvk.get("version", ""), gvk.get("kind", ""))
                    if "metadata" in schema.get("properties", {}):
                        self._by_gvk.setdefault(key, name)

    def extended(self, documents: Iterable[dict[str, Any]]) -> SchemaSet:
        """A new set with these documents over the present ones."""
        fresh = SchemaSet(documents, kubernetes=self.kubernetes)
        fresh._components = {**self._components, **fresh._components}
        fresh._by_gvk = {**self._by_gvk, **fresh._by_gvk}
        return fresh

    def retyped(self, fields: Iterable[KnownTypeField]) -> SchemaSet:
        """A new set in which fields of custom resources have the types that are known of them.

        A schema of a CustomResourceDefinition has no quantities: that `500m` is `0.5` somebody
        has to say. A field of a kind that no document describes changes nothing.
        """
        components = dict(self._components)
        for field in fields:
            for gvk, name in self._by_gvk.items():
                if (gvk.group, gvk.kind) == (field.group, field.kind):
                    components[name] = _retyped(
                        components[name],
                        field.field.split("."),
                        _known_type(field.type),
                        components,
                    )
        return self._with(components, self.kubernetes)

    def part(self, kinds: Iterable[GVK]) -> SchemaPart:
        """What these kinds are compiled of; kinds that no document describes are left out."""
        named = tuple((gvk, self._by_gvk[gvk]) for gvk in kinds if gvk in self._by_gvk)
        components: dict[str, Any] = {}
        waiting = [name for _, name in named]
        while waiting:
            name = waiting.pop()
            if name not in components and name in self._components:
                components[name] = self._components[name]
                waiting += _referred(components[name])
        return SchemaPart(self.kubernetes, named, components)

    @classmethod
    def of_part(cls, part: SchemaPart) -> SchemaSet:
        """The set that has these kinds alone."""
        fresh = cls((), kubernetes=part.kubernetes)
        fresh._components, fresh._by_gvk = part.components, dict(part.kinds)
        return fresh

    def of(self, kubernetes: str) -> SchemaSet:
        """These schemas as those of a server of another version; itself if it is of that one."""
        if kubernetes == self.kubernetes:
            return self
        return self._with(self._components, kubernetes)

    def _with(self, components: dict[str, Any], kubernetes: str) -> SchemaSet:
        fresh = SchemaSet((), kubernetes=kubernetes)
        fresh._components, fresh._by_gvk = components, self._by_gvk
        return fresh

    def node(self, gvk: GVK) -> Node | None:
        """The root node of a kind, or None if no document describes it."""
        name = self._by_gvk.get(gvk)
        return None if name is None else self._component(name)

    def _component(self, name: str) -> Node:
        node = self._nodes.get(name)
        if node is None:
            raw = self._components.get(name)
            if raw is None:
                return ANY_NODE
            # Registered before its children are compiled, so recursive types end.
            node = self._nodes[name] = self._build(raw, ref=name)
        return node

    def compile(self, raw: dict[str, Any]) -> Node:
        """Compile an inline schema or follow its reference."""
        ref, overrides = _reference(raw)
        if ref is None:
            return self._build(raw, ref="")
        if ref == QUANTITY_REF:
            node = Node(Shape.SCALAR, ref=ref)
            node.scalar = Scalar.QUANTITY
            return node
        node = self._component(ref)
        if overrides.get("x-kubernetes-map-type") == "atomic" and not node.atomic:
            node = self._build({**self._components[ref], **overrides}, ref=ref)
        return node

    def _build(self, raw: dict[str, Any], *, ref: str) -> Node:
        if raw.get("x-kubernetes-int-or-string") or raw.get("format") == "int-or-string":
            node = Node(Shape.SCALAR, schemas=self, ref=ref)
            node.scalar = Scalar.INT_OR_STRING
            return node
        kind = raw.get("type")
        if kind == "array":
            return self._list(raw, ref)
        if kind == "object" or "properties" in raw or "additionalProperties" in raw:
            return self._object(raw, ref)
        node = Node(Shape.SCALAR if kind else Shape.ANY, schemas=self, ref=ref)
        node.type, node.format = str(kind or ""), str(raw.get("format") or "")
        allowed = raw.get("enum") or ()
        if kind == "string" and all(isinstance(one, str) for one in allowed):
            node.enum = tuple(allowed)
        if raw.get("format") == "byte":
            node.scalar = Scalar.BYTE
        elif raw.get("format") == "date-time":
            node.scalar = Scalar.DATE_TIME
        elif raw.get("format") == "duration":
            node.scalar = Scalar.DURATION
        return node

    def _list(self, raw: dict[str, Any], ref: str) -> Node:
        list_type = raw.get("x-kubernetes-list-type")
        keys = tuple(raw.get("x-kubernetes-list-map-keys", ()))
        merge_key = raw.get("x-kubernetes-patch-merge-key")
        if (
            list_type is None
            and merge_key
            and "merge" in raw.get("x-kubernetes-patch-strategy", "")
        ):
            list_type, keys = "map", (merge_key,)  # servers before list types were published
        shape = {"map": Shape.LIST_MAP, "set": Shape.SET}.get(list_type or "", Shape.LIST)
        node = Node(shape, schemas=self, ref=ref)
        node.type = "array"
        node.atomic = shape is Shape.LIST
        node.set_item(raw.get("items"))
        if shape is Shape.LIST_MAP:
            node.keys = keys
            properties = self._resolved(raw.get("items", {})).get("properties", {})
            node.key_defaults = {
                key: properties[key]["default"]
                for key in keys
                if "default" in properties.get(key, {})
                and properties[key]["default"] not in ("", 0)
            }
        return node

    def _object(self, raw: dict[str, Any], ref: str) -> Node:
        properties = raw.get("properties")
        additional = raw.get("additionalProperties")
        if properties:
            node = Node(Shape.STRUCT, schemas=self, ref=ref)
            node.set_properties(properties)
            node.defaults = _real_defaults(properties, native=node.native)
            if not node.native:
                wanted = raw.get("required") or ()
                node.required = tuple(one for one in wanted if one not in node.defaults)
            kept = raw.get("x-kubernetes-preserve-unknown-fields")
            node.closed = not kept and not additional
            node.type = "object"
        elif isinstance(additional, dict):
            node = Node(Shape.MAP, schemas=self, ref=ref)
            node.set_item(additional)
            node.type = "object"
        else:
            node = Node(Shape.ANY, schemas=self, ref=ref)
        node.atomic = raw.get("x-kubernetes-map-type") == "atomic"
        return node

    def _resolved(self, raw: dict[str, Any]) -> dict[str, Any]:
        ref, _ = _reference(raw)
        resolved: dict[str, Any] = raw if ref is None else self._components.get(ref, {})
        return resolved


def _published_by(document: dict[str, Any]) -> str:
    """The minor that the API server names in a document of its own; empty for other servers'."""
    info = document.get("info")
    if not isinstance(info, dict) or info.get("title") != "Kubernetes":
        return ""
    return str(info.get("version") or "")


def _known_type(name: str) -> dict[str, Any]:
    """The schema of a type as Argo CD names it: `core/v1/PodSpec`, `core/Quantity`."""
    if name.endswith("/Quantity"):
        return {"$ref": f"{_REF_PREFIX}{QUANTITY_REF}"}
    if name == "core/v1/ResourceList":
        return {"type": "object", "additionalProperties": _known_type("core/Quantity")}
    if name == "meta/v1/Duration":
        return {"type": "string", "format": "duration"}
    return {"$ref": f"{_REF_PREFIX}io.k8s.api.{name.replace('/', '.')}"}


def _retyped(
    raw: dict[str, Any], path: list[str], known: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    """A copy of a schema with another type at `path`, which steps through lists and maps."""
    if not path:
        return known
    target, _ = _reference(raw)
    if target is not None:
        raw = components.get(target, {})
    for inner in ("items", "additionalProperties"):
        if isinstance(raw.get(inner), dict) and "properties" not in raw:
            return {**raw, inner: _retyped(raw[inner], path, known, components)}
    properties = raw.get("properties", {})
    field = _retyped(properties.get(path[0], {}), path[1:], known, components)
    kept = {} if properties else {"x-kubernetes-preserve-unknown-fields": True}
    return {**raw, **kept, "type": "object", "properties": {**properties, path[0]: field}}


def _reference(raw: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The component that `raw` refers to (directly or by a lone `allOf`), and what it overrides."""
    target = raw.get("$ref")
    if target is None:
        all_of = raw.get("allOf")
        if all_of and len(all_of) == 1:
            target = all_of[0].get("$ref")
    if target is None:
        return None, {}
    return target.removeprefix(_REF_PREFIX), {k: v for k, v in raw.items() if k.startswith("x-")}


def _referred(raw: Any) -> Iterator[str]:
    """The names of all components that a schema refers to."""
    if isinstance(raw, dict):
        target = raw.get("$ref")
        if isinstance(target, str):
            yield target.removeprefix(_REF_PREFIX)
        raw = list(raw.values())
    if isinstance(raw, list):
        for inner in raw:
            yield from _referred(inner)


def _real_defaults(properties: dict[str, Any], *, native: bool) -> dict[str, Json]:
    """Field defaults; for native types without Go's zero values, which mean nothing.

    852 of the 876 published native defaults are zero values (measured on 1.36.3).
    """
    found = {}
    for name, schema in properties.items():
        if "default" in schema and not (native and schema["default"] in ("", 0, False, {}, [])):
            found[name] = schema["default"]
    return found
