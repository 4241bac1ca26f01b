"""An operator's severity rules, from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.controller.severities import StandingSeverities, load_severities
from driftd.errors import ConfigError
from driftd.model.report import Change, ChangeClass, ChangeKind
from driftd.policy.severity import severity

LOW = (
    "apiVersion: driftd.io/v1\nkind: Severity\n"
    "rules: [{id: ours, level: low, reason: scaled by hand, paths: [spec.replicas]}]\n"
)
REPLICAS = Change(
    kind=ChangeKind.MODIFIED, change_class=ChangeClass.DECLARED, path="/spec/replicas", live=2
)


def test_no_file_means_the_shipped_rules() -> None:
    """Without a file nothing is read, and the shipped rules count."""
    assert load_severities(None) is None
    assert severity("Deployment", REPLICAS, "apps") == ("high", "how many Pods run")


def test_a_file_counts_first(tmp_path: Path) -> None:
    """What the file says of a place beats the shipped rules."""
    file = tmp_path / "severity.yaml"
    file.write_text(LOW)
    assert severity("Deployment", REPLICAS, "apps", load_severities(file)) == (
        "low",
        "scaled by hand",
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), (b"\xff\xfe", "not UTF-8"), (b"rules: 1", "own.yaml")],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes | None, says: str) -> None:
    """The error names the file and what is wrong with it."""
    file = tmp_path / "own.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_severities(file)
    assert str(file) in caught.value.message
    assert says in caught.value.message


def test_the_last_valid_rules_stay(tmp_path: Path) -> None:
    """A daemon's file that becomes invalid is told once and keeps its last rules."""
    file, told = tmp_path / "severity.yaml", list[str]()
    file.write_text(LOW)
    standing = StandingSeverities(file)
    file.write_text("rules: [")
    for _ in range(2):
        assert severity("Deployment", REPLICAS, "apps", standing.reread(told.append))[0] == "low"
    assert len(told) == 1
    assert "still holds" in told[0]
    file.write_text(LOW.replace("low", "info"))
    assert severity("Deployment", REPLICAS, "apps", standing.reread(told.append))[0] == "info"
    assert len(told) == 1
