"""`-o sarif`, held to the specification's schema and to its rules between objects."""

import json
import re

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.cli.order import OPTIONAL_SECTIONS
from driftd.cli.sarif import sarif
from driftd.cli.sarif_rules import object_rule, rule_of
from driftd.model.report import (
    ChangeClass,
    ChangeKind,
    DiffReport,
    ReportCondition,
    ResourceStatus,
)
from tests.unit.cli import sample as samples
from tests.unit.cli.sarif_schema import SCHEMA

VALIDATOR = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)


def checked(text):
    """The one run of a valid document, its indexes, kinds and messages as the text demands."""
    document = json.loads(text)
    VALIDATOR.validate(document)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for place in run["logicalLocations"]:
        if "parentIndex" in place:
            parent = run["logicalLocations"][place["parentIndex"]]
            assert place["fullyQualifiedName"].startswith(f"{parent['fullyQualifiedName']}/")
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["kind"] == "fail") is (result["level"] != "none")
        (location,) = result["locations"]
        assert (
            location["physicalLocation"]["artifactLocation"]["uriBaseId"]
            in (run["originalUriBaseIds"])
        )
        (leaf,) = location["logicalLocations"]
        if "index" in leaf:
            assert run["logicalLocations"][leaf["index"]].items() <= leaf.items()
        # A placeholder needs arguments, and there are none.
        assert not re.search(r"(?<!\{)(\{\{)*\{\d+\}", result["message"]["text"])
        assert not re.search(r"\[[^\]]*\]\(", result["message"]["text"])
    return run


def only(*found, **fields):
    """A report of one application with these objects."""
    app = msgspec.structs.replace(samples.production(), resources=found, **fields)
    return samples.report_of(app)


@pytest.mark.parametrize("show", [frozenset(), frozenset(OPTIONAL_SECTIONS)])
@pytest.mark.parametrize(
    "report",
    [
        samples.bad_night(),
        samples.report_of(),
        samples.report_of(samples.synced("a", 0), samples.unreachable()),
        DiffReport(complete=True, resources=(samples.deployment(),)),
    ],
)
def test_valid(report, show):
    """Every sample, with and without what is not drift, keeps to the specification."""
    checked(sarif(report, show=show))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), "2.0.0"),
        (("runs", 0, "results", 0, "level"), "critical"),
        (("runs", 0, "results", 0, "colour"), "red"),
        (("runs", 0, "results", 0, "message"), {}),
        (("runs", 0, "invocations", 0, "executionSuccessful"), None),
    ],
)
def test_the_schema_refuses(path, value):
    """The schema is no rubber stamp."""
    document = json.loads(sarif(samples.bad_night()))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(document)


def test_results(sample):
    """Each drifted field and object is one result with level, place, rule and facts."""
    run = checked(sarif(sample.report_of(sample.production())))
    assert len(run["results"]) == 10
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("declared/modified", "error")
    assert first["message"]["text"].split("\n") == [
        (
            "Deployment production-app1/production-app1 on cluster production: "
            "containers[name=app1].image, Git → cluster: "
            "ghcr.io/example/app1:v1.0.0 → ghcr.io/example/app1-debug:v1.0.0"
        ),
        "by kubectl-edit (Update), 2026-03-04T08:41:12Z, exact",
        "critical: an image decides what runs",
    ]
    (location,) = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "apps/app1/base/deployment.yaml", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 1},
    }
    (leaf,) = location["logicalLocations"]
    assert leaf["fullyQualifiedName"] == (
        "production/production-app1/Deployment.apps/production-app1"
        "#/spec/template/spec/containers/0/image"
    )
    names, place = [], run["logicalLocations"][leaf["parentIndex"]]
    while place:
        names.append((place["kind"], place["name"]))
        parent = place.get("parentIndex")
        place = None if parent is None else run["logicalLocations"][parent]
    assert names == [
        ("object", "Deployment.apps/production-app1"),
        ("namespace", "production-app1"),
        ("cluster", "production"),
    ]
    assert first["properties"]["severityReason"] == "an image decides what runs"
    levels = {result["properties"].get("severity"): result["level"] for result in run["results"]}
    assert levels == {
        "critical": "error",
        "high": "error",
        "medium": "warning",
        "low": "note",
        None: "error",
    }
    (provenance,) = run["versionControlProvenance"]
    assert provenance == {
        "repositoryUri": sample.REPOSITORY,
        "revisionId": sample.REVISION,
        "mappedTo": {"uriBaseId": "SRCROOT"},
    }


