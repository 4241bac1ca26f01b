"""How long the verdict on one object takes, of everyday objects and of heavy ones.

    python -m tests.perf.verdicts [--runs 200]

The objects are applied to a real API server, looked at as it serves them, changed there by
another manager and looked at again. Median CPU milliseconds of one comparison, both sides parsed
already; the first row reads bytes and tells whether the object is as it was.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import click
import orjson

from driftd.diff.compare import Context, compare
from driftd.diff.digest import view_digest
from driftd.diff.schema import Node
from driftd.model.resource import GVK, ResourceKey
from tests.perf.scale import manifest
from tests.testbed.cluster import ControlPlane
from tests.testbed.schemas import schema_set

NAMESPACE = "verdicts"
Json = dict[str, Any]
Pair = tuple[Json, Json]
VERSIONS = ("v1", "apps/v1", "apiextensions.k8s.io/v1")
PATHS = {
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "Pod": f"/api/v1/namespaces/{NAMESPACE}/pods",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}
THREE_CHANGES = [
    {"op": "replace", "path": "/spec/replicas", "value": 9},
    {
        "op": "add",
        "path": "/spec/template/spec/containers/0/env/-",
        "value": {"name": "X", "value": "1"},
    },
    {"op": "add", "path": "/spec/template/spec/hostNetwork", "value": True},
]


class Stage:
    """Applies and changes objects on the API server."""

    def __init__(self, cluster: ControlPlane) -> None:
        self.cluster = cluster
        cluster.create_namespace(NAMESPACE)

    def applied(self, body: Json) -> Json:
        """The object as the server holds it after Argo CD's apply."""
        path = f"{PATHS[body['kind']]}/{body['metadata']['name']}"
        return self.cluster.call(
            "PATCH",
            f"{path}?fieldManager=argocd-controller&force=true",
            body,
            content_type="application/apply-patch+yaml",
        )

    def patched(self, body: Json, operations: list[Json], manager: str) -> Json:
        """The object after a change by `manager`."""
        path = f"{PATHS[body['kind']]}/{body['metadata']['name']}"
        return self.cluster.call(
            "PATCH",
            f"{path}?fieldManager={manager}",
            operations,
            content_type="application/json-patch+json",
        )


def deployment(name: str, environment: int = 5) -> Json:
    """The Deployment of the scale benchmark, with some environment."""
    body = manifest(NAMESPACE, 0)
    if body["kind"] != "Deployment":
        raise SystemExit("the scale benchmark starts with another kind now")
    body["metadata"] = {**body["metadata"], "name": name}
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": f"E{n}", "value": str(n)} for n in range(environment)]
    return body


def config_map(lines: int) -> Json:
    """A ConfigMap with one long file."""
    text = "".join(f"key.{n} = value of line {n}\n" for n in range(lines))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "long", "namespace": NAMESPACE},
        "data": {"long.properties": text},
    }


