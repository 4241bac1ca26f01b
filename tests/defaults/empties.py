"""Generate what the API server makes of declared empty values.

    python -m tests.defaults.empties

Into every struct of the corpus goes, one at a time and with `dryRun=All`, each field that its
schema allows, with the empty value of its type (`{}`, `[]`, `""`, 0, false). A field that comes
back empty is *kept*: its absence means something else. One that comes back empty without having
been sent, too, is *printed*: it is always there. A field that comes back filled is *unset*: the
server cannot tell the empty value from none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from driftd.diff.defaults import short
from driftd.diff.schema import Node, SchemaSet, Shape
from driftd.model.resource import GVK
from tests.property.lab import Lab
from tests.testbed.cluster import ControlPlane

TABLE = Path(__file__).parents[2] / "driftd" / "diff" / "data" / "empties.json"
TRIES = 6
"""Objects in which a field is tried that the server neither keeps nor fills in."""
SKIPPED = ("status", "metadata", "apiVersion", "kind")
_PREFIX = "#/components/schemas/"

Json = Any
Place = tuple[str | int, ...]


class Site(NamedTuple):
    """One field of one struct: the struct's component, where it is, and its empty values."""

    component: str
    place: Place
    empties: tuple[Json, ...]


class Empties:
    """Tries empty values on one API server."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.kept: set[tuple[str, str]] = set()
        self.unset: set[tuple[str, str]] = set()
        self.printed: set[tuple[str, str]] = set()
        self._tried: Counter[tuple[str, str]] = Counter()

    def look(self, bodies: Iterable[Json]) -> None:
        """Try every field of every struct of the objects, each field until it tells something."""
        for body in bodies:
            document = self._lab.document(body["apiVersion"])
            gvk = GVK.parse(body["apiVersion"], body["kind"])
            node = SchemaSet([document]).node(gvk)
            if node is None:
                raise SystemExit(f"no schema for {gvk}")
            for site in sites(body, node, document["components"]["schemas"]):
                self._try(body, site)

    def _try(self, body: Json, site: Site) -> None:
        name = (site.component, str(site.place[-1]))
        if self._tried[name] == TRIES or name in self.kept or name in self.unset:
            return
        path = f"{self._lab.path(body)}?dryRun=All"
        for empty in site.empties:
            status, back = self._lab.cluster.request("POST", path, put(body, site.place, empty))
            if status != 201:
                continue
            self._tried[name] += 1
            stored = at(back, site.place)
            if is_same(stored, empty):
                self.kept.add(name)
                if is_same(self._unsent(body, site, path), empty):
                    self.printed.add(name)
            elif isinstance(stored, dict) and empty == {}:
                if self._unsent(body, site, path) is None:
                    self.kept.add(name)  # filled with defaults, which go when the struct goes
            elif stored is not None and type(empty) in (str, int, list):
                self.unset.add(name)

    def _unsent(self, body: Json, site: Site, path: str) -> Json:
        """What the server stores at a place where nothing was sent."""
        status, back = self._lab.cluster.request("POST", path, put(body, site.place, None))
        return at(back, site.place) if status == 201 else None

    def table(self) -> dict[str, dict[str, list[str]]]:
        """What was seen, by component."""
        return {
            "kept": _grouped(self.kept),
            "printed": _grouped(self.printed),
            "unset": _grouped(self.unset - self.kept),
        }


def _grouped(names: set[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for component, field in sorted(names):
        found.setdefault(component, []).append(field)
    return found


def sites(value: Json, node: Node, schemas: Json, place: Place = ()) -> Iterator[Site]:
    """The fields of the structs in an object, as far as it goes."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from sites(item, node.item, schemas, (*place, index))
    if not isinstance(value, dict):
        return
    if node.shape is Shape.STRUCT and node.native:
        for name, schema in schemas[node.ref].get("properties", {}).items():
            if not (place == () and name in SKIPPED) and (empties := empties_of(schema, schemas)):
                yield Site(short(node.ref), (*place, name), empties)
    for name, inner in value.items():
        if not (place == () and name in SKIPPED):
            yield from sites(inner, node.child(name), schemas, (*place, name))


def empties_of(schema: Json, schemas: Json) -> tuple[Json, ...]:
    """The empty values that a field of this schema may have."""
    reference = schema.get("$ref") or next(
        (part["$ref"] for part in schema.get("allOf", ()) if "$ref" in part), None
    )
    if reference is not None:
        name = reference.removeprefix(_PREFIX)
        schema = schemas[name]
    kind = schema.get("type")
    if schema.get("format") == "int-or-string" or "oneOf" in schema:
        return (0, "")
    return {
        "object": ({},),
        "array": ([],),
        "string": ("",),
        "integer": (0,),
        "number": (0,),
        "boolean": (False,),
    }.get(kind, ())


def put(body: Json, place: Place, value: Json) -> Json:
    """The object with a value at a place."""
    changed = deepcopy(body)
    inner = changed
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return changed


def at(body: Json, place: Place) -> Json:
    """The value at a place; None where there is none."""
    for step in place:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return None
    return body


def is_same(one: Json, other: Json) -> bool:
    """Whether two empty values are the same, their type included."""
    return json.dumps(one) == json.dumps(other)


def generate(cluster: ControlPlane, bodies: Iterable[Json]) -> dict[str, dict[str, list[str]]]:
    """The table of one API server."""
    empties = Empties(Lab(cluster, cluster.create_namespace("empties")))
    empties.look(bodies)
    return empties.table()


def main() -> None:
    """Write the table that driftd ships."""
    from tests.defaults.generate import corpus

    with ControlPlane("empties") as cluster:
        table = generate(cluster, corpus())
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