def test_what_is_not_drift(sample):
    """Shown sections are no failures; what a rule ignores is suppressed with the rule's name."""
    report = sample.report_of(sample.production())
    assert not any("suppressions" in r for r in checked(sarif(report))["results"])
    shown = checked(sarif(report, show=frozenset(OPTIONAL_SECTIONS)))["results"]
    other = [result for result in shown if result["kind"] != "fail"]
    assert sorted(result["ruleId"] for result in other) == [
        "ignored/modified",
        "injected/added",
        "pending/modified",
        "review/added",
        "rewritten/modified",
    ]
    (ignored,) = [result for result in other if "suppressions" in result]
    assert ignored["suppressions"] == [
        {"kind": "external", "justification": "spec.ignoreDifferences[0] of production-apps"}
    ]


def prints(report):
    """The fingerprints of a report's results."""
    return [r["partialFingerprints"] for r in checked(sarif(report))["results"]]


def test_fingerprints(sample):
    """They are one for each finding, and stay when values, order and list indexes change."""
    before = prints(sample.bad_night())
    assert len({tuple(sorted(each.items())) for each in before}) == len(before) == 10
    key = {"ssa_path": 'f:spec/k:{"name":"a"}/f:image'}
    one = sample.change("/spec/0/image", desired="a", live="b", **key)
    moved = sample.change("/spec/7/image", desired="a", live="c", **key)
    other = sample.change("/spec/0/image", desired="a", live="b")
    found = [prints(only(sample.resource("Pod", "x", each)))[0] for each in (one, moved, other)]
    assert found[0] == found[1] != found[2]
    elsewhere = prints(only(sample.resource("Pod", "x", one), cluster="other"))[0]
    assert elsewhere != found[0]


def test_object_without_a_file(sample):
    """An Extra object is placed by cluster, namespace and name, on a base of its own."""
    run = checked(sarif(only(sample.resource("Role", "a b", status=ResourceStatus.EXTRA))))
    physical = run["results"][0]["locations"][0]["physicalLocation"]
    assert physical == {
        "artifactLocation": {
            "uri": "production/production-app1/Role/a%20b",
            "uriBaseId": "CLUSTER",
        }
    }
    assert "versionControlProvenance" not in run


def test_two_repositories(sample):
    """Each repository is a base of its own."""
    there = msgspec.structs.replace(sample.origin("b.yaml"), repo_url="ssh://git@h/other.git")
    found = [
        sample.resource("Service", name, status=ResourceStatus.MISSING, origin=origin)
        for name, origin in (("a", sample.origin("a.yaml", line=4)), ("b", there))
    ]
    run = checked(sarif(only(*found)))
    bases = {
        p["repositoryUri"]: p["mappedTo"]["uriBaseId"] for p in run["versionControlProvenance"]
    }
    assert bases == {sample.REPOSITORY: "SRCROOT", "ssh://git@h/other.git": "SRCROOT2"}
    places = [r["locations"][0]["physicalLocation"] for r in run["results"]]
    assert [(p["artifactLocation"]["uriBaseId"], p["region"]["startLine"]) for p in places] == [
        ("SRCROOT", 4),
        ("SRCROOT2", 1),
    ]


def test_results_do_not_age(sample):
    """The same drift has the same results a day later: no text counts hours."""
    report = sample.report_of(sample.production())
    later = msgspec.structs.replace(report, generated_at="2026-03-05T12:00:00Z")
    assert checked(sarif(report))["results"] == checked(sarif(later))["results"]


