"""A small repository on one real API server: two good applications, and one that a test breaks."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.program import driftd

ROOT = Path(__file__).parents[2]
URL = "https://git.example.com/platform/gitops.git"
CONTEXT = "bare"


def config_map(name: str, **data: str) -> str:
    """A ConfigMap as Git has it."""
    values = "".join(f"  {key}: {value}\n" for key, value in data.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n{values}"


def application(name: str, namespace: str, **spec: Any) -> str:
    """An Application of `apps/NAME` that goes into `namespace` of the own cluster."""
    source = {"repoURL": URL, "targetRevision": "HEAD", "path": f"apps/{name}"}
    destination = {"server": "https://kubernetes.default.svc", "namespace": namespace}
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {"project": "default", "source": source, "destination": destination, **spec},
    }
    return json.dumps(document, indent=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one run of the command line printed."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> Any:
        """The report, decoded."""
        return json.loads(self.stdout)

    @property
    def applications(self) -> dict[str, Any]:
        """The verdicts by the applications' names."""
        return {one["name"]: one for one in self.report["applications"]}

    def conditions(self, name: str = "") -> list[str]:
        """The messages of an application's conditions; without a name those of the report.

        Other tests leave objects on the server that no application here declares: not those.
        """
        owner = self.applications[name] if name else self.report
        return [
            f"{one['type']}: {one['message']}"
            for one in owner["conditions"]
            if one["type"] != "OrphanedResourceWarning"
        ]

    def objects(self, name: str) -> dict[str, tuple[str, str]]:
        """Status and reason of an application's objects, under kind and name."""
        return {
            f"{one['kind']} {one['name']}": (one["status"], one.get("reason", ""))
            for one in self.applications[name]["resources"]
        }


@dataclass(slots=True, kw_only=True)
class Site:
    """A checkout, a namespace that its good applications are deployed to, and a credential."""

    repo: GitRepo
    cluster: ControlPlane
    namespace: str
    kubeconfig: Path
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, **files: str) -> None:
        """Write files of the checkout; in the names `__` stands for a slash."""
        for path, text in files.items():
            self.repo.write(path, text)

    def broken(self, files: dict[str, str] | None = None, **spec: Any) -> None:
        """Declare the application `broken` and commit; `files` lie in its folder."""
        for path, text in (files or {}).items():
            self.repo.write(f"apps/broken/{path}", text)
        self.repo.write("argocd/broken.yaml", application("broken", self.namespace, **spec))
        self.repo.commit("Break it")

    def check(self, *flags: str, output: str = "json") -> Seen:
        """Run `driftd check` in the checkout."""
        return self.run("check", "-o", output, f"--kubeconfig={self.kubeconfig}", *flags)

    def run(self, *arguments: str, cwd: Path | None = None) -> Seen:
        """Run the command line as a user does."""
        done = driftd(
            *arguments,
            cwd=cwd or self.repo.path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.home),
                "GIT_CONFIG_NOSYSTEM": "1",
                **self.environment,
            },
        )
        return Seen(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


GOOD = {
    "apps/steady/kustomization.yaml": "resources: [configmap.yaml]\n",
    "apps/steady/configmap.yaml": config_map("steady", colour="blue", size="small"),
    "apps/changed/configmap.yaml": config_map("changed", colour="blue", size="small"),
}
"""The folders of the good applications; somebody has changed one object of `changed` by hand."""


def plant(repo: GitRepo, namespace: str) -> None:
    """Write the good applications into a repository and commit."""
    for path, text in GOOD.items():
        repo.write(path, text)
    for name in ("steady", "changed"):
        repo.write(f"argocd/{name}.yaml", application(name, namespace))
    repo.commit("Declare the good applications")


def planted(cluster: ControlPlane, folder: Path, prefix: str) -> tuple[str, GitRepo]:
    """A fresh namespace with the good applications, and the repository that declares them."""
    namespace = cluster.create_namespace(prefix)
    repo = GitRepo(folder / "gitops")
    repo.set_remote(URL)
    plant(repo, namespace)
    deploy(cluster, namespace)
    return namespace, repo


def deploy(cluster: ControlPlane, namespace: str) -> None:
    """Deploy the good applications and change one object by hand."""
    for path in ("apps/steady/configmap.yaml", "apps/changed/configmap.yaml"):
        cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=GOOD[path])
    cluster.kubectl(
        "patch", "configmap", "changed", "-n", namespace, "-p", '{"data":{"colour":"red"}}',
        user="alice",
    )  # fmt: skip


def assert_rest_is_right(seen: Seen) -> None:
    """The good applications have their verdicts: one is Synced, one differs in one field."""
    steady, changed = seen.applications["steady"], seen.applications["changed"]
    assert (steady["status"], steady["complete"], steady["conditions"]) == ("Synced", True, [])
    assert [(one["kind"], one["status"]) for one in steady["resources"]] == [
        ("ConfigMap", "Synced")
    ]
    assert (changed["status"], changed["complete"], changed["conditions"]) == (
        "OutOfSync",
        True,
        [],
    )
    (resource,) = changed["resources"]
    (change,) = resource["changes"]
    assert (change["path"], change["desired"], change["live"], change["manager"]) == (
        "/data/colour",
        "blue",
        "red",
        "kubectl-patch",
    )
