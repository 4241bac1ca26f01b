"""Ways to hide a change from whoever trusts field managers: goals and techniques.

A goal is what an intruder wants to have in an object; a technique is how he gets it there unseen.
Every pair is tried on a real API server.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.property.histories import ARGO
from tests.property.lab import LAST_APPLIED, Lab
from tests.testbed.jsonpatch import patched

Json = Any
POD = "/spec/template/spec"
MINER = {
    "name": "miner",
    "image": "registry.example/miner:1",
    "securityContext": {"privileged": True},
}


@dataclass(frozen=True, slots=True)
class Goal:
    """What the intruder wants: the kind of the object, and the change as a JSON patch."""

    kind: str
    operations: tuple[Json, ...]

    @property
    def places(self) -> tuple[str, ...]:
        """Where the change shows."""
        return tuple(operation["path"].removesuffix("/-") for operation in self.operations)


def _add(path: str, value: Json) -> Json:
    return {"op": "add", "path": path, "value": value}


GOALS: dict[str, Goal] = {
    "privileged container": Goal("Deployment", (_add(f"{POD}/containers/-", MINER),)),
    "host mount": Goal(
        "StatefulSet",
        (
            _add(f"{POD}/volumes", [{"name": "root", "hostPath": {"path": "/"}}]),
            _add(f"{POD}/containers/0/volumeMounts/-", {"name": "root", "mountPath": "/host"}),
        ),
    ),
    "rule of a role": Goal(
        "ClusterRole", (_add("/rules/-", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),)
    ),
    "public service": Goal(
        "Service",
        (
            _add("/spec/type", "LoadBalancer"),
            _add("/spec/externalIPs", ["192.0.2.9"]),
        ),
    ),
}

Technique = Callable[[Lab, Json, Goal], None]


def _patched_as(manager: str) -> Technique:
    def technique(lab: Lab, desired: Json, goal: Goal) -> None:
        lab.patch(desired, list(goal.operations), manager)

    return technique


def _set_entries(lab: Lab, desired: Json, entries: list[Json]) -> None:
    place = "/metadata/managedFields"
    lab.patch(desired, [{"op": "replace", "path": place, "value": entries or [{}]}], "m")


def _annotate(lab: Lab, desired: Json, notes: dict[str, str], manager: str) -> None:
    present = lab.live(desired)["metadata"].get("annotations") or {}
    lab.patch(desired, [_add("/metadata/annotations", {**present, **notes})], manager)


def _own_entry_dropped(lab: Lab, desired: Json, goal: Goal) -> None:
    lab.patch(desired, list(goal.operations), "mallory")
    entries = lab.live(desired)["metadata"]["managedFields"]
    _set_entries(lab, desired, [entry for entry in entries if entry["manager"] != "mallory"])


def _entry_renamed(lab: Lab, desired: Json, goal: Goal) -> None:
    """The author's entry is handed to the deployer afterwards."""
    lab.patch(desired, list(goal.operations), "mallory")
    entries = lab.live(desired)["metadata"]["managedFields"]
    for entry in entries:
        if entry["manager"] == "mallory":
            entry["manager"] = ARGO
    _set_entries(lab, desired, entries)


def _entry_handed_to_a_controller(lab: Lab, desired: Json, goal: Goal) -> None:
    lab.patch(desired, list(goal.operations), "mallory")
    entries = lab.live(desired)["metadata"]["managedFields"]
    for entry in entries:
        if entry["manager"] == "mallory":
            entry["manager"] = "kube-controller-manager"
    _set_entries(lab, desired, entries)


def _all_wiped(lab: Lab, desired: Json, goal: Goal) -> None:
    lab.patch(desired, list(goal.operations), "mallory")
    _set_entries(lab, desired, [])


def _wiped_then_applied(lab: Lab, desired: Json, goal: Goal) -> None:
    """The deployer's next apply makes `before-first-apply` own the intruder."""
    _all_wiped(lab, desired, goal)
    lab.apply(desired, ARGO)


