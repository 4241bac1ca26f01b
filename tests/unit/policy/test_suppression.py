"""Suppressions hide a place until a day: what they cover, never a critical change, all told."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from driftd.diff.explain import parse
from driftd.model.report import (
    ApplicationReport,
    Change,
    ChangeClass,
    ChangeKind,
    ResourceReport,
    ResourceStatus,
)
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
        ({"paths": []}, "`paths` (fields) or `objects`"),
        ({"objects": ["Gone"]}, "Invalid enum value 'Gone'"),
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
    with pytest.raises(msgspec.ValidationError, match=re.escape(words)):
        msgspec.convert(good | fields, SuppressionEntry)


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("spec.rep*", [True, False, False, False]),
        ("spec.*", [True, True, True, True]),
        ("containers[*].resources", [False, True, False, False]),
        ("containers[name=a*]", [False, True, True, False]),
        ("containers[name=b*]", [False, False, False, False]),
        ("containers[*].ports[*]", [False, False, True, False]),
        ("containers[name=app].ports[containerPort=8?,protocol=*]", [False, False, True, False]),
        ("containers[name=app].ports[containerPort=*,protocol=T?P]", [False, False, True, False]),
        ("containers[name=app].ports[containerPort=*]", [False, False, False, False]),
        ("spec.hosts[*]", [False, False, False, True]),
        ("**.replicas", [True, False, False, False]),
        ("spec.**.replicas", [True, False, False, False]),
        ("spec.**.cpu", [False, True, False, False]),
        ("spec.**.containers[name=app].**.cpu", [False, True, False, False]),
        ("**[name=app].**.limits", [False, True, False, False]),
        ("**[name=app]", [False, True, True, False]),
        ("**.ports[containerPort=80,protocol=*]", [False, False, True, False]),
        ("spec.**", [True, True, True, True]),
        ("spec.**.**.hosts", [False, False, False, True]),
        ("metadata.**", [False, False, False, False]),
        ("**.replicas.**.below", [False, False, False, False]),
        ("/spec/**/cpu", [False, False, False, False]),
        ("/spec/rep*", [False, False, False, False]),
        ("/spec/*", [False, False, False, False]),
    ],
)
def test_globs_in_paths(path: str, found: list[bool]) -> None:
    """Names and values of keys are globs in the form of tables; a pointer is what it says."""
    marked, told = marks(entry(path), change(), IMAGE, PORT, ATOMIC)
    assert [one == "s#1" for one in marked] == found
    assert told == []


def test_any_steps_are_no_labels() -> None:
    """As in severity rules they do not enter `metadata`, which a path may name itself."""
    label = change(
        path="/spec/template/metadata/labels/tier",
        ssa_path="f:spec/f:template/f:metadata/f:labels/f:tier",
    )
    paths = ("**.tier", "spec.**.tier", "spec.**.metadata.**.tier", "**.metadata.labels", "spec.**")
    found = [marks(entry(path), label)[0] == ["s#1"] for path in paths]
    assert found == [False, False, True, True, True]


def test_many_steps_cost_no_more_than_their_number() -> None:
    """A path of many wild steps is answered at once, also where it covers nothing."""
    deep = change(path="/" + "/".join("a" * 24), ssa_path="/".join(["f:a"] * 24))
    marked, _ = marks(entry(".".join(["**", "**"] * 40 + ["b"])), deep)
    assert marked == [UNSET]
    marked, _ = marks(entry(".".join(["a", "**"] * 12 + ["b"])), deep)
    assert marked == [UNSET]


def test_a_position_below_any_steps_is_told() -> None:
    """It is turned into keys as everywhere, and where items have none it hides nothing."""
    marked, told = marks(entry("spec.**.containers[1].resources"), IMAGE)
    assert (marked, len(told)) == (["s#1"], 1)
    assert told[0].startswith("SuppressionPosition")
    marked, told = marks(entry("**.hosts[0]"), ATOMIC)
    assert (marked, [one.partition(":")[0] for one in told]) == ([UNSET], ["SuppressionFailed"])


def test_critical_changes_need_a_word() -> None:
    """With `critical` an entry hides a critical change, and that it does is told."""
    made = change(severity="critical", severity_reason="host network")
    marked, told = marks(entry("spec.replicas"), made)
    assert marked == [UNSET]
    assert told[0].startswith("SuppressionRefused: ")
    marked, told = marks(entry("spec.replicas", critical=True), made)
    assert marked == ["s#1"]
    assert told == [
        "SuppressionHidesCritical: s#1 hides Deployment web /spec/replicas: critical: host network"
    ]
    assert marks(entry("spec.replicas", critical=True), change()) == (["s#1"], [])


def whole(
    one: NamedSuppression, status: ResourceStatus, **fields: Any
) -> tuple[ResourceReport, list[str]]:
    """A Missing or Extra Deployment under an entry, and the conditions."""
    app = report(change())
    made = msgspec.structs.replace(app.resources[0], status=status, changes=(), **fields)
    applied = Applied()
    found = suppressed([one], app, made, applied)
    assert (one.name in applied.used) is bool(applied.told or found.ignored_by is not UNSET)
    return found, [f"{told.type}: {told.message}" for told in applied.told.values()]


@pytest.mark.parametrize("status", [ResourceStatus.MISSING, ResourceStatus.EXTRA])
def test_whole_objects(status: ResourceStatus) -> None:
    """An entry accepts objects of the statuses that it names, and no others."""
    other = ({"Missing", "Extra"} - {str(status)}).pop()
    named, told = whole(entry(objects=(str(status),)), status, severity="medium")
    assert (named.ignored_by, named.is_drift, told) == ("s#1", False, [])
    for one in (entry(objects=(other,)), entry("spec")):
        assert whole(one, status, severity="medium")[0].ignored_by is UNSET


def test_critical_objects_need_a_word() -> None:
    """An Extra workload is told all the same, unless the entry has `critical`; that is told."""
    fields = {"severity": "critical", "severity_reason": "runs what nobody declared"}
    found, told = whole(entry(objects=("Extra",)), ResourceStatus.EXTRA, **fields)
    assert found.ignored_by is UNSET
    assert "SuppressionRefused: s#1 covers Extra Deployment web" in told[0]
    found, told = whole(entry(objects=("Extra",), critical=True), ResourceStatus.EXTRA, **fields)
    assert found.ignored_by == "s#1"
    assert told[0].startswith("SuppressionHidesCritical: s#1 hides Extra Deployment web: ")
    assert "runs what nobody declared" in told[0]


def test_whose_extra_objects() -> None:
    """Managers narrow Extra objects to those that one of them created."""
    one = entry(objects=("Extra",), managers=("velero*",))
    for manager, hidden in (("velero-server", True), ("alice", False), (UNSET, False)):
        made = whole(one, ResourceStatus.EXTRA, manager=manager, severity="medium")[0]
        assert (made.ignored_by is not UNSET) is hidden


def test_what_a_rule_marked_stays_its() -> None:
    """An object that something else accepts keeps that name."""
    made, _ = whole(entry(objects=("Extra",)), ResourceStatus.EXTRA, ignored_by="x", severity="low")
    assert made.ignored_by == "x"
