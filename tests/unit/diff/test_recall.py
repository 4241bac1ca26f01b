"""Evidence of earlier looks, where a real API server is not needed to show it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from driftd.diff.compare import Comparison, Context, compare
from driftd.diff.history import History, Moment, decode, encode
from driftd.diff.mask import Sealer
from driftd.model.report import UNSET
from tests.unit.diff.objects import (
    CREATED,
    applied,
    config_map,
    deployment,
    entry,
    key_of,
    node_of,
    told,
)

DATA = {"f:data": {"f:evil": {}}}
BEFORE, NOW = "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"


def seen(
    desired: Any, live: Any, history: History | None = None, now: str = BEFORE, **context: Any
) -> Comparison:
    """A look that knows what the last one left behind."""
    moment = Moment(now=now, schema_hash="s")
    return compare(
        key_of(desired), desired, live, node_of(desired), Context(**context),
        history=history and decode(encode(history)), moment=moment,
    )  # fmt: skip


def of(live: Any, version: int, uid: str = "u") -> Any:
    """The live object at a resourceVersion."""
    live = deepcopy(live)
    live["metadata"] |= {"uid": uid, "resourceVersion": str(version)}
    return live


def after(desired: Any, live: Any, **context: Any) -> History:
    """What a clean look leaves behind."""
    found = seen(desired, live, **context)
    assert found.changes == ()
    assert found.history is not None
    assert found.history.look is not None
    assert found.history.look.open == ()
    return found.history


def with_data(live: Any, version: int, **data: str) -> Any:
    """The live object with more data that nobody owns."""
    live = of(live, version)
    live["data"] = {**live.get("data", {}), **data}
    return live


def test_no_moment_no_history() -> None:
    """Who gives no moment gets no history and the verdict of before."""
    body = config_map(a="1")
    found = compare(key_of(body), body, applied(body), node_of(body), Context())
    assert found.history is None


def test_same_version_is_evidence_that_nobody_wrote() -> None:
    """At the same resourceVersion a new value is the server's own: nobody wrote."""
    body = config_map(a="1")
    live = of(applied(body), 1)
    history = after(body, live)
    for version, change_class in ((1, "injected"), (2, "undeclared")):
        found = seen(body, with_data(live, version, evil="1"), history, NOW)
        assert told(found.changes) == [("added", change_class, "/data/evil")]


def test_unowned_extras_of_the_first_look_are_no_drift() -> None:
    """What was there before driftd came is injected; a changed value afterwards is drift."""
    body = config_map(a="1")
    live = of(applied(body), 1)
    first = seen(body, with_data(live, 1, hook="1"))
    assert told(first.changes) == [("added", "injected", "/data/hook")]
    same = seen(body, with_data(live, 2, hook="1"), first.history, NOW)
    assert told(same.changes) == [("added", "injected", "/data/hook")]
    changed = seen(body, with_data(live, 2, hook="2"), first.history, NOW)
    assert told(changed.changes) == [("added", "undeclared", "/data/hook")]


@pytest.mark.parametrize(
    ("time", "change_class"),
    [("2026-03-01T10:30:00Z", "injected"), (BEFORE, "injected"), (CREATED, "undeclared")],
)
def test_deployers_write_with_a_reason(time: str, change_class: str) -> None:
    """A deployer that wrote since, or in the second of the look, may have brought a webhook's."""
    body, later = config_map(a="1"), config_map(a="2")
    history = after(body, of(applied(body), 1))
    live = with_data(applied(later), 2, hook="1")
    live["metadata"]["managedFields"][0]["time"] = time
    found = seen(later, live, history, NOW)
    assert told(found.changes) == [("added", change_class, "/data/hook")]


def test_deployers_write_without_a_reason() -> None:
    """While Git stands still and live agreed with it, a deployer's write explains nothing new."""
    body = config_map(a="1")
    live = of(applied(body), 1)
    history = after(body, live)
    live = with_data(live, 2, hook="1")
    live["metadata"]["managedFields"][0]["time"] = "2026-03-01T10:30:00Z"
    found = seen(body, live, history, NOW)
    assert told(found.changes) == [("added", "undeclared", "/data/hook")]


