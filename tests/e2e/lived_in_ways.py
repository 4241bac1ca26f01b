"""The ways in which the lived-in objects reach a cluster, with the tools that people use.

Argo CD applies with kubectl's own code and a field manager of its own, Flux by server-side
apply, Terraform's and Pulumi's providers by client libraries: each is done here by the same
requests, so that `managedFields` hold what the tools leave there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from tests.e2e.edits import Objects, Target, merge_patch
from tests.e2e.lived_in_objects import LAST, Release, text
from tests.testbed import binaries
from tests.testbed.client import Json
from tests.testbed.cluster import ControlPlane, KubectlFailed

ARGO_CD = "argocd-controller"
OLD_ARGO_CD = "argocd-application-controller"
_FIRST = ("Namespace", "CustomResourceDefinition")
"""Kinds that the others need, deployed before them."""
_FIXED = ("Job", "PersistentVolume", "PersistentVolumeClaim", "Pod", "StorageClass")
"""Kinds that `kubectl replace` cannot replace by what Git holds."""


BARE = ("Pod", "ClusterRole", "ValidatingWebhookConfiguration")
"""Without `managedFields` nobody can tell what admission gave to a bare Pod, and nothing excuses
aggregated rules and CA bundles: they are critical places (`docs/reference/limits.md`)."""
WITHOUT = {"ancient": BARE, "ancient-server-side": BARE}


def target(document: Json, cluster: ControlPlane) -> Target:
    """A document's address."""
    group, _, version = document["apiVersion"].rpartition("/")
    metadata = document["metadata"]
    namespace = metadata.get("namespace", "")
    return Target(cluster.name, group, document["kind"], namespace, metadata["name"], version, "")


Mark: TypeAlias = "Callable[[Json], None]"


