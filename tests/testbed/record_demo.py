"""Record the clusters of `driftd demo`: `python -m tests.testbed.record_demo`.

Starts the three full clusters, applies the example repository under Argo CD's field manager,
records, lets the steps of `driftd.demo.story` happen through the real API, records after each,
and holds the first and the last state to what `driftd check` reports on the real clusters before
it writes a file. People's steps are typed to kubectl. The autoscaler has no metrics here and the
operator does not exist, so their writes are sent as these controllers send them: the requests and
field managers are theirs. A real mutating webhook adds its field to Deployments of one namespace.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from driftd.app import check, render
from driftd.clock import SystemClock, rfc3339
from driftd.cluster import discovery
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.transport import Transport
from driftd.controller.desired import Desired
from driftd.controller.options import CheckOptions
from driftd.demo import recording, stage, story
from driftd.model.report import DriftReport
from tests.testbed.cluster import ControlPlane, control_planes
from tests.testbed.gitrepo import GitRepo
from tests.testbed.injector import injecting
from tests.testbed.kubeconfig import write_kubeconfig
from tests.testbed.processes import wait_until

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "kubernetes-gitops"
MANAGER = "argocd-controller"
USERS = {"alice": "alice", "bob": "control"}
"""People of the story and the test bed's users: alice edits, bob is a cluster admin."""
READER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "driftd-detect-ledger"},
    "rules": [
        {"apiGroups": ["ledger.example.com"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    ],
}
"""The shipped role asks for such a one where a repository has its own custom resources."""
_FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount", "PriorityClass")

Json = Any


@dataclass
class Calendar:
    """Real moments of the recording, and how long ago they are told to be."""

    starts: list[datetime] = field(default_factory=list)
    agos: list[timedelta] = field(default_factory=list)

    def begin(self, ago: timedelta) -> None:
        """From now on things happened `ago`, negative for steps to come; waits for the next second,
        which times have.
        """
        last = self.starts[-1] if self.starts else datetime.min.replace(tzinfo=UTC)
        wait_until(lambda: _now() > last, what="the next second", timeout=5, interval=0.05)
        self.starts.append(_now())
        self.agos.append(ago)

    def told(self, moment: datetime) -> datetime:
        """The time in the files for a real one."""
        position = max(bisect_right(self.starts, moment) - 1, 0)
        ago = self.agos[position]
        # What a step starts happens at its moment; the deployment took its time.
        took = moment - self.starts[position] if ago > timedelta(0) else timedelta(0)
        return recording.EPOCH - ago + took

    def rewrite(self, text: str) -> str:
        """A JSON text with its times told."""

        def replace(match: re.Match[str]) -> str:
            return f'{match[1]}{rfc3339(self.told(datetime.fromisoformat(match[2])))}"'

        return recording.TIME.sub(replace, text)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def main() -> int:
    """Record, check, write; 1 if the real clusters do not tell the story."""
    with tempfile.TemporaryDirectory() as scratch:
        repo = _repository(Path(scratch) / "kubernetes-gitops")
        with control_planes(*story.CLUSTERS) as clusters, ExitStack() as stack:
            name, namespace, value = story.INJECTED
            stack.enter_context(injecting(clusters[name], namespace, value))
            return _record(clusters, repo, Path(scratch))


def _repository(path: Path) -> Path:
    shutil.copytree(FIXTURE, path)
    repo = GitRepo(path)
    repo.commit("Example")
    repo.set_remote("https://github.com/example/kubernetes-gitops.git")
    return path


def _record(clusters: Mapping[str, ControlPlane], repo: Path, scratch: Path) -> int:
    calendar = Calendar()
    calendar.begin(story.DEPLOYED)
    shown = asyncio.run(render(_options(repo, clusters, "admin", scratch), progress=_say))
    desired = [one.desired for one in shown]
    for name, cluster in clusters.items():
        _deploy(cluster, [one for one in desired if one.entry.cluster == name])
        _say(f"{name}: applied")
    kinds = {name: _kinds(cluster, desired) for name, cluster in clusters.items()}
    scopes = {name: _scope(desired, name) for name in clusters}
    before = {n: _settled(c, kinds[n], scopes[n]) for n, c in clusters.items()}
    options = _options(repo, clusters, "detector", scratch)
    problems = story_problems(_check(options), ())
    states = dict(before)
    changes: dict[str, dict[str, Json]] = {name: {} for name in clusters}
    for number, step in enumerate(story.STEPS):
        name = step.at.cluster
        calendar.begin(-recording.STEP * (number + 1))
        _carry_out(clusters[name], step)
        after = _settled(clusters[name], kinds[name], scopes[name])
        changes[name][str(number)] = _difference(states[name], after)
        states[name] = after
        _say(f"{name}: {step.who}: {step.why}")
    report = _check(options)
    problems += story_problems(report, story.STEPS)
    healed = next(step.at for step in story.STEPS if step.healed)
    calendar.begin(-recording.STEP * (story.HEALING + 1))
    _heal(clusters, repo, scratch)
    after = _settled(clusters[healed.cluster], kinds[healed.cluster], scopes[healed.cluster])
    changes[healed.cluster][str(story.HEALING)] = _difference(states[healed.cluster], after)
    _say(f"{healed.cluster}: driftd puts {healed.kind} {healed.name} back")
    left = [step for step in story.STEPS if not step.healed]
    problems += [f"after healing: {one}" for one in story_problems(_check(options), left)]
    for problem in problems:
        _say(f"NOT AS TOLD: {problem}")
    if not problems:
        shared = asyncio.run(_shared(clusters, kinds))
        recording.DATA.mkdir(exist_ok=True)
        (recording.DATA / "shared.json").write_text(_lines(shared))
        for name in clusters:
            document = {
                "forbidden": sorted(p for p, v in before[name].items() if v is None),
                "before": {p: v for p, v in sorted(before[name].items()) if v is not None},
                "steps": changes[name],
            }
            path = recording.DATA / f"{name}.json"
            path.write_text(calendar.rewrite(_lines(document)))
    return 1 if problems else 0


def story_problems(report: DriftReport, steps: Iterable[story.Step]) -> list[str]:
    """Where a report differs from the story: one line per object."""
    expected = {
        (s.at.application, s.at.kind, s.at.namespace, s.at.name): "Missing"
        if s.missing
        else sorted(s.drift)
        for s in steps
        if s.missing or s.drift
    }
    found = {
        (app.name, r.kind, r.namespace, r.name): (
            "Missing" if r.status == "Missing" else sorted(c.path for c in r.changes if c.is_drift)
        )
        for app in report.applications
        for r in app.resources
        if r.status not in ("Synced", "NotChecked")
    }
    problems = [] if report.complete else ["the report is not complete"]
    return problems + [
        f"{key}: expected {expected.get(key)}, found {found.get(key)}"
        for key in sorted({*expected, *found})
        if expected.get(key) != found.get(key)
    ]


def _options(
    repo: Path, clusters: Mapping[str, ControlPlane], user: str, scratch: Path
) -> CheckOptions:
    kubeconfig = scratch / f"kubeconfig-{user}"
    write_kubeconfig(kubeconfig, [cluster.access(user) for cluster in clusters.values()])
    return CheckOptions(repo=repo, kubeconfig=kubeconfig, cluster_map=story.DESTINATIONS)


def _check(options: CheckOptions) -> DriftReport:
    return asyncio.run(check(options, progress=lambda text: None, clock=SystemClock()))


# Applying, and the night


def _deploy(cluster: ControlPlane, desired: list[Desired]) -> None:
    cluster.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", READER)
    cluster._bind(
        "driftd-detect-ledger",
        "driftd-detect-ledger",
        {"kind": "ServiceAccount", "namespace": "driftd", "name": "driftd-detect"},
    )
    objects = []
    for manifest in (manifest for one in desired for manifest in one.manifests):
        document = json.loads(manifest.body)
        if manifest.key.namespace:
            document["metadata"]["namespace"] = manifest.key.namespace
        objects.append(document)
    declared = {o["metadata"]["name"] for o in objects if o["kind"] == "Namespace"}
    needed = {o["metadata"].get("namespace", "") for o in objects} - {""}
    for namespace in sorted(needed - declared):
        cluster.kubectl("create", "namespace", namespace)
    first = [o for o in objects if o["kind"] in _FIRST]
    _apply(cluster, first)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    rest = [o for o in objects if o["kind"] not in _FIRST]
    alone = [o for o in rest if o["metadata"].get("namespace") == story.HEALED]
    _apply(cluster, [o for o in rest if o not in alone])
    if alone:
        _apply(cluster, alone, manager=story.CI)


def _apply(cluster: ControlPlane, objects: list[Json], *, manager: str = MANAGER) -> None:
    cluster.kubectl(
        *("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-"),
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
    )


def _heal(clusters: Mapping[str, ControlPlane], repo: Path, scratch: Path) -> None:
    """Let `driftd run` put back what it may."""
    target = next(step.at for step in story.STEPS if step.healed)
    path = f"/api/v1/namespaces/{target.namespace}/configmaps/{target.name}"
    drifted = clusters[target.cluster].call("GET", path)["metadata"]["resourceVersion"]
    settings = {
        "repositories": [{"path": str(repo)}],
        "clusters": {
            "kubeconfig": str(_options(repo, clusters, "admin", scratch).kubeconfig),
            "destinations": story.DESTINATIONS,
        },
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{scratch / 'driftd.db'}"},
        "healing": stage.HEALING,
        "server": {"listen": "127.0.0.1:0"},
    }
    file = scratch / "driftd.yaml"
    file.write_text(json.dumps(settings))
    with (scratch / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "driftd.cli.main", "run", "--config", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(
            lambda: (
                clusters[target.cluster].call("GET", path)["metadata"]["resourceVersion"] != drifted
            ),
            what="driftd heals",
            timeout=120,
            interval=0.2,
        )
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def _autoscale(cluster: ControlPlane, step: story.Step) -> None:
    """The write of the autoscaler."""
    token = cluster.service_account_token("kube-system", story.AUTOSCALER)
    cluster.add_user(story.AUTOSCALER, token)
    path = f"/apis/apps/v1/namespaces/{step.at.namespace}/deployments/{step.at.name}/scale"
    scale = cluster.call("GET", path)
    scale["spec"]["replicas"] = 5
    agent = "kube-controller-manager/v1.36.3"
    cluster.call("PUT", path, scale, user=story.AUTOSCALER, user_agent=agent)


def _operate(cluster: ControlPlane, step: story.Step) -> None:
    """The writes of an operator: its finalizer, and the status of the custom resource."""
    path = f"/apis/ledger.example.com/v1/namespaces/{step.at.namespace}/retentionpolicies/bookings"
    found = cluster.call("GET", path)
    found["metadata"]["finalizers"] = ["ledger.example.com/archive"]
    found = cluster.call("PUT", path, found, user_agent=story.OPERATOR)
    found["status"] = {"observedGeneration": found["metadata"]["generation"], "phase": "Active"}
    cluster.call("PUT", f"{path}/status", found, user_agent=story.OPERATOR)


def _carry_out(cluster: ControlPlane, step: story.Step) -> None:
    controllers = {story.AUTOSCALER: _autoscale, story.OPERATOR: _operate}
    if step.who in controllers:
        controllers[step.who](cluster, step)
        return
    user = USERS[step.who]
    environment = {**cluster._environment, "KUBECONFIG": str(cluster.kubeconfig(user))}
    done = subprocess.run(
        [str(cluster.binaries.path("kubectl")), *step.command],
        env=environment,
        cwd=cluster.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{step.why}: kubectl: {done.stderr.strip()}")


# Recording


def _kinds(cluster: ControlPlane, desired: Iterable[Desired]) -> dict[str, str]:
    """List path and kind of everything that the repository declares."""
    declared = {
        (f"{m.key.group}/{m.version}" if m.key.group else m.version, m.key.kind)
        for one in desired
        for m in one.manifests
    }
    found = {}
    for group_version, kind in sorted(declared):
        base = recording.list_path(group_version, "").rstrip("/")
        for resource in cluster.call("GET", base)["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                found[recording.list_path(group_version, resource["name"])] = kind
    return found


def _scope(desired: Iterable[Desired], cluster: str) -> set[tuple[str, str]]:
    """Namespaces (with an empty name) and cluster-scoped names that are recorded."""
    scope: set[tuple[str, str]] = set()
    for one in desired:
        if one.entry.cluster == cluster:
            for key in (manifest.key for manifest in one.manifests):
                scope.add((key.namespace, "" if key.namespace else key.name))
    return scope


def _snapshot(
    cluster: ControlPlane, kinds: Mapping[str, str], scope: set[tuple[str, str]]
) -> dict[str, Json]:
    """Every list as the detector gets it; None where it may not."""
    lists: dict[str, Json] = {}
    for path, kind in kinds.items():
        status, answer = cluster.request("GET", path, user="detector")
        if status == 403 and kind == "Secret":
            lists[path] = None
            continue
        if status != 200:
            raise RuntimeError(f"{cluster.name}: {path}: {status} {answer}")
        lists[path] = {
            "kind": answer["kind"].removesuffix("List"),
            "apiVersion": answer["apiVersion"],
            "resourceVersion": answer["metadata"]["resourceVersion"],
            "items": [item for item in answer["items"] if _recorded(item, scope)],
        }
    return lists


def _recorded(item: Json, scope: set[tuple[str, str]]) -> bool:
    namespace, name = recording.address(item)
    # The cluster's own certificate is of no use without the cluster.
    return ((namespace, "") if namespace else ("", name)) in scope and name != "kube-root-ca.crt"


def _settled(
    cluster: ControlPlane,
    kinds: Mapping[str, str],
    scope: set[tuple[str, str]],
) -> dict[str, Json]:
    """A snapshot that was the same some seconds earlier: controllers have come to rest."""
    quiet = timedelta(seconds=4)
    last: list[Any] = [_now(), None]

    def rests() -> bool:
        snapshot = _snapshot(cluster, kinds, scope)
        items = {path: entry and entry["items"] for path, entry in snapshot.items()}
        if last[1] is None or items != last[2]:
            last[:] = [_now(), snapshot, items]
        return bool(_now() - last[0] > quiet)

    wait_until(rests, what=f"{cluster.name}: controllers at rest", timeout=120, interval=0.3)
    return dict(last[1])


def _difference(before: Mapping[str, Json], after: Mapping[str, Json]) -> Json:
    versions = [int(v["resourceVersion"]) for v in after.values() if v is not None]
    lists: dict[str, Json] = defaultdict(dict)
    for path, entry in after.items():
        if entry is None:
            continue
        old = {recording.address(item): item for item in before[path]["items"]}
        new = {recording.address(item): item for item in entry["items"]}
        items = [item for key, item in new.items() if item != old.get(key)]
        gone = sorted(old.keys() - new.keys())
        if items or gone:
            lists[path] = {"gone": gone, "items": items}
    return {"resourceVersion": str(max(versions)), "lists": dict(sorted(lists.items()))}


async def _shared(
    clusters: Mapping[str, ControlPlane], kinds: Mapping[str, Mapping[str, str]]
) -> Json:
    """What all clusters answer alike; an error if they do not."""
    answers = {n: await _apis(c, kinds[n]) for n, c in clusters.items()}
    first, *others = answers.values()
    if any(other != first for other in others):
        raise RuntimeError("the clusters serve different APIs")
    return {"clusters": list(clusters), **first}


async def _apis(cluster: ControlPlane, kinds: Mapping[str, str]) -> Json:
    transport = Transport(load_kubeconfig(str(cluster.kubeconfig("detector"))).access())
    try:

        async def read(path: str, accept: str = "application/json") -> Json:
            answer = await transport.get(path, doing=f"record {path}", accept=accept)
            return json.loads(answer.body)

        return {
            "version": await read("/version"),
            "discovery": {p: await read(p, discovery.ACCEPT_ANY) for p in ("/api", "/apis")},
            "schemas": await _schemas(read, kinds),
        }
    finally:
        await transport.close()


async def _schemas(read: Any, kinds: Mapping[str, str]) -> Json:
    components: dict[str, Json] = {}
    roots: dict[str, list[str]] = {}
    version = ""
    for group_path in sorted({path.rsplit("/", 1)[0].lstrip("/") for path in kinds}):
        document = await read(f"/openapi/v3/{group_path}")
        version = document["info"]["version"]
        schemas = document["components"]["schemas"]
        wanted = {kind for path, kind in kinds.items() if path.rsplit("/", 1)[0][1:] == group_path}
        roots[group_path] = sorted(n for n, s in schemas.items() if _is_root(s, group_path, wanted))
        for name, schema in recording.reachable(schemas, roots[group_path]).items():
            bare = _bare(schema, in_properties=False)
            if components.setdefault(name, bare) != bare:
                raise RuntimeError(f"schema {name} differs between documents")
    return {
        "version": version,
        "roots": roots,
        "components": {name: components[name] for name in sorted(components)},
    }


def _is_root(schema: Json, group_path: str, kinds: set[str]) -> bool:
    api, _, group_version = group_path.partition("/")
    group = "" if api == "api" else group_version.partition("/")[0]
    return any(
        entry["kind"] in kinds and entry["group"] == group
        for entry in schema.get("x-kubernetes-group-version-kind", ())
    )


def _bare(schema: Json, *, in_properties: bool) -> Json:
    """A schema without descriptions; a property may well be called `description`."""
    if isinstance(schema, list):
        return [_bare(item, in_properties=False) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _bare(value, in_properties=key == "properties" and not in_properties)
        for key, value in schema.items()
        if in_properties or key != "description"
    }


def _lines(document: Json) -> str:
    """JSON with one line for each object, schema and small value, so that changes can be read."""

    def write(value: Json, depth: int) -> str:
        nested = isinstance(value, dict | list) and value
        compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if not nested or len(compact) < 100 or _is_unit(value):
            return compact
        pad = " " * (depth + 1)
        if isinstance(value, dict):
            parts = [f"{json.dumps(k)}: {write(v, depth + 1)}" for k, v in value.items()]
            return "{\n" + ",\n".join(pad + part for part in parts) + f"\n{' ' * depth}}}"
        parts = [write(item, depth + 1) for item in value]
        return "[\n" + ",\n".join(pad + part for part in parts) + f"\n{' ' * depth}]"

    return write(document, 0) + "\n"


def _is_unit(value: Json) -> bool:
    return isinstance(value, dict) and (
        "type" in value
        or "resource" in value
        or "x-kubernetes-group-version-kind" in value
        or ("name" in value.get("metadata", {}) and "versions" not in value)
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