def test_forged_only_if_it_is_new() -> None:
    """A deployer's extra of the first look was declared once; one that comes later was not."""
    body = config_map(a="1")
    own = entry("kubectl", DATA)
    live = of(applied(body, own), 1)
    live["data"]["evil"] = "1"
    first = seen(body, live)
    assert told(first.changes) == [("formerly-declared", "declared", "/data/evil")]
    second = seen(body, of(live, 2), first.history, NOW)
    assert told(second.changes) == [("formerly-declared", "declared", "/data/evil")]
    fresh = seen(body, of(live, 2), after(body, of(applied(body), 1)), NOW)
    assert told(fresh.changes) == [("added", "undeclared", "/data/evil")]


def test_deployer_between_two_revisions() -> None:
    """What Git may have declared between two looks is formerly declared: nobody can know."""
    body, later = config_map(a="1"), config_map(a="2")
    history = after(body, of(applied(body), 1))
    live = of(applied(later, entry("kubectl", DATA)), 2)
    live["data"]["evil"] = "1"
    found = seen(later, live, history, NOW)
    assert told(found.changes) == [("formerly-declared", "declared", "/data/evil")]


def test_known_rewriting_stays_rewritten() -> None:
    """A webhook's value of the first look is no forged one, however often Argo CD applies."""
    body = deployment()
    live = of(applied(body), 1)
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["args"] = ["--port", "81"]
    path = "/spec/template/spec/containers/0/args"
    first = seen(body, live, synced_here=True)
    second = seen(body, of(live, 2), first.history, NOW, synced_here=True)
    assert told(second.changes) == [("modified", "rewritten", path)]
    container["args"] = ["--port", "82"]
    third = seen(body, of(live, 3), second.history, NOW, synced_here=True)
    assert told(third.changes) == [("modified", "declared", path)]


def test_vanished_with_its_parent_is_told_once() -> None:
    """An injected variable of a container that somebody removed is not told beside it."""
    body = deployment()
    live = of(applied(body), 1)
    pod = live["spec"]["template"]["spec"]
    pod["containers"][0]["env"].append({"name": "MESH", "value": "1"})
    first = seen(body, live)
    assert [c.change_class for c in first.changes] == ["injected"]
    pod["containers"] = []
    found = seen(body, of(live, 2), first.history, NOW)
    assert [(c.kind, c.path) for c in found.changes] == [
        ("missing", "/spec/template/spec/containers/0")
    ]


def test_vanished_after_a_deployers_write() -> None:
    """A deployer that brought another revision may have redeployed without the webhook."""
    body, later = config_map(a="1"), config_map(a="2")
    live = of(applied(body), 1)
    first = seen(body, with_data(live, 1, hook="1"))
    gone = of(live, 2)
    found = seen(body, gone, first.history, NOW)
    assert told(found.changes) == [("missing", "undeclared", "/data/hook")]
    released = of(applied(later), 2)
    for time, expected in ((CREATED, found.changes), ("2026-03-01T10:30:00Z", ())):
        released["metadata"]["managedFields"][0]["time"] = time
        assert told(seen(later, released, first.history, NOW).changes) == told(expected)
    assert seen(later, of(released, 3), found.history, NOW).changes == ()
    gone["metadata"]["managedFields"][0]["time"] = "2026-03-01T10:30:00Z"
    assert told(seen(body, gone, first.history, NOW).changes) == told(found.changes)


