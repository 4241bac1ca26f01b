"""Many simulated clusters in one process, with faults on request.

    with Simulation(clusters=20, namespaces=25, objects=200) as simulation:
        kubeconfig = simulation.kubeconfig()        # contexts sim-00, sim-01, …
        one = simulation.clusters[0]
        one.call("PATCH", path, {...}, content_type=MERGE, manager="alice")   # an edit by hand
        one.burst(count=1000, rate=50, kind="report").wait()                  # status updates
        with simulation.fault(verb="watch", cut=100):                         # broken connections
            ...
        one.compact(); one.restore(version); simulation.requests()

Each cluster has the namespaces `app-00000`, `app-00001`, … and in each of them the objects
`web-0000`, `web-0001`, …, whose kinds take turns as `MANIFESTS` lists them. They are made
whenever they are read and never stored, so there may be millions; `manifest` gives what Git says
of one. They are as Argo CD's server-side apply leaves them. Everything else a cluster has was
written by requests, which the API server's own code handles; `tests/simulation` says more.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.testbed import binaries
from tests.testbed.client import ApiError, Client, Json
from tests.testbed.kubeconfig import Access, write_kubeconfig
from tests.testbed.processes import Child, wait_until

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
_NAMESPACE, _NAME, _VALUE = "app-99999", "web-9999", "f0f0f0f0"


def _metadata(**more: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": _NAME, "team": "shop"}
    return {"name": _NAME, "namespace": _NAMESPACE, "labels": labels, **more}


def _container(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": f"registry.example/{name}/{_NAME}:1.0.0",
        "args": ["--verbose", f"--name={name}", f"--value={_VALUE}"],
        "env": [{"name": f"SETTING_{i}", "value": str(i)} for i in range(6)],
        "ports": [{"name": "http", "containerPort": 8080 if name == "app" else 8081}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        "volumeMounts": [{"name": "config", "mountPath": "/config"}],
    }


MANIFESTS: Sequence[dict[str, Any]] = (
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(),
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app.kubernetes.io/name": _NAME}},
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": _NAME}},
                "spec": {
                    "serviceAccountName": "web",
                    "containers": [_container("app"), _container("proxy")],
                    "volumes": [{"name": "config", "configMap": {"name": _NAME}}],
                },
            },
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(),
        "spec": {
            "selector": {"app.kubernetes.io/name": _NAME},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(),
        "data": {f"key-{i}": f"value {i} of {_NAME}: {_VALUE}" for i in range(8)},
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata(annotations={"value": _VALUE}),
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    },
)
"""What Git says of the generated objects, with the placeholders of their values."""

PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments/{}",
    "Service": "/api/v1/namespaces/{}/services/{}",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps/{}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles/{}",
}


def program() -> Path:
    """The simulation's program, built when missing. Raises `binaries.BuildFailed`."""
    return binaries.simulation()


@dataclass(frozen=True)
class Burst:
    """Many writes that a cluster makes by itself."""

    cluster: SimulatedCluster
    number: int

    def state(self) -> Json:
        """`done` of `count` writes, the `version` after the last one, and `objects`: the latest."""
        return self.cluster.simulation.control("/burst/state", self.number)

    def wait(self, timeout: float = 600) -> Json:
        """The state when all are made. Raises `TimeoutError`, or RuntimeError for a refused one."""
        found: list[Json] = []

        def over() -> bool:
            found[:] = [self.state()]
            return bool(found[0]["done"] == found[0]["count"])

        wait_until(over, what="a burst of writes", timeout=timeout, interval=0.05)
        if found[0]["failed"]:
            raise RuntimeError(found[0]["failed"])
        return found[0]


