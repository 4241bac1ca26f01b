"""How much a change matters."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.model.report import Change, ChangeClass, ChangeKind
from driftd.policy.severity import ORDER, severity

POD = "/spec/template/spec"


def change(
    path: str,
    *,
    change_class: ChangeClass = ChangeClass.DECLARED,
    kind: ChangeKind = ChangeKind.MODIFIED,
    live: Any = "x",
) -> Change:
    """A change at a path."""
    return Change(kind=kind, change_class=change_class, path=path, live=live)


@pytest.mark.parametrize(
    ("kind", "made", "level"),
    [
        ("Deployment", change(f"{POD}/hostNetwork"), "critical"),
        ("Deployment", change(f"{POD}/containers/0/image"), "critical"),
        ("Deployment", change(f"{POD}/containers/3", kind=ChangeKind.ADDED), "critical"),
        ("Deployment", change(POD, kind=ChangeKind.ADDED, live={"hostPID": True}), "critical"),
        ("Deployment", change("/spec/replicas"), "high"),
        ("Deployment", change(f"{POD}/containers/0/env/1/value"), "high"),
        ("ConfigMap", change("/data/a~1b"), "high"),
        ("Deployment", change(f"{POD}/dnsPolicy"), "medium"),
        ("Deployment", change("/metadata/labels/team"), "low"),
        ("Deployment", change("/spec/minReadySeconds", kind=ChangeKind.REORDERED), "low"),
        ("Deployment", change("/metadata/labels/a", change_class=ChangeClass.REVIEW), "info"),
        ("Deployment", change("/spec/replicas", change_class=ChangeClass.REWRITTEN), "info"),
        ("Deployment", change("/spec/replicas", change_class=ChangeClass.PENDING), "info"),
        ("Deployment", change(f"{POD}/dnsPolicy", change_class=ChangeClass.INJECTED), "info"),
    ],
)
def test_levels(kind: str, made: Change, level: str) -> None:
    """Power and traffic first, what runs next, then the rest; what is no drift is information."""
    assert severity(kind, made)[0] == level


@pytest.mark.parametrize(
    ("kind", "made", "reason"),
    [
        ("Deployment", change(f"{POD}/containers/0/image"), "an image decides what runs"),
        ("Deployment", change(f"{POD}/hostNetwork"), "host network"),
        ("Deployment", change(POD, live={"hostPID": True}), "the node's processes"),
        ("ClusterRole", change("/rules/0/verbs"), "RBAC hands out rights"),
        ("Service", change("/spec/externalIPs"), "decides where traffic goes"),
        ("Deployment", change("/spec/replicas"), "how many Pods run"),
        ("ConfigMap", change("/data/a~1b"), "configuration that programs read"),
        ("Deployment", change("/metadata/labels/team"), "only metadata"),
        ("Job", change("/spec/x", change_class=ChangeClass.PENDING), "Git is ahead of the cluster"),
    ],
)
def test_reasons(kind: str, made: Change, reason: str) -> None:
    """The reason names what the place does, of the place inside a struct if that decides."""
    assert severity(kind, made)[1] == reason


@pytest.mark.parametrize("change_class", list(ChangeClass))
@pytest.mark.parametrize("path", ["", "/spec", "/metadata/labels/a", "/data/x", f"{POD}/hostPID"])
def test_every_level_has_a_reason(change_class: ChangeClass, path: str) -> None:
    """No change is rated without a reason that fits in a column."""
    reason = severity("Deployment", change(path, change_class=change_class))[1]
    assert 5 < len(reason) <= 60


def test_critical_outranks_its_class() -> None:
    """A review or a rewriting at a critical place is critical all the same."""
    for change_class in (ChangeClass.REVIEW, ChangeClass.REWRITTEN):
        made = change("/spec/hostIPC", change_class=change_class)
        assert severity("Pod", made) == ("critical", "the node's shared memory")


def test_a_numeric_map_key_is_no_list_step() -> None:
    """A data key that is a number is compared like any other key."""
    assert severity("ConfigMap", change("/data/0"))[0] == "high"


def test_order_has_every_level_once() -> None:
    """The order of levels is complete, worst first."""
    assert ORDER == ("critical", "high", "medium", "low", "info")


@pytest.mark.parametrize(
    ("desired", "live", "level"),
    [
        ("ghcr.io/a/b:1", "ghcr.io/a/b:2", "high"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b@sha256:0f", "high"),
        ("reg:5000/a:1@sha256:0e", "reg:5000/a:1@sha256:0f", "high"),
        ("ghcr.io/a/b:1", "ghcr.io/evil/b:1", "critical"),
        ("reg:5000/a:1", "reg:5001/a:1", "critical"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b", "critical"),
        ("reg:5000/a", "reg:5000/a:1", "critical"),
    ],
)
def test_images(desired: str, live: str, level: str) -> None:
    """Another version of one image is high; another image, or one without version, is critical."""
    made = Change(
        kind=ChangeKind.MODIFIED,
        change_class=ChangeClass.DECLARED,
        path=f"{POD}/containers/0/image",
        desired=desired,
        live=live,
    )
    assert severity("Deployment", made)[0] == level
