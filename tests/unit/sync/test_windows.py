"""Sync windows: Argo CD's decision, and clocks that change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.model.project import AppProject, AppProjectSpec, SyncWindow
from driftd.sync import windows
from driftd.sync.windows import Place, conditions, duration, permission

TABLE = Path(__file__).parents[2] / "golden/windows/instants.txt"
PLACE = Place("shop", "prod", ("prod-eu", "https://10.0.0.1"))
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)  # a Thursday


def window(kind="allow", schedule="0 12 * * *", length="1h", **fields):
    """A window that is open at noon and names every application."""
    fields = {"applications": ("*",), **fields}
    return SyncWindow(kind=kind, schedule=schedule, duration=length, **fields)


def project(*found):
    """A project with these windows."""
    return AppProject(name="shop", origin="projects.yaml", spec=AppProjectSpec(sync_windows=found))


OPEN = {"allow": window(), "deny": window("deny")}
SHUT = {"allow": window(schedule="0 3 * * *"), "deny": window("deny", "0 3 * * *")}


def rows():
    """The lines of the golden table."""
    lines = TABLE.read_text().splitlines()
    return [line.split(" | ") for line in lines if not line.startswith("#")]


def test_the_table_has_the_changes_of_clocks():
    """At least 60 instants, before and after each change that the table names."""
    assert len(rows()) >= 60
    assert {row[0] for row in rows()} >= {
        "Europe/London",
        "America/New_York",
        "Australia/Lord_Howe",
    }


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]} {row[1]} {row[3]}")
def test_windows_at_changes_of_clocks(row):
    """S-88: a skipped time opens at the next instant, a repeated one the first time."""
    zone, schedule, length, at, state, clocks = row
    now = datetime.fromisoformat(at)
    assert f"{now.astimezone(ZoneInfo(zone)):%H:%M:%S %Z}" == clocks
    found = project(window("deny", schedule, length, time_zone=zone))
    assert permission(found, PLACE, now).allowed is (state == "closed")
    found = project(window("allow", schedule, length, time_zone=zone))
    assert permission(found, PLACE, now).allowed is (state == "open")


@pytest.mark.parametrize(
    ("found", "allowed", "manual"),
    [
        ((), True, True),
        ((OPEN["allow"],), True, True),
        ((SHUT["allow"],), False, False),
        ((OPEN["deny"],), False, False),
        ((SHUT["deny"],), True, True),
        ((OPEN["allow"], OPEN["deny"]), False, False),
        ((SHUT["allow"], SHUT["deny"]), False, False),
        ((SHUT["allow"], OPEN["allow"]), True, True),
        ((OPEN["allow"], SHUT["deny"]), True, True),
        ((window("deny", manual_sync=True),), False, True),
        ((window("deny", manual_sync=True), OPEN["deny"]), False, False),
        ((window(schedule="0 3 * * *", manual_sync=True),), False, True),
        ((window(schedule="0 3 * * *", manual_sync=True), SHUT["allow"]), False, False),
        ((window("deny", applications=("other",)),), True, True),
    ],
)
def test_the_decision_is_argo_cds(found, allowed, manual):
    """Deny beats allow; a person needs manualSync on every window that is in the way."""
    assert permission(project(*found), PLACE, NOON).allowed is allowed
    assert permission(project(*found), PLACE, NOON, manual=True).allowed is manual


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"applications": ("sh*",)}, True),
        ({"applications": ("SHOP",)}, False),
        ({"applications": (), "namespaces": ("prod",)}, True),
        ({"applications": (), "clusters": ("prod-*",)}, True),
        ({"applications": (), "clusters": ("https://10.*",)}, True),
        ({"applications": ("other",), "namespaces": ("prod",)}, True),
        ({"applications": ("other",), "namespaces": ("prod",), "and_operator": True}, False),
        ({"namespaces": ("prod",), "clusters": ("x",), "and_operator": True}, False),
        ({"namespaces": ("prod",), "clusters": ("prod-eu",), "and_operator": True}, True),
        ({"applications": ()}, False),
        ({"applications": (), "and_operator": True}, False),
    ],
)
def test_which_applications_a_window_is_about(fields, about):
    """Any list that matches, or with andOperator all that are set; without lists none."""
    found = project(window("deny", **fields))
    assert permission(found, PLACE, NOON).allowed is not about


def test_no_project_and_no_windows_allow():
    """Nothing is in the way where nothing is declared."""
    assert permission(None, PLACE, NOON).allowed
    assert permission(project(), PLACE, NOON).allowed


def test_until_is_when_writing_is_allowed_again():
    """The end of the last deny that follows on, or the next allow outside of denies."""
    chained = project(window("deny"), window("deny", "30 12 * * *", "2h"))
    found = permission(chained, PLACE, NOON)
    assert found.until == NOON + timedelta(hours=2, minutes=30)
    assert found.reason == "deny window 1 of project shop is open"
    late = project(window(schedule="0 14 * * *"), window("deny", "0 13 * * *", "90m"))
    found = permission(late, PLACE, NOON)
    assert found.until == NOON + timedelta(hours=2, minutes=30)
    assert found.reason == "allow window 1 of project shop is closed"


def test_a_deny_that_never_ends_has_no_until():
    """What opens anew each minute for a day is no wait that anybody can name."""
    found = permission(project(window("deny", "* * * * *", "24h")), PLACE, NOON)
    assert (found.allowed, found.until) == (False, None)


@pytest.mark.parametrize(
    ("broken", "field", "said"),
    [
        (window("maybe"), "kind", "neither allow nor deny"),
        (window(schedule="61 * * * *"), "schedule", "not within 0-59"),
        (window(schedule=""), "schedule", "five fields, not 0"),
        (window(length="1 hour"), "duration", "no duration such as"),
        (window(length="0s"), "duration", "never opens"),
        (window(length="-1h"), "duration", "never opens"),
        (window(time_zone="Europe/Londn"), "timeZone", "no known time zone"),
        (window(time_zone="../etc/passwd"), "timeZone", "no known time zone"),
        (window(time_zone="Local"), "timeZone", "no known time zone"),
        (window(applications=("other", "[")), "applications", "no glob"),
    ],
)
def test_nothing_is_written_under_an_invalid_window(broken, field, said):
    """Argo CD takes UTC for an unknown zone; here a condition names project, window and field."""
    found = project(OPEN["allow"], broken)
    decided = permission(found, PLACE, NOON)
    assert (decided.allowed, decided.until) == (False, None)
    assert f"project shop (projects.yaml): spec.syncWindows[1].{field} " in decided.reason
    assert said in decided.reason
    [condition] = conditions(found)
    assert condition.type == windows.INVALID
    assert f"spec.syncWindows[1].{field} " in condition.message


def test_an_invalid_window_of_others_is_not_in_the_way():
    """It is told, and what it is not about is written as ever."""
    found = project(window("maybe", applications=("other",)))
    assert permission(found, PLACE, NOON).allowed
    assert len(conditions(found)) == 1


def test_missing_time_zone_rules_stop_writing(monkeypatch):
    """A machine without rules for a zone does not guess."""

    def unknown(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(windows, "ZoneInfo", unknown)
    found = project(window(time_zone="Europe/London"))
    assert "timeZone" in permission(found, PLACE, NOON).reason


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("90m", 5400), ("1.5h", 5400), ("500ms", 0.5), (".5s", 0.5), ("0", 0)],
)
def test_durations_are_gos(text, seconds):
    """Go's units and fractions."""
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "1", "1d", "1h 30m", "h", "1e3s", "99999999h"])
def test_what_is_no_duration_is_refused(text):
    """Days and blanks are none in Go."""
    with pytest.raises(ValueError, match=r"duration|ten years"):
        duration(text)


some = st.builds(
    window,
    st.sampled_from(["allow", "deny"]),
    st.sampled_from(["0 12 * * *", "*/30 * * * *", "0 22 * * *", "15 2 * * sun"]),
    st.sampled_from(["10m", "1h", "9h"]),
    time_zone=st.sampled_from(["", "Europe/London", "Australia/Lord_Howe"]),
    manual_sync=st.booleans(),
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.lists(some, max_size=4), st.integers(0, 366 * 1440))
def test_a_person_may_whatever_driftd_may_and_until_is_true(found, minute):
    """Whatever windows there are: at `until` writing is allowed, a second before it is not."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    decided = permission(project(*found), PLACE, now)
    if decided.allowed:
        assert permission(project(*found), PLACE, now, manual=True).allowed
    elif decided.until is not None:
        assert decided.until > now
        assert permission(project(*found), PLACE, decided.until).allowed
        before = decided.until - timedelta(seconds=1)
        assert before < now or not permission(project(*found), PLACE, before).allowed
