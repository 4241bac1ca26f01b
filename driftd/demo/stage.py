"""What the demonstration stands on: a repository, a kubeconfig, settings, driftd's processes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from driftd.demo.processes import Processes, Running
from driftd.demo.receiver import Receiver
from driftd.demo.server import SimulatedApiServer
from driftd.demo.story import DESTINATIONS, HEALED
from driftd.errors import SourceError

PACKAGE = Path(__file__).resolve().parent.parent
EXAMPLE = (
    PACKAGE / "demo" / "kubernetes-gitops",
    PACKAGE.parent / "tests/fixtures/kubernetes-gitops",
)
"""The example repository's files: in an installed driftd, and in a checkout."""
REMOTE = "https://github.com/example/kubernetes-gitops.git"
REPOSITORY = "kubernetes-gitops"
HEALING = {
    "rules": [{"applications": [HEALED], "rung": "fields"}],
    "grace": {"high": "0s"},
}
"""What the operator has opened, and that nobody waits for two minutes: settings of the daemon."""
COLLIDING = Path("argocd/applicationsets/all-clusters-infra.yaml")
"""A set whose names are taken: a lesson of the example that has no place in the demonstration."""


async def make_repository(path: Path) -> None:
    """A Git repository with the example's files. Raises SourceError if it cannot be made."""
    example = next((folder for folder in EXAMPLE if folder.is_dir()), None)
    if example is None:
        raise SourceError("the example repository is missing", hint="reinstall driftd")
    if shutil.which("git") is None:
        raise SourceError("the demonstration needs git on PATH", hint="install git")
    shutil.copytree(example, path)
    (path / COLLIDING).unlink()
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all", "--force"),
        ("commit", "--quiet", "--no-verify", "--message=Example of a platform team"),
        ("remote", "add", "origin", REMOTE),
    ):
        await _git(path, arguments)


async def _git(path: Path, arguments: Sequence[str]) -> None:
    person = {"NAME": "Platform Team", "EMAIL": "platform@example.com"}
    environment = {
        **clean_environment(os.environ),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in person.items()},
    }
    process = await asyncio.create_subprocess_exec(
        *("git", "-c", "commit.gpgsign=false", *arguments),
        cwd=path,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode != 0:
        told = " ".join(errors.decode(errors="replace").split())
        raise SourceError(f"git {arguments[0]} in the demonstration's folder: {told}")


def write_kubeconfig(path: Path, servers: Iterable[SimulatedApiServer]) -> None:
    """A kubeconfig with one context for each server, named like its cluster."""
    running = {server.recording.name: server for server in servers}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": n, "cluster": {"server": s.server}} for n, s in running.items()],
        "users": [{"name": n, "user": {"token": s.token}} for n, s in running.items()],
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in running],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the user's own settings of driftd, Git and Kubernetes, which would change results."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("DRIFTD_", "GIT_", "KUBE")) or name == "DRIFTD_WORKER"
    }
    # The folder of this driftd, since the check runs in another one and it may be a checkout.
    paths = [str(PACKAGE.parent), *filter(None, [environment.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}


def write_settings(folder: Path, receiver: Receiver) -> tuple[Path, int]:
    """Settings of a daemon that looks all the time; the file, and the port that it listens at."""
    secret = folder / "webhook-secret"
    secret.touch(mode=0o600)
    secret.write_text(receiver.secret)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    document = {
        "repositories": [{"path": str(folder / REPOSITORY), "pollInterval": "0s"}],
        "clusters": {
            "kubeconfig": str(folder / "kubeconfig"),
            "destinations": DESTINATIONS,
        },
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{folder / 'driftd.db'}"},
        "notifications": {
            "allowNetworks": ["127.0.0.0/8"],
            "storm": {"messages": 1000},
            "webhooks": [{"url": receiver.url, "secretFile": str(secret), "name": "demo"}],
        },
        "healing": HEALING,
        "server": {"listen": f"127.0.0.1:{port}"},
        "sandbox": {"requireIsolation": False},
    }
    path = folder / "driftd.yaml"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path, port


def environment(folder: Path) -> dict[str, str]:
    """What commands run with: the demonstration's clusters and contexts, no settings of users."""
    pairs = " ".join(f"{server}={context}" for server, context in DESTINATIONS.items())
    return clean_environment(os.environ) | {
        "KUBECONFIG": str(folder / "kubeconfig"),
        "DRIFTD_CLUSTER": pairs,
        "DRIFTD_QUIET": "yes",
    }


@asynccontextmanager
async def daemon(processes: Processes, folder: Path, settings: Path) -> AsyncIterator[Running]:
    """`driftd run`, ended with the block; its log is `daemon.log` in the folder."""
    with (folder / "daemon.log").open("wb") as log:
        process = await processes.start(
            ("run", "--config", str(settings)),
            folder=folder,
            environment=clean_environment(os.environ),
            output=log.fileno(),
            errors=log.fileno(),
        )
    try:
        yield process
    finally:
        await _end(process)


async def run(processes: Processes, arguments: Sequence[str], folder: Path) -> tuple[int, str, str]:
    """Run driftd in the repository as its users do: exit code, output, errors."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = await processes.start(
            arguments,
            folder=folder / REPOSITORY,
            environment=environment(folder) | {"COLUMNS": "80"},
            output=output.fileno(),
            errors=errors.fileno(),
        )
        try:
            code = await process.wait()
        finally:
            await _end(process)
        told = []
        for stream in (output, errors):
            stream.seek(0)
            told.append(stream.read().decode())
    return code, told[0], told[1]


async def _end(process: Running) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
