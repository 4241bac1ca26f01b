"""References between objects of one application that a change breaks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from driftd.controller.preview_references import Elsewhere, broken_references
from driftd.model.condition import Severity
from driftd.model.resource import GVK, Manifest, Origin, ResourceKey

Bodies = dict[str, dict[str, Any]]
POD = {
    "metadata": {"labels": {"app": "web", "tier": "front"}},
    "spec": {
        "containers": [
            {
                "name": "web",
                "ports": [{"name": "http", "containerPort": 80}],
                "readinessProbe": {"httpGet": {"port": "http"}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ]
    },
}
BACKEND = {"service": {"name": "web", "port": {"name": "http"}}}
SHOP: Bodies = {
    "workload": {
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "spec": {"template": POD, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
    },
    "service": {
        "apiVersion": "v1", "kind": "Service",
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    },
    "scaler": {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}},
    },
    "ingress": {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "spec": {
            "rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "backend": BACKEND}]}}]
        },
    },
}  # fmt: skip


def manifests(bodies: Bodies) -> list[Manifest]:
    """What an application declares: all objects are called `web`, each has a file of its own."""
    found = []
    for file, body in bodies.items():
        gvk = GVK.parse(body["apiVersion"], body["kind"])
        metadata = body.get("metadata", {})
        name, namespace = metadata.get("name", "web"), metadata.get("namespace", "shop")
        key = ResourceKey(gvk.group, gvk.kind, namespace, name)
        origin = Origin(source=0, file=f"{file}.yaml", line=3)
        found.append(Manifest(key, gvk.version, json.dumps(body).encode(), origin))
    return found


def broken(change: Callable[[Bodies], object], before: Bodies = SHOP) -> list[str]:
    """What is told of a change, without its end."""
    after = copy.deepcopy(before)
    change(after)
    found = [one.condition() for one in broken_references(manifests(before), manifests(after))]
    assert {(one.type, one.severity) for one in found} <= {("DanglingReference", Severity.WARNING)}
    return [one.message.removesuffix("; at the base it was whole") for one in found]


def container(bodies: Bodies) -> Any:
    """The container of the workload."""
    return bodies["workload"]["spec"]["template"]["spec"]["containers"][0]


SCALER = (
    "scaler.yaml:3: HorizontalPodAutoscaler.autoscaling shop/web: spec.scaleTargetRef.name names"
)
PLACE = "ingress.yaml:3: Ingress.networking.k8s.io shop/web: spec.rules[host=a.b].paths[/].service"
SERVICE = "service.yaml:3: Service shop/web: spec"
MOUNT = "names data, which is neither a volume nor a claim template"
INSIDE = "workload.yaml:3: StatefulSet.apps shop/web: containers[name=web]"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: b["scaler"]["spec"]["scaleTargetRef"].update(name="wbe"),
         [(f"{SCALER} StatefulSet wbe, which no application declares; "
          "at the base it was StatefulSet web; did you mean web?")]),
        (lambda b: b["service"]["spec"]["selector"].update(app="wbe"),
         [f"{SERVICE}.selector app=wbe selects no Pods of the application"]),
        (lambda b: container(b)["ports"][0].update(name="web"),
         [f"{SERVICE}.ports[port=80].targetPort http is no port of the Pods that it selects",
          f"{INSIDE}.readinessProbe.httpGet.port http is no port of the container"]),
        (lambda b: b.pop("service"),
         [f"{PLACE} names Service web, which the change takes away"]),
        (lambda b: b["service"]["spec"]["ports"][0].update(name="web"),
         [f"{PLACE} names port http, which Service web does not have"]),
        (lambda b: b["workload"]["spec"].pop("volumeClaimTemplates"),
         [f"{INSIDE}.volumeMounts[/data] {MOUNT}"]),
        (lambda b: b["workload"].update(metadata={"name": "front"}),
         [(f"{SCALER} StatefulSet web, which the change takes away; at the base it was whole; "
          "did you mean front?")]),
    ],
)  # fmt: skip
def test_what_a_change_breaks(change: Callable[[Bodies], object], told: list[str]) -> None:
    """Each reference that names nothing any more is told at the line of its object."""
    assert broken(change) == told


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b["service"]["spec"]["selector"].update(tier="front"),
        lambda b: b["service"]["spec"]["ports"][0].update(targetPort=8080),
        lambda b: b["workload"]["spec"]["template"]["metadata"]["labels"].update(more="yes"),
        lambda b: b.pop("scaler"),
        lambda b: b["service"]["spec"].pop("selector"),
        lambda b: b["service"].update(spec=None),
    ],
)
def test_what_stays_whole_is_not_told(change: Callable[[Bodies], object]) -> None:
    """Other changes, and objects that go themselves or have no shape, break no reference."""
    found = broken(change)
    assert [one for one in found if not one.startswith("ingress.yaml")] == []


def test_what_dangled_before_is_not_told() -> None:
    """What another application declares is not known: only what was whole at the base counts."""
    elsewhere = {name: body for name, body in SHOP.items() if name != "workload"}
    assert broken(lambda b: b["scaler"]["spec"]["scaleTargetRef"].update(name="x"), elsewhere) == []
    assert broken(lambda b: b["service"]["spec"]["selector"].update(app="x"), elsewhere) == []


def test_pods_of_a_cron_job_are_selected() -> None:
    """The template of a CronJob's jobs counts, as that of any workload."""
    job = {"apiVersion": "batch/v1", "kind": "CronJob",
           "spec": {"jobTemplate": {"spec": {"template": POD}}}}  # fmt: skip
    with_job = {"job": job, "service": SHOP["service"]}
    told = broken(lambda b: b["service"]["spec"]["selector"].update(app="x"), with_job)
    assert len(told) == 1
    assert "app=x selects no Pods" in told[0]


MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config"},
       "data": {"level": "info"}}  # fmt: skip
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}}
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web-runner"}}
CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
LEVEL = {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "web-config", "key": "level"}}}
SPEC: dict[str, Any] = {
    "serviceAccountName": "web-runner",
    "imagePullSecrets": [{"name": "db"}],
    "initContainers": [{"name": "init", "envFrom": [{"secretRef": {"name": "db"}}]}],
    "containers": [
        {"name": "web", "envFrom": [{"configMapRef": {"name": "web-config"}}], "env": [LEVEL]}
    ],
    "volumes": [
        {"name": "conf", "configMap": {"name": "web-config"}},
        {"name": "keys", "secret": {"secretName": "db"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "all", "projected": {"sources": [{"secret": {"name": "db"}}]}},
    ],
}
NAMED: Bodies = {
    "map": MAP, "secret": SECRET, "account": ACCOUNT, "claim": CLAIM,
    "workload": {"apiVersion": "apps/v1", "kind": "Deployment",
                 "spec": {"template": {"spec": SPEC}}},
}  # fmt: skip
WEB = "workload.yaml:3: Deployment.apps shop/web:"


def pod(bodies: Bodies) -> Any:
    """The spec of the Pods of the workload."""
    return bodies["workload"]["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: b["map"].update(metadata={"name": "web-settings"}),
         [f"{WEB} {place} names ConfigMap web-config, which the change takes away{end}"
          for end in ("; at the base it was whole; did you mean web-settings?",)
          for place in ("containers[name=web].envFrom[0].configMapRef.name",
                        "containers[name=web].env[name=LEVEL].valueFrom.configMapKeyRef.name",
                        "volumes[name=conf].configMap.name")]),
        (lambda b: b.pop("secret"),
         [f"{WEB} {place} names Secret db, which the change takes away"
          for place in ("imagePullSecrets[0]",
                        "initContainers[name=init].envFrom[0].secretRef.name",
                        "volumes[name=keys].secret.secretName",
                        "volumes[name=all].projected.sources[0].secret.name")]),
        (lambda b: pod(b).update(serviceAccountName="web-runer"),
         [(f"{WEB} serviceAccountName names ServiceAccount web-runer, which no application "
          "declares; at the base it was ServiceAccount web-runner; did you mean web-runner?")]),
        (lambda b: (pod(b).pop("serviceAccountName"), pod(b).update(serviceAccount="web-runer")),
         [(f"{WEB} serviceAccount names ServiceAccount web-runer, which no application "
          "declares; did you mean web-runner?")]),
        (lambda b: pod(b)["volumes"][2]["persistentVolumeClaim"].update(claimName="date"),
         [(f"{WEB} volumes[name=data].persistentVolumeClaim.claimName names PersistentVolumeClaim "
          "date, which no application declares; at the base it was PersistentVolumeClaim data; "
          "did you mean data?")]),
        (lambda b: pod(b)["volumes"][0]["configMap"].update(name="web-confg"),
         [(f"{WEB} volumes[name=conf].configMap.name names ConfigMap web-confg, which no "
          "application declares; at the base it was ConfigMap web-config; "
          "did you mean web-config?")]),
        (lambda b: pod(b)["containers"].append(
            {"name": "more", "envFrom": [{"configMapRef": {"name": "web-confg"}}]}),
         []),
        (lambda b: b["map"].update(data={"levels": "info"}),
         [(f"{WEB} containers[name=web].env[name=LEVEL].valueFrom.configMapKeyRef.key names key "
          "level, which ConfigMap web-config no longer has")]),
        (lambda b: pod(b)["containers"][0]["env"].__setitem__(0, {"name": "LEVEL", "valueFrom": {
            "configMapKeyRef": {"name": "web-config", "key": "levl"}}}),
         [(f"{WEB} containers[name=web].env[name=LEVEL].valueFrom.configMapKeyRef.key names key "
          "levl, which ConfigMap web-config does not have; did you mean level?")]),
    ],
)  # fmt: skip
def test_names_that_a_change_breaks(change: Callable[[Bodies], object], told: list[str]) -> None:
    """What Pods name is told where it goes, and where its name becomes one that nobody declares."""
    assert broken(change, NAMED) == told


