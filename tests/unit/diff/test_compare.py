"""The entry of the package: classes that need more than the two objects, and what is published."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import deepdiff
import pytest

from driftd.diff.compare import Context, compare
from driftd.diff.prepare import LAST_APPLIED, TRACKING_ID
from driftd.model.report import NOT_APPLIED, UNSET
from tests.unit.diff.objects import (
    applied,
    changes,
    config_map,
    deployment,
    entry,
    key_of,
    node_of,
    told,
)

ARGS = "/spec/template/spec/containers/0/args"


def stored_otherwise(**pod: Any) -> tuple[Any, Any]:
    """A Deployment, and what a mutating webhook made of our apply of it."""
    desired = deployment()
    live = applied(desired)
    live["spec"]["template"]["spec"]["containers"][0].update(pod)
    return desired, live


def test_rewritten_by_admission() -> None:
    """Our apply owns the value, Argo CD says it has synced this: the cluster rewrote it."""
    desired, live = stored_otherwise(args=["--port", "81"])
    assert told(changes(desired, live)) == [("modified", "declared", ARGS)]
    assert told(changes(desired, live, synced_here=True)) == [("modified", "rewritten", ARGS)]


def test_keys_that_are_gone_beside_marks_of_tools_are_named() -> None:
    """Git's only annotation is gone and Helm's are left: the key is missing, not the map."""
    desired = config_map(a="1")
    live = applied(desired)
    desired["metadata"]["annotations"] = {"backup": "nightly"}
    desired["metadata"]["labels"] = {"tier": "gold"}
    assert [one.path for one in changes(desired, live)] == [
        "/metadata/annotations",
        "/metadata/labels",
    ]
    live["metadata"]["annotations"] = {"meta.helm.sh/release-name": "queue"}
    live["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    found = changes(desired, live)
    assert told(found) == [
        ("missing", "declared", "/metadata/annotations/backup"),
        ("missing", "declared", "/metadata/labels/tier"),
    ]
    assert [one.desired for one in found] == ["nightly", "gold"]


def test_last_applied_record_is_evidence_for_rewriting() -> None:
    """A record that equals Git says that our apply sent Git's value; another one does not."""
    desired, live = stored_otherwise(args=["--port", "81"])
    sent = deepcopy(desired)
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(sent)}
    assert told(changes(desired, live)) == [("modified", "rewritten", ARGS)]
    sent["spec"]["replicas"] = 5
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(sent)}
    assert told(changes(desired, live)) == [("modified", "declared", ARGS)]


def test_a_field_that_no_apply_sent_is_not_synced_yet() -> None:
    """The record of a deployer's apply lacks it: nobody removed it. Sent once, somebody did."""
    desired = deployment()
    live = applied(desired)
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(desired)}
    recorder = live["metadata"]["managedFields"][0]
    recorder["fieldsV1"]["f:metadata"]["f:annotations"] = {f"f:{LAST_APPLIED}": {}}
    later = deepcopy(desired)
    later["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "C", "value": "3"})
    (found,) = changes(later, live)
    assert (found.kind, found.change_class, found.reason) == ("missing", "declared", NOT_APPLIED)
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(later)}
    assert [one.reason for one in changes(later, live)] == [
        "declared in Git, absent from the cluster"
    ]
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(desired)}
    recorder["manager"] = "alice"
    assert NOT_APPLIED not in [one.reason for one in changes(later, live)]


def test_critical_values_are_never_rewritten() -> None:
    """Another image under our name is drift, whatever Argo CD says."""
    desired, live = stored_otherwise(image="registry.example/evil:1")
    found = changes(desired, live, synced_here=True)
    assert [c.change_class for c in found] == ["declared"]


def test_somebody_elses_value_is_never_rewritten() -> None:
    """A value that somebody else owns was written by him."""
    desired, live = stored_otherwise()
    live["spec"]["replicas"] = 9
    live["metadata"]["managedFields"].append(entry("alice", {"f:spec": {"f:replicas": {}}}))
    found = changes(desired, live, synced_here=True)
    assert told(found) == [("modified", "declared", "/spec/replicas")]


@pytest.mark.parametrize(("writers", "named"), [(["alice"], "alice"), (["alice", "bob"], UNSET)])
def test_a_writer_at_another_version(writers: list[str], named: Any) -> None:
    """Who alone wrote names that this version lacks wrote what nobody owns here; of two, nobody."""
    desired, live = stored_otherwise()
    live["spec"]["replicas"] = 9
    live["metadata"]["managedFields"] = [
        {**entry(one, {"f:spec": {"f:size": {}}}), "apiVersion": "apps/v1beta1"} for one in writers
    ]
    (found,) = [one for one in changes(desired, live) if one.path == "/spec/replicas"]
    assert (found.kind, found.manager) == ("modified", named)
    if named is not UNSET:
        assert found.confidence == "likely"


def test_pending_when_live_equals_the_last_synced_revision() -> None:
    """Git is ahead where live still is what was synced; everything else stays drift."""
    synced = config_map(a="1", b="1")
    desired = config_map(a="2", b="2", c="new")
    live = applied(synced)
    live["data"]["b"] = "tampered"
    found = compare(key_of(desired), desired, live, node_of(desired), Context(), synced=synced)
    assert told(found.changes) == [
        ("modified", "pending", "/data/a"),
        ("modified", "declared", "/data/b"),
        ("missing", "pending", "/data/c"),
    ]


def test_deployers_are_named() -> None:
    """The managers that count as Git's hand are told, those of the application alone."""
    live = applied(config_map(a="1"), entry("alice", {"f:data": {"f:a": {}}}))
    body = config_map(a="1")
    found = compare(key_of(body), body, live, node_of(body), Context())
    assert found.deployers == {"argocd-controller"}
    own = Context(deployers=frozenset({"alice"}))
    assert compare(key_of(body), body, live, node_of(body), own).deployers == {"alice"}


