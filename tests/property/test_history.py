"""What only history can tell, on a real API server: each with the verdict of a look without it."""

from __future__ import annotations

import itertools
import json
import time
from copy import deepcopy
from typing import Any

import pytest

from driftd.diff.facts import Bounds, Facts
from driftd.diff.mask import Sealer
from driftd.model.report import UNSET
from driftd.model.resource import ResourceKey
from tests.property.lab import LAST_APPLIED, MANAGERS, MODES, Lab, Mode, named, objects
from tests.property.remembered import Remembered, told
from tests.testbed.cluster import ControlPlane
from tests.testbed.injector import injecting
from tests.testbed.jsonpatch import patched
from tests.testbed.processes import wait_until

pytestmark = pytest.mark.cluster

POD = "/spec/template/spec"
ARGO = "argocd-controller"
MINER = {"name": "miner", "image": "registry.example/miner:1"}
TUNED = {"options": [{"name": "ndots", "value": "2"}]}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    return Lab(api_server, api_server.create_namespace("history"))


def add(path: str, value: Any) -> Any:
    """A JSON patch that adds one value."""
    return [{"op": "add", "path": path, "value": value}]


def remove(path: str) -> Any:
    """A JSON patch that removes one place."""
    return [{"op": "remove", "path": path}]


def base(kind: str) -> Any:
    """A base object with a name of its own, and without finalizers."""
    body = next(body for body in objects() if body["kind"] == kind)
    desired = named(body, f"h{next(_numbers)}")
    desired["metadata"].pop("finalizers", None)
    return desired


def deployed(lab: Lab, kind: str, **context: Any) -> tuple[Any, Remembered]:
    """A base object applied by Argo CD, seen clean once."""
    desired = base(kind)
    lab.apply(desired, ARGO)
    looks = Remembered(lab, **context)
    assert looks.look(desired).changes == ()
    return desired, looks


def disown(lab: Lab, desired: Any, manager: str, path: str | None = None) -> None:
    """Take a manager's managedFields away, as anybody may; with `path` one top field of his."""
    entries = lab.live(desired)["metadata"]["managedFields"]
    kept = []
    for entry in entries:
        if entry["manager"] == manager:
            if path is None:
                continue
            entry["fieldsV1"].pop(path, None)
        kept.append(entry)
    lab.patch(desired, [{"op": "replace", "path": "/metadata/managedFields", "value": kept}], "m")


def wipe(lab: Lab, desired: Any) -> None:
    """Take everybody's managedFields away."""
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": [{}]}
    lab.patch(desired, [operation], "m")


def wait_until_injected(lab: Lab, body: Any, value: Any) -> None:
    """Wait until the API server calls the webhook, or (None) calls it no longer."""

    def holds() -> bool:
        status, answer = lab.cluster.request("POST", f"{lab.path(body)}?dryRun=All", body)
        return status == 201 and answer["spec"]["template"]["spec"].get("dnsConfig") == value

    wait_until(holds, what="the webhook", timeout=30, interval=0.05)


def next_second() -> None:
    """Wait until `managedFields`, whose times have one second, can tell the next write."""
    started = int(time.time())
    wait_until(lambda: int(time.time()) > started, what="the next second", timeout=5)


# Git removed what it had declared.


def without_owner(desired: Any) -> Any:
    """What Git declares after it has removed a label, an annotation, an argument and a variable."""
    later = deepcopy(desired)
    del later["metadata"]["labels"]["tier"]
    del later["metadata"]["annotations"]["example.com/owner"]
    container = later["spec"]["template"]["spec"]["containers"][0]
    del container["args"]
    container["env"] = [one for one in container["env"] if one["name"] != "SECOND"]
    return later


REMOVED = [
    ("formerly-declared", "declared", "/metadata/annotations/example.com~1owner"),
    ("formerly-declared", "declared", "/metadata/labels/tier"),
    ("formerly-declared", "declared", f"{POD}/containers/0/args"),
    ("formerly-declared", "declared", f"{POD}/containers/0/env/1"),
]


