"""Healing one application on a real API server: what is put back, and what never is."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftd.cli.commands.heal import sentences
from driftd.cluster.writer import KubeWriter
from driftd.controller.heal_once import HealedObject
from tests.property.healing import Bench
from tests.testbed.cluster import ControlPlane
from tests.testbed.processes import wait_until

pytestmark = pytest.mark.cluster

Json = Any
CONFIG: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "labels": {"tier": "front"}},
    "data": {"colour": "blue", "size": "1"},
}


def web(*env: tuple[str, str], **spec: Any) -> Json:
    """A Deployment with these environment variables."""
    container = {
        "name": "app",
        "image": "registry.example/web:1",
        "env": [{"name": name, "value": value} for name, value in env],
    }
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


@pytest.fixture
def bench(api_server: ControlPlane, namespace: str, tmp_path: Path) -> Bench:
    """An application without objects."""
    return Bench(api_server, namespace, tmp_path)


def declare(bench: Bench, *bodies: Json) -> None:
    """Let Git declare these objects and no others."""
    for file in (bench.repo.path / "apps/healed").glob("*.json"):
        bench.repo.remove(f"apps/healed/{file.name}")
    for body in bodies:
        bench.repo.write(f"apps/healed/{body['metadata']['name']}.json", json.dumps(body))
    bench.repo.commit()


def healed(bench: Bench) -> dict[str, HealedObject]:
    """One heal; what became of each object by name."""
    return {one.name: one for one in bench.heal().objects}


def left(bench: Bench) -> dict[str, list[str]]:
    """The drift that a look finds, by object."""
    return {
        one.name: [change.path for change in one.changes if change.is_drift]
        for one in bench.look().applications[0].resources
        if one.is_drift
    }


@pytest.mark.parametrize("mode", ["client-side apply", "server-side apply", "helm"])
def test_healed_then_removed_from_git_is_gone(bench: Bench, mode: Any, monkeypatch) -> None:
    """What driftd put back goes when Git drops it, whoever had deployed it before."""
    monkeypatch.setitem(bench.managers, "server-side apply", "kubectl")
    before = web(("A", "1"), ("B", "2"))
    declare(bench, CONFIG, before)
    bench.lab.deploy(CONFIG, mode)
    bench.lab.deploy(before, mode)
    bench.lab.patch(CONFIG, [{"op": "replace", "path": "/data/colour", "value": "red"}], "alice")
    env = "/spec/template/spec/containers/0/env"
    bench.lab.patch(before, [{"op": "replace", "path": f"{env}/1/value", "value": "3"}], "alice")
    assert {name: one.outcome for name, one in healed(bench).items()} == {
        "settings": "applied",
        "web": "applied",
    }
    assert left(bench) == {}
    declare(bench, {**CONFIG, "data": {"size": "1"}}, web(("A", "1")))
    # With what looks remember, the commit would be pending first: nobody has synced it yet.
    bench.options = replace(bench.options, state=None)
    assert set(left(bench)) == {"settings", "web"}
    assert {one.outcome for one in healed(bench).values()} == {"applied"}
    assert bench.lab.live(CONFIG)["data"] == {"size": "1"}
    container = bench.lab.live(before)["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert (left(bench), healed(bench)) == ({}, {})


def test_additions_of_others_are_removed_in_one_write(bench: Bench) -> None:
    """A container, a key and a field that somebody added go; the Pod template changes once."""
    declared = web(("A", "1"))
    declare(bench, declared)
    bench.lab.deploy(declared, "client-side apply")
    generation = bench.lab.live(declared)["metadata"]["generation"]
    spec = "/spec/template/spec"
    miner = {"name": "miner", "image": "registry.example/miner:1"}
    bench.lab.patch(
        declared,
        [
            {"op": "add", "path": f"{spec}/containers/0", "value": miner},
            {"op": "add", "path": f"{spec}/hostNetwork", "value": True},
            {"op": "replace", "path": f"{spec}/containers/1/image", "value": "registry.example/x"},
            {"op": "add", "path": f"{spec}/containers/1/env/0", "value": {"name": "Z"}},
        ],
        "mallory",
    )
    assert healed(bench)["web"].outcome == "applied"
    live = bench.lab.live(declared)
    pod = live["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["containers"]] == ["app"]
    assert pod["containers"][0]["image"] == "registry.example/web:1"
    assert pod["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    assert "hostNetwork" not in pod
    assert live["metadata"]["generation"] == generation + 2  # the drift's, and the heal's
    owners = {(one["manager"], one["operation"]) for one in live["metadata"]["managedFields"]}
    assert ("driftd", "Apply") in owners
    assert left(bench) == {}


def test_what_the_server_will_not_change_is_not_healable(bench: Bench) -> None:
    """A field that cannot be changed in place is told in the server's words; nothing is written."""
    service = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "fixed"},
        "data": {"colour": "blue"},
    }
    declare(bench, service)
    bench.lab.deploy(service, "client-side apply")
    bench.lab.patch(
        service,
        [
            {"op": "replace", "path": "/data/colour", "value": "red"},
            {"op": "add", "path": "/immutable", "value": True},
        ],
        "alice",
    )
    before = bench.lab.live(service)
    found = healed(bench)["fixed"]
    assert found.outcome == "not-healable"
    assert "immutable" in str(found.message)
    assert "refuse" in " ".join(found.impact)
    assert bench.lab.live(service) == before


