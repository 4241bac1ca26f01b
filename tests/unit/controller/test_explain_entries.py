"""What entries of baseline and suppression files say about one object."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from driftd.controller.baselines import load_acceptance
from driftd.controller.explain_entries import EntryExplanation, explained
from driftd.model.report import Change
from driftd.policy.baseline import Hashes
from tests.unit.controller.test_baselines import GOOD, suppressions, written
from tests.unit.policy.test_baseline import TODAY, change, report


def told(folder: Path, *changes: Change, today: date = TODAY) -> list[EntryExplanation]:
    """What a suppression of replicas and a baseline of a scaled object say of these changes."""
    acceptance = load_acceptance(
        [written(folder, report(change()))], [suppressions(folder, {**GOOD, "ticket": "OPS-1"})]
    )
    app = report(*changes)
    return list(explained(acceptance, app, app.resources[0], Hashes(), today))


def test_accepting_entries(tmp_path: Path) -> None:
    """Both files accept the change; who answers, why and until when is told."""
    place, entry = told(tmp_path, change())
    assert (place.accepts, place.refuses) == (("/spec/replicas",), {})
    assert (place.owner, place.ticket, place.expires) == ("platform", "OPS-1", "2026-03-04")
    assert (entry.accepts, entry.selects) == (("/spec/replicas",), "f:spec/f:replicas")
    assert not place.expired
    assert not entry.expired


@pytest.mark.parametrize(
    ("seen", "of_place", "of_entry"),
    [
        (change(live=9), "", "its value has changed"),
        (change(manager="bob"), "", "it is by bob now, not by alice"),
        (
            change(severity="critical", severity_reason="host network"),
            "critical: host network",
            "critical: host network",
        ),
    ],
)
def test_why_not(tmp_path: Path, seen: Change, of_place: str, of_entry: str) -> None:
    """A value, a manager and a severity that are other ones; a suppression minds the last alone."""
    place, entry = told(tmp_path, seen)
    assert place.refuses.get("/spec/replicas", "") == of_place
    assert entry.refuses == {"/spec/replicas": of_entry}


def test_expired_and_elsewhere(tmp_path: Path) -> None:
    """Expired entries are listed as such; those without a finding accept and refuse nothing."""
    later = TODAY + timedelta(days=1)
    assert [one.expired for one in told(tmp_path, change(), today=later)] == [True, True]
    other = change(path="/spec/paused", ssa_path="f:spec/f:paused")
    assert [(one.accepts, one.refuses) for one in told(tmp_path, other)] == [((), {}), ((), {})]