@pytest.mark.parametrize("creator", ["kubectl-client-side-apply", "terraform"])
def test_git_removal_after_a_client_created_it(lab: Lab, creator: str) -> None:
    """Row 71: what Git removed is drift whoever created the object; alone it has other names."""
    desired = base("Deployment")
    lab.cluster.call("POST", f"{lab.path(desired)}?fieldManager={creator}", desired)
    looks = Remembered(lab)
    assert looks.look(desired).changes == ()
    later = without_owner(desired)
    assert told(looks.look(later).changes) == REMOVED
    assert told(looks.look(later).changes) == REMOVED
    kinds = {change.kind for change in looks.alone(later)}
    assert kinds == {"formerly-declared" if creator.startswith("kubectl") else "added"}


def test_git_removal_of_what_another_one_applied_too(lab: Lab) -> None:
    """Row 72: a co-owner keeps the field alive; it is still what Git had declared."""
    desired, looks = deployed(lab, "Deployment")
    lab.apply(desired, "terraform")
    assert looks.look(desired).changes == ()
    later = without_owner(desired)
    lab.apply(later, ARGO)
    assert told(looks.look(later).changes) == REMOVED
    classes = {change.path: change.change_class for change in looks.alone(later)}
    assert classes["/metadata/labels/tier"] == "review"


def test_git_removal_after_a_wipe(lab: Lab) -> None:
    """Row 73: without any managedFields, what Git removed would count as a webhook's."""
    desired, looks = deployed(lab, "Deployment")
    wipe(lab, desired)
    assert looks.look(desired).changes == ()
    later = without_owner(desired)
    assert told(looks.look(later).changes) == REMOVED
    args = f"{POD}/containers/0/args"
    alone = {change.path: change.change_class for change in looks.alone(later)}
    assert alone[args] == "injected"


def test_wiped_before_the_first_look(lab: Lab) -> None:
    """At the first look the record of the last client-side apply stands for history."""
    desired = base("Deployment")
    lab.deploy(desired, "client-side apply")
    wipe(lab, desired)
    later = without_owner(desired)
    assert LAST_APPLIED in lab.live(desired)["metadata"]["annotations"]
    looks = Remembered(lab)
    assert told(looks.look(later).changes) == REMOVED
    assert told(looks.look(later).changes) == REMOVED


def test_removal_that_was_carried_out_is_forgotten(lab: Lab) -> None:
    """Once live lacks the field, a later value of somebody else is no formerly declared one."""
    desired, looks = deployed(lab, "Deployment")
    later = without_owner(desired)
    assert told(looks.look(later).changes) == REMOVED
    lab.apply(later, ARGO)
    assert looks.look(later).changes == ()
    assert looks.left.former == {}
    lab.patch(desired, add("/metadata/labels/tier", "front"), "alice")
    assert told(looks.look(later).changes) == [("added", "review", "/metadata/labels/tier")]


def test_recreated_object_keeps_what_git_declared(lab: Lab) -> None:
    """Another uid starts anew, but what Git had declared is known."""
    desired, looks = deployed(lab, "ConfigMap")
    lab.cluster.call("DELETE", f"{lab.path(desired)}/{desired['metadata']['name']}")
    lab.cluster.call("POST", f"{lab.path(desired)}?fieldManager=terraform", desired)
    name = next(iter(desired["data"]))
    later = deepcopy(desired)
    del later["data"][name]
    found = looks.look(later).changes
    assert told(found) == [("formerly-declared", "declared", f"/data/{name}")]
    assert found[0].confidence == "exact"


@pytest.mark.parametrize("keyed", [False, True])
def test_string_data_left_behind(lab: Lab, keyed: bool) -> None:
    """Server-side apply leaves the data of a removed `stringData` key: drift, with or without key.

    Nothing of the value is in the history.
    """
    sealer = Sealer(b"k" * 32) if keyed else None
    desired = base("Secret")
    desired["stringData"] = {"user": "ledger", "password": "hunter2"}
    lab.apply(desired, ARGO)
    looks = Remembered(lab, sealer=sealer)
    assert looks.look(desired).changes == ()
    later = deepcopy(desired)
    del later["stringData"]["password"]
    lab.apply(later, ARGO)
    for _ in range(2):
        found = looks.look(later).changes
        assert told(found) == [("formerly-declared", "declared", "/data/password")]
        assert looks.history is not None
        assert b"hunter2" not in looks.history
        assert b"aHVudGVyMg" not in looks.history
    assert told(looks.alone(later)) == [("added", "injected", "/data/password")]


