"""Random changes that the schema of a kind allows, made up by walking its OpenAPI document.

Most are valid; the API server's validation refuses the rest, and another one is tried.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = Any
Operations = list[dict[str, Any]]
_PREFIX = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_SYSTEM = ("apiVersion", "kind", "metadata", "status")
_TEXTS = {
    "image": ("registry.example/other:9", "registry.example/web:latest"),
    "mountPath": ("/other",),
    "path": ("/elsewhere",),
    "host": ("other.example",),
    "schedule": ("0 3 * * *",),
    "hostIP": ("192.0.2.9",),
    "cidr": ("198.51.100.0/24",),
    "operator": ("Exists", "Equal"),
    "apiGroup": ("rbac.authorization.k8s.io",),
}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change as a JSON patch."""

    what: str
    operations: Operations


@dataclass(frozen=True, slots=True)
class _Site:
    """One place that can be changed, and its schema."""

    pointer: str
    value: Json
    schema: Json
    name: str
    kind: str
    """present, absent (a known field that is not there), entry (of a map), item, list, map."""


class Mutator:
    """Makes up changes for the objects of one group version."""

    def __init__(self, document: Json, rng: random.Random) -> None:
        self._components = document["components"]["schemas"]
        self._rng = rng

    def mutations(self, live: Json) -> Iterator[Mutation]:
        """Random changes of one live object, endlessly."""
        root = self._root(live)
        sites = list(self._sites(live, root))
        while True:
            if self._rng.random() < 0.15 or not sites:
                yield self._of_metadata(live)
                continue
            mutation = self._at(self._rng.choice(sites))
            if mutation is not None:
                yield mutation

    # Where

    def _root(self, live: Json) -> Json:
        group, _, version = live["apiVersion"].rpartition("/")
        wanted = {"group": group, "version": version, "kind": live["kind"]}
        for schema in self._components.values():
            if wanted in schema.get("x-kubernetes-group-version-kind", ()) and "metadata" in (
                schema.get("properties", {})
            ):
                return schema
        raise LookupError(f"no schema for {wanted}")

    def _resolved(self, schema: Json) -> Json:
        reference = schema.get("$ref") or next(
            (part["$ref"] for part in schema.get("allOf", ()) if "$ref" in part), None
        )
        if reference is None:
            return schema
        name = reference.removeprefix(_PREFIX)
        if name == _QUANTITY:
            return {"type": "quantity"}
        return {**self._components[name], **{k: v for k, v in schema.items() if k[0] != "$"}}

    def _sites(self, value: Json, schema: Json, pointer: str = "") -> Iterator[_Site]:
        schema = self._resolved(schema)
        if isinstance(value, dict):
            yield from self._struct_sites(value, schema, pointer)
        elif isinstance(value, list):
            yield _Site(pointer, value, schema, pointer.rpartition("/")[2], "list")
            for index, item in enumerate(value):
                inner = schema.get("items", {})
                yield _Site(f"{pointer}/{index}", item, inner, "", "item")
                yield from self._sites(item, inner, f"{pointer}/{index}")

    def _struct_sites(self, value: Json, schema: Json, pointer: str) -> Iterator[_Site]:
        properties = schema.get("properties", {})
        additional = schema.get("additionalProperties")
        if not properties:
            yield _Site(pointer, value, additional or {}, "", "map")
        for name, inner in value.items():
            if pointer == "" and name in _SYSTEM:
                continue
            below = properties.get(name, additional or {})
            place = f"{pointer}/{_escaped(name)}"
            yield _Site(place, inner, below, name, "present" if name in properties else "entry")
            yield from self._sites(inner, below, place)
        for name, inner in properties.items():
            if name not in value and not (pointer == "" and name in _SYSTEM):
                yield _Site(f"{pointer}/{_escaped(name)}", None, inner, name, "absent")

    # What

    def _at(self, site: _Site) -> Mutation | None:
        if site.kind == "absent":
            return self._add(site)
        if site.kind == "list":
            return self._list(site)
        if site.kind == "map":
            key = self._rng.choice(("extra", "a~b/c", "Upper.case"))
            made = self._value(site.schema, "value", 0)
            return (
                None if made is None else _put("map add", f"{site.pointer}/{_escaped(key)}", made)
            )
        if site.kind == "item" or self._rng.random() < 0.4:
            return Mutation("delete", [{"op": "remove", "path": site.pointer}])
        if isinstance(site.value, dict | list):
            return None
        changed = self._changed(site)
        return None if changed is None else _put("change", site.pointer, changed)

    def _add(self, site: _Site) -> Mutation | None:
        made = self._value(site.schema, site.name, 0)
        return None if made is None else _put("add", site.pointer, made)

    def _list(self, site: _Site) -> Mutation | None:
        items = site.value
        if len(items) > 1 and self._rng.random() < 0.3:
            shuffled = items[:]
            self._rng.shuffle(shuffled)
            return _put("reorder", site.pointer, shuffled)
        position = self._rng.choice(("-", "0", str(len(items) // 2)))
        if items and self._rng.random() < 0.4:
            made = self._renamed(self._rng.choice(items))
        else:
            made = self._value(site.schema.get("items", {}), site.name, 0)
        if made is None:
            return None
        return Mutation("list add", [{"op": "add", "path": f"{site.pointer}/{position}",
                                      "value": made}])  # fmt: skip

    def _renamed(self, item: Json) -> Json:
        """A copy of a list item under another key."""
        if isinstance(item, str):
            return item + "x"
        if not isinstance(item, dict):
            return item
        copy = dict(item)
        for name in ("name", "key", "containerPort", "port", "mountPath", "host", "account"):
            if isinstance(copy.get(name), str):
                copy[name] += "x"
                break
            if type(copy.get(name)) is int:
                copy[name] += 1
                break
        return copy

    def _changed(self, site: _Site) -> Json:
        value, schema = site.value, self._resolved(site.schema)
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self._rng.choice((value + 1, 0, value * 2, max(value - 1, 0)))
        if isinstance(value, float):
            return value + 1
        if schema.get("enum"):
            return self._rng.choice(schema["enum"])
        if schema.get("type") == "quantity":
            return self._rng.choice(("7", "250m", "3Gi"))
        if schema.get("format") == "byte":
            return self._rng.choice(("eHl6", ""))
        return self._rng.choice((*_TEXTS.get(site.name, ()), f"{value}x", "other"))

    def _value(self, schema: Json, name: str, depth: int) -> Json:
        """A value of a schema; None where none can be thought of."""
        schema = self._resolved(schema)
        kind = schema.get("type")
        if schema.get("enum"):
            return self._rng.choice(schema["enum"])
        if kind == "string":
            return self._text(schema, name)
        simple = {
            "boolean": (True, False),
            "integer": (1, 0, 7, 30),
            "number": (1.5, 2),
            "quantity": ("1", "100m", "1Gi"),
        }
        if kind in simple:
            return self._rng.choice(simple[kind])
        if schema.get("format") == "int-or-string" or "x-kubernetes-int-or-string" in schema:
            return self._rng.choice((1, "25%"))
        if depth > 3:
            return {} if kind == "object" else None
        if kind == "array":
            inner = self._value(schema.get("items", {}), name, depth + 1)
            return None if inner is None else [inner]
        if kind == "object" or "properties" in schema:
            return self._struct(schema, depth)
        return self._rng.choice(("free", 3, {"a": 1}, True))

    def _text(self, schema: Json, name: str) -> str:
        if schema.get("format") == "byte":
            return "YWJj"
        if schema.get("format") == "date-time":
            return "2030-01-02T03:04:05Z"
        return self._rng.choice((*_TEXTS.get(name, ()), "made-up"))

    def _struct(self, schema: Json, depth: int) -> Json:
        properties = schema.get("properties", {})
        if not properties:
            inner = self._value(schema.get("additionalProperties") or {}, "value", depth + 1)
            return {"made": inner} if inner is not None else {}
        required = set(schema.get("required", ()))
        optional = [name for name in properties if name not in required]
        if optional and self._rng.random() < 0.7:
            required.add(self._rng.choice(optional))
        made = {name: self._value(properties[name], name, depth + 1) for name in sorted(required)}
        return {name: value for name, value in made.items() if value is not None}

    def _of_metadata(self, live: Json) -> Mutation:
        metadata = live["metadata"]
        where = self._rng.choice(("labels", "annotations", "finalizers"))
        present = metadata.get(where)
        if where == "finalizers":
            if present and self._rng.random() < 0.5:
                return Mutation("delete", [{"op": "remove", "path": "/metadata/finalizers/0"}])
            value = [*(present or ()), "example.com/block"]
            return _put("metadata", "/metadata/finalizers", value)
        kept = [name for name in present or () if not name.startswith("kubectl.kubernetes.io/last")]
        if kept and self._rng.random() < 0.6:
            place = f"/metadata/{where}/{_escaped(self._rng.choice(kept))}"
            if self._rng.random() < 0.5:
                return Mutation("delete", [{"op": "remove", "path": place}])
            return _put("metadata", place, "changed")
        key = self._rng.choice(("example.com/extra", "extra"))
        if present is None:
            return _put("metadata", f"/metadata/{where}", {key: "x"})
        return _put("metadata", f"/metadata/{where}/{_escaped(key)}", "x")


def _put(what: str, pointer: str, value: Json) -> Mutation:
    return Mutation(what, [{"op": "add", "path": pointer, "value": value}])


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
