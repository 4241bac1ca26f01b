"""Where the documentation's commands run: the checkout, kubeconfig and files that they speak of."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from driftd.store.sql import SqlStore
from tests.e2e.site import URL, application
from tests.testbed import program
from tests.testbed.argocd import ARGO, serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.flux import serve_flux_kinds
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import Access, write_kubeconfig
from tests.testbed.processes import wait_until
from tests.testbed.signing import SshKey

ROOT = Path(__file__).parents[2]
CONTEXTS = ("production", "hub-context", "my-staging-context", "my-context", "staging", "CONTEXT")
"""Contexts that the documentation names; all are one API server."""
APPLICATIONS = ("production-apps", "staging-apps")
NAMESPACES = ("shop", "shop-staging")
DEADLINE = 60
SUPPRESSIONS = """apiVersion: driftd.io/v1
kind: Suppressions
entries:
- kind: Deployment
  paths: [spec.replicas]
  owner: platform-team
  reason: scaled by hand until the move
  expires: 2030-06-30
"""
WEB = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "registry.example.com/web:1.0.0"}
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    code: int
    output: str
    """Standard output and error together."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which documented commands find what they name."""

    folder: Path
    environment: dict[str, str]
    port: int
    """Of the daemon's own server, as the settings say."""

    def declare(self, server: str) -> None:
        """Declare one more application, for another cluster."""
        repo = GitRepo(self.folder)
        document = _application("elsewhere", NAMESPACES[1])
        document["spec"]["destination"] = {"server": server, "namespace": NAMESPACES[1]}
        repo.write("argocd/elsewhere.yaml", json.dumps(document))
        repo.commit("Declare an application for another cluster")

    def run(self, command: str) -> Done:
        """Run one command in a shell, as somebody who reads the page would."""
        if shlex.split(command)[:2] == ["driftd", "run"] and "--once" not in command:
            return self._daemon(command)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=DEADLINE,
        )
        return Done(done.returncode, done.stdout)

    def _daemon(self, command: str) -> Done:
        """Run the daemon until it is ready, then end it as Kubernetes does."""
        log = self.folder / "daemon.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(
                lambda: process.poll() is not None or self._ready(),
                what=f"{command} is ready",
                timeout=DEADLINE,
            )
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=DEADLINE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return Done(code, log.read_text())

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def deploy(cluster: ControlPlane) -> None:
    """Deploy both applications, scale one by hand, and make the cluster a hub as well."""
    for name in (*NAMESPACES, "argocd"):
        cluster.create_namespace(name)
    for name in NAMESPACES:
        cluster.kubectl("apply", "--server-side", "-n", name, "-f", "-", input=WEB)
    cluster.kubectl("scale", "deployment/web", "--replicas=5", "-n", NAMESPACES[0])
    serve_argo_kinds(cluster)
    serve_flux_kinds(cluster)
    for name, place in zip(APPLICATIONS, NAMESPACES, strict=True):
        cluster.call("POST", f"{ARGO}/namespaces/argocd/applications", _application(name, place))
    cluster.kubectl("create", "configmap", "argocd-cm", "-n", "argocd")
    cluster.call(
        "POST",
        f"{ARGO}/namespaces/argocd/appprojects",
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "default"},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        },
    )


def _application(name: str, namespace: str) -> Any:
    source = {"repoURL": URL, "targetRevision": "HEAD", "path": "apps/web"}
    return json.loads(application(name, namespace, source=source))


