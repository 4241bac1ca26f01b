"""Extras: whose they are, and whether they matter."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from driftd.diff.compare import Context, compare
from driftd.diff.facts import Bounds, Facts
from driftd.model.report import UNSET, ChangeKind
from tests.unit.diff.objects import (
    CREATED,
    LATER,
    applied,
    changes,
    config_map,
    deployment,
    entry,
    inline,
    key_of,
    told,
)

POD = "/spec/template/spec"


def owned(fields: Any, manager: str = "alice", **more: Any) -> Any:
    """An entry that owns fields of the Pod template's spec."""
    return entry(manager, {"f:spec": {"f:template": {"f:spec": fields}}}, **more)


def with_pod(live: Any, **spec: Any) -> Any:
    """A live Deployment with more in its Pod template's spec."""
    live = deepcopy(live)
    live["spec"]["template"]["spec"].update(spec)
    return live


def test_unowned_default_is_the_servers() -> None:
    """A default that nobody owns is no change."""
    live = with_pod(
        applied(deployment()), dnsPolicy="ClusterFirst", schedulerName="default-scheduler"
    )
    assert changes(deployment(), live) == ()


def test_unowned_value_that_no_default_explains_is_injected() -> None:
    """A webhook's hand, most likely: shown, but no drift."""
    live = with_pod(applied(deployment()), runtimeClassName="gvisor")
    (change,) = changes(deployment(), live)
    assert (change.change_class, change.path) == ("injected", f"{POD}/runtimeClassName")
    assert change.manager is UNSET
    assert not change.is_drift


@pytest.mark.parametrize("value", [True, "x", [{"name": "x"}]])
def test_unowned_extra_at_a_critical_place_is_drift(value: Any) -> None:
    """Whatever it is worth, nobody owns it and it gives power away."""
    live = with_pod(applied(deployment()), hostUsers=value)
    (change,) = changes(deployment(), live)
    assert (change.kind, change.change_class) == ("added", "undeclared")


@pytest.mark.parametrize("value", ["", 0, False, [], None, {}])
def test_unowned_empties_mean_nothing(value: Any) -> None:
    """An empty value that nobody owns is how the server prints nothing."""
    live = with_pod(applied(deployment()), runtimeClassName=value)
    assert changes(deployment(), live) == ()


@pytest.mark.parametrize("value", ["", 0, False, [], {}, "x"])
def test_owned_values_count_even_when_empty(value: Any) -> None:
    """Who sets a field to its zero has changed it (catalogue row 36)."""
    live = with_pod(
        applied(deployment(), owned({"f:runtimeClassName": {}})), runtimeClassName=value
    )
    (change,) = changes(deployment(), live)
    assert (change.change_class, change.manager) == ("undeclared", "alice")


def test_struct_of_one_manager_is_one_change() -> None:
    """A struct whose members all came together is told once, at its top."""
    config = {"nameservers": ["192.0.2.1"], "searches": ["example"]}
    fields = {"f:dnsConfig": {".": {}, "f:nameservers": {}, "f:searches": {}}}
    live = with_pod(applied(deployment(), owned(fields)), dnsConfig=config)
    (change,) = changes(deployment(), live)
    assert (change.path, change.live) == (f"{POD}/dnsConfig", config)


def test_struct_of_several_makers_is_told_by_member() -> None:
    """Members of different class are told apart."""
    config = {"nameservers": ["192.0.2.1"], "searches": ["example"]}
    live = with_pod(
        applied(deployment(), owned({"f:dnsConfig": {"f:nameservers": {}}})), dnsConfig=config
    )
    assert told(changes(deployment(), live)) == [
        ("added", "undeclared", f"{POD}/dnsConfig/nameservers"),
        ("added", "injected", f"{POD}/dnsConfig/searches"),
    ]


def test_map_keys_are_told_one_by_one() -> None:
    """Labels, annotations and data keys have makers of their own."""
    live = applied(
        config_map(a="1"),
        entry("alice", {"f:data": {"f:b": {}}}),
        entry("helm", {"f:data": {"f:c": {}}}),
    )
    live["data"] |= {"b": "2", "c": "3"}
    assert told(changes(config_map(a="1"), live)) == [
        ("added", "undeclared", "/data/b"),
        ("formerly-declared", "declared", "/data/c"),
    ]


