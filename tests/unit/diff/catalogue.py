"""Rows of the catalogue (`tests/cases/catalogue`) made into a desired and a live object.

A row starts from an object of `objects.yaml`. `before` changes it before it is deployed; `by` names
the deployer (server-side apply by argocd-controller if absent); `git` changes what Git says since;
`live` and `server` change the live object without an owner; `writes` does so as managers,
`NAME`, `NAME/Apply`, `NAME/SUBRESOURCE` or `NAME@created`. `fields` gives a manager's FieldsV1
as it is, `versions` the apiVersion that it wrote through; `wiped` empties managedFields. `seen`
says that a look has found the object clean before all that: `clean`, or `other schemas` if the
schemas of its API have changed since. All changes are JSON patches.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from driftd.diff.compare import Context, compare
from driftd.diff.facts import Bounds, Facts
from driftd.diff.history import History, Moment, decode, encode
from driftd.diff.owners import item_key, value_key
from driftd.diff.schema import ANY_NODE, Node, SchemaSet, Shape
from driftd.model.report import Change
from driftd.model.resource import GVK, ResourceKey
from tests.cases.openapi import subset
from tests.testbed.jsonpatch import patched
from tests.unit.diff.objects import CREATED, LATER, entry, fields_of

CASES = Path(__file__).parents[2] / "cases" / "catalogue"
WIDGET = Path(__file__).parents[2] / "property" / "widget.yaml"
Json = Any
_APPLIERS = {"argocd-controller", "driftd"}
_CHANGES = ("git", "live", "server", "writes", "fields", "wiped")
_SEEN, _NOW = "2026-01-01T12:00:00Z", "2026-01-03T12:00:00Z"
"""The look before `LATER`, and the one after it."""


@cache
def objects() -> dict[str, Json]:
    """The objects that rows start from."""
    loaded: dict[str, Json] = yaml.load(
        (CASES / "objects.yaml").read_text("utf-8"), yaml.CSafeLoader
    )
    return loaded


@cache
def rows() -> list[Json]:
    """Every case of every file."""
    files = sorted(path for path in CASES.glob("*.yaml") if path.name != "objects.yaml")
    return [row for file in files for row in yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)]


@cache
def schemas() -> SchemaSet:
    """The stored schemas and the one of the custom resource."""
    definition = yaml.safe_load(WIDGET.read_text("utf-8"))["spec"]
    version = definition["versions"][0]
    gvk = {"group": definition["group"], "version": version["name"], "kind": "Widget"}
    schema = version["schema"]["openAPIV3Schema"]
    properties = {"metadata": {"type": "object"}, **schema["properties"]}
    component = {**schema, "properties": properties, "x-kubernetes-group-version-kind": [gvk]}
    document = {"components": {"schemas": {"com.example.property.v1.Widget": component}}}
    return subset.schemas().extended([document])


class Case:
    """One row: what is compared."""

    def __init__(self, row: Json) -> None:
        body = patched(objects()[row["object"]], row.get("before", []))
        gvk = GVK.parse(body["apiVersion"], body["kind"])
        metadata = body["metadata"]
        self.key = ResourceKey(gvk.group, gvk.kind, metadata.get("namespace", ""), metadata["name"])
        node = schemas().node(gvk)
        assert node is not None
        self.node = node
        self.desired = patched(body, row.get("git", []))
        bounds = row.get("autoscaled")
        facts = Facts(autoscaled={self.key: Bounds(*bounds, "web")}) if bounds else Facts()
        self.context = Context(facts=facts)
        self.live = self._live(body, row)
        self._seen: str = row.get("seen", "")
        self._before = (body, self._live(body, {k: v for k, v in row.items() if k not in _CHANGES}))

    def changes(self) -> tuple[Change, ...]:
        """What the look finds."""
        moment = Moment(now=_NOW, schema_hash="new" if self._seen == "other schemas" else "old")
        history, self.live["metadata"]["resourceVersion"] = self._history(), "2"
        return compare(
            self.key,
            self.desired,
            self.live,
            self.node,
            self.context,
            history=history,
            moment=moment if self._seen else None,
        ).changes

    def _history(self) -> History | None:
        """What the look before has left, which found the object clean."""
        if not self._seen:
            return None
        desired, live = self._before
        live["metadata"]["resourceVersion"] = "1"
        moment = Moment(now=_SEEN, schema_hash="old")
        first = compare(self.key, desired, live, self.node, self.context, moment=moment)
        assert first.changes == ()
        assert first.history is not None
        return decode(encode(first.history))

    def _live(self, body: Json, row: Json) -> Json:
        by = row.get("by", "argocd-controller")
        own = {
            "f:" + name: fields_of(inner, self.node.child(name))
            for name, inner in body.items()
            if name not in ("apiVersion", "kind", "metadata")
        }
        own["f:metadata"] = {
            "f:" + name: fields_of(body["metadata"][name], ANY_NODE)
            for name in ("labels", "annotations")
            if name in body["metadata"]
        }
        live = patched(body, [*row.get("live", []), *row.get("server", [])])
        entries = []
        for name, operations in row.get("writes", {}).items():
            after = patched(live, operations)
            fields: Json = row.get("fields", {}).get(name, {})
            for operation in operations:
                pointer = _at_end(operation["path"], live)
                segments, place = segments_of(pointer, after, self.node)
                if json.dumps(value_at(live, pointer)) != json.dumps(operation["value"]):
                    _drop(own, segments)
                _put(fields, segments, fields_of(operation["value"], place))
            live = after
            entries.append(_entry(name, fields))
        operation = "Apply" if by in _APPLIERS else "Update"
        entries.insert(0, entry(by, own, operation=operation, time=CREATED))
        for one in entries:
            through = row.get("versions", {})
            one["apiVersion"] = through.get(one["manager"], body["apiVersion"])
        live["metadata"].update(creationTimestamp=CREATED, uid="b1e5")
        live["metadata"]["managedFields"] = [{}] if row.get("wiped") else entries
        return live


def _entry(name: str, fields: Json) -> Json:
    name, _, moment = name.partition("@")
    manager, _, how = name.partition("/")
    operation = "Apply" if how == "Apply" else "Update"
    return entry(
        manager,
        fields,
        operation=operation,
        subresource=how if how != "Apply" else "",
        time=CREATED if moment else LATER,
    )


def _at_end(pointer: str, document: Json) -> str:
    """A pointer whose `-` is the position that an added item gets."""
    parent, _, last = pointer.rpartition("/")
    return f"{parent}/{len(value_at(document, parent))}" if last == "-" else pointer


def value_at(document: Json, pointer: str) -> Json:
    """The value at a pointer; None where there is none."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(name)] if int(name) < len(document) else None
        else:
            document = (document or {}).get(name)
    return document


def segments_of(pointer: str, document: Json, node: Node) -> tuple[list[str], Node]:
    """The managedFields segments of a place, up to an atomic parent, and the node there."""
    segments: list[str] = []
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if node.atomic:
            break
        if isinstance(document, list):
            document = document[int(name)]
            if node.shape is Shape.SET:
                return [*segments, value_key(document)], node.item
            key = item_key(document, node.keys, node.key_defaults)
            assert key is not None
            segments.append(key)
            node = node.item
        else:
            document = document[name]
            segments.append("f:" + name)
            node = node.child(name)
    return segments, node


def _put(fields: Json, segments: list[str], below: Json) -> None:
    for segment in segments[:-1]:
        fields = fields.setdefault(segment, {})
    fields[segments[-1]] = below


def _drop(fields: Json, segments: list[str]) -> None:
    for segment in segments[:-1]:
        fields = fields.get(segment, {})
    fields.pop(segments[-1], None)
