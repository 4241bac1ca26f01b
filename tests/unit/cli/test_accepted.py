"""Objects that are Missing or Extra and accepted as such, in every format."""

import io
import json

import msgspec
import pytest

from driftd.cli import order
from driftd.cli.formats import _names
from driftd.cli.github import github
from driftd.cli.junit import junit
from driftd.cli.markdown import markdown
from driftd.cli.plain import plain
from driftd.cli.sarif import sarif
from driftd.cli.table import View, print_report
from driftd.cli.terminal import console_for
from driftd.model.report import ApplicationStatus, ResourceStatus

BY = "baseline accepted.yaml#1"
SHOW = frozenset({"ignored"})


@pytest.fixture
def report(sample):
    """One application whose only finding is accepted: a ConfigMap that Git does not have."""
    extra = sample.resource(
        "ConfigMap", "left-over", status=ResourceStatus.EXTRA, ignored_by=BY, reason="tracked"
    )
    app = msgspec.structs.replace(
        sample.production(),
        resources=(extra,),
        status=ApplicationStatus.SYNCED,
        conditions=(),
        complete=True,
    )
    return sample.report_of(app)


def table(report, *show):
    """The report for people."""
    stream = io.StringIO()
    print_report(console_for(stream, color=False), report, View(show=frozenset(show)))
    return stream.getvalue()


def test_table(report):
    """Counted, hinted at, and listed with what accepts it on demand; the exit code is 0."""
    quiet = table(report)
    assert "1 object: 1 ignored" in quiet
    assert "Not drift: 1 object ignored as a whole (--show ignored)" in quiet
    assert "left-over" not in quiet
    assert quiet.endswith("exit 0: no drift, everything was checked\n")
    shown = table(report, "ignored")
    assert "Extra      ConfigMap production-app1/left-over" in shown
    assert f"ignored by {BY}, not drift" in shown


def test_plain(report):
    """Told on demand, in one line."""
    assert not any("left-over" in line for line in plain(report, show=frozenset()))
    (line,) = [one for one in plain(report, show=SHOW) if "left-over" in one]
    assert line.endswith(f"Extra, in the cluster, not in Git: tracked; ignored by {BY}")


def test_formats_for_programs(report):
    """No failure, no annotation and no name; Markdown has it among what is not drift."""
    assert list(_names(report)) == []
    assert "<failure" not in junit(report)
    assert BY in junit(report)
    assert "left-over" not in github(report, repository="")
    text = markdown(report)
    assert "no drift" in text
    assert "| ignored | **`ConfigMap production-app1/left-over`**<br>" in text


def test_sarif(report):
    """A suppressed result of level none where it is asked for, else none."""
    (run,) = json.loads(sarif(report, show=frozenset()))["runs"]
    assert run["results"] == []
    (run,) = json.loads(sarif(report, show=SHOW))["runs"]
    (result,) = run["results"]
    assert (result["level"], result["kind"]) == ("none", "informational")
    assert result["suppressions"] == [{"kind": "external", "justification": BY}]


def test_accepted_objects_come_last(report, sample):
    """A reader sees what counts first: accepted objects stand below it."""
    (accepted,) = report.applications[0].resources
    missing = msgspec.structs.replace(accepted, status=ResourceStatus.MISSING)
    extra = sample.resource("Secret", "z", status=ResourceStatus.EXTRA)
    fine = sample.resource("Secret", "fine")
    assert order.resources([missing, fine, extra]) == [extra, fine, missing]
