"""Baseline files: what they do to a report, and what is wrong with those that are none."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec
import pytest

from driftd.controller.baselines import load_baselines, read_key
from driftd.errors import ConfigError
from driftd.model.report import ApplicationReport, ApplicationStatus, ResourceStatus
from driftd.policy.baseline import captured
from tests.unit.policy.test_baseline import change, report

TODAY = date(2026, 3, 4)


def written(folder: Path, *reports: ApplicationReport) -> Path:
    """A file that accepts what these reports hold."""
    baseline, _ = captured(reports, key=None, expires=TODAY)
    file = folder / "baseline.json"
    file.write_bytes(msgspec.json.encode(baseline))
    return file


def test_accepted_application_is_synced(tmp_path: Path) -> None:
    """With every finding accepted an object and its application are Synced, the finding shown."""
    seen = report(change())
    baselines = load_baselines([written(tmp_path, seen)], None)
    (found,), told = baselines.applied([seen], TODAY)
    assert told == []
    assert found.status is ApplicationStatus.SYNCED
    assert found.resources[0].status is ResourceStatus.SYNCED
    assert found.resources[0].changes[0].ignored_by == f"baseline {tmp_path}/baseline.json#1"


def test_what_is_not_accepted_still_counts(tmp_path: Path) -> None:
    """One finding more, or an object that is being deleted, stays OutOfSync."""
    file = written(tmp_path, report(change()))
    more = report(change(), change(path="/spec/paused", ssa_path="f:spec/f:paused", live=True))
    (found,), _ = load_baselines([file], None).applied([more], TODAY)
    assert found.status is ApplicationStatus.OUT_OF_SYNC
    leaving = report(change())
    resource = msgspec.structs.replace(leaving.resources[0], reason="being deleted since noon")
    leaving = msgspec.structs.replace(leaving, resources=(resource,))
    (found,), _ = load_baselines([file], None).applied([leaving], TODAY)
    assert found.resources[0].status is ResourceStatus.OUT_OF_SYNC


def test_incomplete_application_becomes_unknown(tmp_path: Path) -> None:
    """Accepted drift in an application that was not seen in full leaves it Unknown."""
    blind = report(change(), complete=False)
    file = written(tmp_path, report(change()))
    (found,), _ = load_baselines([file], None).applied([blind], TODAY)
    assert found.status is ApplicationStatus.UNKNOWN


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not valid YAML at line"),
        ("- 1", "Expected `object`"),
        ("kind: Baseline\nentries: []\nmore: 1", "unknown field `more`"),
        ("apiVersion: driftd.io/v2", "Invalid enum value"),
        ("entries:\n- {application: a, kind: B, name: c, path: d, class: declared}", "value"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    """A file that is no baseline is an error that names the file and the fault."""
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml") as caught:
        load_baselines([file], None)
    assert words in str(caught.value)


def test_missing_file_and_weak_key(tmp_path: Path) -> None:
    """A file that is not there, and a key that could be guessed, are errors."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_baselines([tmp_path / "none.yaml"], None)
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(ConfigError, match="at least 16 bytes"):
        read_key(tmp_path / "key")