def test_deployers_own_update_of_a_default_is_its_create() -> None:
    """A client-side deployer owns the defaults of what it created."""
    live = with_pod(
        applied(deployment(), owned({"f:dnsPolicy": {}}, "helm", time=CREATED)),
        dnsPolicy="ClusterFirst",
    )
    assert changes(deployment(), live) == ()
    live["spec"]["template"]["spec"]["dnsPolicy"] = "None"
    assert told(changes(deployment(), live)) == [
        ("formerly-declared", "declared", f"{POD}/dnsPolicy")
    ]


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"ports": [{"port": 80}]},
}


@pytest.mark.parametrize(
    ("manager", "time", "deployer_time", "clean"),
    [
        ("helm", LATER, CREATED, True),
        ("before-first-apply", LATER, CREATED, True),
        ("terraform", CREATED, LATER, True),
        ("terraform", LATER, CREATED, False),
        ("mallory", CREATED, CREATED, False),
    ],
)
def test_allocated_fields_are_excused_for_creators_alone(
    manager: str, time: str, deployer_time: str, clean: bool
) -> None:
    """An address belongs to who created the object; nobody else may set it.

    Who writes within the second in which a deployer creates the object is no creator.
    """
    live = applied(SERVICE, entry(manager, {"f:spec": {"f:clusterIP": {}}}, time=time))
    live["metadata"]["managedFields"][0]["time"] = deployer_time
    live["spec"]["clusterIP"] = "10.0.0.1"
    assert (changes(SERVICE, live) == ()) is clean


def test_metadata_of_others_is_for_review() -> None:
    """Labels and finalizers of somebody are no alarm; cloud identities and PSA labels are."""
    fields = {
        "f:metadata": {
            "f:labels": {"f:team": {}, "f:pod-security.kubernetes.io/enforce": {}},
            "f:annotations": {"f:note": {}, "f:eks.amazonaws.com/role-arn": {}},
            "f:finalizers": {'v:"example.com/x"': {}},
        }
    }
    live = applied(config_map(a="1"), entry("alice", fields))
    live["metadata"] |= {
        "labels": {"team": "x", "pod-security.kubernetes.io/enforce": "privileged"},
        "annotations": {"note": "x", "eks.amazonaws.com/role-arn": "arn"},
        "finalizers": ["example.com/x"],
    }
    found = {c.path.split("/", 3)[-1]: c.change_class for c in changes(config_map(a="1"), live)}
    assert found == {
        "team": "review",
        "pod-security.kubernetes.io~1enforce": "undeclared",
        "note": "review",
        "eks.amazonaws.com~1role-arn": "undeclared",
        "0": "review",
    }


def test_server_finalizer_keeps_the_positions_of_the_others() -> None:
    """A finalizer of Kubernetes itself is no change, and the next one has its own position."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop"},
        "spec": {},
    }
    live = applied(claim)
    live["metadata"]["finalizers"] = ["kubernetes.io/pvc-protection", "example.com/x"]
    assert [c.path for c in changes(claim, live)] == ["/metadata/finalizers/1"]


def test_controller_of_a_custom_resource_adds_for_review() -> None:
    """Who writes the status of a custom resource may complete its spec."""
    body = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {}}
    status = entry("operator", {"f:status": {"f:phase": {}}}, subresource="status")
    spec = entry("operator", {"f:spec": {"f:size": {}}})
    live = applied(body, status, spec)
    live["spec"]["size"] = 3
    assert told(changes(body, live)) == [("added", "review", "/spec/size")]
    other = applied(body, status, entry("alice", {"f:spec": {"f:size": {}}}))
    other["spec"]["size"] = 3
    assert told(changes(body, other)) == [("added", "undeclared", "/spec/size")]


def test_strict_mode_tells_every_extra_that_no_table_excuses() -> None:
    """Injected and trusted extras are drift in strict mode; defaults are not."""
    live = with_pod(applied(deployment()), dnsPolicy="ClusterFirst", runtimeClassName="gvisor")
    assert told(changes(deployment(), live, strict=True)) == [
        ("added", "undeclared", f"{POD}/runtimeClassName")
    ]


def test_replicas_without_owner() -> None:
    """A write through /scale owns nothing where nobody did before: it is drift all the same."""
    body = deployment()
    del body["spec"]["replicas"]
    live = applied(body)
    live["spec"]["replicas"] = 7
    assert told(changes(body, live)) == [("added", "undeclared", "/spec/replicas")]
    live["spec"]["replicas"] = 1
    assert changes(body, live) == ()


@pytest.mark.parametrize("on", [True, False])
def test_host_ports_follow_the_hosts_network_alone(on: bool) -> None:
    """The server copies a port to the host only for Pods on the host's network."""
    body = deployment(**({"hostNetwork": True} if on else {}))
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    live = applied(body)
    port = live["spec"]["template"]["spec"]["containers"][0]["ports"][0]
    port |= {"protocol": "TCP", "hostPort": 80}
    assert bool(changes(body, live)) is not on


