"""Writes of trusted controllers on a real API server, and people's edits hidden beside them.

The API server records who owns what as it does for Argo Rollouts, KEDA and Flagger: their kinds
are served, and their requests are made with their field managers. Endpoints and the autoscaler
are the control plane's own controllers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.lived_in_objects import text
from tests.e2e.site import Seen, Site, application
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = [pytest.mark.cluster, pytest.mark.full]

CASES = Path(__file__).parents[1] / "cases" / "trusted"
NAMESPACE = "trusted"


def _definitions() -> Iterator[Any]:
    """The kinds of the cases as custom resources; what a Rollout and the like say is kept."""
    for one in yaml.safe_load((CASES / "schemas.yaml").read_text("utf-8")):
        group, kind = one["group"], one["kind"]
        if "." not in group or group.endswith("registration.k8s.io"):
            continue
        evidence = kind in ("Rollout", "ScaledObject", "Canary")
        spec = {"type": "object", "properties": one["spec"]}
        if evidence:
            spec = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        plural = kind.lower() + "s" if kind != "Canary" else "canaries"
        metadata: dict[str, Any] = {"name": f"{plural}.{group}"}
        if group.endswith(".k8s.io"):
            metadata["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind},
                "versions": [
                    {
                        "name": one["version"],
                        "served": True,
                        "storage": True,
                        "schema": {
                            "openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}
                        },
                    }
                ],
            },
        }


def _file(name: str) -> Any:
    return yaml.safe_load((CASES / f"{name}.yaml").read_text("utf-8"))


def _placed(one: Any) -> Any:
    """An object of the cases in the namespace of this test."""
    return yaml.safe_load(yaml.safe_dump(one).replace("namespace: shop", f"namespace: {NAMESPACE}"))


def _declared() -> list[Any]:
    """What Git declares: the objects of the cases, and the Endpoints of a Service."""
    rollouts, keda = _file("argo-rollouts")["objects"], _file("keda")["objects"]
    found = [_placed(rollouts[name]) for name in ("stable", "route", "subsets", "gateway")]
    found += [_placed(rollouts["workload"]), _placed(keda["orders"])]
    found.append(
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "web-stable", "namespace": NAMESPACE},
        }
    )
    return found


def _evidence() -> list[Any]:
    """What is in the cluster and not in Git."""
    found = [one for name in ("argo-rollouts", "keda") for one in _file(name)["cluster"]]
    return [_placed(one) for one in found if one["kind"] in ("Rollout", "ScaledObject")]


class Controllers:
    """Makes the requests of controllers and people."""

    def __init__(self, cluster: ControlPlane) -> None:
        self.cluster = cluster

    def write(self, manager: str, path: str, *operations: tuple[str, str, Any]) -> None:
        """A JSON patch under a manager's name."""
        place, _, rest = path.partition(" ")
        self.cluster.call(
            "PATCH",
            f"/{place}/namespaces/{NAMESPACE}/{rest}?fieldManager={manager}",
            [{"op": op, "path": at, "value": value} for op, at, value in operations],
            content_type="application/json-patch+json",
        )

    def shift(self, canary: int) -> None:
        """Argo Rollouts and the Gateway API plugin send a share of the traffic to the canary."""
        for manager, path, at in (
            ("rollouts-controller", ROUTE, "/spec/http/0/route/{}/weight"),
            ("gatewayAPI", GATEWAY, "/spec/rules/0/backendRefs/{}/weight"),
        ):
            weights = [
                ("replace", at.format(n), weight) for n, weight in ((0, 100 - canary), (1, canary))
            ]
            self.write(manager, path, *weights)


ROUTE = "apis/networking.istio.io/v1 virtualservices/web"
GATEWAY = "apis/gateway.networking.k8s.io/v1 httproutes/web"
SUBSETS = "apis/networking.istio.io/v1 destinationrules/web"
STABLE = "api/v1 services/web-stable"
HASH = "rollouts-pod-template-hash"


@pytest.fixture(scope="module")
def looks(full_cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """What driftd says of controllers' writes alone, with edits hidden, and without evidence."""
    folder = tmp_path_factory.mktemp("trusted")
    cluster = full_cluster
    cluster.create_namespace(NAMESPACE)
    definitions = list(_definitions())
    cluster.kubectl("apply", "-f", "-", input=text(definitions))
    for one in definitions:
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s",
                        f"crd/{one['metadata']['name']}", timeout=90)  # fmt: skip
    cluster.kubectl("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-",
                    input=text(_declared()))  # fmt: skip
    cluster.kubectl("apply", "-f", "-", input=text(_evidence()))
    site = _site(cluster, folder)
    controllers = Controllers(cluster)
    controllers.shift(20)
    controllers.write(
        "rollouts-controller", STABLE, ("add", f"/spec/selector/{HASH}", "6d4cf56db6")
    )
    controllers.write(
        "rollouts-controller", SUBSETS, ("add", f"/spec/subsets/0/labels/{HASH}", "6d4cf56db6")
    )
    controllers.write(
        "rollouts-controller", "apis/apps/v1 deployments/web", ("replace", "/spec/replicas", 0)
    )
    controllers.write(
        "keda", "apis/apps/v1 deployments/orders/scale", ("replace", "/spec/replicas", 0)
    )
    cluster.wait_for(
        f"/api/v1/namespaces/{NAMESPACE}/endpoints/web-stable", lambda one: _is_filled(one)
    )
    seen = {"clean": site.check("--show", "all"), "refused": _refused(site, folder)}
    controllers.write(
        "mallory", ROUTE, ("add", "/spec/http/1/mirror", {"host": "evil.example.com"})
    )
    controllers.write("mallory", GATEWAY, ("replace", "/spec/rules/0/backendRefs/0/name", "evil"))
    controllers.write("mallory", STABLE, ("replace", "/spec/selector/app", "evil"))
    controllers.shift(40)
    controllers.write(
        "rollouts-controller", STABLE, ("replace", f"/spec/selector/{HASH}", "7f5b9c4d8")
    )
    seen["edited"] = site.check("--show", "all")
    cluster.kubectl("delete", "rollouts,scaledobjects", "--all", "-n", NAMESPACE)
    seen["without"] = site.check("--show", "all")
    return seen