class SimulatedCluster:
    """One of them."""

    def __init__(self, simulation: Simulation, name: str, server: str) -> None:
        self.simulation = simulation
        self.name = name
        self.server = server
        port = urlsplit(server).port
        assert port is not None
        context = ssl.create_default_context(cadata=simulation.authority)
        self._client = Client(port, context)

    def access(self) -> Access:
        """How it is reached, for `write_kubeconfig`."""
        return Access(
            self.name, self.server, self.simulation.folder / "ca.crt", self.simulation.token
        )

    def request(
        self, method: str, path: str, body: Json = None, *, content_type: str = "application/json"
    ) -> tuple[int, Json]:
        """One call over HTTPS, under the rules of faults: the status and the decoded answer."""
        return self._client.request(
            method, path, body, token=self.simulation.token, content_type=content_type
        )

    def call(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        content_type: str = "application/json",
        manager: str = "alice",
    ) -> Json:
        """One call under a field manager that no fault concerns. `ApiError` from status 400."""
        asked = {
            "cluster": self.name,
            "method": method,
            "path": path,
            "manager": manager,
            "contentType": content_type,
            "body": body,
        }
        answer = self.simulation.control("/edit", asked)
        if answer["status"] >= 400:
            raise ApiError(method, path, answer["status"], answer["body"])
        return answer["body"]

    def manifest(self, namespace: int, number: int) -> dict[str, Any]:
        """What Git says of a generated object."""
        names = f"app-{namespace:05}", f"web-{number:04}"
        text = "/".join((self.simulation.seed, self.name, *names))
        value = f"{zlib.crc32(text.encode()):08x}"
        template = json.dumps(MANIFESTS[number % len(MANIFESTS)])
        for placeholder, real in zip((_NAMESPACE, _NAME, _VALUE), (*names, value), strict=True):
            template = template.replace(placeholder, real)
        made: dict[str, Any] = json.loads(template)
        return made

    def path(self, namespace: int, number: int) -> str:
        """Where a generated object is served."""
        kind = MANIFESTS[number % len(MANIFESTS)]["kind"]
        return PATHS[kind].format(f"app-{namespace:05}", f"web-{number:04}")

    def burst(
        self, count: int, rate: float = 0, kind: str = "report", *, seed: int = 1, manager: str = ""
    ) -> Burst:
        """Begin `count` writes to generated Deployments, `rate` a second (0: as fast as they go).

        `report`: a controller reports a new status of an object that nobody has edited, stored as
        it would be; `status`: it does so through the API; `edit`: `manager` changes the replicas.
        """
        asked = {
            "cluster": self.name,
            "count": count,
            "rate": rate,
            "kind": kind,
            "seed": seed,
            "manager": manager,
        }
        return Burst(self, self.simulation.control("/burst", asked))

    def version(self) -> int:
        """The resourceVersion of the last write."""
        return int(self.simulation.control("/version", {"cluster": self.name}))

    def compact(self, version: int = 0) -> int:
        """Forget everything before a resourceVersion (0: now)."""
        asked = {"cluster": self.name, "version": version}
        return int(self.simulation.control("/compact", asked))

    def restore(self, version: int) -> None:
        """Go back to the state at a resourceVersion, as a backup of etcd brings it back."""
        self.simulation.control("/restore", {"cluster": self.name, "version": version})

    def end_watches(self) -> None:
        """End every watch without a word."""
        self.simulation.control("/end", {"cluster": self.name})

    def close(self) -> None:
        """Close the connections of `request`."""
        self._client.close()


