"""Repositories as people lay them out, and their deployment the way Argo CD does it.

What is deployed is built by kubectl's kustomize and by helm, never by driftd.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.testbed import binaries
from tests.testbed.argocd import serve_argo_kinds
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo

LAYOUTS = Path(__file__).parents[1] / "fixtures" / "layouts"
TRACKING = "argocd.argoproj.io/tracking-id"
URL = "https://github.com/example/platform.git"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One application as somebody who knows the repository would describe it."""

    name: str
    path: str
    namespace: str
    release: str = ""
    values: tuple[str, ...] = ()
    """Value files of a chart, relative to it."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change by hand, and where driftd must find it."""

    application: str
    target: str
    """`KIND NAMESPACE/NAME`."""
    patch: str
    path: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A repository of the fixtures."""

    name: str
    deployments: tuple[Deployment, ...]
    edits: tuple[Edit, ...]

    def checkout(self, folder: Path) -> GitRepo:
        """A clone of the repository, as `git clone` leaves it."""
        shutil.copytree(LAYOUTS / self.name, folder)
        repo = GitRepo(folder)
        repo.set_remote(URL)
        repo.commit("Import")
        return repo

    def deploy(self, cluster: ControlPlane, repository: Path) -> None:
        """Bring every application to the cluster, its namespace included."""
        serve_argo_kinds(cluster)
        names = sorted({"argocd", *(one.namespace for one in self.deployments)})
        objects: list[Any] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names
        ]
        for one in self.deployments:
            objects += _tracked(one, _built(cluster, repository, one))
        # As Argo CD's sync does: on the client, under its field manager.
        flags = ("--field-manager=argocd-controller", "--openapi-patch=false")
        cluster.kubectl("apply", *flags, "-f", "-", input=yaml.safe_dump_all(objects), timeout=120)

    def edit(self, cluster: ControlPlane) -> None:
        """Make the changes by hand."""
        for one in self.edits:
            kind, _, where = one.target.partition(" ")
            namespace, _, name = where.partition("/")
            cluster.kubectl("patch", kind, name, "-n", namespace, "--type=json", "-p", one.patch)


def _tracked(one: Deployment, text: str) -> Iterator[Any]:
    """The objects in their namespace, with Argo CD's tracking annotation; all have a namespace."""
    for item in yaml.safe_load_all(text):
        if item is None:
            continue
        group = item["apiVersion"].rpartition("/")[0]
        metadata = item["metadata"]
        namespace = metadata.get("namespace") or one.namespace
        mark = f"{one.name}:{group}/{item['kind']}:{namespace}/{metadata['name']}"
        annotations = {**(metadata.get("annotations") or {}), TRACKING: mark}
        metadata = {**metadata, "namespace": namespace, "annotations": annotations}
        yield {**item, "metadata": metadata}


def _built(cluster: ControlPlane, repository: Path, one: Deployment) -> str:
    folder = repository / one.path
    if (folder / "Chart.yaml").exists():
        return _helm(folder, one)
    if (folder / "kustomization.yaml").exists():
        return cluster.kubectl("kustomize", str(folder)).stdout
    return "\n---\n".join(file.read_text() for file in sorted(folder.glob("*.yaml")))


def _helm(chart: Path, one: Deployment) -> str:
    values = [f"--values={chart / name}" for name in one.values]
    done = subprocess.run(
        [
            str(binaries.helm()), "template", one.release or one.name, str(chart),
            "-n", one.namespace, *values,
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(chart)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"helm exited {done.returncode}: {done.stderr}")
    return done.stdout


def monorepo() -> tuple[Deployment, ...]:
    """One application per folder of services."""
    folders = sorted(
        folder.name
        for folder in (LAYOUTS / "monorepo" / "services").iterdir()
        if folder.name != "templates"
    )
    return tuple(Deployment(name, f"services/{name}", f"mono-{name}") for name in folders)
