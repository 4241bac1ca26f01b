"""A whole world for the controller: a real repository, a real sandbox, a cluster in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.kubeconfig import KubeContext
from driftd.controller.workspace import Workspace
from driftd.errors import ConfigError
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories
from tests.testbed.gitrepo import GitRepo
from tests.unit.controller.builders import URL
from tests.unit.controller.cluster import MemoryCluster

CONTEXTS = (
    KubeContext(name="one", cluster="one", server="https://one.example.com"),
    KubeContext(name="two", cluster="two", server="https://two.example.com"),
)


class Clusters:
    """Opens clusters in memory; `broken` names cannot be opened."""

    def __init__(self) -> None:
        self.one = MemoryCluster()
        self.two = MemoryCluster()
        self.broken: set[str] = set()

    def open(self, target: ClusterTarget) -> MemoryCluster:
        """See `driftd.controller.workspace.Clusters`."""
        if target.name in self.broken:
            raise ConfigError(f"context {target.name} has no user", hint="correct the kubeconfig")
        return {"one": self.one, "two": self.two}[target.name]


@dataclass(slots=True)
class World:
    """Git, clusters, and the workspace that has both."""

    repo: GitRepo
    clusters: Clusters
    workspace: Workspace
    told: list[str] = field(default_factory=list)

    def declare(
        self,
        name: str,
        cluster: str = "one",
        *,
        annotations: dict[str, str] | None = None,
        **spec: Any,
    ) -> None:
        """Write the Application of `apps/NAME`, with one ConfigMap `NAME` (colour: blue)."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        self.repo.write(f"apps/{name}/map.json", json.dumps({**body, "data": {"colour": "blue"}}))
        document = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd", "annotations": annotations or {}},
            "spec": {
                "project": "default",
                "source": {"repoURL": URL, "path": f"apps/{name}"},
                "destination": {"name": cluster, "namespace": "shop"},
                **spec,
            },
        }
        self.repo.write(f"argocd/{name}.json", json.dumps(document))

    def paint(self, name: str, colour: str, *, cluster: str = "one") -> None:
        """Leave a ConfigMap in a cluster: blue as Git says by kubectl, else by hand."""
        by_hand = {"manager": "kubectl-edit", "operation": "Update"} if colour != "blue" else {}
        metadata = {"name": name, "namespace": "shop"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        self.clusters.open(ClusterTarget("context", cluster)).put(
            {**body, "data": {"colour": colour}}, **by_hand
        )

    def progress(self, text: str) -> None:
        """Keep what a look says that it does."""
        self.told.append(text)


@pytest.fixture
async def world(git_repo: GitRepo) -> AsyncIterator[World]:
    """Two applications, `shop` and `kept`, on cluster `one`; both as Git says."""
    git_repo.set_remote(URL)
    git_repo.write("README.md", "A repository\n")
    git_repo.commit()
    clusters = Clusters()
    async with SandboxPool(size=1) as sandbox:
        workspace = Workspace(
            repositories=await Repositories.open([str(git_repo.path)]),
            sandbox=sandbox,
            clusters=clusters,
            contexts=CONTEXTS,
            current_context="one",
        )
        world = World(git_repo, clusters, workspace)
        for name in ("shop", "kept"):
            world.declare(name)
            world.paint(name, "blue")
        git_repo.commit()
        yield world


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The DSN of a store that does not exist yet."""
    return f"sqlite:///{tmp_path}/driftd.db"
