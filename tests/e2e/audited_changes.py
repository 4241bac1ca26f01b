"""Changes by several people to objects of their own, and who made which field what it is."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.testbed.cluster import ControlPlane
from tests.testbed.processes import wait_until

ENGINE = "system:serviceaccount:argocd:argocd-application-controller"
ROBOT = "system:serviceaccount:ci:robot"
MANAGER = "argocd-controller"
PEOPLE = {"alice": "alice", "bob": "bob", "carol": "carol", "engine": ENGINE, "robot": ROBOT}
"""The test bed's users, and what the audit log calls them."""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, labels: {app: NAME, team: shop}, annotations: {owner: shop, note: calm}}
spec:
  replicas: 3
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
        - name: web
          image: registry.example.com/web:1
          env: [{name: LOG, value: info}, {name: MODE, value: live}]
        - {name: log, image: 'registry.example.com/log:1'}
"""
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, labels: {team: shop}}
data: {colour: blue, size: small}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: NAME, labels: {team: shop}}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80}, {name: admin, port: 81}]
"""
MANIFESTS = {"deployment": DEPLOYMENT, "configmap": CONFIG_MAP, "service": SERVICE}
PATHS = {
    "deployment": "/apis/apps/v1/namespaces/{}/deployments/{}",
    "configmap": "/api/v1/namespaces/{}/configmaps/{}",
    "service": "/api/v1/namespaces/{}/services/{}",
}
CONTAINER = "/spec/template/spec/containers/0"


@dataclass(frozen=True, slots=True)
class Target:
    """One declared object."""

    cluster: ControlPlane
    kind: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return PATHS[self.kind].format(self.namespace, self.name)

    @property
    def desired(self) -> dict[str, Any]:
        """What Git declares."""
        return dict(yaml.safe_load(MANIFESTS[self.kind].replace("NAME", self.name)))

    def kubectl(self, user: str, *arguments: str, **options: Any) -> None:
        """Run kubectl on the object as a user; a dash is the object."""
        named = [f"{self.kind}/{self.name}" if one == "@" else one for one in arguments]
        self.cluster.kubectl(*named, "-n", self.namespace, user=user, **options)


Step = Callable[[Target], None]


def later(_target: Target) -> None:
    """Let the next step happen in another second: managedFields have whole ones."""
    now = int(time.time())
    wait_until(lambda: time.time() >= now + 1, what="the next second", timeout=5, interval=0.02)


def kubectl(user: str, *arguments: str, fails: bool = False) -> Step:
    """A command; `@` stands for the object. One that `fails` must be refused."""

    def run(target: Target) -> None:
        named = [f"{target.kind}/{target.name}" if one == "@" else one for one in arguments]
        done = target.cluster.kubectl(*named, "-n", target.namespace, user=user, check=False)
        assert (done.returncode != 0) is fails, (arguments, done.stderr)

    return run


def patch(user: str, body: Any, *flags: str, how: str = "strategic", fails: bool = False) -> Step:
    """`kubectl patch`."""
    return kubectl(user, "patch", "@", f"--type={how}", "-p", json.dumps(body), *flags, fails=fails)


def pod(**spec: Any) -> Any:
    """A patch of the Pod template's spec."""
    return {"spec": {"template": {"spec": spec}}}


def web(**fields: Any) -> Any:
    """A strategic patch of the container `web`."""
    return pod(containers=[{"name": "web", **fields}])


def operation(op: str, path: str, value: Any = None) -> list[dict[str, Any]]:
    """A JSON patch of one operation."""
    return [{"op": op, "path": path} | ({} if value is None else {"value": value})]


def sent(user: str, command: Sequence[str], change: Callable[[Any], None]) -> Step:
    """A command that gets the object as Git has it, changed, on standard input."""

    def run(target: Target) -> None:
        body = target.desired
        change(body)
        target.kubectl(user, *command, "-f", "-", input=json.dumps(body))

    return run


def put(user: str, change: Callable[[Any], None], agent: str) -> Step:
    """An update of the object as it is, as client libraries do it."""

    def run(target: Target) -> None:
        body = target.cluster.call("GET", target.path)
        change(body)
        target.cluster.call("PUT", target.path, body, user=user, user_agent=agent)

    return run


def edit(user: str, body: Any, *, impersonating: str = "") -> Step:
    """What `kubectl edit` sends."""
    flags = ["--field-manager=kubectl-edit"]
    if impersonating:
        flags += [f"--as={impersonating}", "--as-group=operators"]
    return patch(user, body, *flags)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens to one object, and who made which of its fields what it is."""

    name: str
    kind: str
    steps: tuple[Step, ...]
    made: dict[str, str] = field(default_factory=dict)
    """JSON pointer to person, as the audit log names people; `*` for the whole object."""
    unclear: frozenset[str] = frozenset()
    """Paths whose author a log without bodies cannot tell from another person's writes."""


def _image(tag: str) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["image"] = (
            f"registry.example.com/web:{tag}"
        )

    return change


def _data(**values: str | None) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for key, value in values.items():
            if value is None:
                body["data"].pop(key)
            else:
                body["data"][key] = value

    return change