class Simulation:
    """Simulated clusters, as a context manager.

    `clusters` of them have `namespaces` generated namespaces of `objects` objects each; `seed`
    changes their values. `bookmarks` is the time in seconds between two bookmarks of a watch,
    `history` the number of changes that a cluster remembers.
    """

    def __init__(
        self,
        clusters: int = 1,
        namespaces: int = 0,
        objects: int = 0,
        *,
        seed: str = "0",
        bookmarks: float = 60,
        history: int = 10_000,
    ) -> None:
        self.seed = seed
        self.token = ""
        self.authority = ""
        self.clusters: list[SimulatedCluster] = []
        self._flags = [
            f"-clusters={clusters}",
            f"-namespaces={namespaces}",
            f"-objects={objects}",
            f"-seed={seed}",
            f"-bookmarks={bookmarks}s",
            f"-history={history}",
        ]
        self._child: Child | None = None
        self._folder: Path | None = None
        self._control = ("", 0)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix=f"driftd-simulation-{os.getpid()}-"))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
        templates = {"namespace": namespace, "objects": list(MANIFESTS)}
        (self.folder / "templates.json").write_text(json.dumps(templates))
        command = [str(program()), f"-folder={self.folder}", *self._flags]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        child = Child("simulation", command, log=self.log, environment=environment)
        self._child = child
        ready = self.folder / "ready.json"

        def serves() -> bool:
            child.check()
            return ready.exists()

        wait_until(serves, what="the simulation", timeout=60)
        found = json.loads(ready.read_text())
        self.token, self.authority = found["token"], found["ca"]
        (self.folder / "ca.crt").write_text(self.authority)
        control = urlsplit(found["control"])
        self._control = (control.hostname or "", control.port or 0)
        self.clusters = [
            SimulatedCluster(self, one["name"], one["server"]) for one in found["clusters"]
        ]

    def stop(self) -> None:
        """End the program and remove its folder. A second call does nothing."""
        for cluster in self.clusters:
            cluster.close()
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def folder(self) -> Path:
        """The temporary folder of the running program."""
        if self._folder is None:
            raise RuntimeError("the simulation is not running")
        return self._folder

    @property
    def log(self) -> Path:
        """What the program writes."""
        return self.folder / "simulation.log"

    @property
    def pid(self) -> int:
        """The process id of the program."""
        assert self._child is not None
        return self._child.pid

    def kubeconfig(self) -> Path:
        """A kubeconfig with a context per cluster, named like it."""
        return write_kubeconfig(self.folder / "kubeconfig", [one.access() for one in self.clusters])

    def control(self, path: str, body: Json = None, method: str = "POST") -> Json:
        """One request to the simulation itself. Raises RuntimeError with its answer if refused."""
        connection = http.client.HTTPConnection(*self._control, timeout=60)
        try:
            connection.request(method, path, json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(answer)
        return answer

    @contextmanager
    def fault(self, **rule: Any) -> Iterator[int]:
        """Break answers while the block runs; `rule` is a rule of `tests/simulation/rules.go`.

        Which: `cluster`, `verb` (list, watch, get, discovery), `path` and `query` (regular
        expressions), `skip` so many, then `times` so many (0: all), a `share` of them by `seed`.
        How: `delay` seconds first; `status` with `retryAfter`; `refuse`; `cut` or `silence` after
        so many bytes of the body (`reset`: with a TCP reset); `bytesPerSecond`; of lists `omit`,
        `duplicate` (an index), `reverse`, `empty`, `resourceVersion`; of watches `events`
        (expire, duplicate, reorder, replay, drop, nobookmarks, nonsense) `after` so many.
        """
        number = int(self.control("/faults", rule))
        try:
            yield number
        finally:
            self.control("/clear", number)

    def hits(self, fault: int) -> int:
        """How many answers a rule has broken while it is in force."""
        found = self.control("/faults", method="GET")
        return sum(int(one["hits"]) for one in found if one["id"] == fault)

    def requests(self, *, clear: bool = False) -> list[Json]:
        """The latest requests, oldest first, optionally forgotten then.

        Each has `at` (seconds since 1970), `cluster`, `verb`, `path`, `query`, `status`, `bytes`
        and whether its answer has `ended`.
        """
        found: list[Json] = self.control(f"/requests?clear={'1' if clear else ''}", method="GET")
        return found


def main() -> None:
    """Start one simulation and print its kubeconfig until the input ends."""
    import sys

    with Simulation(*(int(number) for number in sys.argv[1:4])) as simulation:
        print(simulation.kubeconfig(), flush=True)  # noqa: T201 - what it was started for
        started = time.monotonic()
        sys.stdin.read()
        print(f"ended after {time.monotonic() - started:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