@dataclass(slots=True)
class Hand:
    """Somebody who deploys the objects of one way."""

    cluster: ControlPlane
    way: str
    charts: Path
    """A folder for charts."""
    api: Objects
    mark: Mark | None = None
    """Puts a tool's tracking mark on what it applies."""
    present: dict[str, Json] = field(default_factory=dict)
    """What was deployed last."""
    without: tuple[str, ...] = ()
    """Kinds that the way does not have."""

    @property
    def namespace(self) -> str:
        """The namespace of the way."""
        return f"lived-{self.way}"

    def apply(self, number: int, manager: str = "", *, server_side: bool = False) -> None:
        """`kubectl apply` of a release, and the end of what it no longer has."""
        # The client-side patch is the same with kubectl's own types, and faster.
        how = ["--server-side", "--force-conflicts"] if server_side else ["--openapi-patch=false"]
        if manager:
            how.append(f"--field-manager={manager}")
        self._release(number, lambda documents: self._kubectl("apply", documents, *how))

    def create(self, number: int) -> None:
        """`kubectl create` of a release."""
        self._release(number, lambda documents: self._kubectl("create", documents))

    def replace(self, number: int) -> None:
        """`kubectl replace` of a release, `kubectl create` of what is new in it."""

        def act(documents: list[Json]) -> None:
            new = [one for one in documents if not self.api.exists(target(one, self.cluster))]
            old = [one for one in documents if one not in new]
            if new:
                self._kubectl("create", new)
            for one in old:
                if one["kind"] not in _FIXED:
                    self._replace(one)
            self._edit([one for one in old if one["kind"] in _FIXED])

        self._release(number, act)

    def _replace(self, document: Json) -> None:
        """`kubectl replace`, again where a controller wrote a status in between."""
        for attempt in range(5):
            try:
                self._kubectl("replace", [document])
            except KubectlFailed as error:
                if "Conflict" not in str(error) or attempt == 4:
                    raise
            else:
                return

    def post(self, number: int, user_agent: str) -> None:
        """Creation of a release by a client library, which names its manager by its user agent."""

        def act(documents: list[Json]) -> None:
            for one in documents:
                path = self.api.path(target(one, self.cluster)).rpartition("/")[0]
                self.cluster.call("POST", path, one, user_agent=user_agent)

        self._release(number, act)

    def edit(self, number: int) -> None:
        """A person brings the objects to a release by `kubectl edit`, `create` and `delete`."""
        self._release(number, self._edit)

    def _edit(self, documents: list[Json]) -> None:
        for one in documents:
            known = next((b for b in self.present.values() if _same(b, one)), None)
            if known is None:
                self._kubectl("create", [one])
            elif known != one:
                url = f"{self.api.path(target(one, self.cluster))}?fieldManager=kubectl-edit"
                patch = merge_patch(known, one)
                content = "application/merge-patch+json"
                self.cluster.call("PATCH", url, patch, content_type=content)

    def helm(self, number: int, *flags: str) -> None:
        """`helm install` or `helm upgrade` of a release as a chart."""
        chart = self.charts / f"{self.way}-{number}"
        release = Release(self.way, number)
        for path, content in chart_files(self.way, release).items():
            (chart / path).parent.mkdir(parents=True, exist_ok=True)
            (chart / path).write_text(content)
        verb = ["upgrade"] if self.present else ["install", "--create-namespace"]
        done = subprocess.run(
            [str(binaries.helm()), *verb, self.way, str(chart), "-n", self.namespace, *flags],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.cluster.folder),
                "KUBECONFIG": str(self.cluster.kubeconfig("admin")),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"helm {verb[0]} exited {done.returncode}: {done.stderr}")
        self._deployed(release)

    def forget_managers(self) -> None:
        """Leave the objects as clusters from before `managedFields` have them."""
        for one in self.present.values():
            body = {"metadata": {"managedFields": [{}]}}
            path = self.api.path(target(one, self.cluster))
            self.cluster.call("PATCH", path, body, content_type="application/merge-patch+json")

    def _release(self, number: int, act: Callable[[list[Json]], None]) -> None:
        release = Release(self.way, number, without=self.without)
        documents = release.documents()
        if self.mark is not None:
            for one in documents:
                self.mark(one)
        first = [one for one in documents if one["kind"] in _FIRST]
        if not self.present:
            act(first)
            for one in first:
                self.cluster.wait_for(self.api.path(target(one, self.cluster)), _usable)
            self.cluster.wait_for(f"/apis/{self.way}.example.com/v1", lambda _: True)
        act([one for one in documents if self.present or one not in first])
        for name, one in self.present.items():
            if name not in release.objects:
                self.cluster.call("DELETE", self.api.path(target(one, self.cluster)))
        self._deployed(release)

    def _deployed(self, release: Release) -> None:
        """The release is there, with its claims bound: only a bound claim's request may change."""
        self.present = release.objects
        for one in release.objects.values():
            if one["kind"] == "PersistentVolumeClaim":
                self.cluster.wait_for(self.api.path(target(one, self.cluster)), _bound)

    def _kubectl(self, verb: str, documents: list[Json], *flags: str) -> None:
        self.cluster.kubectl(verb, *flags, "-f", "-", input=text(documents), timeout=120)


def _same(one: Json, other: Json) -> bool:
    return one["kind"] == other["kind"] and one["metadata"]["name"] == other["metadata"]["name"]


def _usable(document: Json) -> bool:
    if document["kind"] == "Namespace":
        return True
    conditions = document.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _bound(document: Json) -> bool:
    return document.get("status", {}).get("phase") == "Bound"


def chart_files(way: str, release: Release) -> Mapping[str, str]:
    """A release as the files of a chart; Helm makes the namespace itself."""
    chart = {"apiVersion": "v2", "name": way, "version": "1.0.0"}
    return {
        "Chart.yaml": yaml.safe_dump(chart),
        "crds/all.yaml": text(
            one for one in release.documents() if one["kind"] == "CustomResourceDefinition"
        ),
        "templates/all.yaml": text(release.documents(skip=_FIRST)),
    }


# Marks of tools.


def tracking_id(way: str) -> Mark:
    """Argo CD's tracking annotation."""

    def mark(one: Json) -> None:
        group = one["apiVersion"].rpartition("/")[0]
        metadata = one["metadata"]
        place = f"{metadata.get('namespace', f'lived-{way}')}/{metadata['name']}"
        metadata.setdefault("annotations", {})["argocd.argoproj.io/tracking-id"] = (
            f"{way}:{group}/{one['kind']}:{place}"
        )

    return mark


