"""Who made a change, in words: the person before the field manager."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.cli.authors import author_of, evidence, name_of, whole_author
from driftd.model.report import (
    Attribution,
    Change,
    ChangeClass,
    ChangeKind,
    ResourceReport,
    ResourceStatus,
)

NOW = "2026-03-01T12:00:00Z"
ALICE: Attribution = {
    "user": "alice@example.com",
    "userAgent": "kubectl/v1.36.0 (linux/amd64)",
    "sourceIPs": ["192.0.2.7", "10.0.0.1"],
    "verb": "patch",
    "auditID": "id-1",
    "time": "2026-03-01T11:48:00Z",
}


def change(**fields: Any) -> Change:
    """A modified field."""
    known = {"kind": ChangeKind.MODIFIED, "change_class": ChangeClass.DECLARED, "path": "/x"}
    return Change(**(known | fields))


def test_a_person_wins_over_the_manager() -> None:
    """The person is named first, the manager and its operation beside it, then the time."""
    found = change(
        attribution=ALICE,
        confidence="audit",
        manager="kubectl-edit",
        operation="Update",
        time="2026-03-01T11:47:59Z",
    )
    assert author_of(found, NOW) == (
        "by alice@example.com (kubectl-edit, Update), 12m ago (2026-03-01T11:47:59Z), audit log"
    )
    assert name_of(found) == "alice@example.com"


def test_without_a_trace_the_program_is_told() -> None:
    """Of a removal the program is the user agent's, the time that of the event."""
    found = change(kind=ChangeKind.MISSING, attribution=ALICE, confidence="audit")
    assert author_of(found, "") == (
        "by alice@example.com (kubectl), 2026-03-01T11:48:00Z, audit log"
    )


@pytest.mark.parametrize(
    ("user", "acted", "told"),
    [
        ("system:serviceaccount:ci:robot", "", "service account ci/robot"),
        ("system:serviceaccount:odd", "", "system:serviceaccount:odd"),
        ("admin", "bob", "admin as bob"),
        (
            "system:serviceaccount:ci:robot",
            "system:serviceaccount:shop:web",
            "service account ci/robot as service account shop/web",
        ),
    ],
)
def test_names(user: str, acted: str, told: str) -> None:
    """Service accounts are called such, and both are told where one acts as another."""
    attribution: Attribution = {"user": user}
    if acted:
        attribution["impersonatedUser"] = acted
    assert name_of(change(attribution=attribution, confidence="audit")) == told


@pytest.mark.parametrize(
    ("users", "more", "told"),
    [
        (["alice"], 0, "perhaps alice (audit log)"),
        (["alice", "bob"], 0, "one of alice and bob (audit log)"),
        (["alice", "bob", "eve"], 4, "one of alice, bob, eve and 4 more (audit log)"),
    ],
)
def test_candidates(users: list[str], more: int, told: str) -> None:
    """Where the log leaves several, they are told beside the manager, and nobody is accused."""
    attribution: Attribution = {"candidates": [{"user": user} for user in users]}
    if more:
        attribution["more"] = more
    found = change(manager="kubectl", confidence="exact", attribution=attribution)
    assert author_of(found, NOW) == f"by kubectl, exact, {told}"
    assert name_of(found) == "kubectl"


def test_evidence() -> None:
    """The event is told with verb, program, addresses, time and id."""
    assert evidence(ALICE) == (
        "patch by kubectl/v1.36.0 (linux/amd64) from 192.0.2.7, 10.0.0.1 "
        "at 2026-03-01T11:48:00Z (audit ID id-1)"
    )
    assert evidence({**ALICE, "writes": 3}).startswith("the last of 3 writes, patch by")
    assert evidence({"candidates": [{"user": "alice"}]}) == ""


@pytest.mark.parametrize(
    ("status", "fields", "told"),
    [
        (
            ResourceStatus.MISSING,
            {"attribution": ALICE},
            "deleted by alice@example.com (kubectl) at 2026-03-01T11:48:00Z",
        ),
        (
            ResourceStatus.EXTRA,
            {"attribution": ALICE, "manager": "helm"},
            "created by alice@example.com (helm) at 2026-03-01T11:48:00Z",
        ),
        (ResourceStatus.EXTRA, {"manager": "helm"}, "created by helm"),
        (
            ResourceStatus.MISSING,
            {"attribution": {"candidates": [{"user": "bob"}]}},
            "deleted perhaps by bob (audit log)",
        ),
        (ResourceStatus.MISSING, {}, ""),
        (ResourceStatus.OUT_OF_SYNC, {"attribution": ALICE}, ""),
    ],
)
def test_whole_objects(status: ResourceStatus, fields: dict[str, Any], told: str) -> None:
    """Of a Missing object who deleted it, of an Extra one who created it."""
    found = ResourceReport(
        group="",
        version="v1",
        kind="ConfigMap",
        namespace="shop",
        name="x",
        status=status,
        **fields,
    )
    assert whole_author(found) == told


def test_names_cannot_steer_a_terminal() -> None:
    """User names and user agents come from requests: what could hide or steer is escaped."""
    hostile: Attribution = {**ALICE, "user": "a\x1b[2J\u202eb", "userAgent": "k\x1b[0m/1\n2"}
    found = change(attribution=hostile, confidence="audit")
    for text in (author_of(found, NOW), name_of(found), evidence(hostile)):
        assert text.isprintable()
