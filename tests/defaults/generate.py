"""Generate the default table from a real API server.

    python -m tests.defaults.generate --server URL --token TOKEN [--check]

Every object of `corpus/` is created with `dryRun=All`; each field that comes back without having
been sent is recorded under the schema component that holds it. Values that the cluster allocates
or computes are rules in `driftd.diff.defaults` and are left out of the table. `--check` fails
when the committed table differs, so that a Kubernetes release shows up as a test failure.
"""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from driftd.diff import defaults
from driftd.diff.owners import item_key
from driftd.diff.schema import Node, SchemaSet, Shape
from driftd.model.resource import GVK

HERE = Path(__file__).parent
TABLE = HERE.parent.parent / "driftd" / "diff" / "data" / "defaults.json"

Rows = dict[str, dict[str, set[str]]]


class Server:
    """The few requests that the generator makes."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE  # a control plane of the test bed on loopback

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer; HTTP errors raise with the server's message."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - https to the test bed
            self.url + path, data=data, method=method, headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, context=self._tls) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            raise SystemExit(f"{method} {path}: {error.code} {text[:500]}") from None


def corpus() -> Iterator[dict[str, Any]]:
    """Every object of the corpus."""
    for file in sorted((HERE / "corpus").glob("*.yaml")):
        yield from yaml.safe_load_all(file.read_text("utf-8"))


def prefix(api_version: str) -> str:
    """The URL prefix of a group version."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def generate(server: Server) -> dict[str, Any]:
    """The table as it is committed."""
    version = server.call("GET", "/version")["gitVersion"].removeprefix("v")
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    if not server.call("GET", accounts)["items"]:
        # Without a controller manager nobody creates the account that pods are admitted with.
        server.call("POST", accounts, {"metadata": {"name": "default"}})
    schemas: dict[str, SchemaSet] = {}
    resources: dict[str, dict[str, tuple[str, bool]]] = {}
    rows: Rows = {}
    for body in corpus():
        api_version = body["apiVersion"]
        base = prefix(api_version)
        if base not in schemas:
            schemas[base] = SchemaSet([server.call("GET", "/openapi/v3" + base)])
            resources[base] = {
                r["kind"]: (r["name"], r["namespaced"])
                for r in server.call("GET", base)["resources"]
                if "/" not in r["name"]
            }
        plural, namespaced = resources[base][body["kind"]]
        place = f"{base}/namespaces/default/{plural}" if namespaced else f"{base}/{plural}"
        created = server.call("POST", place + "?dryRun=All", body)
        node = schemas[base].node(GVK.parse(api_version, body["kind"]))
        if node is None:
            raise SystemExit(f"no schema for {api_version} {body['kind']}")
        skipped = {"status", "metadata", "apiVersion", "kind"}
        sent = {k: v for k, v in body.items() if k not in skipped}
        back = {k: v for k, v in created.items() if k not in skipped}
        if body["kind"] == "Secret":
            sent.pop("stringData", None)
            back.pop("data", None)
        record(sent, back, node, rows)
    return {
        "kubernetes": version,
        "components": {
            component: {field: sorted(values) for field, values in sorted(fields.items())}
            for component, fields in sorted(rows.items())
        },
    }


def record(sent: dict[str, Any], back: dict[str, Any], node: Node, rows: Rows) -> None:
    """Record every field of `back` that `sent` lacks, below `node` too."""
    for name, value in back.items():
        child = node.child(name)
        if sent.get(name) is None:
            if node.shape is Shape.STRUCT:
                record_extra(name, value, node, sent, back, rows)
        elif isinstance(value, dict) and isinstance(sent[name], dict):
            record(sent[name], value, child, rows)
        elif isinstance(value, list) and isinstance(sent[name], list):
            for before, after in pairs(sent[name], value, child):
                record(before, after, child.item, rows)


def record_extra(
    name: str,
    value: Any,
    node: Node,
    sent: dict[str, Any],
    back: dict[str, Any],
    rows: Rows,
) -> None:
    """Record one added field, unless a rule or the cluster decides its value."""
    component = defaults.short(node.ref)
    if value is None or not node.ref or defaults.is_allocated(node, name):
        return
    if node.child(name).shape is Shape.LIST_MAP:
        return  # items that admission adds (token mounts, tolerations) are no field defaults
    if (component, name) in defaults.CONDITIONAL:
        if not defaults.CONDITIONAL[component, name](value, sent, back):
            raise SystemExit(f"the rule for {component}.{name} does not explain {value!r}")
        return
    known = rows.setdefault(component, {}).setdefault(name, set())
    if isinstance(value, dict):
        known.add(defaults.STRUCT_MARK)
        record({}, value, node.child(name), rows)
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


@click.command()
@click.option("--server", required=True, help="URL of the API server.")
@click.option("--token", required=True, help="Bearer token that may create every kind.")
@click.option("--check", is_flag=True, help="Only compare with the committed table.")
def main(server: str, token: str, *, check: bool) -> None:
    """Generate driftd/diff/data/defaults.json."""
    table = generate(Server(server, token))
    text = json.dumps(table, indent=1, sort_keys=True) + "\n"
    if check:
        if TABLE.read_text("utf-8") != text:
            sys.exit("the committed default table differs from this server's defaults")
        return
    TABLE.write_text(text, "utf-8")
    click.echo(f"{sum(map(len, table['components'].values()))} fields from {table['kubernetes']}")


if __name__ == "__main__":
    main()