def instance_label(way: str) -> Mark:
    """Argo CD's tracking label, the default before version 3."""

    def mark(one: Json) -> None:
        one["metadata"].setdefault("labels", {})["app.kubernetes.io/instance"] = way

    return mark


def flux_labels(way: str) -> Mark:
    """The labels of a Flux Kustomization."""

    def mark(one: Json) -> None:
        labels = one["metadata"].setdefault("labels", {})
        labels["kustomize.toolkit.fluxcd.io/name"] = way
        labels["kustomize.toolkit.fluxcd.io/namespace"] = "flux-system"

    return mark


# The ways.


def _three(hand: Hand, manager: str = "", *, server_side: bool = False) -> None:
    for number in range(1, LAST + 1):
        hand.apply(number, manager, server_side=server_side)


def _argocd(hand: Hand) -> None:
    hand.mark = tracking_id(hand.way)
    _three(hand, ARGO_CD)


def _argocd_server_side(hand: Hand) -> None:
    hand.mark = tracking_id(hand.way)
    _three(hand, ARGO_CD, server_side=True)


def _argocd_old(hand: Hand) -> None:
    hand.mark = instance_label(hand.way)
    _three(hand, OLD_ARGO_CD)


def _argocd_upgraded(hand: Hand) -> None:
    hand.mark = instance_label(hand.way)
    for number in (2, LAST):
        hand.apply(number, OLD_ARGO_CD)
    hand.mark = tracking_id(hand.way)
    hand.apply(LAST, ARGO_CD, server_side=True)


def _flux(hand: Hand) -> None:
    hand.mark = flux_labels(hand.way)
    _three(hand, "kustomize-controller", server_side=True)


def _kubectl_created(hand: Hand) -> None:
    hand.create(1)
    _three(hand)


def _kubectl_migrated(hand: Hand) -> None:
    hand.apply(1)
    hand.apply(2)
    hand.apply(LAST, server_side=True)


def _kubectl_replaced(hand: Hand) -> None:
    hand.create(1)
    hand.replace(2)
    hand.replace(LAST)


def _helm_client_side(hand: Hand) -> None:
    for number in range(1, LAST + 1):
        hand.helm(number, "--server-side=false")


def _helm_server_side(hand: Hand) -> None:
    # Forced, since an autoscaler owns replicas that the chart declares.
    for number in range(1, LAST + 1):
        hand.helm(number, "--server-side=true", "--force-conflicts")


def _helm_adopted(hand: Hand) -> None:
    hand.helm(2, "--server-side=false")
    hand.helm(LAST, "--server-side=false")
    hand.mark = tracking_id(hand.way)
    hand.apply(LAST, ARGO_CD)


def _terraform_adopted(hand: Hand) -> None:
    hand.post(2, "HashiCorp/1.0 Terraform/1.12.2")
    hand.mark = tracking_id(hand.way)
    for number in (2, LAST):
        hand.apply(number, ARGO_CD)


def _terraform_manifest_adopted(hand: Hand) -> None:
    hand.apply(LAST, "Terraform", server_side=True)
    hand.mark = tracking_id(hand.way)
    hand.apply(LAST, ARGO_CD, server_side=True)


def _pulumi_adopted(hand: Hand) -> None:
    hand.apply(LAST, "pulumi-kubernetes-6c2ce1a1", server_side=True)
    hand.mark = tracking_id(hand.way)
    hand.apply(LAST, ARGO_CD)


def _edited(hand: Hand) -> None:
    hand.mark = tracking_id(hand.way)
    hand.apply(2, ARGO_CD)
    hand.mark = None
    hand.edit(LAST)


def _ancient(hand: Hand) -> None:
    hand.without = BARE
    hand.create(2)
    hand.forget_managers()
    hand.mark = tracking_id(hand.way)
    for number in (2, LAST):
        hand.apply(number, ARGO_CD)


def _ancient_server_side(hand: Hand) -> None:
    hand.without = BARE
    hand.create(LAST)
    hand.forget_managers()
    hand.mark = tracking_id(hand.way)
    hand.apply(LAST, ARGO_CD, server_side=True)