def test_a_slip_in_a_new_name() -> None:
    """A new object whose name for another is nearly a declared one is told; digits and whole words
    more are no slips.
    """
    other = {**NAMED["workload"], "metadata": {"name": "other"}}

    def told(name: str) -> list[str]:
        container = {"name": "x", "envFrom": [{"configMapRef": {"name": name}}]}
        spec = {"template": {"spec": {"containers": [container]}}}
        return broken(lambda b: b.update(other={**other, "spec": spec}), NAMED)

    slip = "names ConfigMap web-confg, which no application declares; did you mean web-config?"
    assert [one.partition("configMapRef.name ")[2] for one in told("web-confg")] == [slip]
    assert told("web-config2") == told("by-hand") == told("web-config") == []
    assert told("web-config-tls") == told("my-web-config") == []
    assert len(told("webconfig")) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda b: (b.pop("map"), [pod(b).pop("containers"), pod(b)["volumes"].pop(0)]),
        lambda b: pod(b)["imagePullSecrets"].append({"name": "by-hand"}),
        lambda b: pod(b).update(serviceAccountName="default"),
        lambda b: b.update(secret={"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
                                   "spec": {"target": {"name": "db"}}}),
        lambda b: (b["map"]["metadata"].update(name="web-config-7m2k95t6hb"),
                   pod(b)["containers"][0].update(
                       envFrom=[{"configMapRef": {"name": "web-config-7m2k95t6hb"}}], env=[]),
                   pod(b)["volumes"].pop(0)),
        lambda b: pod(b)["containers"][0].update(
            envFrom=[{"configMapRef": {"name": "web-confg", "optional": True}}]),
        lambda b: b.pop("workload"),
    ],
)  # fmt: skip
def test_names_that_stay_right(change: Callable[[Bodies], object]) -> None:
    """Names that others make, that are optional, or that change on both sides are no mistake."""
    assert broken(change, NAMED) == []


def test_a_slip_beside_a_generated_name() -> None:
    """What Kustomize adds to a name is no part of what is suggested."""
    generated = copy.deepcopy(NAMED)
    generated["map"]["metadata"]["name"] = "web-config-7m2k95t6hb"
    pod(generated)["volumes"][0]["configMap"]["name"] = "web-config-7m2k95t6hb"
    told = broken(lambda b: pod(b)["volumes"][0]["configMap"].update(name="web-confg"), generated)
    assert [one.rpartition("; ")[2] for one in told] == ["did you mean web-config?"]


def test_names_of_other_applications() -> None:
    """A target that another application takes over is there; one that it drops is gone."""
    before = manifests(NAMED)
    key = ResourceKey("", "Secret", "shop", "db")
    after = [one for one in before if one.key != key]
    moved = Elsewhere(after=frozenset({key}))
    assert list(broken_references(before, after, moved)) == []
    dropped = list(broken_references(after, after, Elsewhere(before=frozenset({key}))))
    assert len(dropped) == 4
    assert all("Secret db, which the change takes away" in one.told for one in dropped)


def test_a_budget_that_protects_nothing() -> None:
    """The selector of a PodDisruptionBudget is held against the Pods, as that of a Service."""
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
              "spec": {"selector": {"matchLabels": {"app": "web"}}}}  # fmt: skip
    with_budget = {"workload": SHOP["workload"], "budget": budget}
    told = broken(lambda b: b["budget"]["spec"]["selector"]["matchLabels"].update(app="wb"),
                  with_budget)  # fmt: skip
    place = "budget.yaml:3: PodDisruptionBudget.policy shop/web: spec.selector"
    assert told == [f"{place} app=wb selects no Pods of the application"]


