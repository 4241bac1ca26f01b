"""Bring the example repository to real clusters in the ways that people do it.

The desired state is built by the tools themselves (kubectl's kustomize, helm, files), so that
driftd's own rendering is held against theirs. Only Jsonnet, which no tool here builds, is
rendered by driftd.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.testbed import binaries
from tests.testbed.cluster import ControlPlane
from tests.testbed.processes import wait_until

ENVIRONMENTS = ("production", "staging", "development")
_SETTLE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Way:
    """How manifests and charts reach a cluster."""

    name: str
    server_side: bool
    """Whether `kubectl apply` runs with `--server-side`."""
    charts: Literal["kubectl", "helm"]
    """kubectl: `helm template` and apply; helm: `helm install`, then `helm upgrade`."""
    helm_flags: tuple[str, ...] = ()


WAYS = (
    Way("server-side", server_side=True, charts="kubectl"),
    Way("client-side", server_side=False, charts="helm", helm_flags=("--server-side=false",)),
    Way("helm", server_side=True, charts="helm"),
)


@dataclass(frozen=True, slots=True)
class Site:
    """One environment of the repository on its cluster."""

    environment: str
    cluster: ControlPlane
    repository: Path
    way: Way
    jsonnet: dict[str, str]
    """What the two Jsonnet applications render to, by name of the application."""

    def deploy(self) -> None:
        """Apply everything, or apply it again; returns when the API server has accepted it."""
        ledger = self.repository / "apps" / "ledger" / self.environment
        crd = ledger / "10-retention-crd.yaml"
        first = [_namespace("event-exporter"), _namespace(f"{self.environment}-app3")]
        self._apply("\n---\n".join((*first, crd.read_text())))
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self.cluster.wait_for(
            f"{path}/{yaml.safe_load(crd.read_text())['metadata']['name']}", _established
        )
        folders = (
            self.repository / "clusters" / self.environment / name
            for name in ("infrastructure", "apps")
        )
        built = [self._kustomize(folder) for folder in folders]
        self._apply("\n---\n".join((*built, *self._jsonnet())), "-R", "-f", str(ledger))
        self._deploy_chart()

    def _kustomize(self, folder: Path) -> str:
        return self.cluster.kubectl("kustomize", str(folder)).stdout

    def _jsonnet(self) -> Iterator[str]:
        """The manifests of this environment's Jsonnet applications, namespaces filled in."""
        for application, text in self.jsonnet.items():
            if application.startswith(f"{self.environment}-"):
                yield text

    def _apply(self, text: str, *flags: str) -> None:
        # Forced, since Git says `rules: []` for a role that the controller manager fills. The
        # client-side patch is the same with kubectl's own types, and three times faster.
        how = ("--server-side", "--force-conflicts")
        if not self.way.server_side:
            how = ("--openapi-patch=false",)
        self.cluster.kubectl("apply", *how, "-f", "-", *flags, input=text, timeout=120)

    def _deploy_chart(self) -> None:
        chart = self.repository / "infrastructure" / "event-exporter" / "chart"
        values, parameters = self._chart_values(chart)
        release = ("event-exporter", str(chart), "-n", "event-exporter")
        if self.way.charts == "kubectl":
            rendered = self._helm(
                "template", *release, "--include-crds", "--no-hooks", *values, *parameters
            )
            self._apply(rendered, "-n", "event-exporter")
            return
        flags = (*values, *parameters, *self.way.helm_flags)
        if self._helm("list", "-n", "event-exporter", "--short").strip() == "":
            # An older version first, so that the upgrade has something to do.
            self._helm("install", *release, *flags, "--set", "image.tag=v0.0.1")
        self._helm("upgrade", *release, *flags)

    def _chart_values(self, chart: Path) -> tuple[list[str], list[str]]:
        """`--values` and `--set` as the Application of this environment gives them."""
        folder = self.repository / "argocd" / "applications" / self.environment
        application = yaml.safe_load((folder / "event-exporter.yaml").read_text())
        helm = application["spec"]["source"]["helm"]
        values = [f"--values={chart / name}" for name in helm["valueFiles"]]
        return values, [f"--set={p['name']}={p['value']}" for p in helm["parameters"]]

    def _helm(self, *arguments: str) -> str:
        home = self.cluster.folder
        done = subprocess.run(
            [str(binaries.helm()), *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "KUBECONFIG": str(self.cluster.kubeconfig("admin")),
            },
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"helm {arguments[0]} exited {done.returncode}: {done.stderr}")
        return done.stdout

    def settle(self) -> None:
        """Wait until the controllers have nothing left to do; `TimeoutError` names what is open."""
        self._wait(lambda: unsettled(self.cluster))

    def notice(self) -> None:
        """Wait until the controllers have seen every change, whatever becomes of it.

        Drift may well keep Pods from becoming ready.
        """
        self._wait(lambda: unnoticed(self.cluster))

    def _wait(self, remaining: Callable[[], list[str]]) -> None:
        still: list[str] = []

        def done() -> bool:
            still[:] = remaining()
            return not still

        try:
            wait_until(done, what=self.environment, timeout=_SETTLE_SECONDS, interval=0.2)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {'; '.join(still)}") from None