@pytest.mark.parametrize("mended", [True, False])
def test_standing_drift_is_no_reason(mended: bool) -> None:
    """A deployer who leaves the drift of the last look as it was had no reason to write."""
    body = config_map(a="1", b="1")
    live = of(applied(body), 1)
    live["data"]["b"] = "9"
    first = seen(body, live)
    assert told(first.changes) == [("modified", "declared", "/data/b")]
    live = with_data(live, 2, hook="1", **({"b": "1"} if mended else {}))
    live["metadata"]["managedFields"][0]["time"] = "2026-03-01T10:30:00Z"
    found = told(seen(body, live, first.history, NOW).changes)
    if mended:
        assert found == [("added", "injected", "/data/hook")]
    else:
        assert found == [*told(first.changes), ("added", "undeclared", "/data/hook")]


def test_vanished_label_is_for_review() -> None:
    """A label of the object itself that is gone is worth a look, no alarm."""
    body = config_map(a="1")
    live = of(applied(body), 1)
    live["metadata"]["labels"] = {"hook": "1"}
    first = seen(body, live)
    del live["metadata"]["labels"]
    found = seen(body, of(live, 2), first.history, NOW)
    assert told(found.changes) == [("missing", "review", "/metadata/labels/hook")]


def test_what_vanished_together_is_told_together() -> None:
    """An injected struct that is gone is one finding, not one per field."""
    body = deployment()
    live = of(applied(body), 1)
    pod = live["spec"]["template"]["spec"]
    pod["dnsConfig"] = {"nameservers": ["192.0.2.1"], "searches": ["example.com"]}
    first = seen(body, live)
    del pod["dnsConfig"]
    for version in (2, 3):
        found = seen(body, of(live, version), first.history, NOW)
        path = "/spec/template/spec/dnsConfig"
        assert told(found.changes) == [("missing", "undeclared", path)]
        assert found.changes[0].ssa_path == "f:spec/f:template/f:spec/f:dnsConfig"
        first = found


def test_writer_of_what_vanished_stays_the_same() -> None:
    """Who wrote between the two looks is named at every later look, whoever writes then."""
    body = config_map(a="1")
    live = of(applied(body), 1)
    first = seen(body, with_data(live, 1, hook="1"))
    bob = of(applied(body, entry("bob", {"f:metadata": {}}, time=NOW)), 2)
    second = seen(body, bob, first.history, NOW)
    eve = entry("eve", {"f:metadata": {}}, time=NOW)
    both = of(applied(body, entry("bob", {"f:metadata": {}}, time=NOW), eve), 3)
    third = seen(body, both, second.history, "2026-03-01T12:00:00Z")
    for found in (second, third):
        (change,) = found.changes
        assert (change.kind, change.manager, change.confidence) == ("missing", "bob", "likely")
        assert change.attribution == {"after": BEFORE, "before": NOW}


def test_git_declares_what_was_injected() -> None:
    """What Git declares now is Git's: its absence is told once, as declared."""
    body, later = config_map(a="1"), config_map(a="1", hook="1")
    live = of(applied(body), 1)
    first = seen(body, with_data(live, 1, hook="1"))
    found = seen(later, of(live, 2), first.history, NOW)
    assert told(found.changes) == [("missing", "declared", "/data/hook")]


def test_status_is_no_writer_of_a_removal() -> None:
    """Who wrote the status alone is not held responsible; the only other writer probably is."""
    body = config_map(a="1", b="1")
    history = after(body, of(applied(body), 1))
    status = entry("kube-controller-manager", {"f:status": {}}, subresource="status", time=NOW)
    alice = entry("alice", {"f:metadata": {}}, time=NOW)
    bob = entry("bob", {"f:metadata": {}}, time=NOW)
    confidences = []
    for writers in ((status,), (status, alice), (alice, bob)):
        live = of(applied(body, *writers), 2)
        del live["data"]["b"]
        (change,) = seen(body, live, history, NOW).changes
        assert change.attribution == {"after": BEFORE, "before": NOW}
        confidences.append((change.confidence, change.manager or None))
    assert [confidence for confidence, _ in confidences] == ["window", "likely", "window"]
    assert confidences[1][1] == "alice"