def _wiped_before(lab: Lab, desired: Json, goal: Goal) -> None:
    """Where nothing is tracked, a write is not tracked either."""
    _set_entries(lab, desired, [])
    lab.patch(desired, list(goal.operations), "mallory")


def _applied_as_deployer(lab: Lab, desired: Json, goal: Goal) -> None:
    lab.apply(patched(desired, list(goal.operations)), ARGO)


def _recreated(lab: Lab, desired: Json, goal: Goal) -> None:
    """`kubectl replace --force` makes the intruder the creator; then the deployer applies."""
    evil = json.dumps(patched(desired, list(goal.operations)))
    lab.cluster.kubectl("replace", "--force", "-n", lab.namespace, "-f", "-", input=evil)
    lab.apply(desired, ARGO)


def _recreated_and_wiped(lab: Lab, desired: Json, goal: Goal) -> None:
    _recreated(lab, desired, goal)
    entries = lab.live(desired)["metadata"]["managedFields"]
    _set_entries(lab, desired, [entry for entry in entries if entry["manager"] == ARGO])


def _co_owned(lab: Lab, desired: Json, goal: Goal) -> None:
    """A second tool applies Git's object and more."""
    lab.apply(patched(desired, list(goal.operations)), "fleet-agent")


def _among_many(lab: Lab, desired: Json, goal: Goal) -> None:
    """The API server merges the oldest of more than ten writers into `ancient-changes`."""
    lab.patch(desired, list(goal.operations), "mallory")
    for number in range(12):
        _annotate(lab, desired, {f"example.com/n{number}": "x"}, f"n{number}")


def _recorded_as_applied(lab: Lab, desired: Json, goal: Goal) -> None:
    """The record of the last apply is forged, so that the change looks like Git's own."""
    evil = json.dumps(patched(desired, list(goal.operations)))
    lab.patch(desired, list(goal.operations), "kubectl-client-side-apply")
    _annotate(lab, desired, {LAST_APPLIED: evil}, "kubectl-client-side-apply")


def _marked_as_extraneous(lab: Lab, desired: Json, goal: Goal) -> None:
    """Annotations by which tools are told to look away, on the live object alone."""
    lab.patch(desired, list(goal.operations), "mallory")
    notes = {
        "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
        "driftd.io/ignore": "true",
        "driftd.io/deployers": "mallory",
        "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    }
    _annotate(lab, desired, notes, "mallory")


def _while_deleted(lab: Lab, desired: Json, goal: Goal) -> None:
    """The object is held by a finalizer and deleted: it goes on running for as long as it is."""
    held = [_add("/metadata/finalizers", ["example.com/held"])]
    lab.patch(desired, held, "mallory")
    path = f"{lab.path(desired)}/{desired['metadata']['name']}"
    lab.patch(desired, list(goal.operations), "mallory")
    lab.cluster.request("DELETE", path)


TECHNIQUES: dict[str, Technique] = {
    "patched": _patched_as("mallory"),
    "as kubectl": _patched_as("kubectl"),
    "as the deployer": _patched_as(ARGO),
    "as another deployer": _patched_as("kustomize-controller"),
    "as helm": _patched_as("helm"),
    "as the controller manager": _patched_as("kube-controller-manager"),
    "as the aggregation": _patched_as("clusterrole-aggregation-controller"),
    "as an injector": _patched_as("cainjector"),
    "as the lost past": _patched_as("before-first-apply"),
    "applied as the deployer": _applied_as_deployer,
    "own entry dropped": _own_entry_dropped,
    "own entry renamed": _entry_renamed,
    "own entry handed to a controller": _entry_handed_to_a_controller,
    "all entries wiped": _all_wiped,
    "wiped, then applied": _wiped_then_applied,
    "wiped before": _wiped_before,
    "recreated": _recreated,
    "recreated, entry dropped": _recreated_and_wiped,
    "co-owned": _co_owned,
    "among many writers": _among_many,
    "recorded as applied": _recorded_as_applied,
    "marked as extraneous": _marked_as_extraneous,
    "while deleted": _while_deleted,
}
