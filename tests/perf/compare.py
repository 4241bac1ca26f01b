"""How many objects one CPU second compares.

    python -m tests.perf.compare [--objects 2000] [--runs 3]

A real API server takes one object of each kind of `tests.perf.scale` by server-side apply; what it
serves then is repeated under many names. Measured is CPU time of one process: decoding both sides
from JSON and comparing them, clean and with one changed field each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click
import orjson

from driftd.diff.compare import Context, compare
from driftd.diff.schema import Node, SchemaSet
from driftd.model.resource import GVK, ResourceKey
from tests.perf.scale import KINDS, PATHS, manifest
from tests.testbed.cluster import ControlPlane
from tests.testbed.schemas import schema_set

NAMESPACE = "compare"
Pair = tuple[bytes, bytes]
Sample = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""Desired, live as applied, live with one field changed by hand."""
CHANGES = {
    "Deployment": {"op": "replace", "path": "/spec/replicas", "value": 9},
    "Service": {"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9999},
    "ConfigMap": {"op": "replace", "path": "/data/key-3", "value": "tampered"},
    "Role": {"op": "add", "path": "/rules/0/verbs/-", "value": "delete"},
}


def samples(cluster: ControlPlane) -> dict[str, Sample]:
    """One object of each kind, applied and then changed on a real API server."""
    cluster.create_namespace(NAMESPACE)
    found = {}
    for number, kind in enumerate(KINDS):
        body = manifest(NAMESPACE, number)
        path = PATHS[kind].format(ns=NAMESPACE, name=body["metadata"]["name"])
        live = cluster.call(
            "PATCH",
            f"{path}?fieldManager=argocd-controller&force=true",
            body,
            content_type="application/apply-patch+yaml",
        )
        drifted = cluster.call(
            "PATCH",
            f"{path}?fieldManager=alice",
            [CHANGES[kind]],
            content_type="application/json-patch+json",
        )
        found[kind] = (body, live, drifted)
    return found


def repeated(desired: dict[str, Any], live: dict[str, Any], count: int) -> list[Pair]:
    """The pair as JSON under many names."""
    name = desired["metadata"]["name"].encode()
    texts = orjson.dumps(desired), orjson.dumps(live)
    return [
        (texts[0].replace(name, b"web-%06d" % i), texts[1].replace(name, b"web-%06d" % i))
        for i in range(count)
    ]


def run(pairs: list[Pair], node: Node | None, gvk: GVK) -> int:
    """Decode and compare every pair; the number of changes."""
    context = Context()
    changes = 0
    for wanted, served in pairs:
        desired, live = orjson.loads(wanted), orjson.loads(served)
        key = ResourceKey(gvk.group, gvk.kind, NAMESPACE, live["metadata"]["name"])
        changes += len(compare(key, desired, live, node, context).changes)
    return changes


def cpu(work: Callable[[], int]) -> tuple[float, int]:
    """The CPU seconds that `work` takes, and its answer."""
    started = time.process_time()
    answer = work()
    return time.process_time() - started, answer


def report(found: dict[str, Sample], schemas: SchemaSet, count: int, runs: int) -> None:
    """Print the table."""
    click.echo(f"{'':12}{'clean/s':>12}{'us each':>9}{'drifted/s':>12}{'us each':>9}")
    for kind, (desired, live, drifted) in found.items():
        gvk = GVK.parse(desired["apiVersion"], kind)
        node = schemas.node(gvk)
        row = f"{kind:12}"
        for served, expected in ((live, 0), (drifted, count)):
            pairs = repeated(desired, served, count)
            run(pairs[:10], node, gvk)
            taken = []
            for _ in range(runs):
                seconds, changes = cpu(lambda p=pairs, n=node, g=gvk: run(p, n, g))
                if changes != expected:
                    raise SystemExit(f"{kind}: {changes} changes, {expected} expected")
                taken.append(seconds)
            best = min(taken)
            row += f"{count / best:12,.0f}{best / count * 1e6:9.0f}"
        click.echo(row)


@click.command()
@click.option("--objects", default=2000, show_default=True)
@click.option("--runs", default=3, show_default=True)
def main(objects: int, runs: int) -> None:
    """Measure compare() on objects of a real API server."""
    with ControlPlane("compare") as cluster:
        schemas = schema_set(cluster, "v1", "apps/v1", "rbac.authorization.k8s.io/v1")
        report(samples(cluster), schemas, objects, runs)


if __name__ == "__main__":
    main()