def test_a_network_policy_that_covers_nothing() -> None:
    """Pods that a NetworkPolicy no longer selects are unprotected; the selector's field is known.

    A policy of all Pods, or by expressions, says nothing of single ones.
    """
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
              "spec": {"podSelector": {"matchLabels": {"app": "web"}}}}  # fmt: skip
    every = {**policy, "metadata": {"name": "all"}, "spec": {"podSelector": {}}}
    before = {"workload": SHOP["workload"], "policy": policy, "every": every}
    after = copy.deepcopy(before)
    after["workload"]["spec"]["template"]["metadata"]["labels"]["app"] = "www"
    (found,) = broken_references(manifests(before), manifests(after))
    assert found.told == (
        "NetworkPolicy.networking.k8s.io shop/web: spec.podSelector app=web selects no Pods of "
        "the application; at the base it was whole"
    )
    assert found.ssa_path == "f:spec/f:podSelector/f:matchLabels"


MOVED = "workload.yaml:3: Deployment.apps new/web:"
PLACES = {
    "ServiceAccount web-runner": ["serviceAccountName"],
    "Secret db": [
        "imagePullSecrets[0]",
        "initContainers[name=init].envFrom[0].secretRef.name",
        "volumes[name=keys].secret.secretName",
        "volumes[name=all].projected.sources[0].secret.name",
    ],
    "ConfigMap web-config": [
        "containers[name=web].envFrom[0].configMapRef.name",
        "containers[name=web].env[name=LEVEL].valueFrom.configMapKeyRef.name",
        "volumes[name=conf].configMap.name",
    ],
    "PersistentVolumeClaim data": ["volumes[name=data].persistentVolumeClaim.claimName"],
}
"""Where the Pods name each object."""


def move(bodies: Bodies, *files: str) -> None:
    """Put objects into another namespace."""
    for file in files:
        metadata = bodies[file].get("metadata", {"name": "web"})
        bodies[file]["metadata"] = {**metadata, "namespace": "new"}


def left(end: str, *but: str) -> list[str]:
    """What is told of each place of the Pods that names another object than these."""
    found = [f"{MOVED} {place} names {name}{end}"
             for name, places in PLACES.items() if name not in but for place in places]  # fmt: skip
    return sorted(found)


def test_all_that_a_moved_workload_leaves_behind_is_told() -> None:
    """Each Secret, ConfigMap, claim and account of its Pods is told with the namespace it is in."""
    end = ", which stays in namespace shop"
    assert sorted(broken(lambda b: move(b, "workload"), NAMED)) == left(end)
    some = broken(lambda b: move(b, "workload", "map", "secret"), NAMED)
    assert sorted(some) == left(end, "Secret db", "ConfigMap web-config")
    assert broken(lambda b: move(b, *NAMED), NAMED) == []


def test_what_a_move_takes_away_and_what_nobody_declares_is_told() -> None:
    """What the change deletes in the old namespace, and what was never in Git, is told as that."""
    gone = broken(lambda b: (move(b, *NAMED), b.pop("claim")), NAMED)
    assert gone == [
        (
            f"{MOVED} volumes[name=data].persistentVolumeClaim.claimName names "
            "PersistentVolumeClaim data of namespace shop, which the change takes away"
        )
    ]
    bare = {"workload": NAMED["workload"]}
    end = (
        ", which no application declares in namespace new: what the Pods used in namespace shop "
        "does not move with them"
    )
    assert sorted(broken(lambda b: move(b, "workload"), bare)) == left(end)


@pytest.mark.parametrize("how", ["another application", "custom object", "everywhere"])
def test_what_is_in_the_new_namespace_is_not_left_behind(how: str) -> None:
    """What others declare there, what an operator makes there and what each namespace has."""
    bodies = copy.deepcopy({"workload": NAMED["workload"], "secret": NAMED["secret"]})
    name = "kube-root-ca.crt" if how == "everywhere" else "db"
    field = "configMap" if how == "everywhere" else "secret"
    reference = {"name" if how == "everywhere" else "secretName": name}
    bodies["workload"]["spec"]["template"]["spec"] = {"volumes": [{"name": "x", field: reference}]}
    after = copy.deepcopy(bodies)
    move(after, "workload")
    if how == "custom object":
        after["external"] = {
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": "db", "namespace": "new"}, "spec": {"target": {"name": "db"}},
        }  # fmt: skip
    there = ResourceKey("", "Secret", "new", "db") if how == "another application" else None
    known = Elsewhere(after=frozenset({there} if there else ()))
    assert list(broken_references(manifests(bodies), manifests(after), known)) == []


