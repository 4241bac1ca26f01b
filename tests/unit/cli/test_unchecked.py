"""What was left out of the comparison, in the formats for other programs."""

import json

import msgspec
import pytest

from driftd.cli import unchecked
from driftd.cli.github import github
from driftd.cli.markdown import markdown
from driftd.cli.next_command import DOCTOR
from driftd.cli.order import OPTIONAL_SECTIONS
from driftd.cli.plain import plain
from driftd.cli.sarif import sarif
from driftd.controller.summary import drift_report
from driftd.model.report import ApplicationStatus, OrphanedResource, ResourceStatus

WHY = "no permission to list Secrets; grant get"


@pytest.fixture
def report(sample):
    """A Synced application of which one Secret may not be read."""
    secret = sample.resource("Secret", "database", status=ResourceStatus.NOT_CHECKED, reason=WHY)
    app = sample.synced("shop", 2)
    return sample.report_of(msgspec.structs.replace(app, resources=(*app.resources, secret)))


def test_markdown(report):
    """The title does not claim more than was looked at, and a line says what and why."""
    text = markdown(report)
    assert text.startswith("## driftd: no drift, 1 Secret not checked\n")
    assert f"- Not checked: 1 Secret (`production-app1/database`): `{WHY}`\n" in text


@pytest.mark.parametrize(
    ("statuses", "complete", "title", "ending"),
    [
        ("Unknown", False, "nothing could be judged", "nothing could be judged (Unknown, or"),
        ("Unknown NotChecked", False, "nothing could be judged", "nothing could be judged (Unk"),
        ("", False, "nothing could be judged", "nothing could be judged (Unknown, or"),
        ("Synced Unknown", False, "not everything could be judged", "something could not be"),
        ("", True, "nothing was compared", "nothing was compared\n"),
        (
            "NotChecked",
            True,
            "nothing was compared, 1 Secret not checked",
            f"nothing was compared; left out: 1 Secret ({WHY})\n",
        ),
    ],
    ids=["unknown", "unknown and left out", "no objects seen", "some", "no objects", "left out"],
)
def test_what_nothing_was_judged_of_is_never_without_drift(
    driftd, look, sample, statuses, complete, title, ending
):
    """No format for people says that there is no drift where not every object was seen."""
    secrets = [
        sample.resource("Secret", f"s{number}", status=ResourceStatus(status), reason=WHY)
        for number, status in enumerate(statuses.split())
    ]
    app = msgspec.structs.replace(sample.synced("shop", 1), resources=tuple(secrets))
    if not complete:
        app = msgspec.structs.replace(app, status=ApplicationStatus.UNKNOWN)
    look.report = msgspec.structs.replace(sample.report_of(app), complete=complete)
    assert markdown(look.report).startswith(f"## driftd: {title}\n")
    assert github(look.report).startswith(f"::notice title=driftd::{title}")
    for form in ("table", "wide", "plain", "markdown", "github", "junit", "sarif", "name"):
        result = driftd("check", "-o", form)
        assert "no drift" not in result.stdout.lower(), form
        assert result.exit_code == (0 if complete else 2)
        if form in ("table", "wide", "plain"):
            assert f"xit {result.exit_code}: {ending}" in result.stdout


def test_github(report):
    """The summary's notice says it."""
    (line,) = github(report).splitlines()
    assert line.startswith("::notice title=driftd::no drift, 1 Secret not checked%0A")
    assert line.endswith(f"%0Anot checked: 1 Secret: production-app1/database: {WHY}")


def test_sarif(report):
    """A note of the invocation, with the object's place; the run is a success all the same."""
    (run,) = json.loads(sarif(report))["runs"]
    (invocation,) = run["invocations"]
    (note,) = invocation["toolExecutionNotifications"]
    assert invocation["executionSuccessful"] is True
    assert (note["descriptor"]["id"], note["level"]) == ("NotChecked", "note")
    assert note["message"]["text"] == WHY
    (place,) = note["locations"][0]["logicalLocations"]
    assert place["fullyQualifiedName"].endswith("/production-app1/Secret/database")


def test_names(driftd, look, report):
    """`-o name` prints nothing for it on standard output and says it on standard error."""
    look.report = report
    result = driftd("check", "-o", "name", "-q")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"info: shop (1 Secret): NotChecked: {WHY}\n"


def test_kinds_that_were_not_searched(sample):
    """They are named on demand, once for each cluster, and never in a short report."""
    apps = [
        msgspec.structs.replace(sample.synced(name), cluster=cluster, not_searched=kinds)
        for name, cluster, kinds in (
            ("shop", "one", ("Secret",)),
            ("billing", "one", ("Widget.example.com", "Secret")),
            ("audit", "two", ("Secret",)),
        )
    ]
    lines = [
        (
            "Not searched for objects that Git dropped, on one: Secret, Widget.example.com "
            "(driftd doctor says why)"
        ),
        "Not searched for objects that Git dropped, on two: Secret (driftd doctor says why)",
    ]
    assert unchecked.not_searched(apps, DOCTOR) == lines
    report = sample.report_of(*apps)
    every = frozenset(OPTIONAL_SECTIONS)
    assert [line for line in plain(report, show=every) if line in lines] == lines
    assert not [line for line in plain(report, show=frozenset()) if "searched" in line]
    (line,) = unchecked.not_searched(apps[:1], "driftd doctor --hub h")
    assert line == (
        "Not searched for objects that Git dropped: Secret (driftd doctor --hub h says why)"
    )
    assert unchecked.not_searched([sample.synced("fine")], DOCTOR) == []


def test_objects_of_applications_that_nothing_declares(sample):
    """They are a line for each application, with the cluster where there are several."""
    one = {"group": "", "version": "v1", "kind": "ConfigMap", "namespace": "shop"}
    found = (
        OrphanedResource(cluster="one", application="gone", name="a", **one),
        OrphanedResource(cluster="one", application="gone", name="b", **{**one, "namespace": ""}),
        OrphanedResource(cluster="two", application="gone", name="a", **one),
    )
    apps = tuple(
        msgspec.structs.replace(sample.synced(name), cluster=name) for name in ("one", "two")
    )
    report = drift_report(apps, (), generated_at="2026-03-01T12:00:00Z", orphaned=found)
    assert unchecked.orphaned(report) == [
        "Of gone, which nothing declares, on one: ConfigMap shop/a, ConfigMap b",
        "Of gone, which nothing declares, on two: ConfigMap shop/a",
    ]
    alone = drift_report(apps[:1], (), generated_at="2026-03-01T12:00:00Z", orphaned=found[:1])
    assert unchecked.orphaned(alone) == ["Of gone, which nothing declares: ConfigMap shop/a"]
    assert unchecked.orphaned(msgspec.structs.replace(alone, orphaned=msgspec.UNSET)) == []