# Extras that nobody owns.

HIDDEN = {
    "host network": ("Deployment", f"{POD}/hostNetwork", True, "undeclared"),
    "library": ("Deployment", f"{POD}/containers/0/env/-", {"name": "LD_PRELOAD", "value": "/x"},
                "undeclared"),
    "variable": ("Deployment", f"{POD}/containers/0/env/-", {"name": "LOG", "value": "debug"},
                 "injected"),
    "priority": ("Deployment", f"{POD}/dnsConfig", TUNED, "injected"),
    "pod label": ("Deployment", "/spec/template/metadata/labels/role", "admin", "injected"),
    "data": ("ConfigMap", "/data/evil", "1", "injected"),
    "label": ("ConfigMap", "/metadata/labels/team", "x", "injected"),
}  # fmt: skip


@pytest.mark.parametrize("case", HIDDEN)
def test_extra_whose_owner_dropped_his_entry(lab: Lab, case: str) -> None:
    """Who removes his own entry with a second patch is found, and stays found."""
    kind, pointer, value, alone = HIDDEN[case]
    desired, looks = deployed(lab, kind)
    lab.patch(desired, add(pointer, value), "mallory")
    disown(lab, desired, "mallory")
    assert {c.change_class for c in looks.alone(desired)} == {alone}
    expected = {"review"} if case == "label" else {"undeclared"}
    place = pointer.removesuffix("/-")
    for _ in range(3):
        found = looks.look(desired).changes
        assert {c.change_class for c in found} == expected
        assert all(c.path.startswith(place) for c in found)
        assert {c.kind for c in found} == {"added"}
    lab.apply(desired, ARGO)
    assert {c.change_class for c in looks.look(desired).changes} == expected
    path = found[0].path
    for change in reversed(found):
        lab.patch(desired, remove(change.path), "bob")
    assert looks.look(desired).changes == (), path


def test_extra_told_first_and_disowned_later(lab: Lab) -> None:
    """An extra stays told when its owner drops his entry after the look that told it."""
    desired, looks = deployed(lab, "ConfigMap")
    lab.patch(desired, add("/data/evil", "1"), "mallory")
    assert told(looks.look(desired).changes) == [("added", "undeclared", "/data/evil")]
    disown(lab, desired, "mallory")
    for _ in range(2):
        assert told(looks.look(desired).changes) == [("added", "undeclared", "/data/evil")]
    assert told(looks.alone(desired)) == [("added", "injected", "/data/evil")]


def test_wiped_with_an_intruder(lab: Lab) -> None:
    """A wipe of all owners hides no new scalar; what an owner had made is no new one."""
    desired, looks = deployed(lab, "Deployment")
    lab.patch(desired, add("/metadata/labels/team", "x"), "alice")
    assert told(looks.look(desired).changes) == [("added", "review", "/metadata/labels/team")]
    lab.patch(desired, add("/spec/minReadySeconds", 7), "mallory")
    wipe(lab, desired)
    for _ in range(2):
        found = told(looks.look(desired).changes)
        assert ("added", "undeclared", "/spec/minReadySeconds") in found
        assert {row for row in found if row[1] == "undeclared"} == {
            ("added", "undeclared", "/spec/minReadySeconds")
        }
    assert ("added", "injected", "/spec/minReadySeconds") in told(looks.alone(desired))


def test_recreated_by_force_with_a_miner(lab: Lab) -> None:
    """`kubectl replace --force` with a miner and a variable, then Argo CD's apply: both told."""
    desired, looks = deployed(lab, "Deployment")
    variable = {"name": "LD_PRELOAD", "value": "/x"}
    evil = patched(
        desired,
        [
            *add(f"{POD}/hostNetwork", True),
            *add(f"{POD}/containers/-", MINER),
            *add(f"{POD}/containers/0/env/-", variable),
        ],
    )
    lab.cluster.kubectl(
        "replace", "--force", "-n", lab.namespace, "-f", "-", input=json.dumps(evil)
    )
    lab.apply(desired, ARGO)
    expected = {f"{POD}/hostNetwork", f"{POD}/containers/2", f"{POD}/containers/0/env/3"}
    for _ in range(2):
        drift = {c.path for c in looks.look(desired).changes if c.is_drift}
        assert expected <= drift
    assert expected <= {c.path for c in looks.alone(desired) if c.is_drift}


