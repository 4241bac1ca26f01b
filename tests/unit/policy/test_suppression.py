"""Suppressions hide a place until a day: what they cover, never a critical change, all told."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from driftd.diff.explain import parse
from driftd.model.report import ApplicationReport, Change, ChangeClass, ChangeKind
from driftd.policy.suppression import (
    SUPPRESSED,
    Applied,
    NamedSuppression,
    SuppressedPath,
    SuppressionEntry,
    conditions,
    suppressed,
)
from tests.unit.policy.test_baseline import CHANGES, TODAY, change, report

IMAGE = change(
    path="/spec/template/spec/containers/1/resources/limits/cpu",
    ssa_path='f:spec/f:template/f:spec/f:containers/k:{"name":"app"}/f:resources/f:limits/f:cpu',
)
PORT = change(
    path="/spec/template/spec/containers/0/ports/0",
    ssa_path='f:spec/f:template/f:spec/f:containers/k:{"name":"app"}'
    '/f:ports/k:{"containerPort":80,"protocol":"TCP"}',
)
ATOMIC = change(path="/spec/hosts/0", ssa_path="f:spec/f:hosts/i:0")


def entry(*paths: str, **fields: Any) -> NamedSuppression:
    """An entry for Deployments."""
    given_fields: dict[str, Any] = {
        "kind": "Deployment",
        "paths": paths,
        "owner": "platform",
        "reason": "the autoscaler's",
        "expires": TODAY,
    }
    one = SuppressionEntry(**(given_fields | fields))
    return NamedSuppression("s#1", one, tuple(SuppressedPath(p, parse(p)) for p in paths))


def marks(
    one: NamedSuppression, *changes: Change, app: ApplicationReport | None = None
) -> tuple[list[Any], list[str]]:
    """By what each change is ignored, and the conditions that were told meanwhile."""
    app = app or report(*changes)
    applied = Applied()
    found = suppressed([one], app, app.resources[0], applied)
    return (
        [one.ignored_by for one in found.changes],
        [f"{told.type}: {told.message}" for told in applied.told.values()],
    )


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("spec.replicas", [True, False, False, False]),
        ("/spec/replicas", [True, False, False, False]),
        ("spec", [True, True, True, True]),
        ("containers[name=app]", [False, True, True, False]),
        ("containers[name=app].resources", [False, True, False, False]),
        ("spec.template.spec.containers[name=app].resources", [False, True, False, False]),
        ("containers[name=other]", [False, False, False, False]),
        ("containers[name=app].ports[containerPort=80,protocol=TCP]", [False, False, True, False]),
        ("/containers", [False, False, False, False]),
        ("spec.replica", [False, False, False, False]),
        ("spec.replicas.below", [False, False, False, False]),
        ("spec.hosts", [False, False, False, True]),
    ],
)
def test_paths(path: str, found: list[bool]) -> None:
    """A path covers its place and all below it, in the form of tables and as a pointer."""
    marked, told = marks(entry(path), change(), IMAGE, PORT, ATOMIC)
    assert [one == "s#1" for one in marked] == found
    assert told == []


def test_pod_template_is_left_out_only_in_workloads() -> None:
    """In a custom resource a path means what it says."""
    app = report(IMAGE)
    odd = msgspec.structs.replace(app.resources[0], group="example.com")
    app = msgspec.structs.replace(app, resources=(odd,))
    assert marks(entry("containers[name=app]"), app=app)[0] == [UNSET]
    assert marks(entry("spec.template.spec.containers[name=app]"), app=app)[0] == ["s#1"]


def test_positions_in_lists() -> None:
    """A position is turned into keys and told; where items have no keys it hides nothing."""
    marked, told = marks(entry("/spec/template/spec/containers/1/resources"), IMAGE)
    assert marked == ["s#1"]
    assert told == [
        (
            "SuppressionPosition: s#1 names a list item of Deployment web by its position in "
            "/spec/template/spec/containers/1/resources: write [name=app] instead"
        )
    ]
    marked, told = marks(entry("spec.hosts[0]"), ATOMIC)
    assert marked == [UNSET]
    assert told == [
        (
            "SuppressionFailed: s#1 cannot use spec.hosts[0]: items of that list have no keys; "
            "name the list itself"
        )
    ]


@pytest.mark.parametrize(
    ("fields", "hidden"),
    [
        ({}, True),
        ({"kind": "Deploy*.apps"}, True),
        ({"kind": "Deployment.extensions"}, False),
        ({"kind": "", "name": "w?b"}, True),
        ({"kind": "StatefulSet"}, False),
        ({"application": "web"}, True),
        ({"application": "argocd/w*"}, True),
        ({"application": "api"}, False),
        ({"cluster": "o*"}, True),
        ({"cluster": "two"}, False),
        ({"namespace": "shop-*"}, False),
        ({"managers": ("bob", "al*")}, True),
        ({"managers": ("bob",)}, False),
    ],
)
def test_what_an_entry_speaks_of(fields: dict[str, Any], hidden: bool) -> None:
    """Every given field must fit; globs are matched with case."""
    assert (marks(entry("spec.replicas", **fields), change())[0] == ["s#1"]) is hidden


def test_critical_change_is_told() -> None:
    """A critical change under a covered path stays drift, and the entry that covers it is told."""
    critical = change(severity="critical", severity_reason="host network")
    marked, told = marks(entry("spec"), critical)
    assert marked == [UNSET]
    assert told == [
        (
            "SuppressionRefused: s#1 covers Deployment web /spec/replicas, which is told all the "
            "same: critical: host network"
        )
    ]


def test_rule_keeps_its_mark_and_pending_stays() -> None:
    """A change that a rule of the Application ignores is not claimed; pending is not hidden."""
    pending = change(change_class=ChangeClass.PENDING, severity="info")
    assert marks(entry("spec"), change(ignored_by="rule"), pending) == (["rule", UNSET], [])


def test_unused_and_expired_are_warnings() -> None:
    """Expired entries and those that match nothing are told where everything was seen."""
    one = entry("spec.replicas")

    def types(
        used: set[str], day: date, *reports: ApplicationReport, **more: tuple[str, ...]
    ) -> list[str]:
        return [f"{c.type} {c.severity}" for c in conditions([one], used, reports, day, **more)]

    assert types({"s#1"}, TODAY, report()) == []
    assert types(set(), TODAY, report()) == ["SuppressionUnused warning"]
    assert types(set(), TODAY, report(complete=False)) == []
    assert types(set(), TODAY) == []
    assert types(set(), TODAY, names=("argocd/web",)) == []
    assert types(set(), TODAY, report(), names=("argocd/web",)) == ["SuppressionUnused warning"]
    assert types(set(), TODAY, names=()) == ["SuppressionApplicationUnknown warning"]
    assert types(set(), TODAY + timedelta(days=1), report()) == ["SuppressionExpired warning"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": ""}, "`kind` or `name`"),
        ({"kind": "*", "name": "*"}, "`kind` or `name`"),
        ({"paths": []}, "length >= 1"),
        ({"owner": ""}, "length >= 1"),
        ({"name": "web", "colour": "red"}, "unknown field `colour`"),
        ({"expires": "soon"}, "Invalid"),
    ],
)
def test_refused_entries(fields: dict[str, Any], words: str) -> None:
    """An entry for everything, without owner, with unknown fields or no date is refused."""
    good = {
        "kind": "Deployment",
        "paths": ["spec.replicas"],
        "owner": "platform",
        "reason": "known",
        "expires": "2026-03-04",
    }
    msgspec.convert(good, SuppressionEntry)
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(good | fields, SuppressionEntry)


@settings(deadline=None, max_examples=200)
@given(seen=CHANGES, path=st.sampled_from(["spec", "/spec", "spec.a", "spec.b", "/spec/a"]))
def test_never_hides_a_critical_change(seen: Change, path: str) -> None:
    """No entry marks a critical change or one of a class that it may not hide."""
    (mark,), told = marks(entry(path), seen)
    if seen.severity == "critical" or seen.change_class not in SUPPRESSED:
        assert mark is UNSET
    assert bool(told) is (
        seen.severity == "critical"
        and seen.change_class in SUPPRESSED
        and (path in ("spec", "/spec") or str(seen.ssa_path)[-1] == path[-1])
    )


def test_missing_place_is_found_by_its_desired_position() -> None:
    """A change whose path points into Git's object is covered as well."""
    gone = msgspec.structs.replace(PORT, kind=ChangeKind.MISSING)
    assert marks(entry("containers[name=app].ports"), gone)[0] == ["s#1"]
