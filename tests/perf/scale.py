"""How fast one look at 50 applications of 200 objects is, beside `kubectl diff`.

    python -m tests.perf.scale [--applications 50] [--drifts 30] [--keep]

One real API server holds the objects, all applied by server-side apply. Random drifts are made by
hand, then `driftd check` runs as users run it: a fresh process, no cache. Wall time, CPU and
proportional memory (PSS) are those of its whole process tree; memory is sampled in a run of its
own, since reading it stops the processes. `kubectl diff --server-side` reads one application's
objects in the same run, so that the ratio holds on a noisy machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo

OBJECTS = 200
KINDS = ("Deployment", "Service", "ConfigMap", "Role")
PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{ns}/deployments/{name}",
    "Service": "/api/v1/namespaces/{ns}/services/{name}",
    "ConfigMap": "/api/v1/namespaces/{ns}/configmaps/{name}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles/{name}",
}


def manifest(namespace: str, number: int) -> dict[str, Any]:
    """The `number`th object of an application: Deployment, Service, ConfigMap, Role in turn."""
    kind = KINDS[number % len(KINDS)]
    name = f"web-{number:03}"
    labels = {"app.kubernetes.io/name": name, "team": "shop"}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    if kind == "Service":
        spec = {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    if kind == "ConfigMap":
        data = {f"key-{i}": f"value {i} of {name}" for i in range(8)}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}
    if kind == "Role":
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
        version = "rbac.authorization.k8s.io/v1"
        return {"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "web",
                    "containers": [_container("app", name), _container("proxy", name)],
                    "volumes": [{"name": "config", "configMap": {"name": name}}],
                },
            },
        },
    }


def _container(name: str, owner: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": f"registry.example/{owner}/{name}:1.0.0",
        "args": ["--verbose", f"--name={owner}"],
        "env": [{"name": f"SETTING_{i}", "value": str(i)} for i in range(6)],
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        "volumeMounts": [{"name": "config", "mountPath": "/config"}],
    }


def application(name: str, cluster: str = "scale") -> dict[str, Any]:
    """The Application that declares one namespace's objects."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {"repoURL": "https://git.example/scale.git", "path": f"apps/{name}"},
            "destination": {"name": cluster, "namespace": name},
        },
    }


def write_repository(
    repository: GitRepo, names: list[str], homes: Mapping[str, str] | None = None
) -> None:
    """One folder an application, one file an object; `homes` are clusters by application."""
    for name in names:
        document = application(name, (homes or {}).get(name, "scale"))
        repository.write(f"applications/{name}.yaml", yaml.safe_dump(document))
        for number in range(OBJECTS):
            body = yaml.dump(manifest(name, number), Dumper=yaml.CSafeDumper)
            repository.write(f"apps/{name}/{number:03}.yaml", body)
    repository.commit("Declare everything")


def apply_all(cluster: ControlPlane, names: list[str], manager: str = "argocd-controller") -> None:
    """Server-side apply of every object, as Argo CD does it, or another deployer."""
    for name in names:
        cluster.create_namespace(name)

    def apply(item: tuple[str, int]) -> None:
        namespace, number = item
        body = manifest(namespace, number)
        path = PATHS[body["kind"]].format(ns=namespace, name=body["metadata"]["name"])
        cluster.call(
            "PATCH",
            f"{path}?fieldManager={manager}&force=true",
            body,
            content_type="application/apply-patch+yaml",
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(apply, ((n, i) for n in names for i in range(OBJECTS))))