# Deployers' names.


@pytest.mark.parametrize("manager", ["kubectl", "argocd-controller"])
@pytest.mark.parametrize("hides", [False, True])
def test_extra_under_a_deployers_name(lab: Lab, manager: str, hides: bool) -> None:
    """Git has not changed, so a deployer's name stands for somebody else, hidden or not."""
    desired, looks = deployed(lab, "ConfigMap")
    lab.patch(desired, add("/data/evil", "1"), manager)
    if hides:
        live = lab.live(desired)["metadata"]["managedFields"]
        kept = [e for e in live if e["operation"] == "Apply" or e["manager"] != manager]
        # The writer's entry stays, without the key: a deployer has written, it says.
        for entry in live:
            if entry not in kept:
                data = entry["fieldsV1"]["f:data"]
                data.pop("f:evil", None)
                data["f:key"] = {}
        lab.patch(desired, [{"op": "replace", "path": "/metadata/managedFields", "value": live}],
                  "m")  # fmt: skip
    for _ in range(3):
        (found,) = looks.look(desired).changes
        assert (found.kind, found.change_class, found.path) == ("added", "undeclared", "/data/evil")
    (alone,) = looks.alone(desired)
    expected = ("added", "injected") if hides else ("formerly-declared", "declared")
    assert (alone.kind, alone.change_class) == expected


def test_value_under_a_deployers_name(lab: Lab) -> None:
    """Another value under Argo CD's name is no rewriting while Git has not changed."""
    desired, looks = deployed(lab, "Deployment", synced_here=True)
    args = f"{POD}/containers/0/args"
    other = patched(desired, [{"op": "replace", "path": args, "value": ["--evil"]}])
    lab.apply(other, ARGO)
    for _ in range(3):
        assert told(looks.look(desired).changes) == [("modified", "declared", args)]
    assert told(looks.alone(desired)) == [("modified", "rewritten", args)]


# What vanished.


def test_removed_by_somebody(lab: Lab) -> None:
    """A webhook's field that somebody removed is told, until it is there again."""
    namespace = lab.cluster.create_namespace("history-removed")
    here = Lab(lab.cluster, namespace)
    desired = base("Deployment")
    with injecting(lab.cluster, namespace, TUNED):
        wait_until_injected(here, desired, TUNED)
        here.apply(desired, ARGO)
    wait_until_injected(here, base("Deployment"), None)
    looks = Remembered(here)
    path = f"{POD}/dnsConfig"
    assert told(looks.look(desired).changes) == [("added", "injected", path)]
    here.patch(desired, remove(path), "bob")
    for _ in range(2):
        (found,) = looks.look(desired).changes
        assert (found.kind, found.change_class, found.path) == ("missing", "undeclared", path)
        assert (found.live, found.desired) == (UNSET, UNSET)
        assert found.confidence == "window"
    assert looks.alone(desired) == ()
    here.patch(desired, add(path, TUNED), "bob")
    assert told(looks.look(desired).changes) == [("added", "undeclared", path)]


def test_removed_item_of_a_list(lab: Lab) -> None:
    """An injected item that is gone is told at its list, with its key."""
    desired = base("Deployment")
    lab.apply(desired, ARGO)
    lab.patch(desired, add(f"{POD}/containers/0/env/-", {"name": "MESH", "value": "1"}), "hook")
    disown(lab, desired, "hook")
    looks = Remembered(lab)
    assert told(looks.look(desired).changes) == [("added", "injected", f"{POD}/containers/0/env/3")]
    lab.patch(desired, remove(f"{POD}/containers/0/env/3"), "bob")
    (found,) = looks.look(desired).changes
    assert (found.kind, found.path) == ("missing", f"{POD}/containers/0/env")
    assert str(found.ssa_path).endswith('f:env/k:{"name":"MESH"}')


# Who and when.