def _is_filled(endpoints: Any) -> bool:
    return any(one["manager"] == "kube-controller-manager"
               for one in endpoints["metadata"].get("managedFields", ()))  # fmt: skip


def _site(cluster: ControlPlane, folder: Path) -> Site:
    repo = GitRepo(folder / "repository")
    repo.write("apps/all/all.yaml", text(_declared()))
    repo.write("argocd/all.yaml", application("all", NAMESPACE))
    repo.commit()
    home = folder / "home"
    home.mkdir()
    kubeconfig = write_kubeconfig(folder / "kubeconfig", [cluster.access("detector")])
    return Site(repo=repo, cluster=cluster, namespace="", kubeconfig=kubeconfig, home=home)


def _refused(site: Site, folder: Path) -> Seen:
    """What driftd says to somebody who may not read ScaledObjects."""
    cluster, user = site.cluster, "without-keda"
    groups = sorted({"", "apps", "autoscaling", "argoproj.io", "discovery.k8s.io",
                     "gateway.networking.k8s.io", "networking.istio.io"})  # fmt: skip
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": user},
        "rules": [{"apiGroups": groups, "resources": ["*"], "verbs": ["get", "list"]}],
    }
    cluster.kubectl("apply", "-f", "-", input=text([role]))
    cluster.kubectl("create", "serviceaccount", user, "-n", NAMESPACE)
    cluster.kubectl("create", "clusterrolebinding", user, f"--clusterrole={user}",
                    f"--serviceaccount={NAMESPACE}:{user}")  # fmt: skip
    cluster.add_user(user, cluster.service_account_token(NAMESPACE, user))
    kubeconfig = write_kubeconfig(folder / user, [cluster.access(user)])
    return replace(site, kubeconfig=kubeconfig).check("--show", "all")


def _told(seen: Seen, *classes: str) -> dict[str, Any]:
    """Changes of some classes by kind, name and path."""
    return {
        f"{one['kind']} {one['name']} {change['path']}": change
        for one in seen.applications["all"]["resources"]
        for change in one["changes"]
        if change["class"] in classes
    }


def test_controllers_alone_are_no_drift(looks: dict[str, Seen]) -> None:
    """Weights, hashes, scaling to none and endpoints are at most two writers of one field."""
    assert _told(looks["clean"], "declared", "undeclared") == {}
    review = _told(looks["clean"], "review")
    assert sorted(review) == [
        "Deployment web /spec/replicas",
        "DestinationRule web /spec/subsets",
        "HTTPRoute web /spec/rules",
        "VirtualService web /spec/http",
    ]
    reason = review["VirtualService web /spec/http"]["reason"]
    assert reason == "weights of the traffic: Rollout web; everything else in the list is as in Git"
    assert looks["clean"].applications["all"]["status"] == "Synced"


def test_edits_hidden_in_a_controllers_list_are_told(looks: dict[str, Seen]) -> None:
    """The person's name has left managedFields; the comparison with Git finds the edit."""
    told = _told(looks["edited"], "declared", "undeclared")
    assert sorted(told) == [
        "HTTPRoute web /spec/rules",
        "Service web-stable /spec/selector/app",
        "VirtualService web /spec/http",
    ]
    assert (
        "more than what rollouts-controller writes"
        in told["VirtualService web /spec/http"]["reason"]
    )


def test_without_evidence_nothing_is_trusted(looks: dict[str, Seen]) -> None:
    """Once no Rollout and no ScaledObject is there, the same writes are drift."""
    told = _told(looks["without"], "declared", "undeclared")
    assert {
        "Deployment orders /spec/replicas",
        "Deployment web /spec/replicas",
        "DestinationRule web /spec/subsets",
        f"Service web-stable /spec/selector/{HASH}",
    } <= set(told)


def test_evidence_that_cannot_be_read_excuses_nothing(looks: dict[str, Seen]) -> None:
    """403 on ScaledObjects: scaling to none is drift then, and a condition says why; no more."""
    assert list(_told(looks["refused"], "declared", "undeclared")) == [
        "Deployment orders /spec/replicas"
    ]
    (told,) = looks["refused"].conditions("all")
    assert told.startswith("ControllersUnseen: ScaledObject objects cannot be read (")
    assert "scaledobjects.keda.sh in namespace trusted" in told
    assert looks["clean"].conditions("all") == []
