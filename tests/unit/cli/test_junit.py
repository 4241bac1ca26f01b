"""`-o junit`, read by the parser of the ecosystem and by a strict one of the documented form."""

import re
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped

from driftd.cli.junit import junit
from driftd.model.report import (
    ChangeClass,
    DiffReport,
    ReportCondition,
    ReportOrigin,
    ResourceStatus,
)
from tests.unit.cli import sample as samples
from tests.unit.reports import change, resource

ATTRIBUTES = {
    "testsuites": ({"name", "tests", "failures", "errors", "skipped", "time"}, set()),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"timestamp", "hostname"},
    ),
    "properties": (set(), set()),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, {"file", "line"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
}
"""Of each element: the attributes that must be there, and those that may."""
CHILDREN = {
    "testsuites": r"(testsuite )*",
    "testsuite": r"(properties )?(testcase )*(system-out )?",
    "properties": r"(property )+",
    "testcase": r"((failure|error|skipped) )?(system-out )?",
}


def checked(text):
    """The root element of a document that keeps to the documented form in every element."""
    root = ET.fromstring(text.encode())  # noqa: S314 - what driftd itself wrote
    assert root.tag == "testsuites"
    for element in root.iter():
        required, optional = ATTRIBUTES[element.tag]
        assert required <= set(element.attrib) <= required | optional, element.tag
        children = "".join(f"{child.tag} " for child in element)
        assert re.fullmatch(CHILDREN.get(element.tag, ""), children), (element.tag, children)
        if element.tag in {"testsuite", "testsuites"}:
            cases = list(element.iter("testcase"))
            outcomes = [child.tag for case in cases for child in case]
            assert int(element.attrib["tests"]) == len(cases)
            for tag, attribute in (
                ("failure", "failures"),
                ("error", "errors"),
                ("skipped", "skipped"),
            ):
                assert int(element.attrib[attribute]) == outcomes.count(tag)
        if "timestamp" in element.attrib:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", element.attrib["timestamp"])
        if "line" in element.attrib:
            assert int(element.attrib["line"]) > 0
    suites = [suite.attrib["name"] for suite in root]
    assert len(set(suites)) == len(suites)
    for suite in root:
        names = [case.attrib["name"] for case in suite.iter("testcase")]
        assert len(set(names)) == len(names)
    return root


@pytest.mark.parametrize(
    "report",
    [
        samples.bad_night(),
        samples.report_of(),
        samples.report_of(samples.synced("a", 0), samples.unreachable()),
        DiffReport(complete=True, resources=(samples.deployment(),)),
        DiffReport(
            complete=False,
            resources=(),
            conditions=(ReportCondition(type="ComparisonError", message="bad file"),),
        ),
    ],
)
def test_documented_form(report):
    """Every sample keeps to the form: attributes, order of elements, counts, unique names."""
    checked(junit(report))


def test_outcomes(sample):
    """Drift fails, Unknown is an error, NotChecked is skipped, and the parser sees the same."""
    report = sample.bad_night()
    suites = {suite.name: suite for suite in JUnitXml.fromstring(junit(report).encode())}
    assert set(suites) == {app.name for app in report.applications} | {"repository"}
    for app in report.applications:
        suite = suites[app.name]
        found = [result for case in suite for result in case.result]
        expected = {
            Failure: {ResourceStatus.OUT_OF_SYNC, ResourceStatus.MISSING, ResourceStatus.EXTRA},
            Skipped: {ResourceStatus.NOT_CHECKED},
        }
        for kind, statuses in expected.items():
            assert sum(isinstance(result, kind) for result in found) == sum(
                resource.status in statuses for resource in app.resources
            )
        unknown = sum(resource.status is ResourceStatus.UNKNOWN for resource in app.resources)
        errors = sum(isinstance(result, Error) for result in found)
        assert errors == unknown + (app.name == "staging-apps")
        facts = {each.name: each.value for each in suite.properties()}
        assert (facts["cluster"], facts["revision"]) == (app.cluster, app.revisions[0])


