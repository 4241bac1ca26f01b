"""Real clusters for tests: an API server with etcd, on request with controllers and a node.

Everything of a cluster lies in one temporary folder and dies with the test process. Its users:

- `admin` - all rights (group system:masters); `control`, `bob`, `carol` - all rights through RBAC;
- `alice` - edit rights in every namespace, `nobody` - known, without any right;
- `detector` - service account `driftd/driftd-detect` with the shipped read-only ClusterRoles
  (the one for custom resources is empty without controllers);
- `stranger` - a token that the server does not know (401).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import yaml

from tests.testbed import binaries
from tests.testbed.client import ApiError, Client, Json
from tests.testbed.kubeconfig import Access, write_kubeconfig
from tests.testbed.objects import COLLECTIONS, schedulable, user_group, volume
from tests.testbed.processes import Child, reserve_port, wait_until

_HERE = Path(__file__).resolve().parent
_DEPLOY = _HERE.parent.parent / "deploy" / "base"
DETECT_ROLES = (_DEPLOY / "clusterrole-detect.yaml", _DEPLOY / "clusterrole-detect-custom.yaml")
_GROUPS = {
    "admin": "system:masters",
    "alice": "editors",
    "bob": "operators",
    "carol": "operators",
    "control": "operators",
    "nobody": "",
    "stranger": "",
    "kwok": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
}
_SERVICE_CIDR = "10.96.0.0/16"
_FOLDER_PREFIX = "driftd-testbed-"


class KubectlFailed(RuntimeError):
    """kubectl ended with an error; the message has its standard error."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"kubectl exited {done.returncode}: {done.stderr.strip()}")
        self.returncode = done.returncode
        self.stderr = done.stderr