def _put_back(hand: Hand) -> None:
    hand.mark = tracking_id(hand.way)
    for number in (2, LAST):
        hand.apply(number, ARGO_CD)
    here = ("-n", hand.namespace)
    for _ in range(2):
        hand.cluster.kubectl("rollout", "undo", "deployment/web", *here)
        _numbered(hand)
    for count in (5, 2):
        hand.cluster.kubectl("scale", "deployment/web", f"--replicas={count}", *here)
    for image in ("web:4", "web:3"):
        what = f"web=registry.example.com/{image}"
        hand.cluster.kubectl("set", "image", "deployment/web", what, *here)
    for stamp in ("debug=on", "debug-"):
        hand.cluster.kubectl("annotate", "service/web", stamp, *here)


def _numbered(hand: Hand) -> None:
    """Wait until the controller has numbered the revision, by which the next undo goes."""
    path = f"/apis/apps/v1/namespaces/{hand.namespace}/deployments/web"

    def seen(live: Json) -> bool:
        return bool(live["status"].get("observedGeneration") == live["metadata"]["generation"])

    hand.cluster.wait_for(path, seen)


def live_on(hand: Hand, authority: str) -> None:
    """What people and controllers do to every way's objects after the last release.

    `authority` is a certificate in base64, which injectors write into webhooks.
    """
    cluster, namespace = hand.cluster, f"/namespaces/{hand.namespace}"
    stamp = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    restart = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    finalizer = "service.kubernetes.io/load-balancer-cleanup"
    address = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}}
    client = {"clientConfig": {"caBundle": authority}}
    hooks = {"webhooks": [{"name": f"queues.{hand.way}.example.com", **client}]}
    definition = f"customresourcedefinitions/queues.{hand.way}.example.com"
    queue = f"/apis/{hand.way}.example.com/v1{namespace}/queues/orders"
    writes = (
        (f"/apis/apps/v1{namespace}/deployments/web", "kubectl-rollout", restart),
        (f"/apis/apps/v1{namespace}/daemonsets/agent", "kubectl-rollout", restart),
        (f"/apis/apps/v1{namespace}/deployments/web", "scanner", _noted("scanned", "passed")),
        (f"/api/v1{namespace}/services/public/status", "cloud-controller-manager", address),
        (
            f"/api/v1{namespace}/services/public",
            "cloud-controller-manager",
            {"metadata": {"finalizers": [finalizer]}},
        ),
        (
            f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lived-{hand.way}",
            "cainjector",
            hooks,
        ),
        (
            f"/apis/apiextensions.k8s.io/v1/{definition}",
            "cainjector",
            {"spec": {"conversion": {"webhook": client}}},
        ),
        (f"{queue}/status", "queue-operator", {"status": {"ready": True}}),
        (queue, "queue-operator", {"metadata": {"finalizers": ["example.com/queue"]}}),
    )
    for path, manager, body in writes:
        if "webhookconfigurations" in path and "ValidatingWebhookConfiguration" in hand.without:
            continue
        custom = "/queues" in path
        content = f"application/{'merge' if custom else 'strategic-merge'}-patch+json"
        cluster.call("PATCH", f"{path}?fieldManager={manager}", body, content_type=content)


def _noted(name: str, value: str) -> Json:
    return {"metadata": {"annotations": {f"example.com/{name}": value}}}


WAYS: dict[str, Callable[[Hand], None]] = {
    "argocd": _argocd,
    "argocd-server-side": _argocd_server_side,
    "argocd-old": _argocd_old,
    "argocd-upgraded": _argocd_upgraded,
    "flux": _flux,
    "helm-client-side": _helm_client_side,
    "helm-server-side": _helm_server_side,
    "helm-adopted": _helm_adopted,
    "kubectl-created": _kubectl_created,
    "kubectl-migrated": _kubectl_migrated,
    "kubectl-replaced": _kubectl_replaced,
    "terraform-adopted": _terraform_adopted,
    "terraform-manifest-adopted": _terraform_manifest_adopted,
    "pulumi-adopted": _pulumi_adopted,
    "edited": _edited,
    "ancient": _ancient,
    "ancient-server-side": _ancient_server_side,
    "put-back": _put_back,
}
"""What each way does, under its name."""