def _reverse_containers(body: Any) -> None:
    body["spec"]["template"]["spec"]["containers"].reverse()


def _part(body: Any) -> None:
    """Leave of the declared object only its name, and add a field."""
    name = body["metadata"]["name"]
    body["metadata"] = {"name": name}
    body["spec"] = {"template": {"spec": {"hostPID": True}}}


def _scenario(name: str, kind: str, *steps: Step, unclear: Sequence[str] = (), **made: str) -> Any:
    return Scenario(
        name, kind, steps, {_SHORT.get(k, k): v for k, v in made.items()}, frozenset(unclear)
    )


_SHORT = {
    "replicas": "/spec/replicas",
    "image": f"{CONTAINER}/image",
    "log": f"{CONTAINER}/env/0/value",
    "no_log": f"{CONTAINER}/env/0",
    "ready": "/spec/minReadySeconds",
    "history": "/spec/revisionHistoryLimit",
    "network": "/spec/template/spec/hostNetwork",
    "processes": "/spec/template/spec/hostPID",
    "team": "/metadata/labels/team",
    "note": "/metadata/annotations/note",
    "order": "/spec/template/spec/containers",
    "colour": "/data/colour",
    "size": "/data/size",
    "extra": "/data/extra",
    "exposure": "/spec/type",
    "addresses": "/spec/externalIPs",
    "port": "/spec/ports/0/port",
    "admin": "/spec/ports/1",
    "selector": "/spec/selector/app",
    "whole": "*",
}
D, C, S = "deployment", "configmap", "service"
FIVE = {"spec": {"replicas": 5}}
RED = {"data": {"colour": "red"}}
LARGE = {"data": {"size": "large"}}
NETWORK = pod(hostNetwork=True)
WIPED = {"metadata": {"managedFields": [{}]}}
DAVE = "admin as dave@example.com"

