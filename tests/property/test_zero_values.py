"""Which declared empty values the API server takes for fields that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from driftd.diff.defaults import short
from driftd.diff.schema import Node, SchemaSet, Shape
from driftd.diff.zeros import UNSET_WHEN_EMPTY
from driftd.model.resource import GVK
from tests.defaults.generate import corpus
from tests.property.lab import Lab
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

Json = Any
Place = tuple[str | int, ...]
SKIPPED = ("status", "metadata", "apiVersion", "kind")


def added(sent: Json, back: Json, node: Node, place: Place = ()) -> Iterator[tuple[Node, Place]]:
    """The scalar fields that the server filled in, each with the node of its struct."""
    if isinstance(sent, dict) and isinstance(back, dict):
        for name, value in back.items():
            if place == () and name in SKIPPED:
                continue
            if name in sent:
                yield from added(sent[name], value, node.child(name), (*place, name))
            elif node.shape is Shape.STRUCT and isinstance(value, str | int):
                yield node, (*place, name)
            elif isinstance(value, dict):
                yield from added({}, value, node.child(name), (*place, name))
    elif isinstance(sent, list) and isinstance(back, list) and len(sent) == len(back):
        for index, pair in enumerate(zip(sent, back, strict=True)):
            yield from added(*pair, node.item, (*place, index))


def with_zero(body: Json, place: Place, zero: Json) -> Json:
    """The object with an empty value at a place; structs on the way are made."""
    changed = deepcopy(body)
    inner = changed
    for step in place[:-1]:
        inner = inner[step] if isinstance(step, int) else inner.setdefault(step, {})
    inner[place[-1]] = zero
    return changed


def at(body: Json, place: Place) -> Json:
    """The value at a place."""
    for step in place:
        body = body[step] if isinstance(step, int) else body.get(step)
        if body is None:
            return None
    return body


def observed(lab: Lab) -> set[tuple[str, str]]:
    """Every field whose empty value came back filled in."""
    found: set[tuple[str, str]] = set()
    for body in corpus():
        gvk = GVK.parse(body["apiVersion"], body["kind"])
        node = SchemaSet([lab.document(body["apiVersion"])]).node(gvk)
        assert node is not None
        path = f"{lab.path(body)}?dryRun=All"
        status, back = lab.cluster.request("POST", path, body)
        assert status == 201, back
        for struct, place in added(body, back, node):
            value = at(back, place)
            if isinstance(value, bool):
                continue
            for zero in ("", 0):
                status, again = lab.cluster.request("POST", path, with_zero(body, place, zero))
                if status == 201 and at(again, place) not in (zero, None):
                    found.add((short(struct.ref), str(place[-1])))
    return found


def test_list_is_the_servers(api_server: ControlPlane) -> None:
    """What is listed is filled in when it is empty, and nothing else of the corpus is."""
    lab = Lab(api_server, api_server.create_namespace("zeros"))
    assert observed(lab) == UNSET_WHEN_EMPTY