def owns_volume(name: str, manager: str, time: str) -> Any:
    """The entry of a manager that added one volume."""
    item = {f'k:{{"name":"{name}"}}': {".": {}, "f:name": {}}}
    return entry(manager, {"f:spec": {"f:template": {"f:spec": {"f:volumes": item}}}}, time=time)


def test_a_list_of_several_makers_is_told_by_item() -> None:
    """The last writer does not stand for the list: who ignores him would not see the other."""
    desired = deployment()
    live = applied(desired, owns_volume("root", "alice", CREATED), owns_volume("tmp", "vpa", LATER))
    volumes = [{"name": "root", "hostPath": {"path": "/"}}, {"name": "tmp", "emptyDir": {}}]
    live["spec"]["template"]["spec"]["volumes"] = volumes
    found = changes(desired, live)
    assert [(c.path.rpartition("/")[2], c.manager) for c in found] == [("0", "alice"), ("1", "vpa")]


def test_a_struct_of_several_makers_is_not_one_change() -> None:
    """Members that different managers added stay apart, though they are of one class."""
    desired = deployment()
    alice, bob = (
        entry(name, {"f:spec": {"f:template": {"f:spec": {"f:dnsConfig": {field: {}}}}}})
        for name, field in (("alice", "f:nameservers"), ("bob", "f:searches"))
    )
    live = applied(desired, alice, bob)
    dns = {"nameservers": ["192.0.2.1"], "searches": ["shop.example"]}
    live["spec"]["template"]["spec"]["dnsConfig"] = dns
    assert [c.manager for c in changes(desired, live)] == ["alice", "bob"]


def test_an_unowned_selector_of_everything_is_not_excused() -> None:
    """Whoever opens a policy to all namespaces and wipes his entry leaves an empty selector."""
    peer = {"podSelector": {"matchLabels": {"app": "web"}}}
    desired = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"podSelector": {}, "ingress": [{"from": [peer]}], "policyTypes": ["Ingress"]},
    }
    live = applied(desired)
    live["spec"]["ingress"][0]["from"][0]["namespaceSelector"] = {}
    del live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:ingress"]
    assert told(changes(desired, live)) == [("modified", "declared", "/spec/ingress")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ports", [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]),
        ("lifecycle", {"postStart": {"exec": {"command": ["sh"]}}}),
    ],
)
def test_unowned_ways_to_the_node_or_to_a_command(name: str, value: Any) -> None:
    """A port of the node and a hook that runs a command are critical, whoever wiped his entry."""
    desired = deployment()
    live = applied(desired)
    live["spec"]["template"]["spec"]["containers"][0][name] = value
    assert [c.change_class for c in changes(desired, live)] == ["undeclared"]


def test_a_templates_identity_annotation_and_node() -> None:
    """In a Pod template an identity is critical, and no scheduler chooses the node."""
    desired = deployment()
    live = applied(desired)
    live["spec"]["template"]["metadata"]["annotations"] = {"iam.amazonaws.com/role": "admin"}
    live["spec"]["template"]["spec"]["nodeName"] = "node-1"
    assert [(c.path.rpartition("/")[2], str(c.change_class)) for c in changes(desired, live)] == [
        ("iam.amazonaws.com~1role", "undeclared"),
        ("nodeName", "injected"),
    ]


def test_power_added_by_a_custom_resources_controller_is_drift() -> None:
    """Who writes the status may add settings for review, never a privileged container."""
    node = inline({"spec": {"type": "object", "properties": {
        "sidecars": {"type": "array", "items": {"type": "object"}}}}})  # fmt: skip
    desired = {"apiVersion": "example.com/v1", "kind": "Thing",
               "metadata": {"name": "thing", "namespace": "shop"}, "spec": {}}  # fmt: skip
    live = deepcopy(desired)
    live["spec"] = {"sidecars": [{"securityContext": {"privileged": True}}]}
    owned = {"f:spec": {"f:sidecars": {}}, "f:status": {}}
    live["metadata"]["managedFields"] = [entry("thing-controller", owned)]
    found = compare(key_of(desired), desired, live, node, Context()).changes
    assert [c.change_class for c in found] == ["undeclared"]