SCENARIOS: list[Scenario] = [
    _scenario("scaled", D, kubectl("alice", "scale", "@", "--replicas=7"), replicas="alice"),
    _scenario("scaled-by-robot", D, kubectl("robot", "scale", "@", "--replicas=2"), replicas=ROBOT),
    _scenario("strategic", D, patch("bob", web(image="registry.example.com/web:2")), image="bob"),
    _scenario("merged", D, patch("carol", FIVE, how="merge"), replicas="carol"),
    _scenario(
        "json", D,
        patch("alice", operation("replace", f"{CONTAINER}/image", "evil"), how="json"),
        image="alice",
    ),
    _scenario("set-image", D, kubectl("carol", "set", "image", "@", "web=web:3"), image="carol"),
    _scenario("set-env", D, kubectl("bob", "set", "env", "@", "-c", "web", "LOG=debug"), log="bob"),
    _scenario("unset-env", D, kubectl("bob", "set", "env", "@", "-c", "web", "LOG-"), no_log="bob"),
    _scenario(
        "json-removal", D,
        patch("alice", operation("remove", f"{CONTAINER}/env/0"), how="json"), no_log="alice",
    ),
    _scenario(
        "strategic-removal", D,
        patch("carol", web(env=[{"name": "LOG", "$patch": "delete"}])), no_log="carol",
    ),
    _scenario("unlabelled", D, kubectl("alice", "label", "@", "team-"), team="alice"),
    _scenario("labelled", D, kubectl("bob", "label", "--overwrite", "@", "team=x"), team="bob"),
    _scenario("noted", D, kubectl("carol", "annotate", "--overwrite", "@", "note=x"), note="carol"),
    _scenario("unnoted", D, kubectl("robot", "annotate", "@", "note-"), note=ROBOT),
    _scenario("host-network", D, patch("bob", NETWORK), network="bob"),
    _scenario(
        "applied", D,
        sent("alice", ("apply", "--server-side", "--force-conflicts"), _image("9")), image="alice",
    ),
    _scenario(
        "applied-in-part", D,
        sent("carol", ("apply", "--server-side", "--field-manager=tool"), _part), processes="carol",
    ),
    _scenario(
        "spoofed-update", D,
        patch("alice", web(image="evil:1"), f"--field-manager={MANAGER}"), image="alice",
    ),
    _scenario(
        "spoofed-apply", D,
        sent("bob", ("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}"),
             _image("8")),
        image="bob",
    ),
    _scenario("replaced", D, sent("bob", ("replace",), _image("7")), image="bob"),
    _scenario("updated", D, put("robot", _image("6"), "my-operator/v1.2 (linux)"), image=ROBOT),
    _scenario(
        "edited", D, edit("admin", web(image="web:5"), impersonating="dave@example.com"), image=DAVE
    ),
    _scenario("edited-field", D, edit("carol", {"spec": {"minReadySeconds": 9}}), ready="carol"),
    _scenario(
        "two-managers", D, kubectl("alice", "scale", "@", "--replicas=8"),
        patch("bob", web(image="web:4")), replicas="alice", image="bob",
    ),
    _scenario(
        "one-field-twice", D, patch("alice", web(image="web:x")), later,
        patch("bob", web(image="web:y")), image="bob",
    ),
    _scenario(
        "two-fields", D, patch("alice", {"spec": {"minReadySeconds": 5}}),
        patch("bob", {"spec": {"revisionHistoryLimit": 3}}), ready="alice", history="bob",
        unclear=("/spec/minReadySeconds", "/spec/revisionHistoryLimit"),
    ),
    _scenario(
        "dry-run", D, patch("bob", web(image="web:z"), "--dry-run=server"),
        patch("alice", web(image="web:z")), image="alice",
    ),
    _scenario(
        "refused", D, patch("bob", {"spec": {"replicas": -1}}, fails=True),
        patch("alice", {"spec": {"replicas": 1}}), replicas="alice",
    ),
    _scenario(
        "forbidden", D, patch("nobody", web(image="web:z"), fails=True),
        patch("carol", web(image="web:z")), image="carol",
    ),
    _scenario("reordered", D, sent("alice", ("replace",), _reverse_containers), order="alice"),
    _scenario("wiped", D, patch("bob", NETWORK), patch("bob", WIPED, how="merge"), network="bob"),
    _scenario(
        "removed-after-dry-run", D,
        patch("bob", operation("remove", f"{CONTAINER}/env/0"), "--dry-run=server", how="json"),
        patch("alice", operation("remove", f"{CONTAINER}/env/0"), how="json"), no_log="alice",
    ),
    _scenario(
        "change-and-removal", D, kubectl("alice", "scale", "@", "--replicas=6"),
        kubectl("bob", "label", "@", "team-"), replicas="alice", team="bob",
    ),
    _scenario(
        "removals", D, kubectl("alice", "label", "@", "team-"),
        kubectl("bob", "annotate", "@", "note-"), team="alice", note="bob",
        unclear=("/metadata/labels/team", "/metadata/annotations/note"),
    ),
    _scenario("data", C, patch("alice", RED, how="merge"), colour="alice"),
    _scenario("data-strategic", C, patch("robot", LARGE), size=ROBOT),
    _scenario("data-removed", C, patch("bob", {"data": {"size": None}}, how="merge"), size="bob"),
    _scenario(
        "data-removed-json", C, patch("carol", operation("remove", "/data/size"), how="json"),
        size="carol",
    ),
    _scenario("data-added", C, patch("carol", {"data": {"extra": "1"}}), extra="carol"),
    _scenario("data-replaced", C, sent("alice", ("replace",), _data(colour="x")), colour="alice"),
    _scenario("data-put", C, put("bob", _data(size=None), "curl/8.5.0"), size="bob"),
    _scenario("data-applied", C, sent("carol", ("apply",), _data(colour="pink")), colour="carol"),
    _scenario(
        "data-edited", C, edit("admin", RED, impersonating="dave@example.com"), colour=DAVE
    ),
    _scenario(
        "data-restored", C, patch("alice", RED), patch("bob", {"data": {"colour": "blue"}}),
        patch("carol", LARGE), size="carol", unclear=("/data/size",),
    ),
    _scenario("deleted", C, kubectl("carol", "delete", "@"), whole="carol"),
    _scenario("deleted-dry", C, kubectl("bob", "delete", "@", "--dry-run=server"),
              kubectl("alice", "delete", "@"), whole="alice"),
    _scenario("public", S, patch("bob", {"spec": {"type": "NodePort"}}), exposure="bob"),
    _scenario("external", S, patch("alice", {"spec": {"externalIPs": ["192.0.2.7"]}}),
              addresses="alice"),
    _scenario(
        "port", S, patch("carol", operation("replace", "/spec/ports/0/port", 8080), how="json"),
        port="carol",
    ),
    _scenario("port-removed", S, patch("bob", operation("remove", "/spec/ports/1"), how="json"),
              admin="bob"),
    _scenario("selected", S, patch("robot", {"spec": {"selector": {"app": "x"}}}), selector=ROBOT),
    _scenario("service-label", S, kubectl("alice", "label", "--overwrite", "@", "team=y"),
              team="alice"),
]  # fmt: skip


def prepare(cluster: ControlPlane) -> None:
    """The service accounts of the engine and of the robot, with all rights."""
    group = "rbac.authorization.k8s.io"
    for user, namespace, name in (
        ("engine", "argocd", "argocd-application-controller"),
        ("robot", "ci", "robot"),
    ):
        cluster.create_namespace(namespace)
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        cluster.call("POST", path, {"metadata": {"name": name}})
        binding = {
            "metadata": {"name": f"all-{name}"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
        }
        cluster.call("POST", f"/apis/{group}/v1/clusterrolebindings", binding)
        cluster.add_user(user, cluster.service_account_token(namespace, name))


def deploy(target: Target) -> None:
    """What Argo CD's server-side apply does, twice."""
    for _ in range(2):
        target.cluster.call(
            "PATCH",
            f"{target.path}?fieldManager={MANAGER}&force=true",
            copy.deepcopy(target.desired),
            content_type="application/apply-patch+yaml",
            user="engine",
            user_agent="argocd-application-controller/v0.0.0 (linux/amd64)",
        )