def test_an_apply_without_a_time_is_no_writer_of_a_removal() -> None:
    """It had changed nothing, and its set shrinks when somebody else removes what it names."""
    body = config_map(a="1", b="1")
    live = applied(body)
    del live["metadata"]["managedFields"][0]["time"]
    history = after(body, of(live, 1))
    live = of(live, 2)
    del live["data"]["b"]
    del live["metadata"]["managedFields"][0]["fieldsV1"]["f:data"]["f:b"]
    (change,) = seen(body, live, history, NOW).changes
    assert (change.kind, change.manager, change.confidence) == ("missing", UNSET, "window")


def test_nobody_is_named_for_an_addition_without_owner() -> None:
    """Who added it has removed his own entry, so whoever has one is somebody else."""
    body = config_map(a="1")
    history = after(body, of(applied(body), 1))
    bob = entry("bob", {"f:metadata": {}}, time=NOW)
    live = with_data(applied(body, bob), 2, evil="1")
    (change,) = seen(body, live, history, NOW).changes
    assert (change.kind, change.manager, change.confidence) == ("added", UNSET, "window")
    assert change.attribution == {"after": BEFORE, "before": NOW}


def test_old_difference_gets_no_window() -> None:
    """What was missing at the first look was removed before it, whatever is written since."""
    body = config_map(a="1", b="1")
    live = of(applied(body), 1)
    del live["data"]["b"]
    first = seen(body, live)
    second = seen(body, of(live, 2), first.history, NOW)
    assert [bool(c.attribution) for c in (*first.changes, *second.changes)] == [False, False]


def test_another_key_makes_no_alarm() -> None:
    """Secret values that another key had digested, or none, are unknown, not changed."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": "shop"},
        "data": {"a": "YQ=="},
    }
    live = of(applied(body), 1)
    history = None
    for number, sealer in enumerate((Sealer(b"a" * 32), Sealer(b"b" * 32), None)):
        found = seen(body, with_data(live, number, hook="YQ=="), history, NOW, sealer=sealer)
        assert told(found.changes) == [("added", "injected", "/data/hook")]
        history = found.history
    keyed = seen(body, with_data(live, 7, hook="YQ=="), sealer=Sealer(b"a" * 32)).history
    changed = seen(body, with_data(live, 8, hook="b3RoZXI="), keyed, NOW, sealer=Sealer(b"a" * 32))
    assert told(changed.changes) == [("added", "undeclared", "/data/hook")]


def test_a_look_that_differs_is_not_settled() -> None:
    """Pending and drifted looks leave a deployer a reason to write."""
    body, later = config_map(a="1"), config_map(a="2")
    history = after(body, of(applied(body), 1))
    moment = Moment(now=NOW, schema_hash="s")
    for synced in (None, body):
        found = compare(
            key_of(later), later, of(applied(body), 1), node_of(later), Context(),
            synced=synced, history=history, moment=moment,
        )  # fmt: skip
        assert found.history is not None
        assert found.history.look is not None
        assert len(found.history.look.open) == 1


def test_without_a_key_no_history_depends_on_a_secret() -> None:
    """What is left of a Secret is byte for byte the same whatever its values are."""

    def left(value: str, extra: str, sealer: Sealer | None) -> bytes:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "login", "namespace": "shop"},
            "data": {"a": value},
        }
        later = {**body, "data": {}}
        live = with_data(applied(body), 1, hook=extra)
        first = seen(body, live, sealer=sealer)
        second = seen(later, with_data(live, 2, new=extra), first.history, NOW, sealer=sealer)
        assert {c.path for c in second.changes} == {"/data/a", "/data/hook", "/data/new"}
        assert first.history is not None
        assert second.history is not None
        return encode(first.history) + encode(second.history)

    keyed = Sealer(b"k" * 32)
    assert left("YQ==", "Yg==", None) == left("Yw==", "ZA==", None)
    assert left("YQ==", "Yg==", keyed) != left("Yw==", "Yg==", keyed)
    assert left("YQ==", "Yg==", keyed) != left("YQ==", "ZA==", keyed)