def service(port: int) -> Any:
    """A Service of one port as Git declares it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "redis", "namespace": "shop"},
        "spec": {"ports": [{"name": "redis", "port": port, "protocol": "TCP", "targetPort": 1}]},
    }


@pytest.mark.parametrize("operation", ["Update", "Apply"])
def test_an_item_under_its_old_key_is_gits_but_for_what_somebody_wrote_into_it(
    operation: str,
) -> None:
    """Git changes a port; the old one lives on with a target port that somebody has changed."""
    old = {**service(6379)["spec"]["ports"][0], "targetPort": 8088}
    key = 'k:{"port":6379,"protocol":"TCP"}'
    live = service(6379)
    live["spec"]["ports"] = [old]
    live["metadata"]["managedFields"] = [
        entry(name, {"f:spec": {"f:ports": {key: fields}}}, operation=how, time=time)
        for name, how, fields, time in (
            (
                "argocd-controller",
                operation,
                {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}},
                CREATED,
            ),
            ("kubectl-patch", "Update", {"f:targetPort": {}}, LATER),
        )
    ]
    told = {one.kind: one for one in changes(service(6380), live)}
    assert set(told) == {"missing", "formerly-declared"}
    left = told[ChangeKind.FORMERLY_DECLARED]
    assert (left.change_class, left.path) == ("declared", "/spec/ports/0")
    assert left.manager == "argocd-controller"
    assert left.reason == (
        "applied by a deployer, absent from Git; in it kubectl-patch wrote targetPort"
    )


@pytest.mark.parametrize(
    ("manager", "told"),
    [
        ("argocd-controller", "applied by a deployer, absent from Git"),
        (
            "kubectl-client-side-apply",
            "applied with kubectl, absent from Git: Git declared it before, or a person applied it",
        ),
    ],
)
def test_a_persons_apply_looks_like_gits(manager: str, told: str) -> None:
    """What kubectl applied is drift of the class declared, without a claim that Git said it."""
    live = service(80)
    live["metadata"]["labels"] = {"extra": "x"}
    live["metadata"]["managedFields"] = [
        entry(manager, {"f:metadata": {"f:labels": {".": {}, "f:extra": {}}}})
    ]
    (left,) = [one for one in changes(service(80), live) if one.path.endswith("/extra")]
    assert (left.kind, left.change_class) == (ChangeKind.FORMERLY_DECLARED, "declared")
    assert left.reason == told


def test_an_item_of_somebody_elses_is_his_though_a_deployer_wrote_into_it() -> None:
    """Whoever made the item owns it; a deployer's field in it does not make it Git's."""
    live = applied(deployment())
    live["spec"]["template"]["spec"]["containers"].append({"name": "miner", "image": "m:1"})
    key = 'k:{"name":"miner"}'
    live["metadata"]["managedFields"] += [
        owned({"f:containers": {key: {".": {}, "f:name": {}}}}),
        owned({"f:containers": {key: {"f:image": {}}}}, "kubectl"),
    ]
    (change,) = changes(deployment(), live)
    assert (change.kind, change.change_class, change.manager) == ("added", "undeclared", "alice")


def test_the_cluster_ranks_pods_but_no_template() -> None:
    """A Pod's priority follows its class, so Git cannot know it; a template's is somebody's."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "toolbox", "namespace": "shop"},
        "spec": {"containers": [{"name": "a", "image": "registry.example/a:1"}]},
    }
    live = applied(pod)
    live["spec"]["priority"] = 1000
    assert changes(pod, live) == ()
    live = applied(deployment())
    live["spec"]["template"]["spec"]["priority"] = 1000
    assert [one.path for one in changes(deployment(), live)] == ["/spec/template/spec/priority"]


def test_replicas_of_an_autoscaler_without_any_managed_fields() -> None:
    """Within the bounds they are for review, outside them they are drift."""
    desired = deployment()
    live = deepcopy(desired)
    for replicas, change_class in ((4, "review"), (9, "declared")):
        live["spec"]["replicas"] = replicas
        facts = Facts(autoscaled={key_of(desired): Bounds(2, 5, "web")})
        (change,) = changes(desired, live, facts=facts)
        assert change.change_class == change_class