def test_writer_of_a_removal(lab: Lab) -> None:
    """Who wrote something else between the looks probably removed it too; nobody else is named."""
    desired, looks = deployed(lab, "Deployment")
    lab.patch(desired, remove(f"{POD}/containers/0/env/1"), "alice")
    first = looks.look(desired).changes
    (change,) = first
    assert (change.kind, change.confidence, change.manager) == ("missing", "window", UNSET)
    assert set(change.attribution) == {"after", "before"}
    lab.patch(
        desired,
        [*remove(f"{POD}/containers/0/args"), *add("/metadata/labels/x", "y")],
        "bob",
    )
    found = {c.path: c for c in looks.look(desired).changes}
    args = found[f"{POD}/containers/0/args"]
    assert (args.kind, args.confidence, args.manager) == ("missing", "likely", "bob")
    assert args.attribution["after"] == change.attribution["before"]
    assert found[f"{POD}/containers/0/env/1"].attribution == change.attribution
    assert found[f"{POD}/containers/0/env/1"].confidence == "window"
    again = {c.path: c for c in looks.look(desired).changes}
    assert again == found


def test_reorder(lab: Lab) -> None:
    """A pure reorder leaves no trace; the looks before and after it are told."""
    desired, looks = deployed(lab, "Deployment")
    path = f"{POD}/containers/0/env"
    env = lab.live(desired)["spec"]["template"]["spec"]["containers"][0]["env"]
    swapped = [{"op": "replace", "path": path, "value": [env[1], env[0], *env[2:]]}]
    lab.patch(desired, swapped, "alice")
    (change,) = looks.look(desired).changes
    assert (change.kind, change.path, change.confidence) == ("reordered", path, "window")
    assert [c.confidence for c in looks.alone(desired)] == [UNSET]


def test_difference_that_git_made_has_no_window(lab: Lab) -> None:
    """What Git began to declare was removed by nobody."""
    desired, looks = deployed(lab, "ConfigMap")
    later = deepcopy(desired)
    later["data"]["new"] = "1"
    lab.patch(desired, add("/metadata/labels/x", "y"), "alice")
    change = next(c for c in looks.look(later).changes if c.is_drift)
    assert (change.kind, change.confidence) == ("missing", UNSET)


# Healthy clusters stay quiet.


def quiet(looks: Remembered, desired: Any, **look: Any) -> None:
    """No declared and no undeclared change, look after look."""
    for _ in range(2):
        drift = [change for change in looks.look(desired, **look).changes if change.is_drift]
        assert told(tuple(drift)) == []