def test_failure_says_which_fields_and_who(sample):
    """The message names paths and managers; the text has values, times, file and cluster."""
    root = checked(junit(sample.bad_night()))
    case = root.find(".//testcase[@name='Deployment.apps production-app1/production-app1']")
    failure = case.find("failure")
    assert failure.attrib["message"].startswith("containers[name=app1].image, spec.replicas")
    assert failure.attrib["message"].endswith("; by kubectl, kubectl-edit")
    assert "ghcr.io/example/app1:v1.0.0 → ghcr.io/example/app1-debug:v1.0.0" in failure.text
    assert "in apps/app1/base/deployment.yaml\non cluster production" in failure.text
    assert case.attrib["file"] == "apps/app1/base/deployment.yaml"
    assert "istio-proxy" not in failure.text


def test_a_case_stands_where_its_worst_field_is_set():
    """`file` and `line` are those of the worst drifted field; of a missing object, its own."""
    own = ReportOrigin(file="base.yaml", line=1)
    at = ReportOrigin(file="patch.yaml", line=7)
    low = change("/spec/replicas", severity="low", origin=ReportOrigin(file="base.yaml", line=4))
    high = change("/spec/image", severity="high", origin=at)
    review = change("/x", severity="critical", change_class=ChangeClass.REVIEW)
    found = {}
    for one in (
        resource("both", low, high, review),
        resource("plain", change("/x")),
        resource("gone", status=ResourceStatus.MISSING),
    ):
        one = msgspec.structs.replace(one, origin=own)
        root = checked(junit(DiffReport(complete=True, resources=(one,))))
        case = root.find(".//testcase")
        found[one.name] = (case.attrib["file"], case.attrib["line"])
    assert found == {
        "both": ("patch.yaml", "7"),
        "plain": ("base.yaml", "1"),
        "gone": ("base.yaml", "1"),
    }


def test_pending_is_said(sample):
    """A case of an object that waits for a sync passes, and its output says that it waits."""
    root = checked(junit(sample.bad_night()))
    case = root.find(".//testcase[@name='ConfigMap production-app2/production-app2-config']")
    assert [child.tag for child in case] == ["system-out"]
    assert case.find("system-out").text == "Pending: Git is ahead, waits for a sync"


def test_no_text_ages(sample):
    """Test reports are kept: they say when something was written, not how long ago."""
    text = junit(sample.bad_night())
    assert "2026-03-04T08:41:12Z" in text
    assert " ago" not in text


def test_being_deleted(sample):
    """An object without changes that is being deleted fails with that reason."""
    deleted = sample.resource(
        "Service", "a", status=ResourceStatus.OUT_OF_SYNC, reason="being deleted since noon"
    )
    app = msgspec.structs.replace(sample.production(), resources=(deleted,), complete=True)
    failure = checked(junit(sample.report_of(app))).find(".//failure")
    assert failure.attrib["message"] == "differs from Git: being deleted since noon"


def test_same_name_in_two_namespaces(sample):
    """Applications that share a name are suites with their namespaces."""
    one = sample.synced("shop", 1)
    other = msgspec.structs.replace(one, namespace="team-b")
    root = checked(junit(sample.report_of(one, other)))
    assert {suite.attrib["name"] for suite in root} == {"argocd/shop", "team-b/shop"}


@given(text=st.text(), value=st.text())
def test_whatever_a_cluster_says(text, value):
    """No value, manager or reason makes a document that a parser refuses."""
    changed = samples.change("/data/a", desired="x", live=value, manager=text)
    lost = samples.resource("Secret", "b", status=ResourceStatus.UNKNOWN, reason=text)
    found = (samples.resource("ConfigMap", "a", changed), lost)
    app = msgspec.structs.replace(samples.production(), resources=found)
    checked(junit(samples.report_of(app)))


def test_masked_values_stay_masked(sample):
    """What the report masks is masked here."""
    masked = sample.change("/data/password", desired=sample.MASKED, live=sample.MASKED)
    app = msgspec.structs.replace(
        sample.production(), resources=(sample.resource("Secret", "a", masked),)
    )
    assert "data.password  values differ (masked)" in junit(sample.report_of(app))


def test_command(driftd, look, golden):
    """`driftd check -o junit` prints the document alone and keeps the exit code."""
    result = driftd("check", "-q", "-o", "junit")
    assert result.exit_code == 2
    golden.check("bad-night-junit.xml", result.stdout)