def test_paths_of_each_kind() -> None:
    """Pointers into live, into desired and the managedFields path are given where they exist."""
    desired = deployment()
    live = applied(desired)
    env = live["spec"]["template"]["spec"]["containers"][0]["env"]
    env[0] = {"name": "NEW", "value": "9"}
    live["metadata"]["managedFields"].append(
        entry("alice", {"f:spec": {"f:template": {"f:spec": {"f:containers": {
            'k:{"name":"web"}': {"f:env": {'k:{"name":"NEW"}': {".": {}}}}}}}}})
    )  # fmt: skip
    missing, added = changes(desired, live)
    base = "/spec/template/spec/containers/0/env"
    assert (missing.kind, missing.path, missing.desired_path) == (
        "missing",
        f"{base}/0",
        f"{base}/0",
    )
    assert (missing.live, missing.desired) == (UNSET, {"name": "A", "value": "1"})
    assert (added.kind, added.path, added.desired_path) == ("added", f"{base}/0", UNSET)
    assert added.ssa_path == (
        'f:spec/f:template/f:spec/f:containers/k:{"name":"web"}/f:env/k:{"name":"NEW"}'
    )
    assert (added.manager, added.operation, added.confidence) == ("alice", "Update", "exact")


@pytest.mark.parametrize("metadata", [None, {}, {"name": "settings", "labels": None}])
def test_bare_metadata(metadata: Any) -> None:
    """Objects without usable metadata are compared by their content."""
    body = config_map(a="1")
    live: dict[str, Any] = {**config_map(a="2"), "metadata": metadata}
    found = compare(key_of(body), body, live, node_of(body), Context()).changes
    assert told(found) == [("modified", "declared", "/data/a")]


@pytest.mark.parametrize("operation", ["Apply", "Update"])
def test_a_persons_apply_is_never_rewriting(operation: str) -> None:
    """A person applies as `kubectl`; that Argo CD has synced does not make his value Git's."""
    desired, live = stored_otherwise(args=["--port", "81"])
    own = live["metadata"]["managedFields"][0]
    own["manager"], own["operation"] = "kubectl", operation
    if operation == "Update":
        own["fieldsV1"]["f:metadata"]["f:annotations"] = {f"f:{LAST_APPLIED}": {}}
        live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(live)}
    assert told(changes(desired, live, synced_here=True)) == [("modified", "declared", ARGS)]


def test_argo_cds_record_may_hold_its_own_mark() -> None:
    """Argo CD marks an object before it applies it: its record still equals Git."""
    desired, live = stored_otherwise(args=["--port", "81"])
    sent = deepcopy(desired)
    sent["metadata"]["annotations"] = {TRACKING_ID: "shop:apps/Deployment:shop/web"}
    sent["metadata"]["labels"]["app.kubernetes.io/instance"] = "shop"
    own = live["metadata"]["managedFields"][0]
    own["operation"] = "Update"
    own["fieldsV1"]["f:metadata"]["f:annotations"] = {f"f:{LAST_APPLIED}": {}}
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(sent)}
    found = changes(desired, live, instance_label="app.kubernetes.io/instance")
    assert told(found) == [("modified", "rewritten", ARGS)]


def test_what_somebody_added_is_not_pending() -> None:
    """A list that Git declares now and somebody made before holds his value, no pending one."""
    desired, synced = deployment(), deployment()
    desired["spec"]["template"]["spec"]["containers"][0]["ports"] = [
        {"containerPort": 80, "name": "http"}
    ]
    live = applied(synced)
    live["spec"]["template"]["spec"]["containers"][0]["ports"] = [
        {"containerPort": 80, "protocol": "TCP", "name": "other"}
    ]
    port = 'k:{"containerPort":80,"protocol":"TCP"}'
    live["metadata"]["managedFields"].append(
        entry("alice", {"f:spec": {"f:template": {"f:spec": {"f:containers": {
            'k:{"name":"web"}': {"f:ports": {port: {".": {}, "f:name": {}}}}}}}}})
    )  # fmt: skip
    found = compare(key_of(desired), desired, live, node_of(desired), Context(), synced=synced)
    path = "/spec/template/spec/containers/0/ports/0/name"
    assert told(found.changes) == [("modified", "declared", path)]


def test_no_whole_object_reaches_deepdiff(monkeypatch: pytest.MonkeyPatch) -> None:
    """What deepdiff is given is the three changed places and their ancestors, nothing else."""
    given: list[Any] = []

    class Recorder(deepdiff.DeepDiff):  # type: ignore[misc]
        """The real one, which keeps what it was called with."""

        def __init__(self, before: Any, after: Any, **options: Any) -> None:
            given.extend((before, after))
            super().__init__(before, after, **options)

    monkeypatch.setattr(deepdiff, "DeepDiff", Recorder)
    desired = deployment()
    pod = desired["spec"]["template"]["spec"]
    pod["containers"] += [{"name": f"c{n}", "image": f"registry.example/{n}"} for n in range(50)]
    live = applied(desired)
    live["spec"]["replicas"] = 9
    live["spec"]["template"]["spec"]["containers"][7]["image"] = "registry.example/evil"
    live["spec"]["template"]["metadata"]["labels"]["app"] = "other"
    assert len(changes(desired, live)) == 3

    def scalars(tree: Any) -> int:
        return sum(map(scalars, tree.values())) if isinstance(tree, dict) else 1

    assert [scalars(tree) for tree in given] == [3, 3]
    assert sum(len(json.dumps(tree)) for tree in given) < 1000