def test_what_admission_sets_otherwise_is_not_healable(
    bench: Bench, api_server: ControlPlane
) -> None:
    """Where a mutating policy undoes the write, the dry run shows it: no write, and the reason."""
    declare(bench, CONFIG)
    bench.lab.deploy(CONFIG, "client-side apply")
    bench.lab.patch(CONFIG, [{"op": "replace", "path": "/data/colour", "value": "red"}], "alice")
    name = f"repaint-{bench.lab.namespace}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": bench.lab.namespace}}
    policy = {
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{**rule, "resources": ["configmaps"]}]},
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [
                {
                    "patchType": "JSONPatch",
                    "jsonPatch": {
                        "expression": '[JSONPatch{op: "replace", path: "/data/colour", '
                        'value: "red"}]'
                    },
                }
            ],
        },
    }
    binding = {
        "metadata": {"name": name},
        "spec": {"policyName": name, "matchResources": {"namespaceSelector": selector}},
    }
    base = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolic"
    api_server.call("POST", f"{base}ies", policy)
    api_server.call("POST", f"{base}ybindings", binding)
    try:
        probe = {"data": {"colour": "blue"}}
        path = f"/api/v1/namespaces/{bench.lab.namespace}/configmaps/settings"
        merge = "application/merge-patch+json"

        def repainted() -> bool:
            answer = api_server.call("PATCH", f"{path}?dryRun=All", probe, content_type=merge)
            return bool(answer["data"]["colour"] == "red")

        wait_until(repainted, what="the policy", timeout=60, interval=0.1)
        before = bench.lab.live(CONFIG)
        found = healed(bench)["settings"]
        assert found.outcome == "not-healable"
        assert "/data/colour: admission" in str(found.message)
        assert bench.lab.live(CONFIG) == before
    finally:
        api_server.call("DELETE", f"{base}ybindings/{name}")
        api_server.call("DELETE", f"{base}ies/{name}")


SCALER: Json = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "scaler"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 9,
    },
}


def test_an_apply_overwrites_nothing_that_is_no_drift(bench: Bench) -> None:
    """Replicas of an autoscaler and a field that a rule ignores stay, though Git declares them."""
    declared = web(("A", "1"), minReadySeconds=5)
    rule = {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/minReadySeconds"]}
    bench.declare_application(ignoreDifferences=[rule])
    declare(bench, declared, SCALER)
    for body in (declared, SCALER):
        bench.lab.deploy(body, "client-side apply")
    bench.lab.patch(
        declared,
        [{"op": "replace", "path": "/spec/replicas", "value": 7}],
        "kube-controller-manager",
        "/scale",
    )
    image = "/spec/template/spec/containers/0/image"
    bench.lab.patch(
        declared,
        [
            {"op": "replace", "path": "/spec/minReadySeconds", "value": 30},
            {"op": "replace", "path": image, "value": "registry.example/evil:1"},
        ],
        "alice",
    )
    found = healed(bench)["web"]
    assert (found.outcome, [change.path for change in found.changes]) == ("applied", [image])
    live = bench.lab.live(declared)
    assert live["spec"]["replicas"] == 7
    assert live["spec"]["minReadySeconds"] == 30
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/web:1"
    assert left(bench) == {}


def test_a_secret_is_put_back_and_never_told(bench: Bench) -> None:
    """Values come from Git, also those of `stringData`; no report, plan or message has one."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db"},
        "stringData": {"password": "c4nary-git"},
    }
    declare(bench, secret)
    bench.lab.deploy(secret, "client-side apply")
    value = base64.b64encode(b"c4nary-live").decode()
    bench.lab.patch(
        secret,
        [
            {"op": "replace", "path": "/data/password", "value": value},
            {"op": "add", "path": "/data/extra", "value": value},
        ],
        "mallory",
    )
    report = bench.heal()
    assert {one.name: one.outcome for one in report.objects} == {"db": "applied"}
    data = bench.lab.live(secret)["data"]
    assert data == {"password": base64.b64encode(b"c4nary-git").decode()}
    told = msgspec.json.encode(report).decode() + "\n".join(sentences(report))
    for leaked in ("c4nary", value, data["password"]):
        assert leaked not in told


def test_an_object_that_changes_after_the_look_is_not_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody edits between each look and its write: a conflict, and his last edit stands."""
    declare(bench, CONFIG)
    bench.lab.deploy(CONFIG, "client-side apply")
    bench.lab.patch(CONFIG, [{"op": "add", "path": "/data/extra", "value": "1"}], "alice")
    patch = KubeWriter.patch
    edits: list[str] = []

    async def edited_first(self: KubeWriter, *args: Any, **named: Any) -> Any:
        if not named["dry_run"]:
            edits.append(f"edit {len(edits)}")
            edit = {"op": "replace", "path": "/data/size", "value": edits[-1]}
            bench.lab.patch(CONFIG, [edit], "bob")
        return await patch(self, *args, **named)

    monkeypatch.setattr(KubeWriter, "patch", edited_first)
    found = healed(bench)["settings"]
    assert found.outcome == "conflict"
    assert bench.lab.live(CONFIG)["data"] == {"colour": "blue", "size": edits[-1], "extra": "1"}
    assert len(edits) == 3  # each conflict is looked at anew, but not for ever
