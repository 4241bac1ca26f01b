"""References that a change breaks while it gives other names to what holds them."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from driftd.controller.preview_references import Elsewhere, broken_references
from driftd.controller.preview_renames import partners
from tests.unit.controller.test_preview_references import Bodies, manifests

CONTAINER = {
    "name": "web",
    "image": "ghcr.io/acme/web:1",
    "ports": [{"name": "http", "containerPort": 80}, {"name": "admin", "containerPort": 81}],
    "env": [
        {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "level"}}},
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "mode"}}},
        {"name": "PLAIN", "value": "x"},
    ],
    "envFrom": [{"secretRef": {"name": "login"}}],
    "livenessProbe": {"httpGet": {"port": "http"}},
    "lifecycle": {"preStop": {"httpGet": {"port": "admin"}}},
    "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],
}
PODS = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "initContainers": [
            {"name": "wait", "image": "busybox:1", "volumeMounts": [
                {"name": "data", "mountPath": "/data"}]},
        ],
        "containers": [CONTAINER, {"name": "side", "image": "ghcr.io/acme/side:1"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}  # fmt: skip
SERVICE = {"name": "web", "port": {"name": "http"}}
SHOP: Bodies = {
    "workload": {
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "spec": {"replicas": 2, "template": PODS,
                 "volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
    },
    "service": {
        "apiVersion": "v1", "kind": "Service",
        "spec": {"selector": {"app": "web"}, "ports": [
            {"name": "http", "port": 80, "targetPort": "http"},
            {"name": "admin", "port": 81, "targetPort": "admin"}]},
    },
    "ingress": {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "spec": {"rules": [{"host": "a.b", "http": {"paths": [
            {"path": "/", "backend": {"service": SERVICE}}]}}]},
    },
    "conf": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"},
             "data": {"level": "info", "mode": "a", "more": "b"}},
    "login": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}},
}  # fmt: skip
Change = Callable[[Bodies], object]


def pod(bodies: Bodies) -> Any:
    """The spec of the Pods."""
    return bodies["workload"]["spec"]["template"]["spec"]


def web(bodies: Bodies) -> Any:
    """The container with all the references."""
    return pod(bodies)["containers"][0]


def move(bodies: Bodies) -> None:
    """Put everything into another namespace."""
    for body in bodies.values():
        body["metadata"] = {**body.get("metadata", {"name": "web"}), "namespace": "new"}


def call(bodies: Bodies, file: str, name: str) -> None:
    """Give an object another name."""
    bodies[file]["metadata"] = {**bodies[file].get("metadata", {}), "name": name}


def rename_service(bodies: Bodies) -> None:
    """Give the Service another name, in its Ingress too."""
    call(bodies, "service", "front")
    rule = bodies["ingress"]["spec"]["rules"][0]
    rule["http"]["paths"][0]["backend"]["service"]["name"] = "front"


def rename_map(bodies: Bodies) -> None:
    """Give the ConfigMap the name that Kustomize makes for other data, everywhere."""
    call(bodies, "conf", "conf-7m2k95t6hb")
    for one in web(bodies)["env"][:2]:
        reference = one["valueFrom"]["configMapKeyRef"]
        reference["name"] = reference["name"].replace("conf", "conf-7m2k95t6hb", 1)


RENAMES: dict[str, Change] = {
    "container": lambda b: web(b).update(name="front", image="ghcr.io/acme/web:2"),
    "init container": lambda b: pod(b)["initContainers"][0].update(name="before"),
    "order": lambda b: pod(b)["containers"].reverse() or pod(b)["containers"].sort(
        key=lambda one: "ports" not in one),
    "workload": lambda b: call(b, "workload", "front"),
    "namespace": move,
    "service": rename_service,
    "ConfigMap": rename_map,
    "port": lambda b: b["service"]["spec"]["ports"][0].update(port=8080),
    "host": lambda b: b["ingress"]["spec"]["rules"][0].update(host="c.d"),
    "mount": lambda b: web(b)["volumeMounts"][0].update(mountPath="/var/data"),
    "env": lambda b: [one.update(name=f"APP_{one['name']}") for one in web(b)["env"]],
}  # fmt: skip
"""What breaks nothing, each; where two cannot be told apart the later one stands."""
BREAKS: dict[str, tuple[Change, list[str]]] = {
    "nothing": (lambda b: None, []),
    "container's port": (
        lambda b: web(b)["ports"][0].update(name="web"),
        ["livenessProbe.httpGet.port http is no port of the container",
         "targetPort http is no port of the Pods that it selects"],
    ),
    "probe": (
        lambda b: web(b)["livenessProbe"]["httpGet"].update(port="htpp"),
        ["livenessProbe.httpGet.port htpp is no port of the container"],
    ),
    "hook": (
        lambda b: web(b)["lifecycle"]["preStop"]["httpGet"].update(port="adm"),
        ["lifecycle.preStop.httpGet.port adm is no port of the container"],
    ),
    "claim": (
        lambda b: b["workload"]["spec"]["volumeClaimTemplates"][0]["metadata"].update(name="d"),
        ["names data, which is neither a volume nor a claim template"] * 2,
    ),
    "volume": (
        lambda b: pod(b)["volumes"][0].update(name="scratch"),
        ["names tmp, which is neither a volume nor a claim template"],
    ),
    "labels": (
        lambda b: b["workload"]["spec"]["template"]["metadata"].update(labels={"app": "front"}),
        ["spec.selector app=web selects no Pods of the application"],
    ),
    "selector": (
        lambda b: b["service"]["spec"]["selector"].update(app="wbe"),
        ["spec.selector app=wbe selects no Pods of the application"],
    ),
    "Service's port": (
        lambda b: b["service"]["spec"]["ports"][0].update(name="www"),
        ["service names port http, which Service SERVICE does not have"],
    ),
    "key": (
        lambda b: web(b)["env"][0]["valueFrom"]["configMapKeyRef"].update(key="lvl"),
        ["key names key lvl, which ConfigMap CONF does not have; did you mean level?"],
    ),
    "lost key": (
        lambda b: b["conf"]["data"].pop("level"),
        ["key names key level, which ConfigMap CONF no longer has"],
    ),
    "name": (
        lambda b: web(b)["envFrom"][0]["secretRef"].update(name="credentials"),
        [("secretRef.name names Secret credentials, which no application declares; at the base it "
          "was Secret login")],
    ),
}  # fmt: skip


def told(before: Bodies, after: Bodies, elsewhere: Elsewhere | None = None) -> list[str]:
    """What is told, of each reference what comes after its container or rule, sorted."""
    found = broken_references(manifests(before), manifests(after), elsewhere)
    texts = [one.told.removesuffix("; at the base it was whole") for one in found]
    texts = [re.sub(r"^.*?: (.*\]\.)?(spec\.ports\[[^]]*\]\.)?", "", one) for one in texts]
    texts = [
        re.sub(r"^(spec\.|valueFrom\.configMapKeyRef\.)(?!selector)", "", one) for one in texts
    ]
    return sorted(re.sub(r"^.*(?=names (data|tmp),)", "", one) for one in texts)


def both(*changes: Change) -> Bodies:
    """The application with some changes."""
    bodies = copy.deepcopy(SHOP)
    for change in changes:
        change(bodies)
    return bodies


def combined(*, pairs: bool = False) -> Sequence[tuple[str, ...]]:
    """None of the renames, each one, a third of each two and all together."""
    two = list(itertools.combinations(RENAMES, 2))[::3] if pairs else []
    return [(), *((name,) for name in RENAMES), *two, tuple(RENAMES)]


@pytest.mark.parametrize("what", BREAKS)
def test_what_breaks_is_told_whatever_gets_another_name(what: str) -> None:
    """Each break with none, one, two and all of the renames is told just as it is alone."""
    breaks, expected = BREAKS[what]
    for names in combined(pairs=True):
        after = both(breaks, *(RENAMES[name] for name in names))
        service = "front" if "service" in names else "web"
        conf = "conf-7m2k95t6hb" if "ConfigMap" in names else "conf"
        texts = [one.replace("SERVICE", service).replace("CONF", conf) for one in expected]
        assert told(SHOP, after) == sorted(texts), names


@pytest.mark.parametrize("what", BREAKS)
def test_what_dangled_before_stays_silent_whatever_gets_another_name(what: str) -> None:
    """A reference that dangled in the same way at the base is not told again under new names."""
    breaks, _ = BREAKS[what]
    before = both(breaks)
    for names in combined():
        after = both(breaks, *(RENAMES[name] for name in names))
        if what == "name" and "namespace" in names:
            continue  # what was made by hand in one namespace does not move with its Pods
        assert told(before, after) == [], names


NEW: dict[str, tuple[Change, list[str]]] = {
    **{name: one for name, one in BREAKS.items() if name not in ("labels", "selector")},
    "key": BREAKS["key"],
    "lost key": (
        BREAKS["lost key"][0], ["key names key level, which ConfigMap conf does not have"]
    ),
    "name": (
        lambda b: web(b)["envFrom"][0]["secretRef"].update(name="credentials"), []
    ),
    "slip": (
        lambda b: web(b)["envFrom"][0]["secretRef"].update(name="logins"),
        ["secretRef.name names Secret logins, which no application declares; did you mean login?"],
    ),
    "selector": (lambda b: b["service"]["spec"]["selector"].update(app="operated"), []),
    "injected": (
        lambda b: [
            b["workload"]["spec"]["template"]["metadata"].update(
                annotations={"sidecar.opentelemetry.io/inject": "true"}),
            b["service"]["spec"]["ports"][1].update(targetPort="otlp"),
        ],
        [],
    ),
    "mesh": (lambda b: b["service"]["spec"]["ports"][1].update(targetPort="linkerd-admin"), []),
    "empty": (lambda b: b["conf"].update(data={}), []),
}  # fmt: skip


@pytest.mark.parametrize("what", NEW)
def test_what_dangles_in_new_objects(what: str) -> None:
    """All that is new: what nothing else can make whole is told; what others make stays silent."""
    change, expected = NEW[what]
    texts = [one.replace("SERVICE", "web").replace("CONF", "conf") for one in expected]
    assert told({}, both(change)) == sorted(texts)


def test_an_object_that_another_application_declared_is_not_new() -> None:
    """What dangled there is not told when the object changes its application."""
    after = both(BREAKS["probe"][0])
    known = {one.key: one for one in manifests(after)}
    assert told({}, after, Elsewhere(bodies=known)) == []
    assert told({}, after, Elsewhere(bodies={})) == BREAKS["probe"][1]


def test_another_mistake_than_before_is_told() -> None:
    """A reference that dangles in another way than at the base is told, if it is one for sure."""
    before = both(BREAKS["probe"][0])
    after = both(lambda b: web(b)["livenessProbe"]["httpGet"].update(port="htp"))
    assert told(before, after) == ["livenessProbe.httpGet.port htp is no port of the container"]
    assert told(both(BREAKS["labels"][0]), both(BREAKS["selector"][0])) == []


def test_one_mended_and_one_broken() -> None:
    """A container that is mended does not hide another that comes to dangle the same way."""
    side = {"name": "side", "image": "side", "livenessProbe": {"tcpSocket": {"port": "http"}},
            "ports": [{"name": "http", "containerPort": 90}]}  # fmt: skip
    before = both(
        lambda b: pod(b)["containers"].__setitem__(1, copy.deepcopy(side)),
        lambda b: web(b)["ports"][0].update(name="web"),
        lambda b: b["service"]["spec"]["ports"].pop(0),
        lambda b: b.pop("ingress"),
        lambda b: web(b).update(livenessProbe={"tcpSocket": {"port": "http"}}),
    )
    after = copy.deepcopy(before)
    web(after)["ports"][0]["name"] = "http"
    pod(after)["containers"][1]["ports"] = []
    found = broken_references(manifests(before), manifests(after))
    assert ["containers[name=side]" in one.told for one in found] == [True]
    swapped = copy.deepcopy(before)
    one, other = pod(swapped)["containers"]
    one["name"], other["name"] = "side", "web"
    assert told(before, swapped) == []


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ([{"name": "b", "x": 1}, {"name": "a", "x": 2}], [{"name": "a", "x": 1}],
         {0: 0}),
        ([{"name": "a", "x": 3}, {"name": "b", "x": 1}], [{"name": "b", "x": 1}, {"name": "a"}],
         {0: 1, 1: 0}),
        ([{"name": "b", "image": "x/web:2", "y": 1}], [{"name": "a", "image": "web:1", "y": 1}],
         {0: 0}),
        ([{"name": "b", "image": "envoy:2"}], [{"name": "a", "image": "web:1"}], {}),
        (["a", "b"], ["b"], {1: 0}),
    ],
)  # fmt: skip
def test_items_that_were_there(new: list[Any], old: list[Any], expected: dict[int, int]) -> None:
    """Equal content counts before a name, a name before likeness; others are not the same item."""
    assert partners(new, old) == expected