def test_through_which_subresource(sample):
    """A write through /scale is told as such in the facts of its result."""
    results = checked(sarif(sample.report_of(sample.production())))["results"]
    (scaled,) = [one for one in results if one["properties"].get("path") == "/spec/replicas"]
    assert scaled["properties"]["subresource"] == "scale"


def test_what_could_not_be_judged(sample):
    """Unknown is no result but a notification; the invocation did not succeed."""
    run = checked(sarif(sample.report_of(sample.unreachable())))
    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    told = invocation["toolExecutionNotifications"]
    assert [(n["descriptor"]["id"], n["level"]) for n in told] == [
        ("ComparisonError", "error"),
        ("Unknown", "error"),
    ]
    assert len(told[1]["locations"]) == 8
    (described,) = run["tool"]["driver"]["notifications"]
    assert described["id"] == "Unknown"
    assert "notifications" not in checked(sarif(sample.report_of()))["tool"]["driver"]


def test_a_condition_has_the_place_that_it_begins_with(sample):
    """What is wrong with a file of Git stands at the file and line that the message names."""
    told = (
        ReportCondition(type="A", severity="error", message="argocd/my app.yaml:4: wrong"),
        ReportCondition(type="B", severity="error", message="argocd/web.yaml:4: wrong"),
        ReportCondition(type="C", severity="warning", message="Application web (x/y.yaml): wrong"),
    )
    report = msgspec.structs.replace(sample.report_of(), conditions=told)
    run = checked(sarif(report))
    one, two, three = run["invocations"][0]["toolExecutionNotifications"]
    assert "locations" not in one
    (place,) = two["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "argocd/web.yaml", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 4},
    }
    assert three["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "x/y.yaml"
    assert "SRCROOT" in run["originalUriBaseIds"]


@pytest.mark.parametrize("kind", list(ChangeKind))
@pytest.mark.parametrize("change_class", [*ChangeClass, "ignored"])
def test_every_rule_has_help(sample, change_class, kind):
    """There is a rule for each class and kind, and each says what it means and what to do."""
    ignored = {"ignored_by": "a rule"} if change_class == "ignored" else {}
    name = "declared" if ignored else change_class
    rule = rule_of(sample.change("/a", name, kind, **ignored))
    assert rule["id"] == f"{change_class}/{kind}"
    assert len(rule["help"]["text"]) > len(rule["fullDescription"]["text"])


def test_object_rules():
    """An object that is Missing, Extra or being deleted has a rule of its own."""
    statuses = (ResourceStatus.MISSING, ResourceStatus.EXTRA, ResourceStatus.OUT_OF_SYNC)
    assert [object_rule(status)["id"] for status in statuses] == [
        "object/missing",
        "object/extra",
        "object/deleting",
    ]
    assert {object_rule(one)["defaultConfiguration"]["level"] for one in statuses} == {"error"}


@given(value=st.text() | st.text(alphabet="{}[](01) a"), manager=st.text(), name=st.text())
def test_whatever_a_cluster_says(value, manager, name):
    """No value, manager or name makes a document that is not valid, a placeholder or a link."""
    changed = samples.change("/data/a", desired="git", live=value, manager=manager)
    checked(sarif(only(samples.resource("ConfigMap", name, changed))))


def test_masked_values_stay_masked(sample):
    """What the report masks is masked here."""
    masked = sample.change("/data/password", desired=sample.MASKED, live=sample.MASKED)
    run = checked(sarif(only(sample.resource("Secret", "a", masked))))
    text = run["results"][0]["message"]["text"]
    assert "data.password, values differ (masked)" in text


def test_command(driftd, look, golden):
    """`driftd check -o sarif` prints the document alone; `--show` adds what is not drift."""
    result = driftd("check", "-q", "-o", "sarif")
    assert result.exit_code == 2
    golden.check("bad-night.sarif", result.stdout)
    more = driftd("check", "-q", "-o", "sarif", "--show", "all")
    assert len(checked(more.stdout)["results"]) == len(checked(result.stdout)["results"]) + 5