def test_what_stays_and_names_what_moves_is_told() -> None:
    """A scaler that stays without its workload, and a binding of an account that has moved."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "shop"}],
    }  # fmt: skip
    before: Bodies = {**SHOP, "account": account, "binding": binding}
    told = broken(lambda b: move(b, "workload", "account", "binding"), before)
    assert f"{SCALER} StatefulSet web, which the change moves to namespace new" in told
    assert (
        "binding.yaml:3: RoleBinding.rbac.authorization.k8s.io new/web: subjects[0].name names "
        "ServiceAccount shop/bot, which the change moves to namespace new"
    ) in told


def test_a_moved_service_that_selects_nothing_is_told() -> None:
    """References that hold inside of a namespace break where only one of their ends moves."""
    (told,) = [one for one in broken(lambda b: move(b, "service"), SHOP) if "selector" in one]
    assert (
        told == "service.yaml:3: Service new/web: spec.selector app=web selects no Pods of the "
        "application"
    )


def test_a_key_that_a_moved_object_loses_is_told() -> None:
    """A ConfigMap that moves with its Pods and loses a key that they ask for."""
    told = broken(lambda b: (move(b, *NAMED), b["map"].update(data={"levels": "info"})), NAMED)
    assert told == [
        (
            f"{MOVED} containers[name=web].env[name=LEVEL].valueFrom.configMapKeyRef.key names key "
            "level, which ConfigMap web-config no longer has"
        )
    ]


def test_broken_references_say_where_others_may_declare_what_is_named() -> None:
    """The old namespace counts too: an application that stays there may declare what is left."""
    after = copy.deepcopy(NAMED)
    move(after, "workload")
    found = list(broken_references(manifests(NAMED), manifests(after)))
    assert {one.looked_in for one in found} == {frozenset({"shop", "new"})}


def _limits(name: str) -> dict[str, Any]:
    return {"resourceFieldRef": {"containerName": name, "resource": "limits.cpu"}}


def with_containers(name: str) -> Bodies:
    """The application with what names a container: a metric, a variable and a file."""
    bodies = copy.deepcopy(SHOP)
    metric = {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": name}}
    bodies["scaler"]["spec"]["metrics"] = [metric]
    container(bodies)["env"] = [{"name": "CPU", "valueFrom": _limits(name)}]
    items = [{"path": "cpu", **_limits(name)}]
    pod(bodies)["volumes"] = [
        {"name": "own", "downwardAPI": {"items": items}},
        {"name": "all", "projected": {"sources": [{"downwardAPI": {"items": items}}]}},
    ]
    return bodies


def test_names_of_containers() -> None:
    """What names a container that its Pod does not have is told, in new objects too; where Pods
    ask for containers that are added only what was whole is.
    """
    lead = "workload.yaml:3: StatefulSet.apps shop/web: "
    end = "resourceFieldRef.containerName wbe is no container of the Pod"
    told = [
        f"{lead}containers[name=web].env[name=CPU].valueFrom.{end}",
        f"{lead}volumes[name=all].downwardAPI.items[cpu].{end}",
        f"{lead}volumes[name=own].downwardAPI.items[cpu].{end}",
        (
            "scaler.yaml:3: HorizontalPodAutoscaler.autoscaling shop/web: "
            "spec.metrics[0].containerResource.container wbe is no container of StatefulSet web"
        ),
    ]
    wrong = with_containers("wbe")
    found = broken_references(manifests(SHOP), manifests(wrong))
    assert [one.condition().message for one in found] == told
    assert broken(lambda b: b.update(copy.deepcopy(wrong)), with_containers("web")) == told
    assert broken(lambda b: b.update(with_containers("web"))) == []
    wrong["workload"]["spec"]["template"]["metadata"]["labels"]["istio.io/inject"] = "yes"
    assert broken(lambda b: b.update(wrong)) == []


def test_ports_that_a_network_policy_opens() -> None:
    """A named port that its Pods lose is told; one that they never had may be of others."""
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{"ports": [{"port": 80}, {"port": "http"}, {"port": "other"}]}],
        },
    }  # fmt: skip
    told = broken(lambda b: container(b)["ports"][0].update(name="web"), {**SHOP, "policy": policy})
    assert [one for one in told if one.startswith("policy")] == [
        (
            "policy.yaml:3: NetworkPolicy.networking.k8s.io shop/web: "
            "spec.ingress[0].ports[1].port http is no port of the Pods that it selects"
        )
    ]
    assert broken(lambda b: b.update(policy=policy)) == []