def pod(containers: int) -> Json:
    """A Pod with many containers."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "wide", "namespace": NAMESPACE},
        "spec": {
            "containers": [
                {
                    "name": f"c{n}",
                    "image": f"registry.example/app:{n}",
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    "ports": [{"containerPort": 1000 + n}],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                }
                for n in range(containers)
            ]
        },
    }


def definition(size: int) -> Json:
    """A CustomResourceDefinition of about `size` bytes of JSON."""
    properties: Json = {}
    body: Json = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "heavies.verdicts.example.com"},
        "spec": {
            "group": "verdicts.example.com",
            "names": {"plural": "heavies", "kind": "Heavy"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": {"type": "object", "properties": properties}},
                        }
                    },
                }
            ],
        },
    }
    one = {"type": "string", "description": "what this field of the resource means " * 4}
    for number in range(size // (len(orjson.dumps(one)) + 20)):
        properties[f"field{number:06}"] = one
    return body


def drifted(stage: Stage, body: Json, operations: list[Json]) -> Pair:
    """An applied object with changes by hand."""
    stage.applied(body)
    return body, stage.patched(body, operations, "alice")


def crowded(stage: Stage, body: Json) -> Pair:
    """An object with fifty managedFields entries: Apply ones, which the server never merges."""
    stage.applied(body)
    name = body["metadata"]["name"]
    for number in range(49):
        only = {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "metadata": {"name": name, "annotations": {f"example.com/a{number}": "x"}},
        }
        live = stage.cluster.call(
            "PATCH",
            f"{PATHS[body['kind']]}/{name}?fieldManager=tool-{number}",
            only,
            content_type="application/apply-patch+yaml",
        )
    if len(live["metadata"]["managedFields"]) != 50:
        raise SystemExit(f"{len(live['metadata']['managedFields'])} managedFields entries, not 50")
    return body, live


def cases(stage: Stage) -> dict[str, tuple[Pair, int, float]]:
    """What is measured: the pair, the changes expected in it, the milliseconds allowed."""
    small = deployment("clean")
    long, wide, heavy = config_map(5000), pod(200), definition(1_000_000)
    line = [{"op": "replace", "path": "/data/long.properties", "value": "other\n" * 5000}]
    image = [{"op": "replace", "path": "/spec/containers/77/image", "value": "evil:1"}]
    names = [{"op": "add", "path": "/spec/names/shortNames", "value": ["hv"]}]
    found = {
        "Deployment, clean": ((small, stage.applied(small)), 0, 0.7),
        "Deployment, 3 changes": (drifted(stage, deployment("three"), THREE_CHANGES), 3, 1.5),
        "ConfigMap, 5,000 lines, clean": ((long, stage.applied(long)), 0, 50.0),
        "Pod, 200 containers, clean": ((wide, stage.applied(wide)), 0, 50.0),
        "CRD, 1 MB, clean": ((heavy, stage.applied(heavy)), 0, 50.0),
        "Deployment, 50 managers": (crowded(stage, deployment("crowded")), 49, 50.0),
    }
    found["ConfigMap, 5,000 lines, drifted"] = (drifted(stage, long, line), 1, 50.0)
    found["Pod, 200 containers, drifted"] = (drifted(stage, wide, image), 1, 50.0)
    found["CRD, 1 MB, drifted"] = (drifted(stage, heavy, names), 1, 50.0)
    return found


def median(work: Callable[[], object], runs: int) -> float:
    """The median CPU milliseconds of one call."""
    taken = []
    for _ in range(runs):
        started = time.process_time_ns()
        work()
        taken.append((time.process_time_ns() - started) / 1e6)
    return statistics.median(taken)


def looked_at(pair: Pair, node: Node | None) -> Callable[[], int]:
    """One comparison of parsed objects; the number of changes."""
    body, live = pair
    gvk = GVK.parse(body["apiVersion"], body["kind"])
    metadata = live["metadata"]
    key = ResourceKey(gvk.group, gvk.kind, metadata.get("namespace", ""), metadata["name"])
    desired, served = deepcopy(body), deepcopy(live)
    context = Context()
    return lambda: len(compare(key, desired, served, node, context).changes)


def digests_per_second(live: Json, count: int = 20_000) -> float:
    """How many served bodies one CPU second tells unchanged."""
    body = orjson.dumps(live)
    before = view_digest(body)
    started = time.process_time()
    same = sum(view_digest(body) == before for _ in range(count))
    if same != count:
        raise SystemExit("one body has two digests")
    return count / (time.process_time() - started)


@click.command()
@click.option("--runs", default=200, show_default=True)
def main(runs: int) -> None:
    """Measure single verdicts on objects of a real API server."""
    with ControlPlane("verdicts") as cluster:
        found = cases(Stage(cluster))
        schemas = schema_set(cluster, *VERSIONS)
        (_, clean), _, _ = found["Deployment, clean"]
        rate = digests_per_second(clean)
        click.echo(f"{'':34}{'measured':>12}{'allowed':>12}")
        click.echo(f"{'unchanged Deployment, from bytes':34}{rate:>10,.0f}/s{50_000:>10,}/s")
        for title, (pair, expected, allowed) in found.items():
            node = schemas.node(GVK.parse(pair[0]["apiVersion"], pair[0]["kind"]))
            work = looked_at(pair, node)
            if (changes := work()) != expected:
                raise SystemExit(f"{title}: {changes} changes, {expected} expected")
            click.echo(f"{title:34}{median(work, runs):>9.2f} ms{allowed:>9.1f} ms")


if __name__ == "__main__":
    main()