def make_drifts(cluster: ControlPlane, names: list[str], count: int, seed: int) -> set[str]:
    """`count` changes by hand to different objects; `namespace/name path` of each."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    changes = {
        "Deployment": ("/spec/template/spec/containers/0/image", "registry.example/evil:1"),
        "Service": ("/spec/ports/0/targetPort", 9999),
        "ConfigMap": ("/data/key-3", "tampered"),
        "Role": ("/rules", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
    }
    places = chance.sample([(n, i) for n in names for i in range(OBJECTS)], count)
    expected = set()
    for namespace, number in places:
        body = manifest(namespace, number)
        name = body["metadata"]["name"]
        path, value = changes[body["kind"]]
        cluster.call(
            "PATCH",
            PATHS[body["kind"]].format(ns=namespace, name=name) + "?fieldManager=alice",
            [{"op": "replace", "path": path, "value": value}],
            content_type="application/json-patch+json",
        )
        expected.add(f"{namespace}/{name} {path}")
    return expected


@dataclass
class Usage:
    """What a process tree used."""

    wall: float
    cpu: float
    peak_pss: int
    output: str
    status: int


def measured(
    command: list[str], environment: dict[str, str], cwd: Path, *, memory: bool = False
) -> Usage:
    """Run a command and measure its process tree: CPU by rusage, and PSS by sampling if asked."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, env=environment, cwd=cwd, stdout=out)
        peak = [0]
        done = threading.Event()

        def sample() -> None:
            while memory and not done.wait(0.05):
                peak[0] = max(peak[0], tree_pss(process.pid))

        thread = threading.Thread(target=sample)
        thread.start()
        status = process.wait()
        wall = time.perf_counter() - started
        done.set()
        thread.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        out.seek(0)
        text = out.read().decode()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(wall, cpu, peak[0], text, status)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        for task in tasks:
            children = Path(f"/proc/{pid}/task/{task}/children").read_text("ascii").split()
            for child in children:
                yield from _tree(int(child))
    except OSError:
        return


def tree_pss(pid: int) -> int:
    """Proportional memory of a process tree, in bytes."""
    return sum(map(_pss, _tree(pid)))


def tree_cpu(pid: int) -> float:
    """CPU seconds that a process tree has used, with children that have ended."""
    ticks = 0
    for one in _tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text("ascii").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def found_drifts(report: dict[str, Any]) -> set[str]:
    """`namespace/name path` of every declared or undeclared change."""
    return {
        f"{resource['namespace']}/{resource['name']} {change['path']}"
        for app in report["applications"]
        for resource in app["resources"]
        for change in resource["changes"]
        if change["class"] in ("declared", "undeclared")
    }


@click.command()
@click.option("--applications", default=50, show_default=True)
@click.option("--drifts", default=30, show_default=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(applications: int, drifts: int, runs: int, seed: int) -> None:
    """Measure one look at many applications on a real API server."""
    names = [f"app-{i:02}" for i in range(applications)]
    with tempfile.TemporaryDirectory() as folder, ControlPlane("scale") as cluster:
        repository = GitRepo(Path(folder) / "repository")
        write_repository(repository, names)
        started = time.perf_counter()
        apply_all(cluster, names)
        click.echo(
            f"applied {applications * OBJECTS} objects in {time.perf_counter() - started:.0f} s"
        )
        expected = make_drifts(cluster, names, drifts, seed)
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig("detector"))}
        command = [sys.executable, "-m", "driftd.cli.main", "check", "--repo", str(repository.path),
                   "-o", "json", "-q"]  # fmt: skip
        rows = []
        for number in range(runs + 1):
            usage = measured(command, environment, Path.cwd(), memory=number == 0)
            found = found_drifts(json.loads(usage.output))
            rows.append((usage, len(found & expected), len(found - expected)))
        kubectl = _kubectl_diff(cluster, names[0], Path(folder))
    click.echo(f"\n{'':34}{'wall s':>8}{'CPU s':>8}{'PSS MB':>8}{'found':>8}{'false':>7}")
    for usage, right, wrong in rows:
        what = "driftd check, memory sampled" if usage.peak_pss else "driftd check"
        _row(what, usage, f"{right}/{drifts}", str(wrong))
    _row(f"kubectl diff --server-side, {OBJECTS}", kubectl, "", "")
    best = min(usage.wall for usage, _, _ in rows if not usage.peak_pss)
    ratio = kubectl.wall * applications / best
    click.echo(
        f"\nkubectl for all {applications} applications would take {ratio:.0f} times as long"
    )


def _kubectl_diff(cluster: ControlPlane, name: str, folder: Path) -> Usage:
    file = folder / "objects.json"
    items = [manifest(name, number) for number in range(OBJECTS)]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), "utf-8")
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig("admin"))}
    command = [str(cluster.binaries.path("kubectl")), "diff", "--server-side", "--force-conflicts",
               "-f", str(file)]  # fmt: skip
    return measured(command, environment, folder)


def _row(what: str, usage: Usage, found: str, false: str) -> None:
    memory = f"{usage.peak_pss / 1e6:.0f}" if usage.peak_pss else ""
    click.echo(f"{what:34}{usage.wall:8.2f}{usage.cpu:8.2f}{memory:>8}{found:>8}{false:>7}")


if __name__ == "__main__":
    main()