def make(folder: Path, cluster: ControlPlane, receiver: str, *, flux: bool = False) -> Place:
    """A fresh place, its repository of Argo CD's or of Flux's; nothing is shared with another."""
    work = folder / "kubernetes-gitops"
    if flux:
        shutil.copytree(ROOT / "tests" / "fixtures" / "layouts" / "flux", work)
    repo = GitRepo(work)
    repo.write("apps/web/deployment.yaml", WEB)
    for name, place in zip(() if flux else APPLICATIONS, NAMESPACES, strict=False):
        repo.write(f"argocd/{name}.yaml", json.dumps(_application(name, place)))
    repo.write("suppressions.yaml", SUPPRESSIONS)
    repo.commit("Declare the applications")
    _publish(repo, folder / "origin.git")
    other = GitRepo(folder / "manifests")
    other.write("README.md", "Manifests of another repository.\n")
    other.commit()
    home = folder / "home"
    (home / ".kube").mkdir(parents=True)
    _signer(repo, home)
    access = cluster.access("admin")
    kubeconfig = write_kubeconfig(
        home / ".kube" / "config",
        [Access(name, access.server, access.authority, access.token) for name in CONTEXTS],
    )
    shims = folder / "bin"
    shims.mkdir()
    _shim(
        shims / "driftd",
        # The daemon gets signals, so that it is no copy which a client stands for.
        f'[ "$1" != run ] || PYTHONPATH={ROOT} exec {sys.executable} -m driftd.cli.main "$@"\n'
        f'exec {sys.executable} -I -S {program.CLIENT} {program.server()} "$@"',
    )
    admin = cluster.kubeconfig("admin")
    kubectl = cluster.binaries.path("kubectl")
    _shim(shims / "kubectl", f'KUBECONFIG={admin} exec {kubectl} "$@"')
    for platform in ("gh", "glab"):
        _shim(shims / platform, "exit 0")
    port = _free_port()
    _files(work, folder, port, receiver, cluster)
    environment = {
        "PATH": f"{shims}:{os.environ['PATH']}",
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        # What several contexts leave open, the pages do not repeat on each line.
        "DRIFTD_CONTEXT": "production",
        "RUNNER_TEMP": str(folder),
        "GITHUB_ENV": str(folder / "github-env"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "DRIFTD_KUBECONFIG_TEXT": kubeconfig.read_text(),
        "GITHUB_BASE_REF": "main",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_IID": "7",
    }
    return Place(work, environment, port)


def _signer(repo: GitRepo, home: Path) -> None:
    """Somebody who signs commits with an SSH key."""
    key = SshKey(home / ".ssh", "id_ed25519")
    (home / ".gnupg").mkdir(mode=0o700)
    for name, value in {
        "user.name": "Alice",
        "user.email": "alice@example.com",
        "user.signingKey": str(key.path),
        "gpg.format": "ssh",
    }.items():
        repo.git("config", name, value)


def _publish(repo: GitRepo, origin: Path) -> None:
    """Give the checkout an origin, and a branch that somebody wants to merge."""
    repo.git("clone", "--quiet", "--bare", ".", str(origin))
    repo.set_remote(str(origin))
    repo.git("fetch", "--quiet", "origin")
    repo.git("remote", "set-head", "origin", "main")
    repo.set_remote(URL)
    repo.git("config", f"url.{origin}.insteadOf", URL)
    repo.git("switch", "--quiet", "--create", "my-branch")
    repo.write("apps/web/deployment.yaml", WEB.replace("web:1.0.0", "web:1.1.0"))
    repo.commit("Release 1.1.0")
    repo.git("switch", "--quiet", "main")


def _files(work: Path, folder: Path, port: int, receiver: str, cluster: ControlPlane) -> None:
    """What the pages name: settings, saved objects, audit logs."""
    secret = folder / "slack-url"
    secret.write_text(receiver)
    settings = {
        "repositories": [{"path": str(work)}],
        "clusters": {"destinations": {"https://kubernetes.default.svc": "production"}},
        "store": {"dsn": f"sqlite:///{folder / 'driftd.db'}"},
        "server": {"listen": f"127.0.0.1:{port}"},
        "notifications": {
            "slack": [{"urlFile": str(secret), "name": "platform-alerts"}],
            "allowNetworks": ["127.0.0.0/8"],
        },
    }
    asyncio.run(_make_store(settings["store"]["dsn"]))
    (work / "config").mkdir()
    for name in ("driftd.yaml", "config/driftd.yaml"):
        (work / name).write_text(json.dumps(settings))
    live = cluster.call("GET", f"/apis/apps/v1/namespaces/{NAMESPACES[0]}/deployments/web")
    (work / "app.yaml").write_text(WEB)
    (work / "live.yaml").write_text(json.dumps(live))
    (work / "openapi.json").write_text(json.dumps(cluster.call("GET", "/openapi/v3/apis/apps/v1")))
    log = cluster.audit_log.read_bytes()
    (work / "audit.log").write_bytes(log)
    (work / "audit.log.gz").write_bytes(gzip.compress(log, compresslevel=1))
    for name in ("git-token", "webhook-secret"):
        (work / name).write_text("not a secret")


async def _make_store(dsn: str) -> None:
    """The store of a daemon that has run."""
    store = await SqlStore.open(dsn)
    await store.close()


def _shim(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Accepting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Take a message as Slack does."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def slack() -> Iterator[str]:
    """The URL of a receiver that takes every message."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Accepting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
