"""`driftd baseline`: what it writes, and what it says where there is nothing to write."""

from datetime import date

import msgspec
import pytest
import yaml

from driftd.cli import calls
from driftd.controller.baselines import load_acceptance
from driftd.model.report import ApplicationStatus
from driftd.policy.baseline import captured


@pytest.fixture
def seen(monkeypatch, sample):
    """Let `driftd baseline` see what a test sets."""

    class Seen:
        report = sample.bad_night()

    def baseline(_options, _narrator, **_fields):
        found, left_out = captured(Seen.report.applications, expires=date(2030, 6, 30))
        return Seen.report, found, left_out

    monkeypatch.setattr(calls, "baseline", baseline)
    return Seen


def test_nothing_judged(driftd, seen, sample, tmp_path):
    """Where every application is Unknown there is no file: exit 2, with the reasons."""
    app = msgspec.structs.replace(
        sample.unreachable(), status=ApplicationStatus.UNKNOWN, resources=(), complete=False
    )
    seen.report = sample.report_of(app)
    file = tmp_path / "baseline.yaml"
    result = driftd("baseline", "--file", str(file))
    assert (result.exit_code, result.stdout, file.exists()) == (2, "", False)
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: no application could be judged, so no baseline is written; ")
    assert app.conditions[0].message in line


def test_nothing_found(driftd, seen, sample, tmp_path):
    """Where all is as Git says the file has no entries, says so, and loads."""
    seen.report = sample.report_of(sample.synced("quiet", 2))
    file = tmp_path / "baseline.yaml"
    result = driftd("baseline", "--file", str(file))
    said = "Nothing was found that a baseline could accept"
    assert (result.exit_code, said in result.stderr) == (0, True)
    assert f"# {said}, so it has no entries" in file.read_text()
    assert yaml.safe_load(file.read_text())["entries"] == []
    assert load_acceptance([file]).baselines == ()


def test_expires_is_a_number_of_days(driftd):
    """The help says that it is days and not a date."""
    text = " ".join(driftd("baseline", "--help").stdout.split())
    assert "Number of days, counted from today (UTC), that the entries hold" in text


def test_what_is_left_out_is_named_with_the_reason(driftd, seen, sample):
    """The last note names the first findings that no baseline may hold, and why."""
    result = driftd("baseline")
    _, left_out = captured(seen.report.applications, expires=date(2030, 6, 30))
    first = left_out[0]
    assert f"{len(left_out)} left out: {first.application} {first.resource} " in result.stderr
    assert f" ({first.reason})" in result.stderr


def test_entries_that_may_be_commits_without_a_sync_are_counted(driftd, seen):
    """The note and the head of the file count the entries that are as a deployer wrote them; not
    with --hub, where Git's newer commits are no drift.
    """
    found, _ = captured(seen.report.applications, expires=date(2030, 6, 30))
    written = {(one.kind, one.name, one.path) for one in found.entries}
    wrote = [
        msgspec.structs.replace(app, deployers=(change.manager,))
        for app in seen.report.applications
        for one in app.resources
        for change in one.changes
        if (one.kind, one.name, change.ssa_path) in written and isinstance(change.manager, str)
    ]
    app = wrote[0]
    count = sum(
        change.manager == app.deployers[0] and (one.kind, one.name, change.ssa_path) in written
        for one in app.resources
        for change in one.changes
    )
    seen.report = msgspec.structs.replace(seen.report, applications=(app,))
    told = f"{count} of the entries {'is' if count == 1 else 'are'} as {app.deployers[0]} wrote "
    result = driftd("baseline")
    assert f"note: {told}" in result.stderr
    assert f"# {told}" in result.stdout
    hub = driftd("baseline", "--hub", "argo")
    assert told not in hub.stderr + hub.stdout