def everywhere(sites: list[Site], act: Callable[[Site], None]) -> None:
    """Do the same on all sites side by side; the first error is raised after all have ended."""
    with ThreadPoolExecutor(len(sites)) as pool:
        list(pool.map(act, sites))


def deploy(sites: list[Site]) -> None:
    """Apply everything everywhere and wait until all controllers have settled."""

    def one(site: Site) -> None:
        site.deploy()
        site.settle()

    everywhere(sites, one)


def unsettled(cluster: ControlPlane) -> list[str]:
    """What controllers still have to do in a cluster, in words; empty when nothing."""
    return _remaining(cluster, _CHECKS) + list(_unreadable(cluster))


def unnoticed(cluster: ControlPlane) -> list[str]:
    """The workloads whose latest change no controller has seen yet, in words."""
    return _remaining(cluster, dict.fromkeys(_WORKLOADS, _notice))


def _remaining(cluster: ControlPlane, checks: Mapping[str, Callable[[Any], str]]) -> list[str]:
    return [
        f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}: {what}"
        for path, check in checks.items()
        for item in cluster.call("GET", path)["items"]
        if (what := check(item))
    ]


def _unreadable(cluster: ControlPlane) -> Iterator[str]:
    path = "/apis/ledger.example.com/v1/retentionpolicies"
    status, _ = cluster.request("GET", path, user="detector")
    if status != 200:
        yield f"the detector gets {status} for RetentionPolicies"


def _namespace(name: str) -> str:
    """What `CreateNamespace=true` creates."""
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _established(crd: Any) -> bool:
    conditions = {c["type"]: c["status"] for c in crd.get("status", {}).get("conditions") or ()}
    return conditions.get("Established") == "True"


def _notice(item: Any) -> str:
    seen = item["status"].get("observedGeneration", 0)
    return "" if seen >= item["metadata"]["generation"] else "change not seen yet"


def _workload(ready: str, wanted: Callable[[Any], int]) -> Callable[[Any], str]:
    def check(item: Any) -> str:
        has, needs = item["status"].get(ready, 0), wanted(item)
        return _notice(item) or ("" if has == needs else f"{has} of {needs} Pods are ready")

    return check


def _job(item: Any) -> str:
    conditions = {c["type"] for c in item["status"].get("conditions", ()) if c["status"] == "True"}
    return "" if "Complete" in conditions else "Job not complete"


def _claim(item: Any) -> str:
    return "" if item["status"].get("phase") == "Bound" else "claim not bound"


def _autoscaler(item: Any) -> str:
    """An autoscaler has acted when it has said what it could do, and holds its minimum."""
    status = item["status"]
    conditions = {c["type"] for c in status.get("conditions", ())}
    minimum = item["spec"].get("minReplicas", 1)
    acted = "ScalingActive" in conditions and status.get("currentReplicas", 0) >= minimum
    return "" if acted else "autoscaler has not acted"


def _role(item: Any) -> str:
    ours = item["metadata"]["name"].startswith(("ledger-", "driftd-"))
    waiting = ours and item.get("aggregationRule") and not item.get("rules")
    return "role not aggregated" if waiting else ""


_WORKLOADS: dict[str, Callable[[Any], str]] = {
    "/apis/apps/v1/deployments": _workload(
        "availableReplicas", lambda item: int(item["spec"]["replicas"])
    ),
    "/apis/apps/v1/statefulsets": _workload(
        "readyReplicas", lambda item: int(item["spec"]["replicas"])
    ),
    "/apis/apps/v1/daemonsets": _workload(
        "numberReady", lambda item: int(item["status"]["desiredNumberScheduled"])
    ),
}
_CHECKS: dict[str, Callable[[Any], str]] = {
    **_WORKLOADS,
    "/apis/batch/v1/jobs": _job,
    "/api/v1/persistentvolumeclaims": _claim,
    "/apis/autoscaling/v2/horizontalpodautoscalers": _autoscaler,
    "/apis/rbac.authorization.k8s.io/v1/clusterroles": _role,
}