class ControlPlane:
    """One cluster, as a context manager.

    `full` adds the controller manager, the scheduler, a simulated node and ten volumes.
    `audit` keeps an audit log at that level for `audit_events`. `flags` go to the API server.
    `kubernetes` is the minor, one of `binaries.KUBERNETES_VERSIONS`; the environment variable
    `DRIFTD_TESTBED_KUBERNETES` sets what it is otherwise. `start_seconds` says how long the start
    took.
    """

    def __init__(
        self,
        name: str = "cluster",
        *,
        full: bool = False,
        audit: Literal["Metadata", "Request"] | None = None,
        flags: tuple[str, ...] = (),
        kubernetes: str = binaries.MINOR,
    ) -> None:
        self.name = name
        self.full = full
        self.audit = audit
        self.kubernetes = kubernetes
        self.start_seconds = 0.0
        self._flags = flags
        self._children: list[Child] = []
        self._tokens = {user: secrets.token_hex(16) for user in _GROUPS}
        self._port = 0
        self._folder: Path | None = None
        self._connections: Client | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until the cluster serves; raises `StartFailed` with the log if not."""
        self.binaries = binaries.ensure(self.kubernetes)
        started = time.monotonic()
        _remove_abandoned_folders()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
        try:
            self._start_api_server()
            self._create_users()
            if self.full:
                self._start_controllers()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - started

    def stop(self) -> None:
        """End the cluster's own processes and remove its folder. A second call does nothing."""
        if self._connections is not None:
            self._connections.close()
            self._connections = None
        while self._children:
            self._children.pop().stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def stop_api_server(self) -> None:
        """End the API server alone: from now on the cluster refuses connections."""
        self._client.close()
        server = next(child for child in self._children if child.name == "kube-apiserver")
        server.stop()
        self._children.remove(server)

    # How to reach it

    @property
    def folder(self) -> Path:
        """The temporary folder with the logs, certificates and files of the running cluster."""
        if self._folder is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._folder

    @property
    def _client(self) -> Client:
        if self._connections is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._connections

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that the API server's own one verifies against."""
        return self.folder / "certs" / "apiserver.crt"

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each running program, by its name."""
        return {child.name: child.pid for child in self._children}

    def token(self, user: str = "admin") -> str:
        """The bearer token of a user."""
        return self._tokens[user]

    def access(self, user: str = "admin", *, context: str = "") -> Access:
        """How a user reaches the cluster, for `write_kubeconfig`."""
        return Access(context or self.name, self.server, self.ca_file, self.token(user))

    def kubeconfig(self, user: str = "admin") -> Path:
        """A kubeconfig of one user with one context, named like the cluster."""
        path = self.folder / f"kubeconfig-{user.replace(':', '-')}"
        return path if path.exists() else write_kubeconfig(path, [self.access(user)])

    # Calls

    def request(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        user: str = "admin",
        content_type: str = "application/json",
        user_agent: str = "testbed/v1",
    ) -> tuple[int, Json]:
        """One HTTP call as a user: the status and the decoded answer. Refusals do not raise."""
        return self._client.request(
            method,
            path,
            body,
            token=self.token(user),
            content_type=content_type,
            user_agent=user_agent,
        )

    def call(self, method: str, path: str, body: Json = None, **options: Any) -> Json:
        """Like `request`, but returns the answer alone and raises `ApiError` from status 400."""
        status, answer = self.request(method, path, body, **options)
        if status >= 400:
            raise ApiError(method, path, status, answer)
        return answer

    def kubectl(
        self,
        *arguments: str,
        user: str = "admin",
        input: str | None = None,  # noqa: A002 - the word of subprocess.run
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run the real kubectl as a user; raises `KubectlFailed` unless `check` is false."""
        done = subprocess.run(
            [str(self.binaries.path("kubectl")), *arguments],
            env={**self._environment, "KUBECONFIG": str(self.kubeconfig(user))},
            cwd=self.folder,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise KubectlFailed(done)
        return done

    def wait_for(
        self, path: str, condition: Callable[[Json], bool], *, timeout: float = 60
    ) -> Json:
        """The object at a path as soon as it exists and meets the condition; `TimeoutError`."""
        found: list[Json] = []

        def holds() -> bool:
            status, answer = self.request("GET", path)
            found[:] = [answer]
            return status == 200 and condition(answer)

        wait_until(holds, what=f"{self.name}: {path}", timeout=timeout, interval=0.05)
        return found[0]

    def create_namespace(self, name: str, labels: dict[str, str] | None = None) -> str:
        """Create a namespace with its `default` service account and return its name.

        Without controllers nobody else makes that account, and Pods need it.
        """
        metadata = {"name": name, "labels": labels or {}}
        self.call("POST", "/api/v1/namespaces", {"metadata": metadata})
        account = {"metadata": {"name": "default"}}
        path = f"/api/v1/namespaces/{name}/serviceaccounts"
        status, answer = self.request("POST", path, account)
        if status not in (201, 409):
            raise ApiError("POST", path, status, answer)
        return name

    # The audit log

    @property
    def audit_log(self) -> Path:
        """The audit log: one JSON event a line, written before the call's answer."""
        return self.folder / "audit.log"

    def audit_mark(self) -> int:
        """The log's present end, to be given to `audit_events` later."""
        return self.audit_log.stat().st_size if self.audit_log.exists() else 0

    def audit_events(self, since: int = 0) -> Iterator[Json]:
        """The events after a mark, oldest first."""
        if self.audit is None:
            raise RuntimeError(f"{self.name} was started without an audit log")
        if not self.audit_log.exists():
            return
        with self.audit_log.open("rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    # The start

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder)}

    def _start_api_server(self) -> None:
        etcd = self.folder / "etcd"
        etcd.mkdir(mode=0o700)
        tokens = self.folder / "tokens.csv"
        tokens.write_text(
            "".join(
                f'{self._tokens[user]},{user},{user},"{groups}"\n'
                for user, groups in _GROUPS.items()
                if user != "stranger"
            )
        )
        self._port, holder = reserve_port()
        with holder:
            flags = [
                f"--secure-port={self._port}",
                "--permit-port-sharing",
                "--bind-address=127.0.0.1",
                f"--cert-dir={self.folder / 'certs'}",
                f"--token-auth-file={tokens}",
                f"--service-cluster-ip-range={_SERVICE_CIDR}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--authorization-mode=RBAC",
                "--allow-privileged=true",
                "--endpoint-reconciler-type=none",
                *self._audit_flags(),
                *self._flags,
            ]
            child = self._spawn(
                "kube-apiserver",
                *flags,
                CONTROLPLANE_ETCD_DIR=str(etcd),
                CONTROLPLANE_SERVICE_ACCOUNT_KEY=str(self._signing_key),
            )
            wait_until(
                lambda: self._certificate_written(child),
                what=f"{self.name}: certificate",
                timeout=60,
            )
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(self.ca_file)
            self._connections = Client(self._port, context)
            wait_until(
                lambda: self._serves(child), what=f"{self.name}: API server ready", timeout=90
            )

    @property
    def _signing_key(self) -> Path:
        return self.folder / "service-account.key"

    def _audit_flags(self) -> list[str]:
        if self.audit is None:
            return []
        policy = self.folder / "audit-policy.json"
        policy.write_text(
            json.dumps(
                {
                    "apiVersion": "audit.k8s.io/v1",
                    "kind": "Policy",
                    "omitStages": ["RequestReceived"],
                    "rules": [{"level": self.audit}],
                }
            )
        )
        return [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100000",
        ]

    def _certificate_written(self, child: Child) -> bool:
        child.check()
        key = self.folder / "certs" / "apiserver.key"
        return self.ca_file.exists() and key.exists() and key.stat().st_size > 0

    def _serves(self, child: Child) -> bool:
        child.check()
        try:
            status, _ = self.request("GET", "/readyz")
        except OSError:
            return False
        return status == 200

    def _create_users(self) -> None:
        self.create_namespace("driftd")
        account = {"metadata": {"name": "driftd-detect"}}
        self.call("POST", "/api/v1/namespaces/driftd/serviceaccounts", account)
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        subject = {"kind": "ServiceAccount", "namespace": "driftd", "name": "driftd-detect"}
        for file in DETECT_ROLES:
            detect = yaml.safe_load(file.read_text())
            self.call("POST", f"{rbac}/clusterroles", detect)
            self._bind(detect["metadata"]["name"], detect["metadata"]["name"], subject)
        # `edit` itself is empty until a controller has aggregated its parts.
        for part in ("system:aggregate-to-edit", "system:aggregate-to-view"):
            self._bind(f"editors-{part}", part, user_group("editors"))
        self._bind("operators", "cluster-admin", user_group("operators"))
        self._tokens["detector"] = self.service_account_token("driftd", "driftd-detect")

    def service_account_token(self, namespace: str, name: str, seconds: int = 86_400) -> str:
        """A fresh bound token of a service account, by TokenRequest (at least 600 s)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.call("POST", path, {"spec": {"expirationSeconds": seconds}})
        token: str = answer["status"]["token"]
        return token

    def add_user(self, user: str, token: str) -> None:
        """Let `request`, `kubectl` and `kubeconfig` know a user by a token made elsewhere."""
        self._tokens[user] = token

    def _bind(self, name: str, role: str, subject: dict[str, str]) -> None:
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        }
        self.call("POST", f"/apis/{group}/v1/clusterrolebindings", binding)

    def _start_controllers(self) -> None:
        self._spawn(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig('system:kube-controller-manager')}",
            f"--service-account-private-key-file={self._signing_key}",
            f"--root-ca-file={self.ca_file}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--horizontal-pod-autoscaler-sync-period=1s",
        )
        self._spawn(
            "kube-scheduler",
            f"--kubeconfig={self.kubeconfig('system:kube-scheduler')}",
            "--leader-elect=false",
            "--secure-port=0",
        )
        self._spawn(
            "kwok",
            f"--kubeconfig={self.kubeconfig('kwok')}",
            f"--config={_HERE / 'kwok' / 'stages.yaml'}",
            "--manage-all-nodes=true",
            "--node-lease-duration-seconds=40",
        )
        for document in yaml.safe_load_all((_HERE / "node.yaml").read_text()):
            self._create(document)
        for number in range(10):
            self._create(volume(f"volume-{number}"))
        self.wait_for("/api/v1/nodes/node-1", schedulable)
        self.wait_for("/api/v1/namespaces/default/serviceaccounts/default", bool)

    def _create(self, document: Json) -> None:
        group, plural = COLLECTIONS[document["kind"]]
        self.call("POST", f"{group}/{plural}", document)

    def _spawn(self, program: str, *flags: str, **variables: str) -> Child:
        command = [str(self.binaries.path(program)), *flags]
        if program == "kwok":
            command.insert(0, str(self.binaries.path("run-tied")))
        child = Child(
            program,
            command,
            log=self.folder / f"{program}.log",
            environment={**self._environment, **variables},
        )
        self._children.append(child)
        return child


def _remove_abandoned_folders() -> None:
    """Remove what clusters of killed test runs left (etcd alone takes 128 MB each)."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(_FOLDER_PREFIX).partition("-")[0]
        if owner.isdecimal() and not _alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def control_planes(
    *names: str,
    full: bool = True,
    audit: Literal["Metadata", "Request"] | None = None,
) -> Iterator[dict[str, ControlPlane]]:
    """Several clusters by name, started side by side and stopped together."""
    clusters = {name: ControlPlane(name, full=full, audit=audit) for name in names}
    binaries.ensure()
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(ControlPlane.start, clusters.values()))
        yield clusters
    finally:
        for cluster in clusters.values():
            cluster.stop()