def upgraded(desired: Any) -> Any:
    """The next release of a base Deployment: another image, a new variable, no init container."""
    later = deepcopy(desired)
    pod = later["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = "registry.example/web:1.3.0"
    pod["containers"][0]["env"].append({"name": "NEW", "value": "1"})
    del pod["initContainers"]
    return later


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_stays_clean(lab: Lab, mode: Mode) -> None:
    """Objects of all base kinds are clean at look after look, applied again in between."""
    for body in objects():
        if body["kind"] == "Widget":
            continue  # of other tests' cluster
        desired = named(body, f"h{next(_numbers)}")
        lab.deploy(desired, mode)
        looks = Remembered(lab)
        assert looks.look(desired).changes == (), desired["kind"]
        touch = add("/metadata/annotations", {"example.com/seen": "1"})
        if "annotations" not in lab.live(desired)["metadata"]:
            lab.patch(desired, touch, "kube-controller-manager")
        quiet(looks, desired)


@pytest.mark.parametrize("mode", MODES)
def test_upgrades(lab: Lab, mode: Mode) -> None:
    """Releases that add, change and remove fields are quiet, each look knowing the last."""
    desired = base("Deployment")
    lab.deploy(desired, mode)
    looks = Remembered(lab)
    quiet(looks, desired)
    later = upgraded(desired)
    if mode == "server-side apply":
        lab.apply(later, ARGO)
    else:
        live = lab.live(desired)
        pod = live["spec"]["template"]["spec"]
        wanted = later["spec"]["template"]["spec"]
        del pod["initContainers"]
        pod["containers"][0]["image"] = wanted["containers"][0]["image"]
        pod["containers"][0]["env"] = wanted["containers"][0]["env"]
        lab.put(live, MANAGERS[mode])
    quiet(looks, later)


def test_rollout_restart_and_scaling(lab: Lab) -> None:
    """A restart and an autoscaler's writes are no drift, however many looks there are."""
    desired = base("Deployment")
    del desired["spec"]["replicas"]
    lab.apply(desired, ARGO)
    name = desired["metadata"]["name"]
    key = ResourceKey("apps", "Deployment", lab.namespace, name)
    facts = Facts(autoscaled={key: Bounds(1, 9, "web")})
    looks = Remembered(lab, facts=facts)
    quiet(looks, desired)
    lab.cluster.kubectl("rollout", "restart", "-n", lab.namespace, f"deployment/{name}")
    quiet(looks, desired)
    for replicas in (4, 7):
        operation = [{"op": "replace", "path": "/spec/replicas", "value": replicas}]
        lab.patch(desired, operation, "kube-controller-manager", "/scale")
        quiet(looks, desired)


def test_webhook_at_a_deployers_apply(lab: Lab) -> None:
    """What a webhook adds when a deployer brings another revision is no drift."""
    namespace = lab.cluster.create_namespace("history-webhook")
    here = Lab(lab.cluster, namespace)
    desired = base("Deployment")
    here.apply(desired, ARGO)
    looks = Remembered(here)
    quiet(looks, desired)
    path = f"{POD}/dnsConfig"
    with injecting(lab.cluster, namespace, TUNED):
        wait_until_injected(here, base("Deployment"), TUNED)
        later = upgraded(desired)
        next_second()
        here.apply(later, ARGO)
        quiet(looks, later)
        assert ("added", "injected", path) in told(looks.look(later).changes)
        here.patch(later, remove(path), "bob")  # the webhook puts it back at once
        quiet(looks, later)
    other = {"options": [{"name": "ndots", "value": "3"}]}
    wait_until_injected(here, base("Deployment"), None)
    with injecting(lab.cluster, namespace, other):
        wait_until_injected(here, base("Deployment"), other)
        last = deepcopy(later)
        last["spec"]["template"]["spec"]["containers"][0]["env"].append(
            {"name": "LAST", "value": "1"}
        )
        next_second()
        here.patch(later, remove(path), ARGO)
        here.apply(last, ARGO)
        assert here.live(last)["spec"]["template"]["spec"]["dnsConfig"] == other
        quiet(looks, last)


def test_upgrade_of_the_api(lab: Lab) -> None:
    """Another schema may bring other defaults: what is new then is no drift."""
    desired, looks = deployed(lab, "ConfigMap")
    lab.patch(desired, add("/data/new", "1"), "hook")
    disown(lab, desired, "hook")
    found = looks.look(desired, schema_hash="next").changes
    assert told(found) == [("added", "injected", "/data/new")]
    quiet(looks, desired, schema_hash="next")


def test_known_extras_survive_a_wipe(lab: Lab) -> None:
    """What a webhook had added is no drift when somebody wipes the owners."""
    desired, looks = deployed(lab, "ConfigMap")
    lab.patch(desired, add("/data/hook", "1"), "hook")
    disown(lab, desired, "hook")
    looks.look(desired, schema_hash="next")
    wipe(lab, desired)
    quiet(looks, desired, schema_hash="next")
    lab.apply(desired, ARGO)  # `before-first-apply` owns it now
    quiet(looks, desired, schema_hash="next")
    assert [c.is_drift for c in looks.alone(desired)] == [True]


def test_heal_after_drift(lab: Lab) -> None:
    """A deployer who puts a drifted object back has a reason to write, though Git stood still."""
    desired, looks = deployed(lab, "Deployment")
    image = f"{POD}/containers/0/image"
    lab.patch(desired, [{"op": "replace", "path": image, "value": "x"}], "mallory")
    assert told(looks.look(desired).changes) == [("modified", "declared", image)]
    next_second()
    lab.apply(desired, ARGO)
    lab.patch(desired, add(f"{POD}/dnsConfig", TUNED), "hook")
    disown(lab, desired, "hook")
    quiet(looks, desired)
