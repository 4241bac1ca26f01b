"""Generate the default table from the API servers of all pinned minors.

    python -m tests.defaults.generate

Every object of `corpus/`, and of the property run, is created with `dryRun=All`; each field that
comes back without having been sent is recorded under the schema component that holds it. Values
that the cluster allocates or computes are rules in `driftd.diff.defaults` and are left out of the
table. Fields on which all minors agree are stored once, the others by minor. A test asks a real
server again, so that a Kubernetes release with other defaults shows up as a test failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from driftd.diff import defaults
from driftd.diff.owners import item_key
from driftd.diff.schema import Node, SchemaSet, Shape
from driftd.model.resource import GVK
from tests.property.lab import named, objects
from tests.testbed import binaries
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane
from tests.testbed.schemas import prefix

HERE = Path(__file__).parent
TABLE = HERE.parent.parent / "driftd" / "diff" / "data" / "defaults.json"

Rows = dict[str, dict[str, list[str]]]
"""Component to field to the values that a server was seen to add, as the table holds them."""
ADMITTED = {("v1.PodSpec", "tolerations")}
"""Lists that admission adds to; `driftd.diff.prepare` knows the items."""

_Seen = dict[str, dict[str, set[str]]]


def corpus() -> Iterator[dict[str, Any]]:
    """Every object of the corpus, and those that the property run changes."""
    for file in sorted((HERE / "corpus").glob("*.yaml")):
        yield from yaml.safe_load_all(file.read_text("utf-8"))
    for body in objects():
        if ".k8s.io/" in body["apiVersion"] or "." not in body["apiVersion"]:
            yield named(body, "base")


def created(cluster: ControlPlane) -> Iterator[tuple[dict[str, Any], dict[str, Any], Node]]:
    """Each object of the corpus, what the server makes of it, and its schema.

    Nothing is stored. Kinds that the server does not have are left out. Raises `ApiError` for an
    object that it refuses.
    """
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    if not cluster.call("GET", accounts)["items"]:
        # Without a controller manager nobody creates the account that pods are admitted with.
        cluster.call("POST", accounts, {"metadata": {"name": "default"}})
    version = cluster.call("GET", "/version")["gitVersion"]
    schemas: dict[str, SchemaSet] = {}
    resources = served(cluster)
    for body in corpus():
        api_version, kind = body["apiVersion"], body["kind"]
        if (api_version, kind) not in resources:
            continue
        if api_version not in schemas:
            document = cluster.call("GET", "/openapi/v3" + prefix(api_version))
            schemas[api_version] = SchemaSet([document], kubernetes=version)
        node = schemas[api_version].node(GVK.parse(api_version, kind))
        if node is None:
            raise LookupError(f"no schema for {api_version} {kind}")
        yield body, cluster.call("POST", resources[api_version, kind] + "?dryRun=All", body), node


def observed(cluster: ControlPlane) -> Rows:
    """What a server fills in. Raises `LookupError` where a rule does not explain what it made."""
    seen: _Seen = {}
    skipped = {"status", "metadata", "apiVersion", "kind"}
    for body, live, node in created(cluster):
        sent = {k: v for k, v in body.items() if k not in skipped}
        back = {k: v for k, v in live.items() if k not in skipped}
        if body["kind"] == "Secret":
            sent.pop("stringData", None)
            back.pop("data", None)
        record(sent, back, node, seen)
    return {
        component: {field: sorted(values) for field, values in sorted(fields.items())}
        for component, fields in sorted(seen.items())
    }


def served(cluster: ControlPlane) -> dict[tuple[str, str], str]:
    """Where objects of each stored kind of the server itself are created, by version and kind."""
    bases = ["/api/v1"]
    for group in cluster.call("GET", "/apis")["groups"]:
        # Other groups are custom resources of the test bed.
        if "." not in group["name"] or group["name"].endswith(".k8s.io"):
            bases += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    found = {}
    for base in bases:
        for resource in cluster.call("GET", base)["resources"]:
            if "/" in resource["name"] or not {"create", "get"} <= set(resource["verbs"]):
                continue
            place = "/namespaces/default" if resource["namespaced"] else ""
            api_version = base.removeprefix("/apis/").removeprefix("/api/")
            found[api_version, resource["kind"]] = f"{base}{place}/{resource['name']}"
    return found


def combined(by_minor: Mapping[str, Rows]) -> dict[str, Any]:
    """The table as it is stored: what all minors agree on, then the rest of each."""
    first, *others = by_minor.values()
    agreed = {
        component: {
            field: values
            for field, values in fields.items()
            if all(rows.get(component, {}).get(field) == values for rows in others)
        }
        for component, fields in first.items()
    }
    return {
        "kubernetes": {minor: binaries.KUBERNETES_VERSIONS[minor] for minor in by_minor},
        "components": {component: fields for component, fields in agreed.items() if fields},
        "only": {minor: _beyond(rows, agreed) for minor, rows in by_minor.items()},
    }


def _beyond(rows: Rows, agreed: Rows) -> Rows:
    kept = {
        component: {f: v for f, v in fields.items() if f not in agreed.get(component, {})}
        for component, fields in rows.items()
    }
    return {component: fields for component, fields in kept.items() if fields}


def record(sent: dict[str, Any], back: dict[str, Any], node: Node, seen: _Seen) -> None:
    """Record every field of `back` that `sent` lacks, below `node` too."""
    for name, value in back.items():
        child = node.child(name)
        if sent.get(name) is None:
            if node.shape is Shape.STRUCT:
                record_extra(name, value, node, sent, back, seen)
        elif isinstance(value, dict) and isinstance(sent[name], dict):
            record(defaults.with_derived(node, name, sent[name], sent, value), value, child, seen)
        elif isinstance(value, list) and isinstance(sent[name], list):
            for before, after in pairs(sent[name], value, child):
                record(before, after, child.item, seen)


def record_extra(
    name: str,
    value: Any,
    node: Node,
    sent: dict[str, Any],
    back: dict[str, Any],
    seen: _Seen,
) -> None:
    """Record one added field, unless a rule or the cluster decides its value."""
    component = defaults.short(node.ref)
    if value is None or not node.ref or defaults.is_allocated(node, name):
        return
    if node.child(name).shape is Shape.LIST_MAP or (component, name) in ADMITTED:
        return  # items that admission adds (token mounts, tolerations) are no field defaults
    if (component, name) in defaults.CONDITIONAL:
        if not defaults.CONDITIONAL[component, name](value, sent, back):
            raise LookupError(f"the rule for {component}.{name} does not explain {value!r}")
        return
    known = seen.setdefault(component, {}).setdefault(name, set())
    if isinstance(value, dict):
        known.add(defaults.STRUCT_MARK)
        record({}, value, node.child(name), seen)
    else:
        known.add(defaults.canonical(value))


def pairs(sent: list[Any], back: list[Any], node: Node) -> Iterator[tuple[Any, Any]]:
    """The items of both lists that belong together."""
    if node.shape is Shape.LIST_MAP:
        by_key = {item_key(item, node.keys, node.key_defaults): item for item in sent}
        for item in back:
            key = item_key(item, node.keys, node.key_defaults)
            if key in by_key:
                yield by_key[key], item
        return
    for before, after in zip(sent, back, strict=False):
        if isinstance(before, dict) and isinstance(after, dict):
            yield before, after


def main() -> int:
    """Generate driftd/diff/data/defaults.json from every pinned minor."""
    by_minor = {}
    for minor in binaries.KUBERNETES_VERSIONS:
        with ControlPlane(minor, kubernetes=minor) as cluster:
            try:
                by_minor[minor] = observed(cluster)
            except (ApiError, LookupError) as error:
                sys.stderr.write(f"Kubernetes {minor}: {error}\n")
                return 1
        fields = sum(map(len, by_minor[minor].values()))
        sys.stdout.write(f"Kubernetes {minor}: {fields} fields\n")
    text = json.dumps(combined(by_minor), indent=1) + "\n"
    TABLE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
