"""Flux on a real API server without Flux: its kinds, and objects applied as its controllers do.

What is applied is built by kubectl's kustomize and by helm, not by driftd.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import yaml

from tests.testbed import binaries
from tests.testbed.cluster import ControlPlane

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_KINDS = {
    ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization"): "kustomizations",
    ("helm.toolkit.fluxcd.io", "v2", "HelmRelease"): "helmreleases",
    ("source.toolkit.fluxcd.io", "v1", "GitRepository"): "gitrepositories",
}
_PLURALS = {
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "LimitRange": "limitranges",
    "Namespace": "namespaces",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
} | {kind: plural for (_, _, kind), plural in _KINDS.items()}
APPLY = "application/apply-patch+yaml"
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"


def serve_flux_kinds(cluster: ControlPlane) -> None:
    """Create Flux's kinds, without their schema, and wait until they are served."""
    for (group, version, kind), plural in _KINDS.items():
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        served = {
            "name": version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}},
        }
        body = {
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [served],
            },
        }
        cluster.call("POST", _CRDS, body)
        cluster.wait_for(f"/apis/{group}/{version}/{plural}", lambda _: True)


def path_of(body: dict[str, Any]) -> str:
    """The URL path of an object."""
    version, metadata = body["apiVersion"], body["metadata"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    place = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{base}{place}/{_PLURALS[body['kind']]}/{metadata['name']}"


class FluxSite:
    """The Flux layout repository of the fixtures, brought to one cluster."""

    def __init__(self, cluster: ControlPlane, repository: Path, environment: str) -> None:
        self.cluster = cluster
        self.repository = repository
        self.environment = environment

    def deploy(self) -> None:
        """Apply everything in the order in which Flux would get to it."""
        self.cluster.create_namespace("flux-system")
        folder = self.repository / "clusters" / self.environment
        files = sorted(folder.glob("**/*.yaml"))
        root = [d for f in files if f.name != "kustomization.yaml" for d in _documents(f)]
        for body in root:
            self.apply(body, "flux-system")
        for body in _documents(self.repository / "infrastructure" / "namespaces.yaml"):
            self.apply(body, "infrastructure")
        for body in self._built(self.repository / "infrastructure" / "policies"):
            self.apply(body, "infrastructure")
        variables = self._variables()
        for body in self._built(self.repository / "apps" / self.environment):
            body["metadata"].setdefault("labels", {})["example.com/team"] = "shop"
            annotations = body["metadata"].get("annotations", {})
            if annotations.get("kustomize.toolkit.fluxcd.io/substitute") != "disabled":
                body = _substituted(body, variables)
            self.apply(body, "apps")
        self._release()

    def apply(
        self, body: dict[str, Any], owner: str, manager: str = "kustomize-controller"
    ) -> None:
        """Server-side apply with the labels and the manager of kustomize-controller."""
        group = "kustomize.toolkit.fluxcd.io"
        labels = body["metadata"].setdefault("labels", {})
        labels |= {f"{group}/name": owner, f"{group}/namespace": "flux-system"}
        path = f"{path_of(body)}?fieldManager={manager}&force=true"
        self.cluster.call("PATCH", path, body, content_type=APPLY)

    def _variables(self) -> dict[str, str]:
        file = self.repository / "clusters" / self.environment / "settings.yaml"
        (settings,) = _documents(file)
        return {**settings["data"], "environment": self.environment}

    def _built(self, folder: Path) -> list[dict[str, Any]]:
        text = self.cluster.kubectl("kustomize", str(folder)).stdout
        return [body for body in yaml.safe_load_all(text) if body]

    def _release(self) -> None:
        """Install the chart's objects as helm-controller does: labels, annotations, an Update."""
        size = "large" if self.environment == "production" else "small"
        values = ("size=" + size, "maxMemory=256mb", f"domain={self._variables()['domain']}")
        done = subprocess.run(
            [
                str(binaries.helm()), "template", "cache", str(self.repository / "charts/cache"),
                "-n", "cache", "--no-hooks", *(f"--set={value}" for value in values),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(self.cluster.folder)},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        for body in yaml.safe_load_all(done.stdout):
            if not body:
                continue
            metadata = body["metadata"]
            metadata["namespace"] = "cache"
            metadata["labels"] = metadata.get("labels", {}) | {
                "app.kubernetes.io/managed-by": "Helm",
                "helm.toolkit.fluxcd.io/name": "cache",
                "helm.toolkit.fluxcd.io/namespace": "cache",
            }
            metadata["annotations"] = {
                "meta.helm.sh/release-name": "cache",
                "meta.helm.sh/release-namespace": "cache",
            }
            if body["kind"] == "ConfigMap":
                body["data"]["rendered-by"] = "flux"
            path = path_of(body).rpartition("/")[0]
            self.cluster.call("POST", f"{path}?fieldManager=helm-controller", body)


class KustomizeController:
    """Stands in for kustomize-controller at one Kustomization: does what it is asked for.

    It looks for a new `requestedAt`, applies an object with `helps`, and says in the status which
    request it has handled, as Flux does.
    """

    def __init__(self, site: FluxSite, name: str, body: dict[str, Any], *, helps: bool) -> None:
        self.handled: list[str] = []
        """The requests that it has handled."""
        self._site = site
        self._name = name
        self._body = body
        self._helps = helps
        self._path = path_of(
            {
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization",
                "metadata": {"name": name, "namespace": "flux-system"},
            }
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def live(self) -> dict[str, Any]:
        """The Kustomization as it is."""
        found: dict[str, Any] = self._site.cluster.call("GET", self._path)
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            live = self.live()
            asked = live["metadata"].get("annotations", {}).get(REQUESTED_AT)
            if not asked or live.get("status", {}).get("lastHandledReconcileAt") == asked:
                continue
            if self._helps:
                self._site.apply(self._body, self._name)
            self._site.cluster.call(
                "PATCH",
                f"{self._path}/status?fieldManager=gotk-kustomize-controller",
                {"status": {"lastHandledReconcileAt": asked}},
                content_type="application/merge-patch+json",
            )
            self.handled.append(asked)


def _documents(file: Path) -> Iterator[dict[str, Any]]:
    return (body for body in yaml.safe_load_all(file.read_text()) if body)


def _substituted(body: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
    """The two forms that the fixture uses: `${name}` and `${name:-default}` (also `:=`)."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1], match[3] or "")

    text = re.sub(r"\$\{(\w+)(:[-=]([^}]*))?\}", value, yaml.safe_dump(body))
    replaced: dict[str, Any] = yaml.safe_load(text)
    return replaced
