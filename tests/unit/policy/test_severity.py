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
    assert severity(kind, made) == level


def test_critical_outranks_its_class() -> None:
    """A review or a rewriting at a critical place is critical all the same."""
    for change_class in (ChangeClass.REVIEW, ChangeClass.REWRITTEN):
        assert severity("Pod", change("/spec/hostIPC", change_class=change_class)) == "critical"


def test_a_numeric_map_key_is_no_list_step() -> None:
    """A data key that is a number is compared like any other key."""
    assert severity("ConfigMap", change("/data/0")) == "high"


def test_order_has_every_level_once() -> None:
    """The order of levels is complete, worst first."""
    assert ORDER == ("critical", "high", "medium", "low", "info")
