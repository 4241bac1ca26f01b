"""Baseline files: what they do to a report, and what is wrong with those that are none."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from driftd.controller.baselines import Acceptance, load_acceptance, read_key
from driftd.errors import ConfigError
from driftd.model.condition import Condition
from driftd.model.report import ApplicationReport, ApplicationStatus, ResourceStatus
from driftd.policy.baseline import captured
from tests.unit.policy.test_baseline import change, report

TODAY = date(2026, 3, 4)


def written(folder: Path, *reports: ApplicationReport) -> Path:
    """A file that accepts what these reports hold."""
    baseline, _ = captured(reports, expires=TODAY)
    file = folder / "baseline.json"
    file.write_bytes(msgspec.json.encode(baseline))
    return file


def applied(
    acceptance: Acceptance, seen: ApplicationReport
) -> tuple[ApplicationReport, list[Condition]]:
    """One report with accepted findings marked, and what is told."""
    (found,), told = acceptance.applied([(seen, {})], TODAY)
    return found, told


def test_accepted_application_is_synced(tmp_path: Path) -> None:
    """With every finding accepted an object and its application are Synced, the finding shown."""
    seen = report(change())
    found, told = applied(load_acceptance([written(tmp_path, seen)]), seen)
    assert told == []
    assert found.status is ApplicationStatus.SYNCED
    assert found.resources[0].status is ResourceStatus.SYNCED
    assert found.resources[0].changes[0].ignored_by == f"baseline {tmp_path}/baseline.json#1"


def test_what_is_not_accepted_still_counts(tmp_path: Path) -> None:
    """One finding more, or an object that is being deleted, stays OutOfSync."""
    file = written(tmp_path, report(change()))
    more = report(change(), change(path="/spec/paused", ssa_path="f:spec/f:paused", live=True))
    found, _ = applied(load_acceptance([file]), more)
    assert found.status is ApplicationStatus.OUT_OF_SYNC
    leaving = report(change())
    resource = msgspec.structs.replace(leaving.resources[0], reason="being deleted since noon")
    leaving = msgspec.structs.replace(leaving, resources=(resource,))
    found, _ = applied(load_acceptance([file]), leaving)
    assert found.resources[0].status is ResourceStatus.OUT_OF_SYNC


def test_incomplete_application_becomes_unknown(tmp_path: Path) -> None:
    """Accepted drift in an application that was not seen in full leaves it Unknown."""
    blind = report(change(), complete=False)
    file = written(tmp_path, report(change()))
    found, _ = applied(load_acceptance([file]), blind)
    assert found.status is ApplicationStatus.UNKNOWN


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not valid YAML at line"),
        ("- 1", "the file must hold a map, not a list"),
        ("kind: Baseline\nentries: []\nmore: 1", "unknown field more; known are:"),
        ("apiVersion: driftd.io/v2", "apiVersion must be driftd.io/v1, not 'driftd.io/v2'"),
        ("entries:\n- {application: a, kind: B, name: c, path: d, expires: 2026-01-01}", "class"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    """A file that is no baseline is an error that names the file and the fault."""
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml") as caught:
        load_acceptance([file])
    assert words in str(caught.value)
    assert caught.value.hint == "driftd help baseline shows a file that is valid"


GOOD = {
    "kind": "Deployment",
    "paths": ["spec.replicas"],
    "owner": "platform",
    "reason": "by hand until the move",
    "expires": "2026-03-04",
}


def suppressions(folder: Path, *entries: dict[str, Any], **more: Any) -> Path:
    """A suppression file with these entries."""
    file = folder / "suppressions.json"
    document = {"apiVersion": "driftd.io/v1", "kind": "Suppressions", "entries": entries, **more}
    file.write_text(json.dumps(document))
    return file


def test_suppressed_application_is_synced(tmp_path: Path) -> None:
    """With every change suppressed an application is Synced, whatever the values; both files."""
    seen = report(change(live=7), change(path="/spec/paused", ssa_path="f:spec/f:paused"))
    file = suppressions(tmp_path, GOOD)
    found, told = applied(load_acceptance(suppressions=[file]), seen)
    assert (found.status, told) == (ApplicationStatus.OUT_OF_SYNC, [])
    assert [one.ignored_by for one in found.resources[0].changes] == [
        f"suppression {file}#1",
        UNSET,
    ]
    both = load_acceptance([written(tmp_path, seen)], [file])
    found, told = applied(both, seen)
    assert found.status is ApplicationStatus.SYNCED
    assert found.resources[0].changes[0].ignored_by == f"suppression {file}#1"
    assert told == []


@pytest.mark.parametrize(
    ("entry", "more", "words"),
    [
        ({"owner": UNSET}, {}, "entry 2: owner is missing"),
        ({"nmae": "web"}, {}, "entry 2: unknown field nmae; did you mean name?"),
        ({"name": 3}, {}, "entry 2, name: must be text, not a whole number"),
        (
            {"paths": ["spec.replicas", 1]},
            {},
            "entry 2, paths[1]: must be text, not a whole number",
        ),
        ({"paths": ["spec..replicas["]}, {}, "entry 2, paths: 'spec..replicas[' names no field"),
        ({"expires": "2026-02-30"}, {}, "entry 2, expires: Invalid RFC3339 encoded date"),
        ({"paths": []}, {}, "entry 2: `paths` (fields) or `objects` (Missing, Extra) is missing"),
        (
            {"objects": ["Synced"]},
            {},
            "entry 2, objects[0]: must be one of Extra, Missing, not 'Synced'",
        ),
        ({"critical": "yes"}, {}, "entry 2, critical: must be true or false, not text"),
        ({"kind": ""}, {}, "entry 2: `kind` or `name` is missing"),
        ({}, {"apiVersion": "driftd.io/v2"}, "apiVersion must be driftd.io/v1, not 'driftd.io/v2'"),
        ({}, {"extra": 1}, "unknown field extra; known are: apiVersion, kind, entries"),
    ],
)
def test_bad_suppressions(
    tmp_path: Path, entry: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    """An invalid file is an error that names the file, the entry's number and the field."""
    second = {name: value for name, value in (GOOD | entry).items() if value is not UNSET}
    file = suppressions(tmp_path, GOOD, second, **more)
    with pytest.raises(ConfigError) as caught:
        load_acceptance(suppressions=[file])
    assert str(caught.value).startswith(f"{file}: {words}")
    assert caught.value.hint.endswith("driftd help suppressions shows a file that is valid")


def test_missing_file_and_weak_key(tmp_path: Path) -> None:
    """A file that is not there, and a key that could be guessed, are errors."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_acceptance([tmp_path / "none.yaml"])
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(ConfigError, match="at least 16 bytes"):
        read_key(tmp_path / "key")
